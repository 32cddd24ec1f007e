"""`threshold`: choose the threshold of one class on a run's held-out predictions; `predict` then decides by it."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveola.config import checks_keywords
from foveola.data.dataset import find_class
from foveola.errors import UsageError
from foveola.evaluation.decisions import (
    NAME,
    Threshold,
    choose_by_folds,
    choose_threshold,
    decision_numbers,
    require_outside_folds,
)
from foveola.evaluation.headline import decided
from foveola.evaluation.threshold_choice import Goal, require_held_out
from foveola.jupyter import shown_in_notebooks
from foveola.runs.progress import Progress
from foveola.runs.run import Run, open_run
from foveola.storage import disk_errors_as_resource_error
from foveola.text import printable
from foveola.workflows.evaluating import report, use_test_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from foveola.runs.trainer import Trainer


@dataclass(frozen=True)
class ChosenThreshold:
    """The threshold of a run and its rates on the run's test set; threshold and decision are None if it was removed.

    run: the run's folder; decision: the numbers under the names of docs/reference/json.md; notes: what a reader of the
    numbers must know.

        found = fv.threshold("latest", "sick", min_sensitivity=0.95)
        found.threshold.value, found.decision["specificity"]
    """

    run: Path
    threshold: Threshold | None
    decision: dict[str, Any] | None
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The rule and its rates on the test set as text."""
        if self.decision is None:
            return ("foveola predicts the most probable class: the run has no threshold",)
        return decided(self.decision)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola threshold --json` prints."""
        return {"run": str(self.run), "decision": self.decision, "notes": list(self.notes)}

    def _repr_html_(self) -> str:
        """Show the rule and its rates in a notebook."""
        return "".join(f"<p>{html.escape(line)}</p>" for line in self.lines)


@checks_keywords()
@shown_in_notebooks
def threshold(
    run: str | os.PathLike[str],
    positive: str | None = None,
    *,
    min_sensitivity: float | None = None,
    min_specificity: float | None = None,
    cost_false_positive: float | None = None,
    cost_false_negative: float | None = None,
    remove: bool = False,
    progress: Progress | None = None,
) -> ChosenThreshold:
    """Choose a threshold for the probability of one class: `predict` then predicts this class if it is reached.

    run: as for `open_run`. positive: the class. The goal is one of these: min_sensitivity or min_specificity, 0..1, which
    the threshold reaches on new images like those of the run at 95 % confidence; or both costs, which the threshold makes
    as low as possible. foveola chooses on predictions for images that the network was not trained on, never on the test
    set, and measures the rates on the test set, which counts as one use of it. In a run with folds it chooses on the
    out-of-fold predictions of all images, and measures the rates by cross-fitting: see `Threshold.measure`.

    remove: remove the threshold, so that `predict` predicts the most probable class again.

    The run folder gets the file threshold.json, and its report is updated. Raises UsageError for an unknown class, a goal
    that the held-out images can't guarantee, and a class without test images.

        found = fv.threshold("latest", "sick", min_sensitivity=0.95)
        print(*found.lines)
    """
    given = (min_sensitivity, min_specificity, cost_false_positive, cost_false_negative)
    if remove:
        if positive is not None or any(value is not None for value in given):
            raise UsageError("--remove removes the threshold: give it without --positive and without a goal")
        return _remove(open_run(run))
    goal, progress, notes = goal_of(positive, *given), progress or Progress(), list[str]()
    if positive is None or goal is None:
        raise _ClassMissingError
    opened = open_run(run)
    chosen = _choose(opened, positive, goal)
    use_test_set(open_run(opened.path), "threshold", notes.append)
    for line in notes:
        progress.note(line)
    return ChosenThreshold(opened.path, chosen, decision_numbers(chosen, opened.evaluation), tuple(notes))


class _ClassMissingError(UsageError):
    """A goal without a class."""

    def __init__(self) -> None:
        super().__init__("a threshold needs the class that it is for: give --positive CLASS")


def goal_of(
    positive: str | None,
    min_sensitivity: float | None,
    min_specificity: float | None,
    cost_false_positive: float | None,
    cost_false_negative: float | None,
) -> Goal | None:
    """The goal of a threshold; None if neither a class nor a goal is given. Raises UsageError for a part of it."""
    given = (min_sensitivity, min_specificity, cost_false_positive, cost_false_negative)
    if positive is not None:
        return Goal(*given)
    if any(value is not None for value in given):
        raise _ClassMissingError
    return None


def require_possible(trainer: Trainer, positive: str, goal: Goal) -> None:
    """Refuse a threshold that the images of a run can't give, before it is trained.

    Which images will be held out depends on the training: at most those of the training and the validation set.
    """
    from foveola.runs.cross_validation import CrossValidation  # imports torch

    dataset, split = trainer.prepared.dataset, trainer.split
    name = find_class(positive, dataset.class_names)
    is_positive = dataset.labels == dataset.class_names.index(name)
    if isinstance(trainer, CrossValidation):
        fold = np.empty(len(dataset), np.int64)
        for number, one in enumerate(trainer.folds.splits[0]):
            fold[one.test] = number
        require_outside_folds(is_positive, fold, trainer.folds.units, name, goal)
        return
    _require_tested(is_positive[split.test], name)
    rows = split.val if trainer.recipe.fit.epochs else np.concatenate([split.train, split.val])
    require_held_out(is_positive[rows], name, goal)


def conclude(run: Run, positive: str, goal: Goal) -> Run:
    """Choose the threshold of a run that was just trained, and update its report.

    Raises UsageError if the held-out images can't give it; the run is then finished without a threshold.
    """
    try:
        _choose(run, positive, goal)
    except UsageError as problem:
        raise UsageError(f"the run {run.path} is finished, but it has no threshold: {problem}") from None
    return open_run(report(run).run)


def _choose(run: Run, positive: str, goal: Goal) -> Threshold:
    """Choose a threshold and write it into the run's folder."""
    evaluation = run.evaluation
    if evaluation.out_of_fold is not None:
        chosen = choose_by_folds(evaluation, run.calibration, positive, goal)
    else:
        chosen = choose_threshold(run.calibration, run.class_names, positive, goal)
        _require_tested(evaluation.labels == run.class_names.index(chosen.positive), chosen.positive)
    chosen.save(run.path / NAME)
    return chosen


def _require_tested(is_positive: NDArray[np.bool_], name: str) -> None:
    """Raise UsageError unless the test set has images of the class and of others."""
    if is_positive.all() or not is_positive.any():
        kind = "other classes" if is_positive.all() else f"'{printable(name)}'"
        raise UsageError(
            f"the test set has no image of {kind}, so foveola can't measure a threshold for '{printable(name)}': train with "
            "more images, or with a larger test set (split.test_fraction)"
        )


def _remove(run: Run) -> ChosenThreshold:
    path = run.path / NAME
    with disk_errors_as_resource_error(path, 0):
        path.unlink(missing_ok=True)
    report(run)
    return ChosenThreshold(run.path, None, None)
