"""Compare candidate networks on held-out images and keep the best, within a time limit.

Each candidate is trained exactly as `foveola train` trains it with the candidate's settings. The test set is not used: only
the winner is measured on it, later, by `train`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveola.checks.class_balance import UNEQUAL
from foveola.data.dataset import probe_sizes
from foveola.errors import ResourceError, UsageError
from foveola.evaluation.headline import with_interval
from foveola.evaluation.metrics import Evaluation
from foveola.models.registry import MODELS
from foveola.recipes.candidates import Candidate, CandidateResult, candidates, installed
from foveola.runs.progress import Progress
from foveola.text import count, percent, show_time
from foveola.training.history import EpochLog, StepLog
from foveola.types import Size
from foveola.workflows.prepare_run import RunRequest, RunTimer

if TYPE_CHECKING:
    from foveola.runs.trainer import Trainer

SECONDS_PER_IMAGE, LEAST_SECONDS = 0.06, 120.0
"""The default time limit: one minute per 1,000 images, and at least two minutes."""

LATER_SHARE = 1 / 2
"""With a budget for small images, the first pre-trained network may take all of it, and later ones may run until this share
of it is used. The network that is trained from scratch uses the remaining time. One epoch is not enough: on 2,062
hand signs it gave 62 %."""

FINETUNE_VAL, FINETUNE_EPOCHS = 100, 3
"""Fine-tuning is tried if at least this many validation images can tell whether it helped, and this many epochs fit the time.

2,520 flowers of 128x128, seed 0: the loss on val was 0.622 with the last layer alone, 0.791 after one epoch of five and 0.681
after two: the first steps undo more than they teach.
"""


def race_and_keep(
    request: RunRequest, options: Sequence[Candidate], clock: RunTimer, progress: Progress, scratch: Path
) -> Trainer:
    """Compare the candidates within the time budget, or the default time limit: see `Race`."""
    limit = max(LEAST_SECONDS, SECONDS_PER_IMAGE * len(request.dataset))
    if clock.budget is None:
        return Race(request, options, clock, progress, scratch, limit).run()
    share = LATER_SHARE if any(map(_takes_the_rest, options)) else 1.0
    return Race(request, options, clock, progress, scratch, float(clock.budget), share).run()


def open_candidates(request: RunRequest, *, budget: bool = False) -> tuple[Candidate, ...]:
    """The candidates for a request; () if the user has chosen a network, epochs, fine-tuning or folds.

    With folds every image is a test image of some network, so none is left to choose by. budget: whether the user gave a
    time budget. A network that is trained by epochs then comes last, because it takes all the time that is left.
    """
    fit, data, split = (request.tables.get(table, {}) for table in ("fit", "data", "split"))
    if not request.names_no_model or fit.get("epochs", "auto") != "auto" or fit.get("finetune") or split.get("folds"):
        return ()
    size = data.get("size", "auto")
    heights, widths = probe_sizes(request.dataset)
    wanted = None if size == "auto" else Size.parse(size)
    found = candidates(heights, widths, len(request.dataset), installed(), size=wanted)
    return tuple(sorted(found, key=_takes_the_rest)) if budget else found


def _takes_the_rest(option: Candidate) -> bool:
    """Whether a candidate can be trained for as long as a budget lasts."""
    return option.finetune or MODELS.entry(option.model).fit.get("epochs") != 0


@dataclass
class Race:
    """A comparison of candidates for one run; `run` returns the winner, trained but not yet measured on the test set.

    options: the candidates to begin with. After them come fine-tuning of the best one, if it is pre-trained, and class
    weights for it, if the classes are unequal. scratch: a folder for the logs of the candidates; limit_seconds: a
    candidate that is not expected to end within this time is skipped. Without a budget the first is trained in any case;
    later_share: the share of the limit for candidates after the first that do not fill a budget.

    `run` raises UsageError for a budget in which nothing can be trained.
    """

    request: RunRequest
    options: Sequence[Candidate]
    clock: RunTimer
    progress: Progress
    scratch: Path
    limit_seconds: float
    later_share: float = 1.0
    _started: float = 0.0
    _results: list[CandidateResult] = field(default_factory=list)
    _best: tuple[Candidate, Trainer, int] | None = None  # with its place in `_results`

    def run(self) -> Trainer:
        """Train the candidates that fit the time limit and return the best one."""
        self._started = time.monotonic() if self.clock.budget is None else self.clock.started
        try:
            for number, option in enumerate(self.options):
                later = self.clock.budget is not None and any(map(_takes_the_rest, self.options[number + 1 :]))
                self._compare(option, needed=self._best is None and not later)
            self._compare_finetuning()
            self._compare_class_weights()
        except KeyboardInterrupt as stop:
            stop.add_note("foveola was still comparing networks, so there is no run to continue and nothing to delete.")
            raise
        assert self._best is not None, "one candidate is trained in any case"
        option, kept, place = self._best
        if len(self._results) > 1:
            self._results[place] = replace(self._results[place], outcome="chosen")
            kept.candidates = tuple(self._results)
        kept.remarks = (f"chose {option}: {self._reason()}", *kept.remarks, *self._weights_advice())
        return kept

    def _reason(self) -> str:
        """Why the best candidate was chosen. Class weights are not among those that could be."""
        outcomes = [one.outcome for one in self._results if one.class_weights == "none"]
        trained = len(outcomes) - outcomes.count("skipped")
        if trained > 1:
            return f"the best of {trained} candidates on held-out images"
        return "the only candidate" + (" that could be trained within the time limit" if len(outcomes) > 1 else "")

    def _compare(self, option: Candidate, *, needed: bool) -> None:
        """Train a candidate, and keep it if it has the lowest loss so far."""
        trainer, result = self._try(option, needed=needed)
        if trainer is not None and (self._best is None or result.is_better(self._results[self._best[2]])):
            self._best = option, trainer, len(self._results) - 1

    def _compare_finetuning(self) -> None:
        """Fine-tune the best candidate, and keep that if it is better on the validation images: see `history.is_better`.

        Its own last layer, which was fitted first, is measured on the same images, so the comparison is a fair one.
        """
        if self._best is None:
            return
        option, kept, _ = self._best
        val = len(kept.split.val)
        if not MODELS.entry(option.model).finetune or val < FINETUNE_VAL:
            return
        finer = replace(option, finetune=True)
        trainer, _ = self._try(finer, needed=False)
        if trainer is not None and isinstance(trainer.best, EpochLog):
            self._best = finer, trainer, len(self._results) - 1

    def _compare_class_weights(self) -> None:
        """Train the best candidate with class weights, if the classes are unequal. It is listed and not chosen: weights raise
        the loss of the frequent classes, and only the user knows how much the rare ones matter."""
        assert self._best is not None, "one candidate is trained in any case"
        option, kept, _ = self._best
        counts = np.bincount(kept.prepared.dataset.labels[kept.split.train])
        given = self.request.tables.get("fit", {}).get("class_weights")
        if given is None and counts.max() >= UNEQUAL * counts[counts > 0].min():
            self._try(replace(option, class_weights="balanced"), needed=False)

    def _try(self, option: Candidate, *, needed: bool) -> tuple[Trainer | None, CandidateResult]:
        """Train one candidate, or skip it if it would take too long or can't be trained, unless it is needed."""
        started = time.monotonic()
        self.progress.tell(f"trying candidate {len(self._results) + 1}: {option}")
        try:
            trained: Trainer | str = self._trained(option, needed=needed)
        except (UsageError, ResourceError) as problem:
            if needed:
                raise
            trained = str(problem)
        result = _result(option, trained, time.monotonic() - started)
        self._results.append(result)
        self.progress.tell(_sentence(result))
        return (None if isinstance(trained, str) else trained), result

    def _trained(self, option: Candidate, *, needed: bool) -> Trainer | str:
        """The trained candidate, or why it was skipped."""
        from foveola.runs.time_budget import epochs_within, expected_seconds

        fills = self.clock.budget is not None and _takes_the_rest(option)
        trainer = self._plan(option.settings, fills=fills)
        limit = self.limit_seconds * (self.later_share if self._results else 1)
        left = max(0.0, limit - (time.monotonic() - self._started))
        leaves = f", and the time limit leaves {show_time(left)}"
        if fills:
            if not trainer.recipe.fit.epochs and not needed:
                return "the budget leaves no time for an epoch"
        elif option.finetune:
            epochs, expected = epochs_within(trainer, left, FINETUNE_EPOCHS)
            if not epochs:
                return f"{FINETUNE_EPOCHS} epochs would take {show_time(expected)}{leaves}"
            trainer = self._plan({**option.settings, "fit.epochs": epochs})
        elif (not needed or self.clock.budget is not None) and (expected := expected_seconds(trainer)) > left:
            if needed:
                raise self._too_small(option, expected)
            return f"it would take {show_time(expected)}{leaves}"
        trainer.logs = self.scratch / str(len(list(self.scratch.iterdir())))
        trainer.logs.mkdir()
        for row in trainer.rows():
            self.clock.first_step = self.clock.first_step or time.monotonic()
            if isinstance(row, StepLog):
                self.progress.row(row)
        return trainer

    def _too_small(self, option: Candidate, expected: float) -> UsageError:
        """The error for a budget in which not even the only candidate can be trained."""
        whole = 5 * math.ceil((time.monotonic() - self._started + expected) / 5)
        return UsageError(
            f"a budget of {show_time(self.limit_seconds)} is too small: {option.model} on "
            f"{count(len(self.request.dataset), 'image')} would take about {show_time(whole)} in all: give --budget "
            f"{show_time(whole)} or more"
        )

    def _plan(self, settings: Mapping[str, object], *, fills: bool = False) -> Trainer:
        return self.request.plan(self.progress.tick, self.clock, settings, fill_budget=fills)

    def _weights_advice(self) -> tuple[str, ...]:
        """What class weights would change, in a sentence; () if they were not tried."""
        assert self._best is not None, "one candidate is trained in any case"
        plain, weighted = self._results[self._best[2]], self._results[-1]
        if weighted.class_weights == "none" or weighted.accuracy is None or plain.accuracy is None:
            return ()
        assert plain.balanced_accuracy is not None and weighted.balanced_accuracy is not None, "both were measured"
        return (
            f"with class weights the balanced accuracy on held-out images is {percent(weighted.balanced_accuracy)} instead "
            f"of {percent(plain.balanced_accuracy)}, and the accuracy {percent(weighted.accuracy)} instead of "
            f"{percent(plain.accuracy)}: to use them, add --class-weights balanced",
        )


def _result(option: Candidate, trained: Trainer | str, seconds: float) -> CandidateResult:
    """How a candidate did on held-out images, or why it was skipped."""
    how = option.finetune, option.class_weights
    if isinstance(trained, str):
        return CandidateResult(option.model, str(option.size), None, None, 0, seconds, "skipped", trained, *how)
    found, data, model = trained.held_out(), trained.prepared.dataset, trained.recipe.model.name
    on_held_out = Evaluation(found.logits, found.labels, ("",) * len(found), data.class_names, "val", found.temperature)
    numbers, averages = (found.accuracy, found.loss, len(found)), (on_held_out.balanced_accuracy, on_held_out.macro_f1)
    reason = _unhelpful(option, trained)
    return CandidateResult(model, str(option.size), *numbers, seconds, "compared", reason, *how, *averages)


def _unhelpful(option: Candidate, trained: Trainer) -> str:
    """Why a fine-tuned network is not kept; "" if it is, or for any other."""
    if not option.finetune or isinstance(trained.best, EpochLog):
        return ""
    images = count(len(trained.split.val), "validation image")
    return f"no epoch was better than the last layer alone on the {images}"


def _sentence(result: CandidateResult) -> str:
    """The result of a candidate in words."""
    name = f"{result.title}, {result.size}"
    if result.accuracy is None:
        return f"{name}: skipped: {result.reason}"
    if result.reason:
        return f"{name}: {result.reason}; {result.seconds:.1f} s"
    accuracy, images = with_interval(result.accuracy, result.images), count(result.images, "held-out image")
    return f"{name}: loss {result.loss:.3f}, accuracy {accuracy} on {images}; {result.seconds:.1f} s"
