"""Intervals of mean accuracies and of their differences, over seeds and test pictures. Sources stand at each function."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveola.lab.paired import Floats, resolution
from foveola.types import Interval

_DRAWN_AT_ONCE = 2_000_000
"""Random numbers that are held at once: 16 MB."""


def bootstrap_difference(
    baseline: NDArray[np.bool_], other: NDArray[np.bool_], *, level: float = 0.95, repeats: int = 1_000, seed: int = 0
) -> Interval:
    """An interval for the mean difference that knows of the seeds' chance and of the test pictures' as well, in points.

    baseline, other: bool (seeds, pictures), whether the answer was right. Seeds and pictures are both drawn again with
    replacement, the same draw for both methods: the pigeonhole bootstrap (A. Owen, Annals of Applied Statistics 1, 2007),
    whose variance V errs on the side of too large. With few seeds the middle 95 % of the draws are too narrow all the same
    (measured: 90.7 % coverage with 5 seeds), so the interval is the mean ± t √V, V at least the variance s²/n of the seeds
    alone, and t with (n - 1) (V n / s²)² degrees of freedom, for only that part of V is known from n values
    (F. Satterthwaite, Biometrics Bulletin 2, 1946). Where the pictures add nothing it is the paired t interval, and s is at
    least one picture's worth here too.
    """
    gain = 100.0 * (other.astype(np.float64) - baseline)
    mean = float(gain.mean())
    if len(gain) < 2:
        return Interval(-math.inf, math.inf, level)
    variance, freedom = _of_seeds_and_pictures(gain, repeats, seed, resolution(gain.shape[1]))
    from scipy.stats import t

    reach = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return Interval(mean - reach, mean + reach, level)


def bootstrap_accuracy(
    right: NDArray[np.bool_], *, level: float = 0.95, repeats: int = 1_000, seed: int = 0
) -> Interval:
    """An interval for one method's mean accuracy, 0..1, that knows of the seeds' chance and of the test pictures'.

    right: bool (seeds, pictures), whether the answer was right, of the same pictures with every seed; two seeds at least,
    for one shows no scatter. Variance and degrees of freedom are those of `bootstrap_difference`; see `share_interval` for
    the form.
    """
    variance, freedom = _of_seeds_and_pictures(right.astype(np.float64), repeats, seed)
    return share_interval(float(right.mean()), variance, freedom, right.shape[1], level)


def corrected_accuracy(
    accuracies: Sequence[float] | Floats, pictures: int, *, level: float = 0.95, test_to_train: float = 0.0
) -> Interval:
    """An interval for one method's mean accuracy, 0..1, where every seed has a split of its own.

    accuracies: one a seed, 0..1, two at least; pictures: how many a test part has. The corrected t of `paired_difference`
    (C. Nadeau and Y. Bengio, Machine Learning 52, 2003), for one method in place of a difference; see `share_interval`.
    """
    values = np.asarray(accuracies, np.float64)
    n = len(values)
    variance = float(values.var(ddof=1)) * (1 / n + test_to_train)
    return share_interval(float(values.mean()), variance, n - 1, pictures, level)


_NO_VARIANCE = 1e-20
"""The mean of equal numbers is rounded, and leaves a variance of 1e-32 where there is none."""


def share_interval(share: float, variance: float, freedom: float, pictures: int, level: float = 0.95) -> Interval:
    """The interval of a share, 0..1, that was estimated with this variance: Wilson's form, with t for its quantile.

    The share counts as one of n_eff = share (1 - share) / variance independent pictures, the effective sample size of surveys
    (C. Franco et al., "Comparative study of confidence intervals for proportions in complex sample surveys", J. Survey
    Statistics and Methodology 7, 2019). In the middle it is share ± t √variance; near 0 and 1 it stays inside, where the
    plain form runs beyond. Answers that are all right, or all alike by luck, have no variance and are no proof: then n_eff is
    the number of pictures of one test part.

    >>> [round(end, 4) for end in share_interval(0.81, 0.005**2, 9, 10_000)[:2]]
    [0.7984, 0.8211]
    >>> [round(end, 3) for end in share_interval(1.0, 0.0, 9, 80)[:2]]
    [0.94, 1.0]
    """
    from scipy.stats import t

    n = share * (1 - share) / variance if variance > _NO_VARIANCE else pictures
    z = float(t.ppf((1 + level) / 2, freedom))
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    return Interval(max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole), level)


def _of_seeds_and_pictures(table: Floats, repeats: int, seed: int, least: float = 0.0) -> tuple[float, float]:
    """The variance of the table's mean, float64 (seeds, pictures), and its degrees of freedom: see `bootstrap_difference`.

    least: the deviation from seed to seed is taken for no smaller than that.
    """
    seeds = len(table)
    alone = max(float(table.mean(axis=1).var(ddof=1)), least**2) / seeds
    variance = max(alone, float(_redrawn(table, repeats, np.random.default_rng(seed)).var(ddof=1)))
    return variance, (seeds - 1) * (variance / alone) ** 2 if alone else math.inf


def _redrawn(gain: Floats, repeats: int, rng: np.random.Generator) -> Floats:
    """Means of the table, float64 (seeds, pictures), with its rows and its columns drawn again: float64 (repeats,)."""
    seeds, pictures = gain.shape
    at_once = max(1, _DRAWN_AT_ONCE // pictures)
    means = []
    for start in range(0, repeats, at_once):
        n = min(at_once, repeats - start)
        # How often each row and each column was drawn: a product with both is the sum over the drawn table.
        drawn = rng.integers(0, pictures, (n, pictures)) + pictures * np.arange(n)[:, None]
        columns = np.bincount(drawn.ravel(), minlength=n * pictures).reshape(n, pictures)
        rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), n)
        means.append(np.einsum("rs,rs->r", rows, columns @ gain.T) / (seeds * pictures))
    return np.concatenate(means)
