"""Labels from a CSV table with columns for file and class, and optionally part and group.

The module also finds label tables inside a data folder, by their first lines, to suggest them to the user.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foveola.data.dataset import Problem, natural_key, normalise_name
from foveola.data.file_finder import FileFinder
from foveola.data.folder_names import part_of
from foveola.data.labels import Labelling
from foveola.data.scan import FolderScan
from foveola.errors import DataError, UsageError
from foveola.storage import require_ordinary
from foveola.text import count, printable

FILE_COLUMNS = (
    "file", "filename", "file_name", "image", "image_path", "path", "filepath", "id", "image_id", "img", "image_name",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "class", "category", "class_name", "target", "y", "classid", "class_id", "label_name", "labels",
)  # fmt: skip
_PART = ("part", "split", "subset")


@dataclass(frozen=True)
class Row:
    """One line of the table; `line` counts from 1 with the header."""

    line: int
    file: str
    label: str
    part: str
    group: str


def by_table(listing: FolderScan, table: Path, group_column: str | None) -> Labelling:
    """Label the files that the table names; a file may be named by its path, its name, or its name without suffix.

    Rows whose file is missing, or that fit several files, are problems; files that no row names are ignored and counted.
    Raises DataError with the line numbers for rows that contradict each other or lack a value, for a table without the two
    columns, and for one that names no file of the folder.
    """
    rows = _read(table, group_column)
    finder = FileFinder(listing.ids, listing.root, [table.parent])
    out = Labelling(notes=(f"classes are taken from {table.name}",))
    first: dict[int, Row] = {}
    lost: dict[str, tuple[Row, Sequence[int]]] = {}
    loose: dict[int, Row] = {}
    wrong: list[str] = []
    for row in rows:
        found = finder.find(row.file)
        if len(found.rows) != 1:
            lost.setdefault(row.file, (row, found.rows))
            continue
        position = found.rows[0]
        if position in first:
            wrong.extend(_contradiction(row, first[position]))
        else:
            first[position] = row
        if found.loose:
            loose.setdefault(position, row)
    _refuse(table, wrong)
    if not first:
        raise DataError(_none_found(listing, table, rows, finder, next(iter(lost.values()), None)))
    for number, (row, fit) in enumerate(lost.values()):
        close = finder.closest(row.file) if not fit and number < SUGGESTED else ""
        out.problems.append(Problem(row.file, _why_lost(listing, table, row, fit, close)))
    for position, row in sorted(first.items()):
        out.add(position, row.label, part_of(row.part), row.group or None)
    out.ignored = len(listing.ids) - len(first)
    out.class_names = tuple(sorted(set(out.names), key=natural_key))
    out.notes += (*_spelt_otherwise(listing, table, loose), *_several_labels(table, first))
    return out


SUGGESTED = 5
"""The number of missing files that are shown with the closest existing name."""


def _none_found(
    listing: FolderScan, table: Path, rows: Sequence[Row], finder: FileFinder, lost: tuple[Row, Sequence[int]] | None
) -> str:
    """Why no row found a file, by one row and one file."""
    if lost is None:
        return f"{table} lists no files: it has a header but no rows"
    row, fit = lost
    start = f"none of the {count(len(rows), 'file')} named in {table}"
    advice = f"write each path relative to {listing.root}"
    named = f"line {row.line} names '{printable(row.file)}'"
    if fit:
        return f"{start} is unique in {listing.root}: {named}, which fits {_files(listing, fit)}: {advice}"
    close = finder.closest(row.file)
    shown = f" (did you mean '{close}'?)" if close else f", {_an_example(listing)}"
    return f"{start} is in {listing.root}: {named}{shown}: {advice}"


def _an_example(listing: FolderScan) -> str:
    return (
        f"and the folder has files such as '{printable(listing.ids[0])}'"
        if listing.ids
        else "and the folder has no files"
    )


def _why_lost(listing: FolderScan, table: Path, row: Row, fit: Sequence[int], close: str) -> str:
    if fit:
        return f"named in line {row.line} of {table.name}, and fits {_files(listing, fit)}: write the path"
    return f"named in line {row.line} of {table.name}, but not in the folder" + (
        f" (did you mean '{close}'?)" if close else ""
    )


def _files(listing: FolderScan, rows: Sequence[int]) -> str:
    first, second, *others = (printable(listing.ids[row]) for row in rows)
    more = f" and {count(len(others), 'more file')}" if others else ""
    return f"both '{first}' and '{second}'{more}"


def _spelt_otherwise(listing: FolderScan, table: Path, loose: Mapping[int, Row]) -> tuple[str, ...]:
    """A note on files that were found though the table spells them otherwise."""
    if not loose:
        return ()
    position, row = next(iter(loose.items()))
    return (
        f"{table.name} spells {count(len(loose), 'file name')} differently from the folder, such as "
        f"'{printable(row.file)}' for '{printable(listing.ids[position])}'",
    )


def _several_labels(table: Path, rows: Mapping[int, Row]) -> tuple[str, ...]:
    """A note on cells that hold several labels ("cat|dog"): an image has one class here.

    | and ; always mean that. A comma, slash or plus does where every piece is in another label too, which tells "cat, dog"
    from a name such as "Paris, Texas".
    """
    labels = Counter(row.label for row in rows.values())
    for mark in "|;,/+":
        pieces = {label: [piece.strip() for piece in label.split(mark)] for label in labels}
        several = [label for label, found in pieces.items() if len(found) > 1 and all(found)]
        used = Counter(piece for found in pieces.values() for piece in set(found))
        if mark in ",/+":
            several = [label for label in several if all(used[piece] > 1 for piece in pieces[label])]
        if several:
            number = sum(labels[label] for label in several)
            verb, example = "contains" if number == 1 else "contain", printable(several[0])
            return (
                f"{number:,} of {count(len(rows), 'label')} in {table.name} {verb} '{mark}', such as '{example}': foveola "
                "gives an image one class, so each combination counts as a separate class",
            )
    return ()


def _contradiction(row: Row, first: Row) -> list[str]:
    pairs = ((row.label, first.label), (row.part, first.part), (row.group, first.group))
    return [
        f"line {row.line} says '{new}' of '{printable(row.file)}', line {first.line} said '{old}'"
        for new, old in pairs
        if new != old
    ]


def _read(table: Path, group_column: str | None) -> list[Row]:
    text = _text(table)
    if text.lower().startswith("sep="):  # Excel's own first line
        text = text.partition("\n")[2]
    header_line = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise DataError(f"{table} is not a CSV table: line {reader.line_num}: {error}") from None
    if not any(cell.strip() for _, cells in lines for cell in cells):
        raise DataError(f"{table} is empty: a table of labels needs a column of files and a column of classes")
    header = [name.strip().lower() for name in lines[0][1]]
    columns = {
        "file": _column(table, header, FILE_COLUMNS, "the files"),
        "label": _column(table, header, LABEL_COLUMNS, "the classes"),
    }
    if group_column is not None:
        columns["group"] = _column(table, header, (group_column.lower(),), "the groups (--group-by)")
    part = find_column(header, _PART)
    rows, wrong = [], []
    for line, cells in lines[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        cells += [""] * (len(header) - len(cells))
        value = {name: cells[k].strip() for name, k in columns.items()}
        empty = [name for name, text in value.items() if not text]
        part_text = cells[part].strip() if part is not None else ""
        if empty:
            wrong.append(f"line {line} has no {' and no '.join(empty)}")
        elif part_text and part_of(part_text) is None:
            wrong.append(f"line {line} names the set '{part_text}', which is not train, val or test")
        else:
            rows.append(Row(line, value["file"], normalise_name(value["label"]), part_text, value.get("group", "")))
    _refuse(table, wrong)
    return rows


def _text(table: Path) -> str:
    try:
        require_ordinary(table)
        return table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{table} is not UTF-8 text: save it as CSV in UTF-8") from None
    except OSError as error:
        raise UsageError(
            f"the label table {table} can't be read: {(error.strerror or '').lower()}: check the path"
        ) from None


def find_column(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Where the first of these columns is. Case, spaces, hyphens and underscores make no difference.

    >>> find_column(["Image ID", "Class-Name"], LABEL_COLUMNS), find_column(["x"], FILE_COLUMNS)
    (1, None)
    """
    plain = [_plain(name) for name in header]
    return next((plain.index(_plain(name)) for name in names if _plain(name) in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _column(table: Path, header: list[str], names: tuple[str, ...], what: str) -> int:
    found = find_column(header, names)
    if found is None:
        raise DataError(
            f"{table} has no column for {what}: its first line names {', '.join(header) or 'nothing'}; "
            f"one of {', '.join(names)} is needed"
        )
    return found


def _refuse(table: Path, wrong: list[str]) -> None:
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DataError(f"{table}: {'; '.join(wrong[:5])}{more}: correct these lines")


MOST_TABLES = 100
"""The number of tables in a data folder that are opened: some data sets have one for each class."""


def tables_inside(listing: FolderScan) -> tuple[str, ...]:
    """The tables of labels in a data folder, by their relative paths: those whose first line names files and classes."""
    tables = [name for name in listing.sides if name.lower().endswith((".csv", ".tsv"))]
    tables.sort(key=lambda name: (name.count("/"), name))
    return tuple(name for name in tables[:MOST_TABLES] if _has_labels(listing.root / name))


def tables_in_words(listing: FolderScan, tables: Sequence[str]) -> str:
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
