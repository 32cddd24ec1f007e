"""Statistics of paired differences: two methods, the same seeds, the same test pictures. Values in, numbers and words out.

All differences are in percentage points of accuracy. Sources stand at each function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveola.types import Interval

Verdict: TypeAlias = Literal["helps", "hurts", "no_difference", "not_enough_evidence"]

LEAST_SEEDS = 5
"""No verdict from fewer: the interval of four differences is 3.2 standard errors wide each way, and rests on a guess of their
scatter that is itself uncertain by a factor of two."""

Floats: TypeAlias = NDArray[np.float64]

_DRAWN_AT_ONCE = 2_000_000
"""Random numbers that are held at once: 16 MB."""


class Difference(NamedTuple):
    """The mean difference of two methods, in points, its interval, and how likely one as large is where there is none."""

    mean: float
    interval: Interval
    p_value: float
    n: int


def paired_difference(
    differences: Sequence[float] | Floats, *, level: float = 0.95, test_to_train: float = 0.0
) -> Difference:
    """Student's t interval and test for the mean of paired differences (W. S. Gosset, "The probable error of a mean", 1908).

    test_to_train: n_test / n_train where every seed has a split of its own. The training sets then overlap, the differences
    are not independent, and the plain interval is too narrow; the variance is multiplied by (1/n + n_test/n_train) in place
    of 1/n (C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003). 0: one split
    for all.

    One difference alone has no scatter: its interval is infinite and p is 1. Where all are equal the interval is a point.

    >>> found = paired_difference([1.0, 2.0, 3.0])
    >>> found.mean, round(found.interval.low, 3), round(found.interval.high, 3), round(found.p_value, 4)
    (2.0, -0.484, 4.484, 0.0742)
    """
    values = np.asarray(differences, np.float64)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Difference(mean, Interval(-math.inf, math.inf, level), 1.0, n)
    from scipy.stats import t  # 1.7 s to import

    error = math.sqrt(float(values.var(ddof=1)) * (1 / n + test_to_train))
    if error == 0:
        return Difference(mean, Interval(mean, mean, level), 0.0 if mean else 1.0, n)
    reach = float(t.ppf((1 + level) / 2, n - 1)) * error
    p = 2 * float(t.sf(abs(mean) / error, n - 1))
    return Difference(mean, Interval(mean - reach, mean + reach, level), p, n)


def bootstrap_difference(
    baseline: NDArray[np.bool_], other: NDArray[np.bool_], *, level: float = 0.95, repeats: int = 1_000, seed: int = 0
) -> Interval:
    """An interval for the mean difference that knows of the seeds' chance and of the test pictures' as well, in points.

    baseline, other: bool (seeds, pictures), whether the answer was right. Seeds and pictures are both drawn again with
    replacement, the same draw for both methods: the pigeonhole bootstrap (A. Owen, Annals of Applied Statistics 1, 2007),
    whose variance V errs on the side of too large. With few seeds the middle 95 % of the draws are too narrow all the same
    (measured: 90.7 % coverage with 5 seeds), so the interval is the mean ± t √V, V at least the variance s²/n of the seeds
    alone, and t with (n - 1) (V n / s²)² degrees of freedom, for only that part of V is known from n values
    (F. Satterthwaite, Biometrics Bulletin 2, 1946). Where the pictures add nothing it is the paired t interval.
    """
    gain = 100.0 * (other.astype(np.float64) - baseline)
    seeds, mean = len(gain), float(gain.mean())
    if seeds < 2:
        return Interval(-math.inf, math.inf, level)
    from scipy.stats import t

    alone = float(gain.mean(axis=1).var(ddof=1)) / seeds
    variance = max(alone, float(_redrawn(gain, repeats, np.random.default_rng(seed)).var(ddof=1)))
    if variance == 0:
        return Interval(mean, mean, level)
    freedom = (seeds - 1) * (variance / alone) ** 2 if alone else math.inf
    reach = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return Interval(mean - reach, mean + reach, level)


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


def mcnemar(baseline: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Exact McNemar test of one pair of runs: p of what the two disagree on, if it were a coin's choice who is right.

    baseline, other: bool (pictures,), whether the answer was right. Q. McNemar, Psychometrika 12, 1947, by the binomial
    distribution.
    """
    only_baseline, only_other = int((baseline & ~other).sum()), int((other & ~baseline).sum())
    if only_baseline + only_other == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_other, only_baseline + only_other, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, k in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[k]))
        corrected[k] = highest
    return corrected


def verdict(found: Difference, margin: float, corrected_p: float | None = None) -> Verdict:
    """What the interval shows: all of it above 0 helps, all of it below hurts; all of it within the margin is no difference.

    corrected_p: p corrected for the number of arms, where there are several. Then it must be small too: with four arms that
    do nothing, some interval lies beside 0 in 19 % of simulated comparisons.

    The last one is the two one-sided tests of D. Schuirmann (J. Pharmacokinetics and Biopharmaceutics 15, 1987), with the
    interval at its own level, which is the stricter form. An interval above 0 and within the margin too has shown a
    difference, if one too small to care for: it "helps".
    """
    low, high, level = found.interval
    if found.n < LEAST_SEEDS:
        return "not_enough_evidence"
    if (low > 0 or high < 0) and (corrected_p is None or corrected_p <= 1 - level):
        return "helps" if low > 0 else "hurts"
    return "no_difference" if -margin < low and high < margin else "not_enough_evidence"


def seeds_needed(
    pilot: Sequence[float] | Floats,
    half_width: float,
    *,
    level: float = 0.95,
    test_to_train: float = 0.0,
    least_deviation: float = 0.0,
    most: int = 1_000,
) -> int | None:
    """How many seeds the interval needs to reach no further than `half_width` points each way; None: more than `most`.

    From the scatter of the pilot's differences. Two of them know it badly: their deviation is less than a third of the true
    one every fourth time. least_deviation is what it can hardly be below (see `flip_deviation`). The answer is a plan, not
    a promise.
    """
    from scipy.stats import t

    deviation = max(least_deviation, float(np.std(np.asarray(pilot, np.float64), ddof=1)))
    for n in range(LEAST_SEEDS, most + 1):
        if float(t.ppf((1 + level) / 2, n - 1)) * deviation * math.sqrt(1 / n + test_to_train) <= half_width:
            return n
    return None


def narrowest(
    pilot: Sequence[float] | Floats, *, level: float = 0.95, test_to_train: float = 0.0, least_deviation: float = 0.0
) -> float:
    """The half-width, in points, that no number of seeds gets below: more than 0 where their training sets overlap."""
    from scipy.stats import norm

    deviation = max(least_deviation, float(np.std(np.asarray(pilot, np.float64), ddof=1)))
    return float(norm.ppf((1 + level) / 2)) * deviation * math.sqrt(test_to_train)


def flip_deviation(baseline: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The deviation of a difference, in points, if every picture that two runs disagree on were a coin's choice.

    baseline, other: bool (pictures,), whether the answer was right. The variance of McNemar's statistic: disagreements / n².
    """
    return 100 * math.sqrt(int((baseline != other).sum())) / len(baseline)
