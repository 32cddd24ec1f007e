"""Intervals of balanced accuracy and macro F1, the averages in which all classes count the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.types import Interval

Floats = NDArray[np.float64]

DRAWS, MOST_NUMBERS = 1_000, 2_000_000
"""The number of draws, fewer for many classes: no more random numbers than MOST_NUMBERS."""

RIGHT, WRONG = 0.5, 0.25
"""The prior: images of each class that were predicted correctly, and those that were not, spread over the other classes.
Measured in docs/results.md."""


class ClassAverageIntervals(NamedTuple):
    """The 95 % intervals of balanced accuracy and macro F1."""

    balanced_accuracy: Interval
    macro_f1: Interval


def class_average_intervals(
    confusion: NDArray[np.int64], level: float = 0.95, independent: Floats | None = None
) -> ClassAverageIntervals:
    """Intervals from a confusion matrix int64 (K, K), rows true, with a fixed seed.

    Each row is a sample of the predictions for one class. Its probabilities get their posterior distribution, a Dirichlet
    distribution with a weak prior (see RIGHT), and the interval leaves out an equal share of the draws at both ends: K.
    Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010; C. Goutte and E. Gaussier, "A
    probabilistic interpretation of precision, recall and F-score", ECIR 2005. Unlike a bootstrap it has a width for a class
    without mistakes. The numbers of images of the classes are taken as given. The interval always contains the estimate.

    independent: float64 (K,), the numbers of independent images of the classes, see `clustered_wilson`; None for all of them.
    The posterior then counts only those.
    """
    k, counts = len(confusion), confusion.sum(axis=1)
    prior = np.full((k, k), WRONG / max(1, k - 1))
    np.fill_diagonal(prior, RIGHT)
    draws = max(100, min(DRAWS, MOST_NUMBERS // k**2))
    weight = np.ones(k) if independent is None else independent / np.maximum(counts, 1)
    shares = np.random.default_rng(0).standard_gamma(confusion * weight[:, None] + prior, (draws, k, k))
    shares /= shares.sum(axis=2, keepdims=True)
    drawn, observed = shares * counts[:, None], confusion[None].astype(np.float64)
    occurring = counts + confusion.sum(axis=0) > 0
    return ClassAverageIntervals(
        _interval(_mean_recall(drawn, counts > 0), _mean_recall(observed, counts > 0), level),
        _interval(_mean_f1(drawn, occurring), _mean_f1(observed, occurring), level),
    )


def _mean_recall(confusions: Floats, classes: NDArray[np.bool_]) -> Floats:
    right = np.diagonal(confusions, axis1=1, axis2=2)[:, classes]
    out: Floats = (right / confusions.sum(axis=2)[:, classes]).mean(axis=1)
    return out


def _mean_f1(confusions: Floats, classes: NDArray[np.bool_]) -> Floats:
    right = np.diagonal(confusions, axis1=1, axis2=2)[:, classes]
    both = (confusions.sum(axis=1) + confusions.sum(axis=2))[:, classes]
    out: Floats = (2 * right / both).mean(axis=1)
    return out


def _interval(drawn: Floats, observed: Floats, level: float) -> Interval:
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(min(low, observed[0])), float(max(high, observed[0])), level)
