"""Open a folder of images as a Dataset: list the files, label them, hash them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foveola.data.dataset import (
    PARTS,
    Dataset,
    Files,
    Part,
    Problem,
    fingerprint_of,
    normalise_name,
    require_classes,
    require_images,
    rows_to_measure,
)
from foveola.data.folder_names import Level, parent
from foveola.data.hashes import hash_files
from foveola.data.labels import Labelling, by_folder, by_pattern, clashing_case, group_by_pattern, parts_by_folder
from foveola.data.labels_csv import by_table, tables_in_words, tables_inside
from foveola.data.layout import Reading, read_layout
from foveola.data.layout_errors import Refusal, listed, other_classes, other_parts
from foveola.data.scan import FolderScan, scan_folder
from foveola.errors import DataError, FoveolaError, UsageError
from foveola.text import count, joined
from foveola.types import Indices, Tick, no_tick


def open_folder(
    root: Path,
    *,
    labels: Path | None = None,
    label_pattern: str | None = None,
    group_by: str | None = None,
    class_level: Level | None = None,
    for_training: bool = True,
    known: Collection[str] = (),
    tick: Tick = no_tick,
) -> Dataset:
    """The data set in a folder: one sub-folder a class, or classes by table (`labels`) or by file name (`label_pattern`).

    `group_by` is a column of the table if there is one, else a regular expression on the relative path. `class_level` says
    which folders are the classes (see `layout`); None: as the tree shows it. for_training: require two classes or more, none
    of them empty. known: the classes of the network that is measured: their folders are looked for. Raises DataError
    (missing, empty, one class, an empty class, two readings...) and UsageError (two ways to tell the class at once).
    """
    ways = {"--labels": labels, "--label-pattern": label_pattern, "--class-level": class_level}
    given = [way for way, value in ways.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{joined(given)} {'both' if len(given) == 2 else 'all'} define the classes: use one of them")
    listing = scan_folder(root)
    by_rows = labels is not None
    if labels is not None:
        found = by_table(listing, labels, group_by)
    elif label_pattern is not None:
        found = by_pattern(listing, label_pattern)
    else:
        found, by_rows = _by_layout(listing, class_level, group_by, for_training, known)
    if by_rows or label_pattern is not None:
        _take_parts(listing, found)
    if not by_rows and group_by is not None:
        found.groups = list(group_by_pattern([listing.ids[i] for i in found.rows], group_by))
    return _assemble(listing, found, for_training, tick)


def _by_layout(
    listing: FolderScan, class_level: Level | None, group_by: str | None, for_training: bool, known: Collection[str]
) -> tuple[Labelling, bool]:
    """Label by folders, or by the one table in a folder without class folders; and whether it was a table."""
    reading = read_layout(listing, class_level, for_training=for_training, known=known)
    tables = tables_inside(listing)
    if not isinstance(reading, Refusal):
        of_parts = tables_of_parts(listing, reading, tables)
        if of_parts:
            names = {one.folder: one.table for one in of_parts}
            again = read_layout(listing, class_level, for_training=for_training, known=known, tables=names)
            reading = again if isinstance(again, Reading) else reading
        found = by_folder(listing, reading)
        for one in of_parts:
            one.add_to(found)
        tables = tuple(table for table in tables if table not in {one.table for one in of_parts})
        if tables:
            found.notes += (f"{tables_in_words(listing, tables)}; the classes come from the folders",)
        if not any(found.parts) and (parts := other_parts(listing.root)):
            found.notes += (parts,)
        return found, False
    if reading.flat and len(tables) == 1:
        found = by_table(listing, listing.root / tables[0], group_by)
        return found, True
    also = ""
    if reading.flat:
        also = tables_in_words(listing, tables) if tables else "" if listing.folders else other_classes(listing.root)
    raise DataError(". ".join(filter(None, [reading.sentence, also])))


def _take_parts(listing: FolderScan, found: Labelling) -> None:
    """Give files that a table or a pattern labels the parts of their folders, unless the table has a column for them.

    A part without any label is left out as a whole: its files are no problems.
    """
    parts = parts_by_folder(listing)
    of_files = [parts[row] for row in found.rows]
    if not any(of_files):
        return
    if any(found.parts):
        if any(own != part for own, part in zip(found.parts, of_files, strict=True)):
            found.notes += (
                "train, val and test come from the table; the folders with these names differ and are not used",
            )
        return
    found.parts = of_files
    given = [part for part in PARTS if part in parts]
    found.notes += (f"{listed(given)} as the folders give them",)
    for part in given:
        if part not in of_files:
            files = {listing.ids[row] for row, other in enumerate(parts) if other == part}
            known = len(found.problems)
            found.problems = [problem for problem in found.problems if problem.file not in files]
            found.ignored += known - len(found.problems)
            found.notes += (f"{part} has no labels and is left out ({count(len(files), 'image')})",)


def _assemble(listing: FolderScan, found: Labelling, for_training: bool, tick: Tick) -> Dataset:
    number = {name: k for k, name in enumerate(found.class_names)}
    labels = np.array([number[name] for name in found.names], np.int64)
    problems = (*listing.problems, *found.problems)
    require_images(str(listing.root), labels, problems)
    if for_training:
        require_classes(str(listing.root), found.class_names, labels, problems)
    rows = np.array(found.rows, np.int64)
    digests, sizes, unreadable = hash_files(listing, measure=rows[rows_to_measure(len(rows))], tick=tick)
    ids = tuple(listing.ids[i] for i in found.rows)
    parts = _numbers(found)
    refused = {problem.file: problem for problem in unreadable}
    named = set(ids)
    whole = Dataset(
        name=Path(os.path.normpath(listing.root.absolute())).name or "data",  # of "..", too
        class_names=found.class_names,
        ids=ids,
        labels=labels,
        source=Files(listing.root, ids, digests[rows], sizes[rows], float(listing.stamps[rows, 0].mean())),
        fingerprint=fingerprint_of(ids, found.class_names, labels, parts, digests[rows].tobytes()),
        parts=parts,
        groups=_groups(found.groups),
        problems=problems,
        files_found=listing.found + _missing(found.problems, listing),
        files_ignored=listing.ignored + found.ignored,
        notes=(*found.notes, *_on_sides(listing), *clashing_case(found.class_names)),
    )
    good = np.array([i for i, file in enumerate(ids) if file not in refused], np.int64)
    return whole.take(good, [p for p in unreadable if p.file in named]) if len(good) < len(ids) else whole


def _on_sides(listing: FolderScan) -> tuple[str, ...]:
    words = listing.sides_in_words()
    verb = "is not an image and is" if len(listing.sides) == 1 else "are not images and are"
    return (f"{words} {verb} ignored",) if words else ()


def _missing(problems: list[Problem], listing: FolderScan) -> int:
    """Files that a table names and the folder lacks: they count as found, so that the sum holds."""
    return len({problem.file for problem in problems} - set(listing.ids))


def _numbers(found: Labelling) -> Indices | None:
    if all(part is None for part in found.parts):
        return None
    return np.array([-1 if part is None else PARTS.index(part) for part in found.parts], np.int64)


def _groups(names: list[str | None]) -> Indices | None:
    """Group names as numbers; a file without a group gets a separate one."""
    if all(name is None for name in names):
        return None
    keys = [f"={name}" if name is not None else f"#{i}" for i, name in enumerate(names)]
    number = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], np.int64)


MOST_TABLES = 5
"""The number of tables that are tried for each part; each takes a moment in a large data set."""

NEARLY_ALL = 0.95
"""The share of a part's images that a table has to name, to be taken for the table of this part."""


class PartTable(NamedTuple):
    """The table of a part: `folder` of the part, path of the `table` in the data folder, and class by row of the listing."""

    folder: str
    part: Part
    table: str
    classes: Mapping[int, str]

    def add_to(self, found: Labelling) -> None:
        """Label the images of the part."""
        for row, name in self.classes.items():
            found.add(row, name, self.part)
        found.ignored -= len(self.classes)


def tables_of_parts(listing: FolderScan, reading: Reading, tables: Sequence[str]) -> list[PartTable]:
    """For each part without class folders the one table that names nearly all of its images and only classes of train.

    Such a table is in the set's folder, or in one above it. If two tables fit, none is used.
    """
    found = []
    for folder, part in reading.unlabelled.items():
        near = [table for table in tables if _is_near(table, folder)][:MOST_TABLES]
        fitting = [one for table in near if (one := _fitting(listing, reading, folder, part, table))]
        if len(fitting) == 1:
            found += fitting
    return found


def _is_near(table: str, folder: str) -> bool:
    place = parent(table)
    return f"{place}/".startswith(f"{folder}/") or not place or f"{folder}/".startswith(f"{place}/")


def _fitting(listing: FolderScan, reading: Reading, folder: str, part: Part, table: str) -> PartTable | None:
    try:
        labelled = by_table(listing, listing.root / table, None)
    except FoveolaError:  # a table of something else
        return None
    known = _by_spelling(reading.class_names)
    names = {
        row: known.get(normalise_name(name))
        for row, name in zip(labelled.rows, labelled.names, strict=True)
        if listing.ids[row].startswith(f"{folder}/")
    }
    classes = {row: name for row, name in names.items() if name is not None}
    n = sum(name.startswith(f"{folder}/") for name in listing.ids)
    fits = len(classes) == len(names) >= NEARLY_ALL * n and len(set(classes.values())) > 1
    return PartTable(folder, part, table, classes) if fits else None


def _by_spelling(class_names: Sequence[str]) -> dict[str, str]:
    """The class that a table may mean: by its name, or by its number where all folders are numbered ("7" for "00007").

    >>> _by_spelling(["00000", "00007"])["7"], _by_spelling(["cat", "7"]).get("07")
    ('00007', None)
    """
    known = {normalise_name(name): name for name in class_names}
    if all(name.isdecimal() for name in class_names):
        numbered = {str(int(name)): name for name in class_names}
        known = {**numbered, **known} if len(numbered) == len(class_names) else known
    return known
