"""Run a comparison seed by seed: show progress and save the results so far."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from foveola.comparison.result import Comparison
from foveola.comparison.statistics import LEAST_SEEDS, PilotStudy
from foveola.errors import UsageError
from foveola.report.comparison_page import render
from foveola.runs.folders import FORMAT
from foveola.runs.progress import Progress
from foveola.storage import write_atomic
from foveola.text import count, parse_time, show_time
from foveola.workflows.comparison_runner import START_SECONDS, FinishedRun, Trials

if TYPE_CHECKING:
    from foveola.comparison.arms import AllowedDifferences, Arm
    from foveola.runs.run import Run


PILOT = 2
"""Number of seeds after which foveola estimates how many seeds the half-width needs."""


@dataclass
class Series:
    """All seeds of a comparison in their order.

    rows: the runs of each seed that is done, arm by arm; known: the seeds that the page in the folder is about; done: how
    many runs are finished.
    """

    arms: Sequence[Arm]
    seeds: Sequence[int]
    trials: Trials
    limit: TimeLimit
    fair: AllowedDifferences
    margin: float
    half_width: float | None
    folder: Path
    about: Mapping[str, Any]
    known: set[int]
    progress: Progress
    done: int = 0
    rows: list[tuple[Run, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self) -> Comparison:
        """Train all seeds or until the budget ends. Write the page after every group of seeds and on Ctrl-C."""
        self._show(0)
        try:
            while some := self._next():
                self._train(some)
        except KeyboardInterrupt as stop:
            if self.rows and self._is_news:
                self._write(self.found(self._so_far), self.seeds)
            stop.add_note(self._left())
            raise
        ended = len(self.rows) < len(self.seeds)
        if ended:
            self._note(self.limit.ended(len(self.rows), len(self.seeds)))
        found = self.found()
        if not ended or self._is_news:
            self._write(found, found.seeds)
        return found

    def found(self, unfinished: str = "") -> Comparison:
        """The comparison over the finished seeds."""
        return Comparison(
            tuple(self.arms), tuple(self.seeds[: len(self.rows)]), tuple(zip(*self.rows, strict=True)), self.margin,
            question=self.fair.question, allowed=self.fair.allowed, notes=tuple(self.notes), path=self.folder,
            unfinished=unfinished,
        )  # fmt: skip

    def _next(self) -> Sequence[int]:
        """The seeds that are trained together next: as many as keep all processes busy, and as the budget has room for.

        The first seed always fits: `TimeLimit.of` has checked it.
        """
        some = self.seeds[len(self.rows) :][: self.trials.group]
        if self.limit.seconds < math.inf:
            while some and not self.limit.allows(self.trials.missing(some)):
                some = some[:-1]
        return some or self.seeds[: not self.rows]

    def _train(self, some: Sequence[int]) -> None:
        trained = self.trials.trained
        with self.limit.measured():
            for seed, row in zip(some, self.trials.rows(some), strict=True):
                self.rows.append(tuple(self._told(seed, row)))
        if self.half_width is not None and len(self.rows) - len(some) < PILOT <= len(self.rows):
            self._note(outlook(self.found(), self.half_width, self.limit, len(self.seeds)))
        # Measured: 0.2 to 0.4 s on CIFAR-10 (two arms, five seeds, 10,000 test images), of 30 s that a run takes there.
        if self._is_news and self.trials.trained > trained and len(self.rows) < len(self.seeds):
            self._write(self.found(self._so_far), self.seeds)

    @property
    def _is_news(self) -> bool:
        """Whether a finished seed is missing on the page. A page with more seeds is never replaced by one with fewer."""
        return not set(self.seeds[: len(self.rows)]) <= self.known

    def _told(self, seed: int, row: Iterator[FinishedRun]) -> Iterator[Run]:
        for k, (run, there) in enumerate(row):
            if not there:
                self.limit.finished()
            how = "already finished" if there else f"{run.result['seconds']:.0f} s"
            ends = (100 * run.result[f"test_accuracy{end}"] for end in ("", "_low", "_high"))
            said = "{:.2f} %, 95 % interval {:.2f} to {:.2f}".format(*ends)
            self.progress.tell(f"seed {seed}, {self.arms[k].name}: {said} ({how})")
            self._show(len(self.rows) * len(self.arms) + k + 1)
            yield run

    def _left(self) -> str:
        """Describe the runs that an interrupt leaves, and how to continue or delete them."""
        total = len(self.seeds) * len(self.arms)
        said = "No run is finished: run the same command to start again."
        if self.done:
            said = (
                f"{self.done} of {count(total, 'run')} are finished: run the same command again to train only the rest."
            )
        if self.trials.jobs > 1:
            said += " Runs that were being trained are unfinished: foveola runs lists them, and you can delete their folders."
        if self.rows:
            said += f" {self.folder / 'comparison.html'} shows {len(self.rows)} of {count(len(self.seeds), 'seed')}."
        return said

    def _show(self, done: int) -> None:
        self.done = done
        total = len(self.seeds) * len(self.arms)
        self.progress.runs(done, total, self.limit.left(total - done))

    def _note(self, line: str) -> None:
        self.notes.append(line)
        self.progress.tell(line)

    @property
    def _so_far(self) -> str:
        return (
            f"{len(self.rows)} of {count(len(self.seeds), 'seed')} are finished, and the page shows them: run the "
            "same command to continue, and wait for all seeds before you rely on a verdict"
        )

    def _write(self, found: Comparison, seeds: Sequence[int]) -> None:
        """Write the page and its numbers atomically; seeds: those of the command on the page."""
        assert found.page is not None
        write_atomic(found.page, render(found, self.trials.image, command=command_to_repeat(found, self.trials, seeds)))
        numbers = {"format": FORMAT, **self.about, **found.numbers()}
        write_atomic(self.folder / "comparison.json", json.dumps(numbers, indent=1))
        self.known = set(found.seeds)


def command_to_repeat(found: Comparison, trials: Trials, seeds: Sequence[int]) -> str:
    """Return the shell command that repeats the comparison; DATA stands for data without a path."""
    words = ["foveola", "compare", Path(trials.source).name if trials.source else "DATA"]
    words += [arm.recipe.name for arm in trials.arms if arm.recipe]
    for arm in trials.arms:
        if not arm.recipe:
            told = "; ".join(f"{key}={_toml(value)}" for key, value in arm.settings.items())
            words += ["--arm", f"{arm.name}: {told}" if told else arm.name]
    first, last = seeds[0], seeds[-1]
    row = list(seeds) == list(range(first, last + 1))
    words += ["--seeds", f"{first}-{last}" if row else ",".join(map(str, seeds))]
    for key, value in trials.common.items():
        words += ["--set", f"{key}={_toml(value)}"]
    for key in found.question if any(arm.recipe for arm in trials.arms) else ():
        words += ["--question", key]
    for key in found.allowed:
        words += ["--allow", key]
    return shlex.join([*words, "--margin", f"{found.margin:g}"])


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


PAGE_SECONDS = 3.0
"""Kept of a budget for the start of Python and for the page (a budget of 20 s took 22.6 without)."""


@dataclass
class TimeLimit:
    """The time limit of a comparison, in seconds, and the time that its pairs (all arms once) took so far.

    started: monotonic seconds.
    """

    trials: Trials
    started: float
    seconds: float = math.inf
    expected: float = 0.0
    _spent: float = 0.0
    _trained: int = 0
    _began: float = 0.0
    _finished: int = 0

    @classmethod
    def of(cls, budget: str | float | None, started: float, trials: Trials, seed: int) -> TimeLimit:
        """Raises UsageError when the first pair does not fit in the budget; finished runs cost nothing."""
        if budget is None:
            return cls(trials, started)
        limit = parse_time(budget)
        pair = trials.expected_seconds(seed)
        todo = pair * trials.missing([seed]) / len(trials.arms)
        spent = monotonic() - started
        if todo and spent + todo > limit:
            least, five = (show_time(math.ceil(1.1 * (spent + k * pair))) for k in (1, LEAST_SEEDS))
            raise UsageError(
                f"a budget of {show_time(limit)} is too small for one pair: training {count(len(trials.arms), 'arm')} once "
                f"takes about {show_time(math.ceil(spent + pair))} here: give --budget {least} or more, or {five} for the "
                f"{LEAST_SEEDS} seeds that a verdict needs"
            )
        return cls(trials, started, limit, pair)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Measure the runs that are trained within the block and their time."""
        self._began, before = monotonic(), self.trials.trained
        yield
        if self.trials.trained > before:
            self._spent += monotonic() - self._began
            self._trained += self.trials.trained - before

    def pair_seconds(self, runs: Sequence[Sequence[Run]] = ((),)) -> float:
        """Seconds of a pair: measured here, else expected, else from the given runs (by arm)."""
        if self._trained:
            return self._spent / self._trained * len(self.trials.arms)
        theirs = sum(run.result["seconds"] for row in runs for run in row) / max(1, len(runs[0]))
        return self.expected or theirs / max(1, self.trials.jobs)

    def finished(self) -> None:
        """Count a finished run of a group whose other runs are still training."""
        self._finished += 1

    def left(self, runs: int) -> float | None:
        """Expected seconds for this many more runs: measured here, else planned, else None."""
        if self._finished:
            return (self._spent + monotonic() - self._began) / self._finished * runs
        return self.expected / len(self.trials.arms) * runs if self.expected else None

    def allows(self, runs: int) -> bool:
        """Whether this many more runs fit in the budget, from the average so far. Zero runs always fit."""
        if not runs:
            return True
        start = START_SECONDS if self.trials.jobs > 1 and not self._trained else 0.0
        todo = runs / len(self.trials.arms) * self.pair_seconds()
        return monotonic() - self.started + start + todo + PAGE_SECONDS <= self.seconds

    def ended(self, done: int, wanted: int) -> str:
        """Describe the end of the budget: seeds done, seeds missing and their time."""
        more = show_time(math.ceil((wanted - done) * self.pair_seconds()))
        missing = f"a verdict needs {LEAST_SEEDS} seeds"
        if done >= LEAST_SEEDS:
            missing = "more seeds would narrow the interval"
        return (
            f"the budget of {show_time(self.seconds)} ended after {done} of {count(wanted, 'seed')}: {missing}; "
            f"the remaining {wanted - done} take about {more}"
        )


def outlook(found: Comparison, half_width: float, limit: TimeLimit, asked: int) -> str:
    """Estimate from the pilot seeds how many seeds and minutes an interval of this half-width needs."""
    n = len(found.seeds)
    pilots = [PilotStudy.of(found, k) for k in range(1, len(found.arms))]
    needed = [pilot.seeds(half_width) for pilot in pilots]
    floor = max(pilot.narrowest() for pilot in pilots)
    begin = f"after {n} seeds: an interval of ±{half_width:g} points"
    if floor >= half_width:
        return (
            f"{begin} can't be reached by more seeds: every seed has its own split, the training sets overlap, and the "
            f"interval stays above ±{floor:.2g} points; more images would help"
        )
    if None in needed:
        return f"{begin} needs more than 1,000 seeds"
    most = max(one for one in needed if one is not None)
    minutes = math.ceil(limit.pair_seconds(found.runs) * max(0, most - n) / 60)
    more = f"; this comparison has {asked}" if most > asked else ""
    return f"{begin} needs about {count(most, 'seed')}, {count(minutes, 'more minute')}{more}"
