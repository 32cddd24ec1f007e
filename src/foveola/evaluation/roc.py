"""ROC and precision-recall curves of one class against the rest, with their areas, 95 % intervals and bands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import find_class
from foveola.errors import UsageError
from foveola.evaluation.intervals import independent_images, wilson
from foveola.evaluation.metrics import Evaluation, Floats
from foveola.evaluation.out_of_fold import SHARED
from foveola.text import count, printable
from foveola.types import Indices, Interval

LEVEL = 0.95
"""Of intervals and bands."""


class Band(NamedTuple):
    """The lower and upper end of a band at some places of the horizontal axis: float64 (m,), 0..1."""

    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Roc:
    """How well the probability of a class separates its images from all others, at every threshold.

    positive: the class; thresholds: float64 (m,), falling, the first is infinite: an image is called positive if its
    probability is at least the threshold; true_positives, false_positives: int64 (m,), the images of the class and of
    others that are called positive; n_positive, n_negative: the numbers of these images, both at least 1;
    independent_positive, independent_negative: how many of them the intervals and bands count.

        roc = fv.open_run("latest").roc("sick")
        roc.auc, roc.auc_interval, roc.average_precision
    """

    positive: str
    thresholds: Floats
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    n_positive: int
    n_negative: int
    independent_positive: float
    independent_negative: float

    def __repr__(self) -> str:
        return f"Roc({self.positive!r}, AUC {self.auc:.3f}, average precision {self.average_precision:.3f})"

    @property
    def true_positive_rate(self) -> Floats:
        """Sensitivity or recall at each threshold: float64 (m,), from 0 to 1."""
        return np.asarray(self.true_positives / self.n_positive, np.float64)

    @property
    def false_positive_rate(self) -> Floats:
        """1 - specificity at each threshold: float64 (m,), from 0 to 1."""
        return np.asarray(self.false_positives / self.n_negative, np.float64)

    @property
    def precision(self) -> Floats:
        """The share of the called images that are of the class: float64 (m,); 1 where no image is called."""
        called = self.true_positives + self.false_positives
        return np.asarray(np.where(called > 0, self.true_positives / np.maximum(called, 1), 1.0), np.float64)

    @cached_property
    def auc(self) -> float:
        """The area under the ROC curve: the probability that an image of the class ranks above another, ties count half."""
        twice = np.diff(self.false_positives) * (
            self.true_positives[1:] + self.true_positives[:-1]
        )  # whole numbers: exact
        return int(twice.sum()) / (2 * self.n_positive * self.n_negative)

    @property
    def auc_interval(self) -> Interval:
        """The 95 % interval of `auc`, valid for any distribution of the probabilities, and therefore often too wide.

        Wilson's interval with the variance A (1 - A) / min(P, N), the largest that an area A can have with P and N images
        (Z. Birnbaum and O. Klose, "Bounds for the variance of the Mann-Whitney statistic", Annals of Mathematical
        Statistics 28, 1957). Hanley and McNeil's variance covered the true area in 77 of 100 simulations where a tenth of
        the class looks like the others; DeLong's and a bootstrap have no width for an area of 1.
        """
        n = min(self.independent_positive, self.independent_negative)
        return wilson(self.auc * n, n)

    @cached_property
    def average_precision(self) -> float:
        """The mean of the precision over the images of the class: sum of (R_k - R_(k-1)) P_k, R the recall."""
        return float((np.diff(self.true_positives) * self.precision[1:]).sum() / self.n_positive)

    @property
    def average_precision_interval(self) -> Interval:
        """The 95 % interval of `average_precision`: Wilson's, as if it were a share of the images of the class.

        The binomial interval of K. Boyd, K. Eng and C. Page, "Area under the precision-recall curve: point estimates and
        confidence intervals", ECML PKDD 2013, in Wilson's form. It covers at 95 % or more (docs/results.md).
        """
        return wilson(self.average_precision * self.independent_positive, self.independent_positive)

    def roc_band(self, false_positive_rate: Floats) -> Band:
        """The 95 % band of the true positive rate at these false positive rates, float64 (m,).

        At each place the true curve is in the band with a probability of at least 95 %, whatever the distribution: both
        rates have exact binomial intervals (C. Clopper and E. Pearson, Biometrika 26, 1934), each at 97.5 %, and the band
        joins their rectangles (R. Hilgers, "Distribution-free confidence bounds for ROC curves", Methods of Information in
        Medicine 30, 1991). A bootstrap would have no width for a network without mistakes.
        """
        hit, alarm = self._rates
        return Band(
            _last(hit.low, alarm.high, false_positive_rate, otherwise=0.0),
            _first(hit.high, alarm.low, false_positive_rate, otherwise=1.0),
        )

    def precision_band(self, recall: Floats) -> Band:
        """The 95 % band of the precision at these recalls, float64 (m,), for the share of the class in these images.

        At a given share of the class each point of the ROC curve is one of this curve (J. Davis and M. Goadrich, ICML
        2006), so the band is that of the false positive rate at the recall: see `roc_band`.
        """
        hit, alarm = self._rates
        most = _first(alarm.high, hit.low, recall, otherwise=1.0)
        least = _last(alarm.low, hit.high, recall, otherwise=0.0)
        return Band(self._precision_at(recall, most), self._precision_at(recall, least))

    def _precision_at(self, recall: Floats, alarms: Floats) -> Floats:
        found, wrong = self.n_positive * recall, self.n_negative * alarms
        return np.asarray(np.where(wrong > 0, found / np.maximum(found + wrong, 1e-300), 1.0), np.float64)

    @cached_property
    def _rates(self) -> tuple[Band, Band]:
        """Exact intervals at 97.5 % of the true and the false positive rate at each threshold."""
        level = (1 + LEVEL) / 2
        return (
            exact_interval(self.true_positive_rate * self.independent_positive, self.independent_positive, level),
            exact_interval(self.false_positive_rate * self.independent_negative, self.independent_negative, level),
        )

    def numbers(self) -> dict[str, Any]:
        """The areas with their intervals, for JSON."""
        auc, precision = self.auc_interval, self.average_precision_interval
        return {
            "positive": self.positive,
            "n_positive": self.n_positive,
            "n_negative": self.n_negative,
            "auc": self.auc,
            "auc_low": auc.low,
            "auc_high": auc.high,
            "average_precision": self.average_precision,
            "average_precision_low": precision.low,
            "average_precision_high": precision.high,
        }

    def to_json(self) -> dict[str, Any]:
        """The areas and the corners of both curves with their bands; the first threshold, infinite, is null."""
        at = self.corners
        x, recall = self.false_positive_rate[at], self.true_positive_rate[at]
        roc, precision = self.roc_band(x), self.precision_band(recall)
        return {
            **self.numbers(),
            "thresholds": [None, *self.thresholds[at][1:].tolist()],
            "false_positive_rate": x.tolist(),
            "true_positive_rate": recall.tolist(),
            "true_positive_rate_low": roc.low.tolist(),
            "true_positive_rate_high": roc.high.tolist(),
            "precision": self.precision[at].tolist(),
            "precision_low": precision.low.tolist(),
            "precision_high": precision.high.tolist(),
        }

    @property
    def corners(self) -> NDArray[np.int64]:
        """The places where the ROC curve changes its direction, and both ends: int64."""
        steps = np.stack([np.diff(self.true_positives), np.diff(self.false_positives)])
        turns = steps[0, 1:] * steps[1, :-1] != steps[0, :-1] * steps[1, 1:]
        return np.flatnonzero(np.concatenate([[True], turns, [True]]))


def roc_curve(evaluation: Evaluation, positive: str) -> Roc:
    """The curve of a class against the rest on the images of an evaluation.

    Raises UsageError for an unknown class, and if there are no images of it, or only images of it.
    """
    name, evaluation = find_class(positive, evaluation.class_names), evaluation.once
    k, origin = evaluation.class_names.index(name), evaluation.out_of_fold
    scores, is_positive = evaluation.probabilities[:, k], evaluation.labels == k
    return (
        roc_of(scores, is_positive, name) if origin is None else roc_of(scores, is_positive, name, origin.units, SHARED)
    )


def roc_of(
    scores: Floats,
    is_positive: NDArray[np.bool_],
    positive: str = "positive",
    units: Indices | None = None,
    spread: float = 1.0,
) -> Roc:
    """The curve of scores float64 (n,) for images of which `is_positive`, bool (n,), are of the class.

    units: int64 (n,), equal for images that belong together, as if their scores were equal; spread: a factor of the variance
    (see `clustered_wilson`). Raises UsageError if all images are of one kind.

    >>> roc = roc_of(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    >>> roc.auc, roc.average_precision.__round__(3)
    (0.75, 0.833)
    """
    n, total = int(is_positive.sum()), len(is_positive)
    if n in (0, total):
        raise UsageError(
            f"a ROC curve needs images of the class '{printable(positive)}' and images of other classes: there are "
            f"{count(n, 'image')} of the class and {total - n:,} of others"
        )
    order = np.argsort(-scores, kind="stable")
    falling, hits = scores[order], np.cumsum(is_positive[order])
    ends = np.append(np.flatnonzero(np.diff(falling)), total - 1)  # equal scores go together
    return Roc(
        positive,
        thresholds=np.append(math.inf, falling[ends]),
        true_positives=np.append(0, hits[ends]).astype(np.int64),
        false_positives=np.append(0, ends + 1 - hits[ends]).astype(np.int64),
        n_positive=n,
        n_negative=total - n,
        independent_positive=independent_images(is_positive, units) / spread,
        independent_negative=independent_images(~is_positive, units) / spread,
    )


def one_against_rest(evaluation: Evaluation) -> list[Roc | None]:
    """The curve of each class against the rest; None for a class without images, or if all images are of it."""
    n = len(evaluation)
    return [
        roc_curve(evaluation, name) if 0 < many < n else None
        for name, many in zip(evaluation.class_names, evaluation.counts.tolist(), strict=True)
    ]


def roc_numbers(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The areas of each class against the rest for JSON, in the order of the classes; those that exist."""
    return [one.numbers() for one in one_against_rest(evaluation) if one is not None]


def main_class(evaluation: Evaluation, chosen: str | None) -> str | None:
    """The class whose curves are shown: the one with a threshold, or of two classes the rarer one of these images, the
    second of equally many. None for more classes without a threshold, and if the class has all images or none."""
    names, counts = evaluation.class_names, evaluation.counts.tolist()
    if chosen is None and len(names) == 2:
        chosen = names[1] if counts[1] <= counts[0] else names[0]
    return chosen if chosen is not None and 0 < counts[names.index(chosen)] < len(evaluation) else None


def exact_interval(counts: Floats | NDArray[np.int64], n: float, level: float = LEVEL) -> Band:
    """Exact binomial intervals of the shares counts / n: C. Clopper and E. Pearson, Biometrika 26, 404-413, 1934.

    With an effective number of images, counts and n need not be whole (E. Korn and B. Graubard, Survey Methodology 24, 1998).
    """
    from scipy.special import betaincinv

    tail, none, all_ = (1 - level) / 2, counts <= 0, counts >= n
    low = np.where(none, 0.0, betaincinv(np.where(none, 1, counts), n - counts + 1, tail))
    high = np.where(all_, 1.0, betaincinv(counts + 1, np.where(all_, 1, n - counts), 1 - tail))
    return Band(low, high)


def _last(values: Floats, places: Floats, at: Floats, *, otherwise: float) -> Floats:
    """The value of the last of the rising places that is below `at`; `otherwise` if there is none."""
    found = np.searchsorted(places, at, side="left") - 1
    return np.where(found >= 0, values[np.maximum(found, 0)], otherwise)


def _first(values: Floats, places: Floats, at: Floats, *, otherwise: float) -> Floats:
    """The value of the first of the rising places that is above `at`; `otherwise` if there is none."""
    found = np.searchsorted(places, at, side="right")
    return np.where(found < len(places), values[np.minimum(found, len(places) - 1)], otherwise)
