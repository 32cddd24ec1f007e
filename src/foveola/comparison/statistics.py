"""Statistics of a comparison: paired tests, confidence intervals over seeds and test images, and the number of seeds.

All differences are in percentage points of accuracy. Each function names its source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveola.types import Interval

if TYPE_CHECKING:
    from foveola.comparison.result import Comparison

Verdict: TypeAlias = Literal["helps", "hurts", "no_difference", "not_enough_evidence"]

LEAST_SEEDS = 5
"""No verdict from fewer: the interval of four differences is 3.2 standard errors wide each way, and rests on a guess of their
scatter that is itself uncertain by a factor of two."""

Floats: TypeAlias = NDArray[np.float64]


class Difference(NamedTuple):
    """The mean difference of two methods in points, its confidence interval and p value."""

    mean: float
    interval: Interval
    p_value: float
    n: int


def paired_difference(
    differences: Sequence[float] | Floats, *, pictures: int, level: float = 0.95, test_to_train: float = 0.0
) -> Difference:
    """Student's t interval and test for the mean of paired differences (W. S. Gosset, "The probable error of a mean", 1908).

    test_to_train: n_test / n_train where every seed has its own split. The training sets then overlap, the differences
    are not independent, and the plain interval is too narrow; the variance is multiplied by (1/n + n_test/n_train) instead
    of 1/n (C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003). 0: one split
    for all.

    One difference alone has no scatter: its interval is infinite and p is 1. images: how many a test part has. No accuracy
    is known better than to one of them, so the deviation counts as 100 / images points at least: five seeds that agree
    to the image are no proof. (Without it, of two methods that are right on 99 and 97 %, measured on 12 images, "no
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
    """The share of one test image in the accuracy, in points.

    >>> resolution(80)
    1.25
    """
    return 100 / pictures


def mcnemar(baseline: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Exact McNemar test of one pair of runs: p of what the two disagree on, if it were a coin's choice who is right.

    baseline, other: bool (images,), whether the answer was right. Q. McNemar, Psychometrika 12, 1947, by the binomial
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
    """Return the verdict of an interval: above 0 helps, below 0 hurts, within the margin no difference.

    corrected_p: p corrected for the number of arms, where there are several. Then it must be small too: with four arms that
    do nothing, some interval lies next to 0 in 19 % of simulated comparisons.

    The last one is the two one-sided tests of D. Schuirmann (J. Pharmacokinetics and Biopharmaceutics 15, 1987), with the
    interval at its own level, which is the stricter form. arms: how many there are next to the baseline; the interval that
    must lie within the margin is widened to hold for all of them together (Bonferroni), since of four arms that differ by
    just the margin one was called smaller in 10 % of simulated comparisons without. An interval above 0 and within the
    margin shows a real difference that is smaller than the margin: it "helps".
    """
    low, high, level = found.interval
    if found.n < LEAST_SEEDS:
        return "not_enough_evidence"
    if (low > 0 or high < 0) and (corrected_p is None or corrected_p <= 1 - level):
        return "helps" if low > 0 else "hurts"
    reach = (high - found.mean) * _wider(level, found.n - 1, arms)
    return "no_difference" if abs(found.mean) + reach < margin else "not_enough_evidence"


def _wider(level: float, freedom: int, arms: int) -> float:
    """The factor by which a t interval grows if this many must hold together (Bonferroni)."""
    if arms == 1:
        return 1.0
    from scipy.stats import t

    return float(t.ppf(1 - (1 - level) / (2 * arms), freedom) / t.ppf((1 + level) / 2, freedom))


_DRAWN_AT_ONCE = 2_000_000
"""Random numbers that are held at once: 16 MB."""


def bootstrap_difference(
    baseline: NDArray[np.bool_], other: NDArray[np.bool_], *, level: float = 0.95, repeats: int = 1_000, seed: int = 0
) -> Interval:
    """Bootstrap interval of the mean difference over seeds and test images, in points.

    baseline, other: bool (seeds, images), whether the answer was right. Seeds and images are both drawn again with
    replacement, the same draw for both methods: the pigeonhole bootstrap (A. Owen, Annals of Applied Statistics 1, 2007),
    whose variance V errs on the side of too large. With few seeds the middle 95 % of the draws are too narrow all the same
    (measured: 90.7 % coverage with 5 seeds), so the interval is the mean ± t √V, V at least the variance s²/n of the seeds
    alone, and t with (n - 1) (V n / s²)² degrees of freedom, for only that part of V is known from n values
    (F. Satterthwaite, Biometrics Bulletin 2, 1946). Where the images add nothing it is the paired t interval, and s is at
    least one image's worth here too.
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
    """Bootstrap interval of one method's mean accuracy over seeds and test images, 0..1.

    right: bool (seeds, images), whether the answer was right, of the same images with every seed; two seeds at least,
    for one shows no scatter. Variance and degrees of freedom are those of `bootstrap_difference`; see `share_interval` for
    the form.
    """
    variance, freedom = _of_seeds_and_pictures(right.astype(np.float64), repeats, seed)
    return share_interval(float(right.mean()), variance, freedom, right.shape[1], level)


def corrected_accuracy(
    accuracies: Sequence[float] | Floats, pictures: int, *, level: float = 0.95, test_to_train: float = 0.0
) -> Interval:
    """An interval for one method's mean accuracy, 0..1, where every seed has its own split.

    accuracies: one a seed, 0..1, two at least; images: how many a test part has. The corrected t of `paired_difference`
    (C. Nadeau and Y. Bengio, Machine Learning 52, 2003), for one method instead of a difference; see `share_interval`.
    """
    values = np.asarray(accuracies, np.float64)
    n = len(values)
    variance = float(values.var(ddof=1)) * (1 / n + test_to_train)
    return share_interval(float(values.mean()), variance, n - 1, pictures, level)


_NO_VARIANCE = 1e-20
"""The mean of equal numbers is rounded, and leaves a variance of 1e-32 where there is none."""


def share_interval(share: float, variance: float, freedom: float, pictures: int, level: float = 0.95) -> Interval:
    """The interval of a share, 0..1, that was estimated with this variance: Wilson's form, with t for its quantile.

    The share counts as one of n_eff = share (1 - share) / variance independent images, the effective sample size of surveys
    (C. Franco et al., "Comparative study of confidence intervals for proportions in complex sample surveys", J. Survey
    Statistics and Methodology 7, 2019). In the middle it is share ± t √variance; near 0 and 1 it stays inside, where the
    plain form runs beyond. Answers that are all right, or all alike by luck, have no variance and are no proof: then n_eff is
    the number of images of one test part.

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
    """The variance of the table's mean, float64 (seeds, images), and its degrees of freedom: see `bootstrap_difference`.

    least: the deviation from seed to seed is taken for no smaller than that.
    """
    seeds = len(table)
    alone = max(float(table.mean(axis=1).var(ddof=1)), least**2) / seeds
    variance = max(alone, float(_redrawn(table, repeats, np.random.default_rng(seed)).var(ddof=1)))
    return variance, (seeds - 1) * (variance / alone) ** 2 if alone else math.inf


def _redrawn(gain: Floats, repeats: int, rng: np.random.Generator) -> Floats:
    """Means of the table, float64 (seeds, images), with its rows and its columns drawn again: float64 (repeats,)."""
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


@dataclass(frozen=True)
class PilotStudy:
    """What the seeds so far tell about an arm's differences to the baseline.

    gaps: one a seed, in points; least_deviation: what their deviation is taken for where the few gaps show less.
    """

    gaps: NDArray[np.float64]
    least_deviation: float
    test_to_train: float

    @classmethod
    def of(cls, found: Comparison, k: int) -> PilotStudy:
        """That of arm number k."""
        pairs = zip(found.correct[0], found.correct[k], strict=True)
        flips = float(np.mean([deviation_of_changes(one, other) for one, other in pairs]))
        gaps = 100 * (found.accuracy[k] - found.accuracy[0])
        return cls(gaps, max(flips, resolution(len(found.correct[0][0]))), found.test_to_train)

    def seeds(self, half_width: float, level: float = 0.95) -> int | None:
        """How many seeds an interval of that half-width takes; None: more than a thousand."""
        least, overlap = self.least_deviation, self.test_to_train
        return seeds_needed(self.gaps, half_width, level=level, test_to_train=overlap, least_deviation=least)

    def narrowest(self, level: float = 0.95) -> float:
        """The half-width that no number of seeds gets below."""
        least, overlap = self.least_deviation, self.test_to_train
        return smallest_half_width(self.gaps, level=level, test_to_train=overlap, least_deviation=least)


@dataclass(frozen=True)
class Plan:
    """Total number of seeds that would settle a comparison, if the mean difference stays the same.

    seeds: None where no reasonable number would; overlap: whether that is because the seeds' training sets overlap, so that
    no number of seeds narrows the interval enough.
    """

    seeds: int | None
    overlap: bool


def plan_to_settle(found: Comparison, k: int) -> Plan:
    """How many seeds it takes until the interval of arm k leaves out 0, or lies within the margin, whichever comes first.

    One seed shows no scatter: at least two are needed to ask.
    """
    pilot = PilotStudy.of(found, k)
    mean = abs(float(pilot.gaps.mean()))
    half_width = max(mean, found.margin - mean)
    if half_width <= pilot.narrowest(found.level):
        return Plan(None, overlap=True)
    return Plan(pilot.seeds(half_width, found.level), overlap=False)


def seeds_needed(
    pilot: Sequence[float] | Floats,
    half_width: float,
    *,
    level: float = 0.95,
    test_to_train: float = 0.0,
    least_deviation: float = 0.0,
    most: int = 1_000,
) -> int | None:
    """Number of seeds for an interval of ± `half_width` points; None: more than `most`.

    From the scatter of the pilot's differences. Two of them know it badly: their deviation is less than a third of the true
    one every fourth time. least_deviation: a lower limit for the deviation (see `deviation_of_changes`). The result is an
    estimate, not a promise.
    """
    from scipy.stats import t

    deviation = max(least_deviation, float(np.std(np.asarray(pilot, np.float64), ddof=1)))
    for n in range(LEAST_SEEDS, most + 1):
        if float(t.ppf((1 + level) / 2, n - 1)) * deviation * math.sqrt(1 / n + test_to_train) <= half_width:
            return n
    return None


def smallest_half_width(
    pilot: Sequence[float] | Floats, *, level: float = 0.95, test_to_train: float = 0.0, least_deviation: float = 0.0
) -> float:
    """The half-width, in points, that no number of seeds gets below: more than 0 where their training sets overlap."""
    from scipy.stats import norm

    deviation = max(least_deviation, float(np.std(np.asarray(pilot, np.float64), ddof=1)))
    return float(norm.ppf((1 + level) / 2)) * deviation * math.sqrt(test_to_train)


def deviation_of_changes(baseline: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The deviation of a difference, in points, if every image that two runs disagree on were a coin's choice.

    baseline, other: bool (images,), whether the answer was right. The variance of McNemar's statistic: disagreements / n².
    """
    return 100 * math.sqrt(int((baseline != other).sum())) / len(baseline)
