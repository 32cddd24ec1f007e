"""Time of a comparison: cost of a pair of runs, remaining budget, and the number of seeds that the question needs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from foveola.errors import UsageError
from foveola.text import count
from foveola.workflows.comparison_runner import START_SECONDS, Trials

if TYPE_CHECKING:
    from foveola.comparison.result import Comparison
    from foveola.runs.run import Run


PAGE_SECONDS = 3.0
"""Kept of a budget for the start of Python and for the page (a budget of 20 s took 22.6 without)."""


@dataclass
class Pace:
    """Seconds: start of the comparison, its limit, and the time that its pairs (all arms once) took so far."""

    trials: Trials
    started: float
    limit: float = math.inf
    expected: float = 0.0
    _spent: float = 0.0
    _trained: int = 0
    _began: float = 0.0
    _finished: int = 0

    @classmethod
    def of(cls, budget: str | float | None, started: float, trials: Trials, seed: int) -> Pace:
        """Raises UsageError when the first pair does not fit in the budget; finished runs cost nothing."""
        from foveola.comparison.statistics import LEAST_SEEDS
        from foveola.text import parse_time, show_time

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
        return monotonic() - self.started + start + todo + PAGE_SECONDS <= self.limit

    def ended(self, done: int, wanted: int) -> str:
        """Describe the end of the budget: seeds done, seeds missing and their time."""
        from foveola.comparison.statistics import LEAST_SEEDS
        from foveola.text import show_time

        more = show_time(math.ceil((wanted - done) * self.pair_seconds()))
        missing = f"a verdict needs {LEAST_SEEDS} seeds"
        if done >= LEAST_SEEDS:
            missing = "more seeds would narrow the interval"
        return (
            f"the budget of {show_time(self.limit)} ended after {done} of {count(wanted, 'seed')}: {missing}; "
            f"the remaining {wanted - done} take about {more}"
        )


def outlook(found: Comparison, half_width: float, pace: Pace, asked: int) -> str:
    """Estimate from the pilot seeds how many seeds and minutes an interval of this half-width needs."""
    from foveola.comparison.statistics import PilotStudy

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
    minutes = math.ceil(pace.pair_seconds(found.runs) * max(0, most - n) / 60)
    more = f"; this comparison has {asked}" if most > asked else ""
    return f"{begin} needs about {count(most, 'seed')}, {count(minutes, 'more minute')}{more}"
