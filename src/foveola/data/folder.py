"""A folder of pictures becomes a Dataset: list it, label it, take the digests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foveola.data.dataset import PARTS, Dataset, Problem, fingerprint_of, require_classes
from foveola.data.digests import digests
from foveola.data.labelling import Labelling, by_folder, by_pattern, clashing_case, group_by_pattern
from foveola.data.listing import Listing, list_folder
from foveola.data.sources import Files
from foveola.data.table import by_table
from foveola.errors import UsageError
from foveola.types import Rows, Tick, no_tick


def open_folder(
    root: Path,
    *,
    labels: Path | None = None,
    label_pattern: str | None = None,
    group_by: str | None = None,
    tick: Tick = no_tick,
) -> Dataset:
    """The data set in a folder: one sub-folder a class, or classes by table (`labels`) or by file name (`label_pattern`).

    `group_by` is a column of the table if there is one, else a regular expression on the relative path. Raises
    DataError (missing, empty, one class, an empty class...) and UsageError (two ways to tell the class at once).
    """
    if labels is not None and label_pattern is not None:
        raise UsageError("--labels and --label-pattern both tell the class: use one of them")
    listing = list_folder(root)
    if labels is not None:
        found = by_table(listing, labels, group_by)
    elif label_pattern is not None:
        found = by_pattern(listing, label_pattern)
    else:
        found = by_folder(listing)
    if labels is None and group_by is not None:
        found.groups = list(group_by_pattern([listing.ids[i] for i in found.rows], group_by))
    return _assemble(listing, found, tick)


def _assemble(listing: Listing, found: Labelling, tick: Tick) -> Dataset:
    number = {name: k for k, name in enumerate(found.class_names)}
    labels = np.array([number[name] for name in found.names], np.int64)
    require_classes(str(listing.root), found.class_names, labels)
    content, unreadable = digests(listing, tick=tick)
    rows = np.array(found.rows, np.int64)
    ids = tuple(listing.ids[i] for i in found.rows)
    parts = _numbers(found)
    refused = {problem.file: problem for problem in unreadable}
    named = set(ids)
    whole = Dataset(
        name=listing.root.absolute().name or "data",
        class_names=found.class_names,
        ids=ids,
        labels=labels,
        source=Files(listing.root, ids, content[rows], float(listing.stamps[rows, 0].mean())),
        fingerprint=fingerprint_of(ids, found.class_names, labels, parts, content[rows].tobytes()),
        parts=parts,
        groups=_groups(found.groups),
        problems=(*listing.problems, *found.problems),
        files_found=listing.found + _missing(found.problems, listing),
        files_ignored=listing.ignored + found.ignored,
        notes=(*found.notes, *clashing_case(found.class_names)),
    )
    good = np.array([i for i, file in enumerate(ids) if file not in refused], np.int64)
    return whole.take(good, [p for p in unreadable if p.file in named]) if len(good) < len(ids) else whole


def _missing(problems: list[Problem], listing: Listing) -> int:
    """Files that a table names and the folder lacks: they count as found, so that the sum holds."""
    return len({problem.file for problem in problems} - set(listing.ids))


def _numbers(found: Labelling) -> Rows | None:
    if all(part is None for part in found.parts):
        return None
    return np.array([-1 if part is None else PARTS.index(part) for part in found.parts], np.int64)


def _groups(names: list[str | None]) -> Rows | None:
    """Group names as numbers; a file without a group gets one of its own."""
    if all(name is None for name in names):
        return None
    keys = [f"={name}" if name is not None else f"#{i}" for i, name in enumerate(names)]
    number = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], np.int64)
