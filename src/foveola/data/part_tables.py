"""Labels of one part from a table, while the other parts have class folders: a test set whose labels were published later.

An example are the German traffic signs: Final_Training has a folder for each class, and GT-final_test.csv the classes of
Final_Test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from foveola.data.dataset import Part, normalise_name
from foveola.data.folder_names import parent
from foveola.data.labels import Labelling
from foveola.data.labels_csv import by_table
from foveola.data.layout import Reading
from foveola.data.scan import FolderScan
from foveola.errors import FoveolaError

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

    Such a table lies in the part's folder, or in one above it. A part that two tables fit has none.
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
