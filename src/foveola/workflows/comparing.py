"""The verb `compare`: arms that differ in one thing, over the same seeds, and what their runs show."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveola.errors import UsageError, count
from foveola.types import Tick, no_tick
from foveola.workflows.material import Data, open_data
from foveola.workflows.training import Clock, Watch, plan_run, run_session

if TYPE_CHECKING:
    from foveola.lab.comparison import Arm, Comparison
    from foveola.lab.runs import Run
    from foveola.lab.training import Session

Tell = Callable[[str], None]
"""Takes a line about how the comparison goes."""

PILOT = 2


def _quiet(line: str) -> None:
    pass


def compare(
    data: Data | None,
    arms: Sequence[str | Mapping[str, object]],
    *,
    seeds: int | str | Sequence[int] = 10,
    settings: Mapping[str, object] | None = None,
    question: Sequence[str] = (),
    allow: Sequence[str] = (),
    margin: float = 0.5,
    precision: float | None = None,
    budget: str | float | None = None,
    runs: str | os.PathLike[str] = "runs",
    tell: Tell = _quiet,
    tick: Tick = no_tick,
) -> Comparison:
    """Train every arm with every seed and say what their differences show; the first arm is the baseline.

    arms: "plain", "sharpened: chain=sharpen", or settings with a "name"; what they do not name is common to all, from
    `settings` ({"model.name": "fast"}) and the choices that `train` makes. seeds: how many (from 0), "0-9", or a list: the
    same for each arm, so that split, first weights, order and augmentation are the same pair by pair. question: the
    settings that may differ (what the arms name); allow: what may differ besides. margin: the difference, in points, below
    which nobody cares. precision: the half-width that is wanted, in points: after two seeds it is said how many that takes.
    budget: how long all may take; it ends after the last pair that fits, with two seeds at least.

    Runs that are there already, finished, under `runs` are not repeated, so an interrupted comparison goes on.
    Raises UsageError for arms that can't be compared.

        found = fv.compare("photos", ["plain", "sharpened: chain=sharpen"], seeds=5)
        print(found.against_baseline()[0].sentence)
    """
    from foveola.lab.budget import parse_time
    from foveola.lab.comparison import Comparison, require_fair
    from foveola.lab.recipe import compose, merge

    started = time.monotonic()
    parsed, wanted = [_arm(arm) for arm in arms], parse_seeds(seeds)
    common = dict(settings or {})
    if isinstance(data, str | os.PathLike):
        data = open_data(compose(merge({}, {"data.source": os.fspath(data)})), tick)

    def session(arm: Arm, seed: int) -> tuple[Session, Clock]:
        clock = Clock(time.monotonic())
        both = {**common, **arm.settings}
        planned = plan_run(data, settings=both, seed=seed, recipe=None, out=None, runs=runs, tick=tick, clock=clock)
        return planned, clock

    first = [session(arm, wanted[0])[0].recipe for arm in parsed]
    for key in require_fair(parsed, first, question, allow):
        tell(f"warning: the arms differ in {key} too, which was allowed: a difference may come from it")
    limit = None if budget is None else parse_time(budget)
    done: list[list[Run]] = [[] for _ in parsed]
    for number, seed in enumerate(wanted):
        if limit is not None and number >= PILOT:
            spent = time.monotonic() - started
            if spent * (number + 1) / number > limit:
                tell(f"the budget ends here: {number} of {len(wanted)} seeds; what takes more of them is not known")
                break
        for arm, row in zip(parsed, done, strict=True):
            planned, clock = session(arm, seed)
            there = finished_like(planned, Path(runs))
            row.append(there or run_session(planned, clock, Watch(tick=tick)))
            accuracy = row[-1].result["test_accuracy"]
            tell(f"seed {seed}, {arm.name}: {100 * accuracy:.2f} %{' (was there)' if there else ''}")
        if number + 1 == PILOT and precision is not None:
            tell(_outlook(done, precision, time.monotonic() - started))
    used = tuple(wanted[: len(done[0])])
    return Comparison(tuple(parsed), used, tuple(tuple(row) for row in done), margin)


def parse_seeds(seeds: int | str | Sequence[int]) -> list[int]:
    """The seeds that "10", "0-9", "1,4,7" or a list mean.

    >>> parse_seeds(3), parse_seeds("2-4"), parse_seeds("1,4")
    ([0, 1, 2], [2, 3, 4], [1, 4])
    """
    if isinstance(seeds, str):
        text = seeds.strip()
        first, dash, last = text.partition("-")
        parts = [first, last] if dash else text.split(",")
        if not all(part.strip().isdecimal() for part in parts):
            raise UsageError(f"seeds '{seeds}' can't be read: write a number (10), a range (0-9) or a list (1,4,7)")
        numbers = [int(part) for part in parts]
        several: Sequence[int] = range(numbers[0], numbers[1] + 1) if dash else numbers
        seeds = numbers[0] if len(numbers) == 1 else several
    found = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not found:
        raise UsageError("no seed is left: give at least one, and five for a verdict")
    if len(set(found)) < len(found):
        raise UsageError(
            f"seed {next(s for s in found if found.count(s) > 1)} is there twice: a repeated run proves nothing"
        )
    return found


def finished_like(planned: Session, runs: Path) -> Run | None:
    """A finished run of the same recipe, data and seed below `runs`, or None."""
    from foveola.lab.runs import open_run

    parent, name = planned.folder.parent, f"seed-{planned.seed:04d}"
    for path in sorted(parent.glob(f"{name}*")):
        try:
            run = open_run(path)
            same = run.recipe.fingerprint == planned.recipe.fingerprint
            if same and run.card.fingerprint == planned.prepared.dataset.fingerprint and run.seed == planned.seed:
                return run
        except (UsageError, OSError, ValueError):  # unfinished, or damaged: it is trained again, beside it
            continue
    return None


def _arm(given: str | Mapping[str, object]) -> Arm:
    from foveola.lab.comparison import SHORT, Arm, parse_arm

    if isinstance(given, str):
        return parse_arm(given)
    settings = {SHORT.get(key, key): value for key, value in given.items() if key != "name"}
    return Arm(str(given.get("name") or ", ".join(f"{k}={v}" for k, v in settings.items()) or "plain"), settings)


def _outlook(done: Sequence[Sequence[Any]], precision: float, seconds: float) -> str:
    """How many seeds and minutes the question needs, from the pilot."""
    import numpy as np

    from foveola.lab.paired import seeds_needed

    accuracy = 100 * np.array([[run.result["test_accuracy"] for run in row] for row in done])
    counts = [seeds_needed(row - accuracy[0], precision) for row in accuracy[1:]]
    if any(n is None for n in counts):
        return f"after {PILOT} seeds: an interval of ±{precision:g} points takes more than a thousand seeds"
    most = max(n for n in counts if n is not None)
    minutes = math.ceil(seconds / PILOT * most / 60)
    return (
        f"after {PILOT} seeds: an interval of ±{precision:g} points takes about {count(most, 'seed')}, "
        f"{count(minutes, 'minute')} in all"
    )
