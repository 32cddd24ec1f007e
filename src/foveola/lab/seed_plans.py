"""How many seeds a comparison will need, from the few differences that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveola.lab.paired import LEAST_SEEDS, Floats


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
