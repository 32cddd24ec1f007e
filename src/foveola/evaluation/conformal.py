"""Split conformal prediction: sets of classes that contain the true class at a stated rate, for any network.

It needs images that the network was not trained on, drawn from the same distribution as the new images. V. Vovk, A. Gammerman
and G. Shafer, "Algorithmic Learning in a Random World", 2005; A. Angelopoulos and S. Bates, "A Gentle Introduction to
Conformal Prediction and Distribution-Free Uncertainty Quantification", 2021, arXiv:2107.07511.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.evaluation.intervals import Proportion
from foveola.evaluation.metrics import Floats
from foveola.evaluation.out_of_fold import OutOfFold, proportion
from foveola.types import Indices, Interval, Labels


def nonconformity_scores(probabilities: Floats, labels: Labels) -> Floats:
    """The score of each image, 1 - p(true class): float64 (n,), 0..1, for probabilities float64 (n, K)."""
    out: Floats = 1 - probabilities[np.arange(len(labels)), labels]
    return out


def quantile_rank(n: int, error: float) -> int:
    """The rank (from 1) of the threshold among n sorted scores: ceil((n + 1)(1 - error)); n + 1 if there are too few.

    Computed with exact decimal fractions, because in binary 0.29 * 100 is below 29.

    >>> quantile_rank(19, 0.05), quantile_rank(18, 0.05), quantile_rank(99, 0.29)
    (19, 19, 71)
    """
    return n + 1 - math.floor(Fraction(str(float(error))) * (n + 1))


def min_calibration_images(error: float) -> int:
    """The smallest number of calibration images for an error rate: 1/error - 1.

    >>> min_calibration_images(0.05), min_calibration_images(0.2), min_calibration_images(0.3)
    (19, 4, 3)
    """
    return math.ceil(1 / Fraction(str(float(error)))) - 1


def min_error_rate(n: int) -> float:
    """The smallest error rate that n images allow, 1/(n + 1), rounded up to three decimals.

    >>> min_error_rate(4), min_error_rate(8)
    (0.2, 0.112)
    """
    return math.ceil(Fraction(1000, n + 1)) / 1000


def threshold(scores: Floats, error: float) -> float:
    """The score up to which a class belongs to the prediction set, so that the true class does with probability 1 - error.

    scores: float64 (n,), of images from the same distribution as the new ones. With too few the threshold is 1, and all
    classes belong to the set.
    """
    k = quantile_rank(len(scores), error)
    return 1.0 if k > len(scores) else float(np.partition(scores, k - 1)[k - 1])


def fold_thresholds(scores: Floats, folds: Indices, error: float) -> Floats:
    """Each row's `threshold` from the scores of all other folds: float64 (n, 1). folds: int64 (n,)."""
    out = np.empty((len(scores), 1))
    for fold in np.unique(folds):
        out[folds == fold] = threshold(scores[folds != fold], error)
    return out


def label_sets(probabilities: Floats, limit: float | Floats) -> NDArray[np.bool_]:
    """The prediction set of each image: bool (n, K), true for classes with a score 1 - p up to the limit.

    limit: a number, or float64 (n, 1).
    """
    return np.less_equal(1 - probabilities, limit)


def coverage_range(n: int, error: float, level: float = 0.95) -> Interval:
    """The range that contains the coverage for a share `level` of all calibration sets of n images.

    The coverage varies with the calibration set as Beta(k, n + 1 - k), k = quantile_rank(n, error), for scores without ties
    (V. Vovk, "Conditional validity of inductive conformal predictors", ACML 2012).
    """
    k, tail = quantile_rank(n, error), (1 - level) / 2
    if k > n:
        return Interval(1.0, 1.0, level)
    from scipy.special import betaincinv

    low, high = (float(betaincinv(k, n + 1 - k, p)) for p in (tail, 1 - tail))
    return Interval(low, high, level)


class Abstention(NamedTuple):
    """The results of abstaining at a stated error rate on labelled images.

    covered: the images whose prediction set contains the true class; answered: those with exactly one class in the set,
    which is the prediction; wrong: the wrong predictions among all images, on average at most the error rate, because their
    set does not contain the true class; wrong_answers: the wrong predictions among the answered images.
    """

    error: float
    covered: Proportion
    answered: Proportion
    wrong: Proportion
    wrong_answers: Proportion


def abstention(
    probabilities: Floats, labels: Labels, error: float, limit: float | Floats, origin: OutOfFold | None = None
) -> Abstention:
    """Count the results: probabilities float64 (n, K), labels int64 (n,), limit: the `threshold` for `error`.

    Rows may have different limits: float64 (n, 1). origin: of out-of-fold predictions, for the intervals of the shares.
    """
    sets = label_sets(probabilities, limit)
    held = sets[np.arange(len(labels)), labels]
    answered = sets.sum(axis=1) == 1
    wrong, everything = answered & ~held, np.ones(len(labels), bool)
    return Abstention(
        error,
        proportion(held, everything, origin),
        proportion(answered, everything, origin),
        proportion(wrong, everything, origin),
        proportion(wrong, answered, origin),
    )


def abstention_numbers(one: Abstention, n_calibration: int) -> dict[str, Any]:
    """The results of abstaining, for JSON; a share of no images is null, and its interval 0 to 1."""
    out: dict[str, Any] = {"error": one.error}
    shares = {
        "coverage": one.covered,
        "answered": one.answered,
        "wrong": one.wrong,
        "wrong_of_answered": one.wrong_answers,
    }
    for name, share in shares.items():
        out |= share.numbers(name)
    expected = coverage_range(n_calibration, one.error)
    return {**out, "coverage_expected_low": expected.low, "coverage_expected_high": expected.high}
