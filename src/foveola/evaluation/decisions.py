"""Decisions for one class against the rest: a threshold for its probability, chosen on held-out predictions; its rates.

Without a threshold the prediction is the most probable class. With one it is the positive class if its calibrated
probability is at least the threshold, else the most probable of the other classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import find_class
from foveola.errors import OtherFormatError, UsageError
from foveola.evaluation.calibration import Calibration, How
from foveola.evaluation.intervals import Proportion
from foveola.evaluation.metrics import Evaluation, Floats, softmax
from foveola.evaluation.threshold_choice import CONFIDENCE, NEVER, Goal, choose_value, require_held_out
from foveola.storage import write_atomic
from foveola.types import Indices, Labels

NAME, FORMAT = "threshold.json", 1
"""The file of a run that holds its threshold, and the number of the file's layout."""


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
        """Measure the decisions about the images of an evaluation.

        Out-of-fold predictions have chosen the threshold themselves. So they are measured by cross-fitting, one prediction of
        each image: the images of a fold are decided by a threshold that was chosen in the same way on the other folds.
        """
        evaluation = evaluation.once
        if evaluation.out_of_fold is None:
            decided = self.decide(evaluation.probabilities, evaluation.class_names)
            return Rates.of(decided, evaluation, self.positive)
        decided = np.empty(len(evaluation), np.int64)
        for fold, value in enumerate(self.fold_values(evaluation)):
            rows = evaluation.out_of_fold.fold == fold
            one = replace(self, value=value)
            decided[rows] = one.decide(evaluation.probabilities[rows], evaluation.class_names)
        return Rates.of(decided, evaluation, self.positive)

    def fold_values(self, evaluation: Evaluation) -> Iterator[float]:
        """For each fold of a cross-validation, the threshold for the same goal that its other folds give.

        evaluation: with one prediction of each image. The other folds' probabilities have the temperature of the fold, which
        was fitted to them alone. So nothing of a fold has an influence on its own threshold.
        """
        origin, k = evaluation.out_of_fold, evaluation.class_names.index(self.positive)
        assert origin is not None, "a cross-validation has out-of-fold predictions"
        for fold in range(origin.folds):
            others = origin.fold != fold
            scores = softmax(evaluation.logits[others], float(origin.temperatures[~others][0]))[:, k]
            yield choose_value(scores, evaluation.labels[others] == k, origin.units[others], self.goal)

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


@dataclass(frozen=True)
class Rates:
    """The decisions about some images: each rate with its 95 % interval.

    sensitivity (recall): of the images of the positive class, those that are predicted as it; specificity: of the images of
    other classes, those that are not predicted as the positive class; precision: of the images predicted as the positive
    class, those that are of it; negative_predictive_value: of the images not predicted as the positive class, those that
    are of another class; accuracy: images whose decided class is the true one, of all classes.
    """

    sensitivity: Proportion
    specificity: Proportion
    precision: Proportion
    negative_predictive_value: Proportion
    accuracy: Proportion

    @classmethod
    def of(cls, decided: Labels, evaluation: Evaluation, positive: str) -> Rates:
        """Compare the decided classes int64 (n,) of an evaluation's images with the true ones."""
        k = evaluation.class_names.index(positive)
        called, true = decided == k, evaluation.labels == k
        return cls(
            evaluation.proportion(called, true),
            evaluation.proportion(~called, ~true),
            evaluation.proportion(true, called),
            evaluation.proportion(~true, ~called),
            evaluation.proportion(decided == evaluation.labels, np.ones(len(decided), bool)),
        )

    def numbers(self) -> dict[str, Any]:
        """Counts and rates for JSON; a rate of no images is null, and its interval 0 to 1."""
        found, left = self.sensitivity, self.specificity
        counts = {
            "true_positives": found.many,
            "false_positives": left.n - left.many,
            "true_negatives": left.many,
            "false_negatives": found.n - found.many,
        }
        rates = {field.name: getattr(self, field.name) for field in fields(self)}
        return counts | {key: value for name, rate in rates.items() for key, value in rate.numbers(name).items()}


def decision_numbers(threshold: Threshold | None, evaluation: Evaluation) -> dict[str, Any] | None:
    """The threshold and its rates on the images of an evaluation, for JSON; None without a threshold."""
    if threshold is None:
        return None
    folds = None if evaluation.out_of_fold is None else list(threshold.fold_values(evaluation.once))
    return {**threshold.numbers(), "fold_thresholds": folds, **threshold.measure(evaluation).numbers()}


def choose_threshold(
    calibration: Calibration, class_names: Sequence[str], positive: str, goal: Goal, units: Indices | None = None
) -> Threshold:
    """Choose the threshold for the probability of a class on the held-out predictions of a run: see `choose_value`.

    Raises UsageError for an unknown class, without held-out images of the class or of others, and if there are too few of
    them for the goal.
    """
    positive = find_class(positive, class_names)
    k = class_names.index(positive)
    scores, is_positive = softmax(calibration.logits, calibration.temperature)[:, k], calibration.labels == k
    require_held_out(is_positive, positive, goal, units)
    n = int(is_positive.sum())
    value = choose_value(scores, is_positive, units, goal)
    return Threshold(positive, value, goal, calibration.how, n, len(calibration) - n)


def choose_by_folds(evaluation: Evaluation, calibration: Calibration, positive: str, goal: Goal) -> Threshold:
    """Choose the threshold of a run with folds on its out-of-fold predictions, one of each image.

    Its rates are measured by cross-fitting (see `Threshold.measure`), so the images outside each fold must be enough, too.

    Raises UsageError as `choose_threshold`.
    """
    once, positive = evaluation.once, find_class(positive, evaluation.class_names)
    assert once.out_of_fold is not None, "a run with folds has out-of-fold predictions"
    k, units = once.class_names.index(positive), once.out_of_fold.units
    require_outside_folds(once.labels == k, once.out_of_fold.fold, units, positive, goal)
    return choose_threshold(calibration, once.class_names, positive, goal, units)


def require_outside_folds(
    is_positive: NDArray[np.bool_], fold: Indices, units: Indices, positive: str, goal: Goal
) -> None:
    """Raise UsageError unless the images outside each fold are enough for a goal; fold: int64 (n,)."""
    for one in np.unique(fold):
        require_held_out(is_positive[fold != one], positive, goal, units[fold != one], folds=True)
