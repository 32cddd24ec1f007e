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


class Difference(NamedTuple):
    """The mean difference of two methods, in points, its interval, and how likely one as large is where there is none."""

    mean: float
    interval: Interval
    p_value: float
    n: int


def paired_difference(
    differences: Sequence[float] | Floats, *, pictures: int, level: float = 0.95, test_to_train: float = 0.0
) -> Difference:
    """Student's t interval and test for the mean of paired differences (W. S. Gosset, "The probable error of a mean", 1908).

    test_to_train: n_test / n_train where every seed has a split of its own. The training sets then overlap, the differences
    are not independent, and the plain interval is too narrow; the variance is multiplied by (1/n + n_test/n_train) in place
    of 1/n (C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003). 0: one split
    for all.

    One difference alone has no scatter: its interval is infinite and p is 1. pictures: how many a test part has. No accuracy
    is known better than to one of them, so the deviation counts as 100 / pictures points at least: five seeds that agree
    to the picture are no proof. (Without it, of two methods that are right on 99 and 97 %, measured on 12 pictures, "no
    difference larger than 0.5 points" was said in 10 % of simulated comparisons.)

    >>> found = paired_difference([1.0, 2.0, 3.0], pictures=10_000)
    >>> found.mean, round(found.interval.low, 3), round(found.interval.high, 3), round(found.p_value, 4)
    (2.0, -0.484, 4.484, 0.0742)
    """
    values = np.asarray(differences, np.float64)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Difference(mean, Interval(-math.inf, math.inf, level), 1.0, n)
    from scipy.stats import t  # 1.7 s to import

    error = math.sqrt(max(float(values.var(ddof=1)), resolution(pictures) ** 2) * (1 / n + test_to_train))
    reach = float(t.ppf((1 + level) / 2, n - 1)) * error
    p = 2 * float(t.sf(abs(mean) / error, n - 1))
    return Difference(mean, Interval(mean - reach, mean + reach, level), p, n)


def resolution(pictures: int) -> float:
    """What one test picture makes of the accuracy, in points.

    >>> resolution(80)
    1.25
    """
    return 100 / pictures


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


def verdict(found: Difference, margin: float, corrected_p: float | None = None, arms: int = 1) -> Verdict:
    """What the interval shows: all of it above 0 helps, all of it below hurts; all of it within the margin is no difference.

    corrected_p: p corrected for the number of arms, where there are several. Then it must be small too: with four arms that
    do nothing, some interval lies beside 0 in 19 % of simulated comparisons.

    The last one is the two one-sided tests of D. Schuirmann (J. Pharmacokinetics and Biopharmaceutics 15, 1987), with the
    interval at its own level, which is the stricter form. arms: how many there are beside the baseline; the interval that
    must lie within the margin is widened to hold for all of them together (Bonferroni), since of four arms that differ by
    just the margin one was called smaller in 10 % of simulated comparisons without. An interval above 0 and within the
    margin too has shown a difference, if one too small to care for: it "helps".
    """
    low, high, level = found.interval
    if found.n < LEAST_SEEDS:
        return "not_enough_evidence"
    if (low > 0 or high < 0) and (corrected_p is None or corrected_p <= 1 - level):
        return "helps" if low > 0 else "hurts"
    reach = (high - found.mean) * _wider(level, found.n - 1, arms)
    return "no_difference" if abs(found.mean) + reach < margin else "not_enough_evidence"


def _wider(level: float, freedom: int, arms: int) -> float:
    """By how much a t interval grows when so many of them must hold together."""
    if arms == 1:
        return 1.0
    from scipy.stats import t

    return float(t.ppf(1 - (1 - level) / (2 * arms), freedom) / t.ppf((1 + level) / 2, freedom))
