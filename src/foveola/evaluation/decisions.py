"""Decisions for one class against the rest: a threshold for its probability, chosen on held-out predictions; its rates.

Without a threshold the prediction is the most probable class. With one it is the positive class if its calibrated
probability is at least the threshold, else the most probable of the other classes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import find_class
from foveola.errors import OtherFormatError, UsageError
from foveola.evaluation.calibration import Calibration, How
from foveola.evaluation.intervals import Proportion
from foveola.evaluation.metrics import Evaluation, Floats, softmax
from foveola.storage import write_atomic
from foveola.text import count, joined, printable
from foveola.types import Labels

NAME, FORMAT = "threshold.json", 1
"""The file of a run that holds its threshold, and the number of the file's layout."""

CONFIDENCE = 0.95
"""Of all validation sets, the share whose threshold reaches the stated sensitivity or specificity on new images."""

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


@dataclass(frozen=True)
class Threshold:
    """The rule of a run's decisions: predict `positive` if its calibrated probability is at least `value`.

    goal: what it was chosen for; part: how the predictions that it was chosen on were held out; n_positive, n_negative:
    their numbers.
    """

    positive: str
    value: float
    goal: Goal
    part: How
    n_positive: int
    n_negative: int

    def decide(self, probabilities: Floats, class_names: Sequence[str]) -> Labels:
        """The predicted classes, int64 (n,), from calibrated probabilities float64 (n, K)."""
        k = class_names.index(self.positive)
        rest = probabilities.copy()
        rest[:, k] = -1
        return np.where(probabilities[:, k] >= self.value, k, rest.argmax(axis=1)).astype(np.int64)

    def measure(self, evaluation: Evaluation) -> Rates:
        """Count the right and wrong decisions on the images of an evaluation."""
        decided = self.decide(evaluation.probabilities, evaluation.class_names)
        k = evaluation.class_names.index(self.positive)
        called, true = decided == k, evaluation.labels == k
        cells = (called & true, called & ~true, ~called & ~true, ~called & true, decided == evaluation.labels)
        return Rates._make(int(cell.sum()) for cell in cells)

    def numbers(self) -> dict[str, Any]:
        """The threshold for JSON, under the names of docs/reference/json.md."""
        return {
            "positive": self.positive,
            "threshold": self.value,
            "goal": self.goal.kind,
            **asdict(self.goal),
            "confidence": None if self.goal.kind == "cost" else CONFIDENCE,
            "held_out_part": self.part,
            "n_held_out_positive": self.n_positive,
            "n_held_out_negative": self.n_negative,
        }

    def save(self, path: Path) -> None:
        """Write it as a small JSON file, whole or not at all."""
        write_atomic(path, json.dumps({"format": FORMAT, **self.numbers()}, indent=1))

    @classmethod
    def load(cls, path: Path, class_names: Sequence[str]) -> Threshold:
        """Read the file that `save` wrote. Raises OtherFormatError, OSError, and others for a damaged file."""
        raw = json.loads(path.read_text("utf-8"))
        if raw["format"] != FORMAT:
            raise OtherFormatError(
                f"{path} has format {raw['format']}, but this version of foveola reads format {FORMAT} only: choose the "
                "threshold again with foveola threshold"
            )
        goal = Goal(**{name: raw[name] for name in Goal.__dataclass_fields__})
        value, part = float(raw["threshold"]), raw["held_out_part"]
        if raw["positive"] not in class_names or not 0 <= value <= NEVER or part not in get_args(How):
            raise ValueError(f"{raw['positive']}, {value}, {part}")
        return cls(raw["positive"], value, goal, part, raw["n_held_out_positive"], raw["n_held_out_negative"])


def read_threshold(run: Path, class_names: Sequence[str]) -> Threshold | None:
    """The threshold in a run's folder; None without one. Raises UsageError for a damaged file."""
    path = run / NAME
    try:
        return Threshold.load(path, class_names) if path.exists() else None
    except OtherFormatError:
        raise
    except Exception:  # JSON raises many errors for damaged files
        raise UsageError(
            f"the threshold of the run {run} can't be read: {NAME} is damaged; choose it again with foveola threshold, or "
            "delete that file"
        ) from None


class Rates(NamedTuple):
    """The decisions about some images, counted; right: images whose decided class is the true one, of all classes.

    Each rate is a `Proportion` with its 95 % Wilson interval.
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    right: int

    @property
    def sensitivity(self) -> Proportion:
        """Of the images of the positive class, those that are predicted as it (recall)."""
        return Proportion(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> Proportion:
        """Of the images of other classes, those that are not predicted as the positive class."""
        return Proportion(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def precision(self) -> Proportion:
        """Of the images predicted as the positive class, those that are of it (positive predictive value)."""
        return Proportion(self.true_positives, self.true_positives + self.false_positives)

    @property
    def negative_predictive_value(self) -> Proportion:
        """Of the images not predicted as the positive class, those that are of another class."""
        return Proportion(self.true_negatives, self.true_negatives + self.false_negatives)

    @property
    def accuracy(self) -> Proportion:
        """Images whose decided class is the true one."""
        return Proportion(self.right, sum(self[:4]))

    def numbers(self) -> dict[str, Any]:
        """Counts and rates for JSON; a rate of no images is null, and its interval 0 to 1."""
        counts = {name: value for name, value in self._asdict().items() if name != "right"}
        rates = ("sensitivity", "specificity", "precision", "negative_predictive_value", "accuracy")
        return counts | {key: value for name in rates for key, value in getattr(self, name).numbers(name).items()}


def decision_numbers(threshold: Threshold | None, evaluation: Evaluation) -> dict[str, Any] | None:
    """The threshold and its rates on the images of an evaluation, for JSON; None without a threshold."""
    return None if threshold is None else {**threshold.numbers(), **threshold.measure(evaluation).numbers()}


def choose_threshold(calibration: Calibration, class_names: Sequence[str], positive: str, goal: Goal) -> Threshold:
    """Choose the threshold for the probability of a class on the held-out predictions of a run.

    For a least sensitivity s it is the largest threshold that reaches s on new images with a confidence of 95 %: the
    `tolerance_rank`-th smallest probability of the held-out images of the class. For a least specificity it is the
    smallest such threshold, from the other images. These are one-sided tolerance limits without assumptions about the
    distribution (S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of Mathematical Statistics
    12, 1941); X. Tong, Y. Feng and J. Li use them for classifiers ("Neyman-Pearson classification algorithms and NP
    receiver operating characteristics", Science Advances 4, 2018). They hold for images that are drawn independently
    from the same source as the held-out ones.

    For costs it is the threshold with the lowest cost of the held-out images; among equal ones the nearest to
    c / (c + d), c the cost of a false positive, d that of a false negative, which is the best threshold for exact
    probabilities (C. Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001).

    Raises UsageError for an unknown class, without held-out images of the class or of others, and if there are too few of
    them for the goal.
    """
    positive = find_class(positive, class_names)
    k = class_names.index(positive)
    scores, is_positive = softmax(calibration.logits, calibration.temperature)[:, k], calibration.labels == k
    n = int(is_positive.sum())
    require_held_out(n, len(calibration), positive, goal)
    if goal.kind == "cost":
        value = _cheapest(scores, is_positive, *goal.costs)
    elif goal.kind == "sensitivity":
        value = _kth_smallest(scores[is_positive], goal.rate)
    else:  # above the probability of that image, which must not be called positive itself
        value = float(np.nextafter(-_kth_smallest(-scores[~is_positive], goal.rate), 2.0))
    return Threshold(positive, value, goal, calibration.how, n, len(calibration) - n)


def require_held_out(n_positive: int, n: int, positive: str, goal: Goal) -> None:
    """Raise UsageError unless n held-out images, n_positive of the class, are enough for a goal."""
    name = printable(positive)
    if n_positive in (0, n):
        kind = f"'{name}'" if n_positive == 0 else f"classes other than '{name}'"
        raise UsageError(
            f"the run has no held-out image of {kind} to choose a threshold on: train with more images, or with more "
            "validation images (split.val_fraction)"
        )
    if goal.kind == "cost":
        return
    kind, images = (
        (f"'{name}'", n_positive) if goal.kind == "sensitivity" else (f"classes other than '{name}'", n - n_positive)
    )
    if images < min_images(goal.rate):
        raise UsageError(
            f"min-{goal.kind} {goal.rate:g} needs at least {count(min_images(goal.rate), 'held-out image')} of {kind}, but "
            f"the run has {images:,}: give {max_rate(images):g} or less, or train with more images, or with more validation "
            "images (split.val_fraction)"
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


def _kth_smallest(scores: NDArray[np.float64], rate: float) -> float:
    """The score of `tolerance_rank`."""
    k = tolerance_rank(len(scores), rate)
    return float(np.partition(scores, k - 1)[k - 1])


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
