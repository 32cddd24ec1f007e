"""Choose a threshold for the probability of one class: the goals, and the choice on held-out images."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveola.errors import UsageError
from foveola.evaluation.intervals import independent_images
from foveola.evaluation.metrics import Floats
from foveola.text import count, joined, printable
from foveola.types import Indices

CONFIDENCE = 0.95
"""Of all sets of held-out images, the share whose threshold reaches the stated sensitivity or specificity on new images."""

NEVER = float(np.nextafter(1.0, 2.0))
"""The smallest threshold that no probability reaches."""

GoalKind = Literal["sensitivity", "specificity", "cost"]


@dataclass(frozen=True)
class Goal:
    """What a threshold must achieve: a least sensitivity, a least specificity, or the lowest cost. Exactly one of them.

    min_sensitivity, min_specificity: 0..1, both exclusive. cost_false_positive, cost_false_negative: above 0, in any unit.

    Raises UsageError for anything else.
    """

    min_sensitivity: float | None = None
    min_specificity: float | None = None
    cost_false_positive: float | None = None
    cost_false_negative: float | None = None

    def __post_init__(self) -> None:
        given = {name.replace("_", "-"): value for name, value in asdict(self).items() if value is not None}
        if not given:
            raise UsageError(
                "a threshold needs a goal: give --min-sensitivity, --min-specificity, or both --cost-false-positive and "
                "--cost-false-negative"
            )
        costs = [name for name in given if name.startswith("cost")]
        if len(given) - len(costs) + bool(costs) > 1:
            raise UsageError(f"a threshold has one goal, not {joined(given)}: give only one of them")
        for name, value in given.items():
            _require_goal(name, value)
        if len(costs) == 1:
            raise UsageError(
                f"{costs[0]} is given alone: give both --cost-false-positive and --cost-false-negative, for example 1 and 5"
            )

    @property
    def kind(self) -> GoalKind:
        """What the goal is about."""
        if self.min_sensitivity is not None:
            return "sensitivity"
        return "specificity" if self.min_specificity is not None else "cost"

    @property
    def rate(self) -> float:
        """The least sensitivity or specificity; NaN for a cost."""
        rate = self.min_sensitivity if self.min_specificity is None else self.min_specificity
        return math.nan if rate is None else rate

    @property
    def costs(self) -> tuple[float, float]:
        """The costs of a false positive and of a false negative; NaN without."""
        return self.cost_false_positive or math.nan, self.cost_false_negative or math.nan


def _require_goal(name: str, value: object) -> None:
    is_cost = name.startswith("cost")
    if not isinstance(value, int | float) or not 0 < value < (math.inf if is_cost else 1):
        allowed, hint = (
            ("a number above 0", "only the ratio of the two costs matters")
            if is_cost
            else ("a number above 0 and below 1", "for example 0.95 for 95 % of the images")
        )
        raise UsageError(f"{name} must be {allowed}, not {value}: {hint}")


def choose_value(scores: Floats, is_positive: NDArray[np.bool_], units: Indices | None, goal: Goal) -> float:
    """The threshold for the probabilities of a class, from held-out images that `require_held_out` accepts.

    scores: float64 (n,), the probabilities; is_positive: bool (n,), whether the images are of the class; units: int64 (n,),
    equal for images that belong together, None if all are independent.

    For a least sensitivity s it is the largest threshold that reaches s on new images with a confidence of 95 %: the
    `tolerance_rank`-th smallest probability of the held-out images of the class. For a least specificity it is the
    smallest such threshold, from the other images. These are one-sided tolerance limits without assumptions about the
    distribution (S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of Mathematical Statistics
    12, 1941); X. Tong, Y. Feng and J. Li use them for classifiers ("Neyman-Pearson classification algorithms and NP
    receiver operating characteristics", Science Advances 4, 2018). They hold for images that are drawn independently
    from the same source as the held-out ones. Images that belong together count as one, see `independent_images`: as if
    their probabilities were equal. So the threshold is further on the safe side if they are not.

    For costs it is the threshold with the lowest cost of the held-out images; among equal ones the nearest to
    c / (c + d), c the cost of a false positive, d that of a false negative, which is the best threshold for exact
    probabilities (C. Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001).
    """
    if goal.kind == "cost":
        return _cheapest(scores, is_positive, *goal.costs)
    among = is_positive if goal.kind == "sensitivity" else ~is_positive
    independent = independent_images(among, units)
    if goal.kind == "sensitivity":
        return _smallest(scores[among], independent, goal.rate)
    # above the probability of that image, which must not be called positive itself
    return float(np.nextafter(-_smallest(-scores[among], independent, goal.rate), 2.0))


def require_held_out(
    is_positive: NDArray[np.bool_], positive: str, goal: Goal, units: Indices | None = None, *, folds: bool = False
) -> None:
    """Raise UsageError unless held-out images are enough for a goal; is_positive, units: see `choose_value`.

    folds: whether they are the images outside a fold of a cross-validation.
    """
    name = printable(positive)
    if is_positive.all() or not is_positive.any():
        kind = f"classes other than '{name}'" if is_positive.any() else f"'{name}'"
        more = "more images" if folds else "more images, or with more validation images (split.val_fraction)"
        raise UsageError(f"the run has no held-out image of {kind} to choose a threshold on: train with {more}")
    if goal.kind == "cost":
        return
    sensitivity = goal.kind == "sensitivity"
    kind = f"'{name}'" if sensitivity else f"classes other than '{name}'"
    images, needed = independent_images(is_positive if sensitivity else ~is_positive, units), min_images(goal.rate)
    if images >= needed:
        return
    if not folds:
        raise UsageError(
            f"min-{goal.kind} {goal.rate:g} needs at least {count(needed, 'held-out image')} of {kind}, but "
            f"the run has {images:,}: give {max_rate(images):g} or less, or train with more images, or with more validation "
            "images (split.val_fraction)"
        )
    raise UsageError(
        f"min-{goal.kind} {goal.rate:g} needs at least {count(needed, 'independent image')} of {kind} outside each fold, "
        f"where copies and images of one group count as one, but outside one fold there {'is' if images == 1 else 'are'} "
        f"{images:,}: give {max_rate(images):g} or less, or train with more images, or with more folds"
    )


def tolerance_rank(n: int, rate: float) -> int:
    """The largest k for which at least `rate` of all values are not below the k-th smallest of n, at 95 % confidence.

    The share of values below the k-th smallest of n is at most 1 - rate if at least k of the n values are among the
    smallest 1 - rate of all, a binomial number: P(Bin(n, 1 - rate) >= k) >= 95 %. 0 if n is too small even for k = 1.

    >>> tolerance_rank(58, 0.95), tolerance_rank(59, 0.95), tolerance_rank(93, 0.95)
    (0, 1, 2)
    """
    from scipy.special import bdtr

    # 1e-12: 0.05 ** 1 and 1 - 0.95 differ in their last digits
    return int((bdtr(np.arange(n), n, 1 - rate) <= 1 - CONFIDENCE + 1e-12).sum())


def min_images(rate: float) -> int:
    """The smallest number of held-out images with which a least sensitivity or specificity can be guaranteed.

    rate ** n must be at most 5 %.

    >>> min_images(0.95), min_images(0.9), min_images(0.99)
    (59, 29, 299)
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(rate) - 1e-9)


def max_rate(n: int) -> float:
    """The largest sensitivity or specificity that n held-out images can guarantee, rounded down to three decimals.

    >>> max_rate(59), max_rate(20), max_rate(1)
    (0.95, 0.86, 0.05)
    """
    return math.floor(1000 * math.exp(math.log(1 - CONFIDENCE) / n) + 1e-9) / 1000


def _smallest(scores: Floats, independent: int, rate: float) -> float:
    """The score of `tolerance_rank` among independent ones; if each of them occurs several times, the first of its copies."""
    k = (tolerance_rank(independent, rate) - 1) * len(scores) // independent
    return float(np.partition(scores, k)[k])


def _cheapest(scores: Floats, is_positive: NDArray[np.bool_], false_positive: float, false_negative: float) -> float:
    """The threshold with the lowest cost of these images; among equal ones the nearest to c / (c + d)."""
    order = np.argsort(-scores, kind="stable")
    falling, found = scores[order], np.append(0, np.cumsum(is_positive[order]))
    # the numbers of images that a threshold can call positive: equal scores go together
    called = np.append(0, 1 + np.flatnonzero(np.diff(falling, append=-1.0)))
    cost = false_positive * (called - found[called]) + false_negative * (found[-1] - found[called])
    best = called[cost == cost.min()]
    edges = np.concatenate([[NEVER], falling, [np.nextafter(0.0, -1.0)]])
    ideal = false_positive / (false_positive + false_negative)
    nearest = np.clip(ideal, np.nextafter(edges[best + 1], 2.0), edges[best])
    return float(nearest[np.abs(nearest - ideal).argmin()])
