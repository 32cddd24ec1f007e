"""Check of the class balance: unequal classes, classes with few images, classes missing in a part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveola.checks.finding import Finding
from foveola.data.dataset import PARTS, Dataset
from foveola.text import count, printable

FEW = 20
"""Images below which a class is tiny: a fifth of them for the test set is so few that its accuracy means nothing."""

UNEQUAL, VERY_UNEQUAL = 3, 10
"""Largest class by smallest, from which it is a note and a warning."""


def balance_findings(dataset: Dataset) -> list[Finding]:
    """The findings `imbalance`: unequal classes, tiny classes, and classes that a part of the data lacks."""
    counts = dataset.counts()
    return [*_empty(dataset, counts), *_unequal(dataset, counts), *_tiny(dataset, counts), *_absent(dataset)]


def _empty(dataset: Dataset, counts: NDArray[np.int64]) -> list[Finding]:
    empty = np.flatnonzero(counts == 0)
    if not len(empty):
        return []
    classes = "this class" if len(empty) == 1 else "these classes"
    return [
        Finding(
            "imbalance",
            "error",
            f"no usable image of {_names(dataset, empty)}",
            f"add images of {classes}, or remove the empty folders: a network can't be trained on {classes}",
            about=len(empty),
        )
    ]


def _unequal(dataset: Dataset, counts: NDArray[np.int64]) -> list[Finding]:
    largest, smallest = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    ratio = float(counts[largest] / counts[smallest])
    if ratio < UNEQUAL:
        return []
    share, name = counts[largest] / counts.sum(), printable(dataset.class_names[largest])
    return [
        Finding(
            "imbalance",
            "warning" if ratio >= VERY_UNEQUAL else "note",
            f"class '{name}' has {ratio:.1f} times as many images as '{printable(dataset.class_names[smallest])}' "
            f"({counts[largest]:,} and {counts[smallest]:,}): always predicting '{name}' is right for {100 * share:.1f} %",
            "add images to the small classes, and look at the recall of each class: the accuracy hides errors in "
            "small classes",
            about=2,
        )
    ]


def _tiny(dataset: Dataset, counts: NDArray[np.int64]) -> list[Finding]:
    few = np.flatnonzero((counts < FEW) & (counts > 0))
    if not len(few):
        return []
    return [
        Finding(
            "imbalance",
            "note",
            f"{count(len(few), 'class', 'classes')} with fewer than {FEW} images: {_names(dataset, few, counts)}",
            "add images: a class this small gives a network little to learn from and makes its test result unreliable",
            about=len(few),
            topic="small classes",
        )
    ]


def _absent(dataset: Dataset) -> list[Finding]:
    if dataset.parts is None:
        return []
    found = []
    for number, part in enumerate(PARTS):
        labels = dataset.labels[dataset.parts == number]
        missing = np.setdiff1d(np.arange(len(dataset.class_names)), labels)
        if len(labels) and len(missing):
            found.append(
                Finding(
                    "imbalance",
                    "warning",
                    f"the {part} set has no image of {_names(dataset, missing)}",
                    f"add some: without them the {part} set says nothing about "
                    + ("this class" if len(missing) == 1 else "these classes"),
                    about=len(missing),
                    topic=f"missing in {part}",
                )
            )
    return found


def _names(dataset: Dataset, classes: NDArray[np.int64], counts: NDArray[np.int64] | None = None) -> str:
    named = [
        f"'{printable(dataset.class_names[k])}'" + ("" if counts is None else f" ({counts[k]:,})") for k in classes[:5]
    ]
    return ", ".join(named) + (f" and {len(classes) - 5:,} more" if len(classes) > 5 else "")
