"""Reliability of probabilities: predictions in bins of similar confidence, and the expected calibration error.

Of a hundred predictions with a confidence of 80 % about eighty should be right. Everything here is NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.evaluation.intervals import wilson
from foveola.evaluation.metrics import Floats
from foveola.types import Indices, Interval

BINS, LEAST_IN_A_BIN = 15, 10
"""15 bins as in Guo et al. (2017), or fewer if a bin would have fewer than ten images."""

_DRAWS, _AT_ONCE = 1_000, 50


class Bin(NamedTuple):
    """Predictions of similar confidence: range and mean of the confidence, accuracy with its 95 % interval, their number."""

    low: float
    high: float
    confidence: float
    accuracy: float
    interval: Interval
    n: int


class CalibrationError(NamedTuple):
    """The expected calibration error, 0..1, its 95 % interval, and its mean for a perfectly calibrated network."""

    value: float
    interval: Interval
    by_chance: float


def bin_numbers(confidence: Floats, bins: int | None = None) -> Indices:
    """Assign predictions to bins of equal mass: the bin of each, int64 (n,), 0 for the least confident.

    bins: 15, or fewer if a bin would have fewer than ten predictions. Bins of equal mass, because most bins of equal width
    are nearly empty, and the error then mostly measures chance (J. Nixon et al., "Measuring Calibration in Deep Learning",
    arXiv:1904.01685; R. Roelofs et al., "Mitigating Bias in Calibration Error Estimation", AISTATS 2022, arXiv:2012.08668).
    """
    n = len(confidence)
    bins = bins or max(1, min(BINS, n // LEAST_IN_A_BIN))
    out = np.empty(n, np.int64)
    for number, some in enumerate(np.array_split(np.argsort(confidence, kind="stable"), bins)):
        out[some] = number
    return out


def reliability(confidence: Floats, correct: NDArray[np.bool_], bins: int | None = None) -> tuple[Bin, ...]:
    """Bins of the reliability diagram, the least confident first (A. Niculescu-Mizil and R. Caruana, ICML 2005).

    confidence: float64 (n,), the probability of the predicted class, 0..1; correct: bool (n,).
    """
    numbers = bin_numbers(confidence, bins)
    out = []
    for number in range(int(numbers.max(initial=-1)) + 1):
        said, right = confidence[numbers == number], correct[numbers == number]
        interval = wilson(int(right.sum()), len(right))
        out.append(
            Bin(float(said.min()), float(said.max()), float(said.mean()), float(right.mean()), interval, len(right))
        )
    return tuple(out)


def calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], bins: int | None = None, *, level: float = 0.95
) -> CalibrationError:
    """Expected calibration error (ECE): the mean distance of confidence and accuracy over bins of equal mass.

    Source: M. Naeini, G. Cooper and M. Hauskrecht, AAAI 2015; bins: see `bin_numbers`. The error is never negative, so chance
    makes it too large if bins are small. `by_chance` is its mean for a perfectly calibrated network, over random outcomes
    with the stated probabilities (J. Bröcker and L. Smith, "Increasing the Reliability of Reliability Diagrams", Weather and
    Forecasting 22, 2007). The interval is the basic (reverse percentile) bootstrap over images in the same bins, which
    subtracts this bias. The percentile bootstrap would add it again (its interval contained the true value in 0 of 200 draws
    of 864 predictions). The interval starts at 0 if a perfect network could have the same error by chance, and always
    contains the estimate.
    """
    numbers = bin_numbers(confidence, bins)
    k, n = int(numbers.max()) + 1, len(numbers)
    gaps = confidence - correct
    value = float(_error(numbers, gaps[None], k)[0])
    rng = np.random.default_rng(0)
    resampled, perfect = np.empty(_DRAWS), np.empty(_DRAWS)
    for some in _blocks():
        rows = rng.integers(0, n, (some.stop - some.start, n))
        resampled[some] = _error(numbers[rows], gaps[rows], k)
        perfect[some] = _error(numbers, confidence - (rng.random(rows.shape) < confidence), k)
    tail = (1 - level) / 2
    low, high = (float(2 * value - found) for found in np.quantile(resampled, [1 - tail, tail]))
    low = 0.0 if value <= np.quantile(perfect, 1 - tail) else max(0.0, low)
    high = max(high, value)
    return CalibrationError(value, Interval(low, high, level), float(perfect.mean()))


def _error(numbers: Indices, gaps: Floats, k: int) -> Floats:
    """The error of each draw: gaps float64 (draws, n), numbers (n,) or (draws, n); gives float64 (draws,).

    A bin's weight n_b/n times the distance of its two means is the distance of its two sums divided by n.
    """
    draws, n = gaps.shape
    places = (numbers + k * np.arange(draws)[:, None]).ravel()
    sums = np.bincount(places, weights=gaps.ravel(), minlength=draws * k).reshape(draws, k)
    out: Floats = np.abs(sums).sum(axis=1) / n
    return out


def _blocks() -> Iterator[slice]:
    return (slice(k, min(_DRAWS, k + _AT_ONCE)) for k in range(0, _DRAWS, _AT_ONCE))
