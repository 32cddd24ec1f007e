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
"""Smallest number of seeds for a verdict. The interval of four differences reaches 3.2 standard errors each way, and the
standard error itself is uncertain by a factor of two."""

Floats: TypeAlias = NDArray[np.float64]


class Difference(NamedTuple):
    """The mean difference of two methods in points, its confidence interval and p value."""

    mean: float
    interval: Interval
    p_value: float
    n: int


def paired_difference(
    differences: Sequence[float] | Floats, *, images: int, level: float = 0.95, test_to_train: float = 0.0
) -> Difference:
    """Student's t interval and test for the mean of paired differences (W. S. Gosset, "The probable error of a mean", 1908).

    differences: one for each seed, in points: float64 (n,). images: number of test images of a seed. test_to_train:
    n_test / n_train if each seed has its own split, 0 if all seeds share one. With own splits the training sets overlap, so
    the differences are not independent, and the variance is multiplied by (1/n + n_test/n_train) instead of 1/n (C. Nadeau
    and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003).

    The interval of a single difference is infinite, and its p value 1. The standard deviation counts as at least 100 / images
    points, the weight of one test image: five seeds that agree to the image are no proof. (Without this limit, for two
    methods with 99 and 97 % accuracy on 12 test images, 10 % of simulated comparisons said "no difference larger than 0.5
    points".)

    >>> found = paired_difference([1.0, 2.0, 3.0], images=10_000)
    >>> found.mean, round(found.interval.low, 3), round(found.interval.high, 3), round(found.p_value, 4)
    (2.0, -0.484, 4.484, 0.0742)
    """
    values = np.asarray(differences, np.float64)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Difference(mean, Interval(-math.inf, math.inf, level), 1.0, n)
    from scipy.stats import t  # 1.7 s to import

    error = math.sqrt(max(float(values.var(ddof=1)), resolution(images) ** 2) * (1 / n + test_to_train))
    reach = float(t.ppf((1 + level) / 2, n - 1)) * error
    p = 2 * float(t.sf(abs(mean) / error, n - 1))
    return Difference(mean, Interval(mean - reach, mean + reach, level), p, n)


def resolution(images: int) -> float:
    """The weight of one test image in the accuracy, in points.

    >>> resolution(80)
    1.25
    """
    return 100 / images


def mcnemar(baseline: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Exact McNemar test of one pair of runs: the p value of a difference between their numbers of correct predictions.

    baseline, other: bool (images,), whether each prediction is right. Only images that one run gets right and the other
    wrong count. Without a difference, each run is right on half of them (binomial distribution). Q. McNemar, Psychometrika
    12, 1947.
    """
    only_baseline, only_other = int((baseline & ~other).sum()), int((other & ~baseline).sum())
    if only_baseline + only_other == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_other, only_baseline + only_other, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for the number of tests: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.

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
    """The verdict: an interval above 0 helps, below 0 hurts, within the margin makes no difference.

    margin: the smallest difference that matters, in points. corrected_p: the p value, corrected for the number of arms, if
    there are several; it must be small, too. (With four arms that change nothing, 19 % of simulated comparisons have an
    interval that leaves out 0.)

    "no_difference" needs two one-sided tests (D. Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987), here with
    the interval's own level, which is stricter. arms: number of arms without the baseline. The interval that must lie within
    the margin is widened to hold for all arms together (Bonferroni). Without this, one of four arms that differ by exactly
    the margin got "no_difference" in 10 % of simulated comparisons. An interval above 0 and within the margin shows a real
    difference that is smaller than the margin: it "helps".
    """
    low, high, level = found.interval
    if found.n < LEAST_SEEDS:
        return "not_enough_evidence"
    if (low > 0 or high < 0) and (corrected_p is None or corrected_p <= 1 - level):
        return "helps" if low > 0 else "hurts"
    reach = (high - found.mean) * _wider(level, found.n - 1, arms)
    return "no_difference" if abs(found.mean) + reach < margin else "not_enough_evidence"


def _wider(level: float, freedom: int, arms: int) -> float:
    """The factor by which a t interval grows if as many as `arms` intervals must hold together (Bonferroni)."""
    if arms == 1:
        return 1.0
    from scipy.stats import t

    return float(t.ppf(1 - (1 - level) / (2 * arms), freedom) / t.ppf((1 + level) / 2, freedom))


_DRAWN_AT_ONCE = 2_000_000
"""Number of random numbers in memory at a time: 16 MB."""


def bootstrap_difference(
    baseline: NDArray[np.bool_], other: NDArray[np.bool_], *, level: float = 0.95, repeats: int = 1_000, seed: int = 0
) -> Interval:
    """Bootstrap interval of the mean difference over seeds and test images, in points.

    baseline, other: bool (seeds, images), whether each prediction is right. Seeds and images are both resampled with
    replacement, in the same way for both methods: the pigeonhole bootstrap (A. Owen, Annals of Applied Statistics 1, 2007).
    Its variance V is too large rather than too small. With few seeds the middle 95 % of the resampled means are too narrow
    all the same (measured: 90.7 % coverage with 5 seeds). So the interval is the mean ± t √V. V is at least s²/n, the
    variance from the seeds alone, and t has (n - 1) (V n / s²)² degrees of freedom, because only s²/n is estimated from n
    values (F. Satterthwaite, Biometrics Bulletin 2, 1946). If the images add no variance, this is the paired t interval; s is
    at least the weight of one image, as in `paired_difference`.
    """
    gain = 100.0 * (other.astype(np.float64) - baseline)
    mean = float(gain.mean())
    if len(gain) < 2:
        return Interval(-math.inf, math.inf, level)
    variance, freedom = _of_seeds_and_images(gain, repeats, seed, resolution(gain.shape[1]))
    from scipy.stats import t

    reach = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return Interval(mean - reach, mean + reach, level)


def bootstrap_accuracy(
    right: NDArray[np.bool_], *, level: float = 0.95, repeats: int = 1_000, seed: int = 0
) -> Interval:
    """Bootstrap interval of one method's mean accuracy over seeds and test images, 0..1.

    right: bool (seeds, images), whether each prediction is right, for the same images with all seeds; at least two seeds.
    Variance and degrees of freedom are those of `bootstrap_difference`; for the form see `share_interval`.
    """
    variance, freedom = _of_seeds_and_images(right.astype(np.float64), repeats, seed)
    return share_interval(float(right.mean()), variance, freedom, right.shape[1], level)


def corrected_accuracy(
    accuracies: Sequence[float] | Floats, images: int, *, level: float = 0.95, test_to_train: float = 0.0
) -> Interval:
    """Interval of one method's mean accuracy, 0..1, if each seed has its own split.

    accuracies: one for each seed, 0..1: float64 (n,), n at least 2; images: number of test images of a seed. The corrected t
    of `paired_difference` (C. Nadeau and Y. Bengio, Machine Learning 52, 2003), for one method instead of a difference; for
    the form see `share_interval`.
    """
    values = np.asarray(accuracies, np.float64)
    n = len(values)
    variance = float(values.var(ddof=1)) * (1 / n + test_to_train)
    return share_interval(float(values.mean()), variance, n - 1, images, level)


_NO_VARIANCE = 1e-20
"""A variance below this is 0: rounding the mean of equal numbers leaves a variance of about 1e-32."""


def share_interval(share: float, variance: float, freedom: float, images: int, level: float = 0.95) -> Interval:
    """The interval of a share, 0..1, that was estimated with this variance: Wilson's form with a quantile of t.

    freedom: degrees of freedom of t; images: number of test images of a seed. The share counts as measured on n_eff = share
    (1 - share) / variance independent images, the effective sample size of surveys (C. Franco et al., "Comparative study of
    confidence intervals for proportions in complex sample surveys", J. Survey Statistics and Methodology 7, 2019). For
    shares near the middle it is share ± t √variance. Near 0 and 1 it stays within 0..1, which the plain form does not.
    Predictions that are all right, or equally many right with each seed, have no variance and are no proof: then n_eff is
    the number of test images.

    >>> [round(end, 4) for end in share_interval(0.81, 0.005**2, 9, 10_000)[:2]]
    [0.7984, 0.8211]
    >>> [round(end, 3) for end in share_interval(1.0, 0.0, 9, 80)[:2]]
    [0.94, 1.0]
    """
    from scipy.stats import t

    n = share * (1 - share) / variance if variance > _NO_VARIANCE else images
    z = float(t.ppf((1 + level) / 2, freedom))
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    return Interval(max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole), level)


def _of_seeds_and_images(table: Floats, repeats: int, seed: int, least: float = 0.0) -> tuple[float, float]:
    """The variance of the mean of a table, float64 (seeds, images), and its degrees of freedom: see `bootstrap_difference`.

    least: lower limit for the standard deviation over seeds.
    """
    seeds = len(table)
    alone = max(float(table.mean(axis=1).var(ddof=1)), least**2) / seeds
    variance = max(alone, float(_redrawn(table, repeats, np.random.default_rng(seed)).var(ddof=1)))
    return variance, (seeds - 1) * (variance / alone) ** 2 if alone else math.inf


def _redrawn(gain: Floats, repeats: int, rng: np.random.Generator) -> Floats:
    """Means of a table, float64 (seeds, images), after resampling its rows and its columns: float64 (repeats,)."""
    seeds, images = gain.shape
    at_once = max(1, _DRAWN_AT_ONCE // images)
    means = []
    for start in range(0, repeats, at_once):
        n = min(at_once, repeats - start)
        # How often each row and each column was drawn: a product with both is the sum over the drawn table.
        drawn = rng.integers(0, images, (n, images)) + images * np.arange(n)[:, None]
        columns = np.bincount(drawn.ravel(), minlength=n * images).reshape(n, images)
        rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), n)
        means.append(np.einsum("rs,rs->r", rows, columns @ gain.T) / (seeds * images))
    return np.concatenate(means)


@dataclass(frozen=True)
class PilotStudy:
    """The differences of an arm to the baseline over the seeds so far, to plan further seeds.

    gaps: one for each seed, in points: float64 (n,); least_deviation: lower limit for their standard deviation;
    test_to_train: as for `paired_difference`.
    """

    gaps: NDArray[np.float64]
    least_deviation: float
    test_to_train: float

    @classmethod
    def of(cls, found: Comparison, k: int) -> PilotStudy:
        """The pilot study of arm number k."""
        pairs = zip(found.correct[0], found.correct[k], strict=True)
        flips = float(np.mean([deviation_of_changes(one, other) for one, other in pairs]))
        gaps = 100 * (found.accuracy[k] - found.accuracy[0])
        return cls(gaps, max(flips, resolution(len(found.correct[0][0]))), found.test_to_train)

    def seeds(self, half_width: float, level: float = 0.95) -> int | None:
        """Number of seeds for an interval of ± `half_width` points; None: more than 1,000."""
        least, overlap = self.least_deviation, self.test_to_train
        return seeds_needed(self.gaps, half_width, level=level, test_to_train=overlap, least_deviation=least)

    def narrowest(self, level: float = 0.95) -> float:
        """The smallest half-width, in points, that any number of seeds can reach."""
        least, overlap = self.least_deviation, self.test_to_train
        return smallest_half_width(self.gaps, level=level, test_to_train=overlap, least_deviation=least)


@dataclass(frozen=True)
class SeedPlan:
    """Total number of seeds that would settle a comparison, if the mean difference stays the same.

    seeds: None if 1,000 are not enough; overlap: whether the overlap of the training sets is the reason, because it limits
    how narrow the interval can become.
    """

    seeds: int | None
    overlap: bool


def plan_to_settle(found: Comparison, k: int) -> SeedPlan:
    """Number of seeds until the interval of arm k excludes 0 or lies within the margin, whichever comes first.

    found: a comparison of at least two seeds.
    """
    pilot = PilotStudy.of(found, k)
    mean = abs(float(pilot.gaps.mean()))
    half_width = max(mean, found.margin - mean)
    if half_width <= pilot.narrowest(found.level):
        return SeedPlan(None, overlap=True)
    return SeedPlan(pilot.seeds(half_width, found.level), overlap=False)


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

    pilot: the differences so far, in points: float64 (n,), n at least 2. Their standard deviation stands for that of all
    seeds. (With two differences it is less than a third of the true one in a quarter of all cases.) least_deviation: a
    lower limit for it (see `deviation_of_changes`). The result is an estimate.
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
    """The smallest half-width, in points, that any number of seeds can reach: above 0 if their training sets overlap."""
    from scipy.stats import norm

    deviation = max(least_deviation, float(np.std(np.asarray(pilot, np.float64), ddof=1)))
    return float(norm.ppf((1 + level) / 2)) * deviation * math.sqrt(test_to_train)


def deviation_of_changes(baseline: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Standard deviation of a difference, in points, if either run is equally likely to be right where they disagree.

    baseline, other: bool (images,), whether each prediction is right. From the variance of McNemar's statistic,
    disagreements / images².
    """
    return 100 * math.sqrt(int((baseline != other).sum())) / len(baseline)
