"""Tables of labels that lie in a data folder: found by their first lines, and named for the user."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from foveola.data.dataset import printable
from foveola.data.listing import Listing
from foveola.data.table import FILE_COLUMNS, LABEL_COLUMNS, find_column

MOST_TABLES = 100
"""So many tables in a data folder are looked at: some data sets have one for each class."""


def tables_inside(listing: Listing) -> tuple[str, ...]:
    """The tables of labels in a data folder, by their relative paths: those whose first line names files and classes."""
    tables = [name for name in listing.sides if name.lower().endswith((".csv", ".tsv"))]
    tables.sort(key=lambda name: (name.count("/"), name))
    return tuple(name for name in tables[:MOST_TABLES] if _has_labels(listing.root / name))


def tables_in_words(listing: Listing, tables: Sequence[str]) -> str:
    """Which tables of labels were found, and how one is used."""
    option = f"--labels {shlex.quote(str(listing.root / tables[0]))}"
    what = f"{printable(tables[0])} looks like a table of labels"
    if len(tables) > 1:
        what = f"{len(tables)} files look like tables of labels, such as {printable(tables[0])}"
    return f"{what} ({option} takes the classes from it)"


def _has_labels(table: Path) -> bool:
    """Whether a table's first line names files and classes; a form for somebody's predictions does not count."""
    try:
        with table.open("rb") as file:
            line = file.readline(10_000).decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError):
        return False
    delimiter = max(",;\t", key=line.count)
    columns = [find_column(line.split(delimiter), names) for names in (FILE_COLUMNS, LABEL_COLUMNS)]
    return "submission" not in table.name.lower() and None not in columns
