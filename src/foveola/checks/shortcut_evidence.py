"""Evidence for a shortcut: tables of class by file property, and example files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.checks.finding import Finding
from foveola.checks.shortcuts import name_shapes
from foveola.data.dataset import Dataset
from foveola.data.prepare import Prepared
from foveola.text import printable

COLUMNS, CLASSES = 6, 30
"""Values that get a column, the most frequent ones; classes that get a row."""

EXAMPLE_CLASSES, EXAMPLES = 6, 3


class Table(NamedTuple):
    """One table: its title, its columns, and for each class its cells; classes: how many classes there are in all."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    classes: int


class Examples(NamedTuple):
    """A few files of a class, each with its property in words: (id, property)."""

    name: str
    files: tuple[tuple[str, str], ...]


class Property(NamedTuple):
    """A property of the images, one value per image: words, or float64 amounts that `said` puts into words."""

    title: str
    values: Sequence[str] | NDArray[np.float64]
    said: Callable[[float], str] = str

    def table(self, dataset: Dataset) -> Table:
        """Words are counted by class; of amounts, a class's spread is shown."""
        if isinstance(self.values, np.ndarray):
            return spread_by_class(self.title, self.values, self.said, dataset)
        return count_by_class(self.title, self.values, dataset)

    def usual(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the rows of one class have its most frequent word, or an amount in the middle half of its amounts."""
        if isinstance(self.values, np.ndarray):
            low, high = np.quantile(self.values[rows], (0.25, 0.75))
            return np.asarray((low <= self.values[rows]) & (self.values[rows] <= high))
        words = [self.values[row] for row in rows.tolist()]
        ((most, _),) = Counter(words).most_common(1)
        return np.array([word == most for word in words])


def count_by_class(title: str, values: Sequence[str], dataset: Dataset) -> Table:
    """How many images of each class have which value; rare values share the column "other"."""
    common = [value for value, _ in Counter(values).most_common()]
    shown, others = common[:COLUMNS], len(common) > COLUMNS
    by_class = [Counter[str]() for _ in dataset.class_names]
    for label, value in zip(dataset.labels.tolist(), values, strict=True):
        by_class[label][value] += 1
    rows = []
    for name, counter in zip(dataset.class_names[:CLASSES], by_class, strict=False):
        cells = [counter[value] for value in shown]
        rows.append((name, tuple(f"{n:,}" for n in [*cells, counter.total() - sum(cells)][: len(shown) + others])))
    return Table(title, (*shown, *["other"] * others), tuple(rows), len(dataset.class_names))


def spread_by_class(title: str, amounts: NDArray[np.floating], said: Callable[[float], str], dataset: Dataset) -> Table:
    """Smallest, median and largest amount of each class, and the quarters between."""
    rows = []
    for label, name in enumerate(dataset.class_names[:CLASSES]):
        of_class = amounts[dataset.labels == label]
        if len(of_class):
            rows.append((name, tuple(said(float(q)) for q in np.quantile(of_class, (0, 0.25, 0.5, 0.75, 1)))))
    columns = ("smallest", "lower quarter", "median", "upper quarter", "largest")
    return Table(title, columns, tuple(rows), len(dataset.class_names))


class Evidence(NamedTuple):
    """Evidence that a property predicts the class: tables of class by property, and a few images with their values."""

    tables: tuple[Table, ...]
    examples: tuple[Examples, ...]


def evidence_of(finding: Finding, prepared: Prepared, colours: NDArray[np.float32]) -> Evidence:
    """The evidence for a shortcut; empty for other findings. colours: float32 (n, 3), mean red, green and blue."""
    dataset, files, sizes = prepared.dataset, prepared.files, prepared.sizes
    properties = [one for fact in finding.facts for one in _properties(fact, prepared, colours)]

    def said(row: int) -> str:
        if finding.facts == ("the name",):
            return dataset.ids[row].rpartition("/")[2]
        if finding.facts == ("the mean colour",):
            return "red {:.0f}, green {:.0f}, blue {:.0f}".format(*colours[row])
        kind, (height, width) = files.kinds[files.of[row]], sizes[row].tolist()
        quality = f", quality {files.quality[row]:.0f}" if files.quality[row] else ""
        stored = in_kilobytes(float(files.stored_bytes[row]))
        return f"{kind.format}{quality}, {kind.mode}, {width:,} × {height:,}, {stored}"

    return Evidence(tuple(one.table(dataset) for one in properties), examples(dataset, properties, said))


def _properties(fact: str, prepared: Prepared, colours: NDArray[np.float32]) -> list[Property]:
    """The properties of one of the facts that `shortcuts` asks about; none for a fact that is not known here."""
    dataset, files = prepared.dataset, prepared.files
    kinds = [files.kinds[k] for k in files.of.tolist()]
    if fact == "the format":
        return [Property("Format", [kind.format for kind in kinds])]
    if fact == "the colour mode":
        return [Property("Colour mode", [kind.mode for kind in kinds])]
    if fact == "the size in pixels":
        return _sizes(prepared)
    if fact == "the size in bytes":
        return [Property("File size", files.stored_bytes.astype(np.float64), in_kilobytes)]
    if fact == "the JPEG quality":
        return [Property("JPEG quality", [f"{q:.0f}" if q else "no JPEG" for q in files.quality.tolist()])]
    if fact == "the name":
        return [Property("Name pattern", [printable(shape) for shape in name_shapes(dataset)])]
    if fact == "the mean colour":
        channels = zip(("Mean red", "Mean green", "Mean blue"), np.asarray(colours, np.float64).T, strict=True)
        return [Property(title, of, lambda v: f"{v:.0f}") for title, of in channels]
    return []


def _sizes(prepared: Prepared) -> list[Property]:
    """The size where most images share a few, else height and width."""
    sides = [f"{width:,} × {height:,}" for height, width in prepared.sizes.tolist()]
    if sum(n for _, n in Counter(sides).most_common(COLUMNS)) >= len(sides) / 2:
        return [Property("Size in pixels, width × height", sides)]
    named = zip(("Height in pixels", "Width in pixels"), prepared.sizes.astype(np.float64).T, strict=True)
    return [Property(title, side, lambda px: f"{px:,.0f}") for title, side in named]


def examples(dataset: Dataset, properties: Sequence[Property], said: Callable[[int], str]) -> tuple[Examples, ...]:
    """A few images of the first classes, evenly chosen among those that are usual in most of the properties.

    An exception among them would hide what the tables show. said: the property of a row in words.
    """
    if not properties:
        return ()
    out = []
    for label, name in enumerate(dataset.class_names[:EXAMPLE_CLASSES]):
        rows = np.flatnonzero(dataset.labels == label)
        if len(rows):
            usual = np.sum([one.usual(rows) for one in properties], axis=0)
            rows = rows[usual == usual.max()]
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).astype(int))].tolist()
        out.append(Examples(name, tuple((dataset.ids[row], said(row)) for row in chosen)))
    return tuple(out)


def in_kilobytes(stored: float) -> str:
    """Bytes in words.

    >>> in_kilobytes(812), in_kilobytes(20_480), in_kilobytes(3_512_000)
    ('812 B', '20 kB', '3.5 MB')
    """
    if stored < 1000:
        return f"{stored:.0f} B"
    return f"{stored / 1000:.0f} kB" if stored < 1_000_000 else f"{stored / 1_000_000:.1f} MB"
