"""How many seeds a comparison will need, from the few differences that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveola.lab.paired import LEAST_SEEDS, Floats, resolution

if TYPE_CHECKING:
    from foveola.lab.comparison import Comparison


@dataclass(frozen=True)
class Pilot:
    """What the seeds so far tell about an arm's differences to the baseline.

    gaps: one a seed, in points; least_deviation: what their deviation is taken for where the few gaps show less.
    """

    gaps: NDArray[np.float64]
    least_deviation: float
    test_to_train: float

    @classmethod
    def of(cls, found: Comparison, k: int) -> Pilot:
        """That of arm number k."""
        pairs = zip(found.correct[0], found.correct[k], strict=True)
        flips = float(np.mean([flip_deviation(one, other) for one, other in pairs]))
        gaps = 100 * (found.accuracy[k] - found.accuracy[0])
        return cls(gaps, max(flips, resolution(len(found.correct[0][0]))), found.test_to_train)

    def seeds(self, half_width: float, level: float = 0.95) -> int | None:
        """How many seeds an interval of that half-width takes; None: more than a thousand."""
        least, overlap = self.least_deviation, self.test_to_train
        return seeds_needed(self.gaps, half_width, level=level, test_to_train=overlap, least_deviation=least)

    def narrowest(self, level: float = 0.95) -> float:
        """The half-width that no number of seeds gets below."""
        least, overlap = self.least_deviation, self.test_to_train
        return narrowest(self.gaps, level=level, test_to_train=overlap, least_deviation=least)


@dataclass(frozen=True)
class Plan:
    """How many seeds in all would settle a comparison, if the mean difference stays as it is.

    seeds: None where no reasonable number would; overlap: whether that is because the seeds' training sets overlap, so that
    no number of seeds narrows the interval enough.
    """

    seeds: int | None
    overlap: bool


def plan_to_settle(found: Comparison, k: int) -> Plan:
    """How many seeds it takes until the interval of arm k leaves out 0, or lies within the margin, whichever comes first.

    One seed shows no scatter: at least two are needed to ask.
    """
    pilot = Pilot.of(found, k)
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
