"""Compare candidate networks on the validation images and keep the best, within a time limit.

Each candidate is trained exactly as `foveola train --model NAME --size SIZE` trains it. The test set is not used: only the
winner is measured on it, later, by `train`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from foveola.data.dataset import probe_sizes
from foveola.errors import ResourceError, UsageError
from foveola.evaluation.headline import with_interval
from foveola.recipes.candidates import Candidate, CandidateResult, candidates, installed
from foveola.runs.progress import Progress
from foveola.text import count, show_time
from foveola.training.history import StepLog
from foveola.types import Size
from foveola.workflows.prepare_run import RunRequest, RunTimer

if TYPE_CHECKING:
    from foveola.runs.trainer import Trainer

SECONDS_PER_IMAGE, LEAST_SECONDS = 0.06, 120.0
"""The default time limit: one minute per 1,000 images, and at least two minutes."""


def race_and_keep(
    request: RunRequest, options: Sequence[Candidate], clock: RunTimer, progress: Progress, scratch: Path
) -> Trainer:
    """Compare the candidates within the default time limit: see `Race`."""
    limit = max(LEAST_SECONDS, SECONDS_PER_IMAGE * len(request.dataset))
    return Race(request, options, clock, progress, scratch, limit).run()


def open_candidates(request: RunRequest) -> tuple[Candidate, ...]:
    """The candidates for a request; () if the user has chosen a network, epochs, a budget, fine-tuning or folds.

    With folds every image is a test image of some network, so none is left to choose by.
    """
    model, fit, data, split = (request.tables.get(table, {}) for table in ("model", "fit", "data", "split"))
    if model.get("name", "auto") != "auto" or fit.get("epochs", "auto") != "auto" or split.get("folds"):
        return ()
    if fit.get("finetune"):
        return ()
    size = data.get("size", "auto")
    heights, widths = probe_sizes(request.dataset)
    wanted = None if size == "auto" else Size.parse(size)
    return candidates(heights, widths, len(request.dataset), installed(), size=wanted)


@dataclass
class Race:
    """A comparison of candidates for one run; `run` returns the winner, trained but not yet measured on the test set.

    scratch: a folder for the logs of the candidates; limit_seconds: a candidate that is not expected to end within this time
    is skipped, unless it is the first.
    """

    request: RunRequest
    options: Sequence[Candidate]
    clock: RunTimer
    progress: Progress
    scratch: Path
    limit_seconds: float
    _started: float = 0.0

    def run(self) -> Trainer:
        """Train the candidates that fit the time limit and return the best one."""
        self._started = time.monotonic()
        results: list[CandidateResult] = []
        kept: Trainer | None = None
        best: CandidateResult | None = None
        try:
            for option in self.options:
                self.progress.tell(f"trying candidate {len(results) + 1} of {len(self.options)}: {option}")
                trainer, result = self._try(option, needed=best is None)
                results.append(result)
                self.progress.tell(_sentence(result))
                if trainer is not None and (best is None or result.is_better(best)):
                    kept, best = trainer, result
        except KeyboardInterrupt as stop:
            stop.add_note("foveola was still comparing networks, so there is no run to continue and nothing to delete.")
            raise
        assert kept is not None and best is not None, "the first candidate is trained in any case"
        kept.candidates = tuple(replace(one, outcome="chosen") if one is best else one for one in results)
        compared = sum(one.outcome == "compared" for one in results)
        if compared > 1:
            kept.remarks = (
                f"chose {self.options[results.index(best)]}: the best of {compared} candidates on held-out images",
            )
        return kept

    def _try(self, option: Candidate, *, needed: bool) -> tuple[Trainer | None, CandidateResult]:
        """Train one candidate, or skip it if it would take too long or can't be trained, unless it is needed."""
        started = time.monotonic()

        def skipped(reason: str) -> tuple[None, CandidateResult]:
            spent = time.monotonic() - started
            return None, CandidateResult(option.model, str(option.size), None, None, 0, spent, "skipped", reason)

        from foveola.runs.time_budget import expected_seconds

        try:
            trainer = self.request.plan(self.progress.tick, self.clock, option.settings)
            left = self.limit_seconds - (time.monotonic() - self._started)
            if not needed and (expected := expected_seconds(trainer)) > left:
                return skipped(
                    f"it would take {show_time(expected)}, and the time limit leaves {show_time(max(0.0, left))}"
                )
            trainer.logs = self.scratch / str(len(list(self.scratch.iterdir())))
            trainer.logs.mkdir()
            for row in trainer.rows():
                self.clock.first_step = self.clock.first_step or time.monotonic()
                if isinstance(row, StepLog):
                    self.progress.row(row)
        except (UsageError, ResourceError) as problem:
            if needed:
                raise
            return skipped(str(problem))
        found, spent = trainer.held_out(), time.monotonic() - started
        numbers = found.accuracy, found.loss, len(found)
        return trainer, CandidateResult(option.model, str(option.size), *numbers, spent, "compared")


def _sentence(result: CandidateResult) -> str:
    """The result of a candidate in words."""
    name = f"{result.model}, {result.size}"
    if result.accuracy is None:
        return f"{name}: skipped: {result.reason}"
    accuracy, images = with_interval(result.accuracy, result.images), count(result.images, "held-out image")
    return f"{name}: loss {result.loss:.3f}, accuracy {accuracy} on {images}; {result.seconds:.1f} s"
