"""Changed predictions between the arms of a comparison: images that become correct or wrong, and recall per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.comparison.result import Comparison
from foveola.comparison.statistics import Difference, holm, paired_difference
from foveola.types import Labels


class ChangedPrediction(NamedTuple):
    """A test image that one arm predicts correctly in most seeds and the other does not.

    asked: in how many seeds it was a test image; baseline, arm: in how many of them each was right; mistaken: the class
    that the losing side gave it most often when it was wrong.
    """

    id: str
    label: str
    mistaken: str
    asked: int
    baseline: int
    arm: int


class ChangedPredictions(NamedTuple):
    """The images that an arm gains and loses against the baseline, the clearest first, of `asked` images in all.

    Clearest: by the difference in seeds that were right, of equals by that in the probability of the true class.
    """

    gained: tuple[ChangedPrediction, ...]
    lost: tuple[ChangedPrediction, ...]
    asked: int


class ClassDifference(NamedTuple):
    """The difference of the recalls of one class, in points; corrected_p: for the number of classes; images: in the
    test set (of the first seed)."""

    name: str
    difference: Difference
    corrected_p: float
    images: int


def changed_predictions(found: Comparison, k: int) -> ChangedPredictions:
    """What arm k gains and loses.

    Two equal arms also change predictions by chance, about as many in each direction: only the balance is informative.
    """
    tally = _tally(found, k)
    asked, base, arm = tally.asked, tally.right[0], tally.right[1]
    wins, loses = 2 * arm > asked, 2 * base > asked
    order = np.lexsort((-np.abs(tally.gain), -np.abs(arm - base)))

    def of(rows: NDArray[np.bool_], loser: int) -> tuple[ChangedPrediction, ...]:
        return tuple(tally.flip(int(i), loser) for i in order if rows[i])

    return ChangedPredictions(of(wins & ~loses, 0), of(loses & ~wins, 1), len(asked))


class _Tally(NamedTuple):
    """Predictions of both arms for each test image over the seeds.

    asked: int64 (n,); right: int64 (2, n); gain: float64 (n,), the true class's probability with the arm minus that with
    the baseline, summed over the seeds; wrong: by side and image how often each class was given, int64 (K,).
    """

    ids: Sequence[str]
    labels: Labels
    class_names: Sequence[str]
    asked: NDArray[np.int64]
    right: NDArray[np.int64]
    gain: NDArray[np.float64]
    wrong: dict[tuple[int, int], NDArray[np.int64]]

    def flip(self, i: int, loser: int) -> ChangedPrediction:
        mistaken = self.class_names[int(self.wrong[loser, i].argmax())]
        label = self.class_names[int(self.labels[i])]
        return ChangedPrediction(
            self.ids[i], label, mistaken, int(self.asked[i]), int(self.right[0, i]), int(self.right[1, i])
        )


def _tally(found: Comparison, k: int) -> _Tally:
    places: dict[str, int] = {}
    for run in found.runs[0]:
        for name in run.evaluation.ids:
            places.setdefault(name, len(places))
    n = len(places)
    names = found.runs[0][0].evaluation.class_names
    asked, right, labels, gain = np.zeros(n, np.int64), np.zeros((2, n), np.int64), np.zeros(n, np.int64), np.zeros(n)
    wrong: dict[tuple[int, int], NDArray[np.int64]] = {}
    for side, row in enumerate((found.runs[0], found.runs[k])):
        for run in row:
            evaluation = run.evaluation
            rows = np.array([places[name] for name in evaluation.ids], np.int64)
            labels[rows] = evaluation.labels
            asked[rows] += side == 0
            right[side, rows] += evaluation.correct
            gain[rows] += (2 * side - 1) * evaluation.probabilities[np.arange(len(rows)), evaluation.labels]
            for i in np.flatnonzero(~evaluation.correct):
                counts = wrong.setdefault((side, int(rows[i])), np.zeros(len(names), np.int64))
                counts[evaluation.predicted[i]] += 1
    return _Tally(list(places), labels, names, asked, right, gain, wrong)


def class_differences(found: Comparison, k: int) -> list[ClassDifference]:
    """Class by class the difference of the recalls of arm k and the baseline, in the order of the classes.

    Classes without a test image in some seed are left out. p is corrected by Holm's method: of twenty intervals one
    excludes 0 by chance.
    """
    names = found.runs[0][0].evaluation.class_names
    kept, differences = [], []
    for label, name in enumerate(names):
        gaps, n = _gaps(found, k, label)
        if gaps is not None:
            kept.append((name, n))
            differences.append(paired_difference(gaps, images=n, level=found.level, test_to_train=found.test_to_train))
    corrected = holm([one.p_value for one in differences])
    return [ClassDifference(name, one, p, n) for (name, n), one, p in zip(kept, differences, corrected, strict=True)]


def _gaps(found: Comparison, k: int, label: int) -> tuple[list[float] | None, int]:
    """The differences of a class's recalls in points, one per seed, and its test images with the first seed."""
    gaps, images = [], 0
    for s, run in enumerate(found.runs[0]):
        of_class = run.evaluation.labels == label
        if not of_class.any():
            return None, 0
        images = images or int(of_class.sum())
        base, other = found.correct[0][s], found.correct[k][s]
        gaps.append(100 * float(other[of_class].mean() - base[of_class].mean()))
    return gaps, images
