"""One run of a comparison: planned, found where it is there already, trained here or in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from foveola.errors import DamagedRunError, DataError, UsageError
from foveola.lab.progress import Watch
from foveola.learning.threads import adapting, current
from foveola.types import Tell, Tick, no_tick, tell_nobody
from foveola.workflows.material import open_data, printable
from foveola.workflows.planning import Clock, plan_run
from foveola.workflows.training import run_session

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.lab.arms import Arm
    from foveola.lab.runs import Run
    from foveola.lab.training import Session


class Done(NamedTuple):
    """A finished run, and whether it was there already."""

    run: Run
    there: bool


def plan_one(
    dataset: Dataset,
    source: str | None,
    arm: Arm,
    common: Mapping[str, object],
    runs: Path,
    seed: int,
    tick: Tick = no_tick,
) -> tuple[Session, Clock]:
    """A run of this arm and seed, not begun, and the clock that it is timed by; source: as in `Trials`."""
    clock = Clock(monotonic())
    settings = {**common, **arm.settings}
    if source is not None:
        settings["data.source"] = printable(source)
    planned = plan_run(
        dataset, settings=settings, seed=seed, recipe=arm.recipe, out=None, runs=runs, tick=tick, clock=clock
    )
    return planned, clock


def finished_like(planned: Session, tell: Tell = tell_nobody) -> Run | None:
    """A finished run with the same recipe, data, seed, versions and number of threads in the same folder, or None.

    A run whose number of threads changed on the way equals no other. Where there are only damaged ones, they are told of.
    """
    from foveola.lab.runs import open_run

    parent, name = planned.folder.parent, f"seed-{planned.seed:04d}"
    damaged, threads = [], current()
    assert threads is not None, "a comparison has a number of threads"
    for path in sorted(parent.glob(f"{name}*")):
        try:
            run = open_run(path)
            same = run.recipe.fingerprint == planned.recipe.fingerprint and run.seed == planned.seed
            made_now = all(run.environment.get(key) == value for key, value in planned.versions.items())
            made_now = made_now and run.result["threads"] == [threads.now]
            if same and made_now and run.card.fingerprint == planned.prepared.dataset.fingerprint:
                run.require_whole()
                return run
        except DamagedRunError as problem:  # it is trained again, beside it
            damaged.append(str(problem).removesuffix("train again"))
        except (UsageError, OSError, ValueError, KeyError):  # unfinished
            continue
    for said in damaged:
        tell(f"note: {said}it is trained again in a new folder")
    return None


def is_ours(session: Session) -> bool:
    """Whether another process knows the network and the filters too: those of users are registered in one only."""
    from foveola.filters.chain import Chain
    from foveola.models.table import find

    factory = find(session.recipe.model.name)
    return getattr(factory, "__module__", "").startswith("foveola.") and Chain.parse(session.recipe.data.chain).is_ours


def train_apart(
    data: Dataset | str, source: str | None, arm: Arm, common: dict[str, object], seed: int, runs: Path, threads: int
) -> str:
    """One run, in a process of its own; its folder. data: what was planned with, or where it has a source its state.

    Raises DataError where the source has changed since then.
    """
    if isinstance(data, str):
        assert source is not None, "data is sent or named"
        told = {key: value for key, value in {**common, **arm.settings}.items() if key.startswith("data.")}
        data = _opened(source, arm.recipe, json.dumps(told), data)
    with adapting(threads):
        session, clock = plan_one(data, source, arm, common, runs, seed)
        return str(train_one(session, clock, no_tick).path)


def state_of(dataset: Dataset) -> str:
    """What tells whether a data set is what it was, its groups too."""
    return dataset.fingerprint + dataset.grouping.get("groups", "")


def train_one(session: Session, clock: Clock, tick: Tick) -> Run:
    from foveola.learning.timing import forget_peak

    clock.own_memory = forget_peak()  # or the largest run's memory would be told of all that follow it
    return run_session(session, clock, Watch(tick=tick))


@lru_cache(maxsize=1)
def _opened(source: str, recipe: Path | None, told: str, state: str) -> Dataset:
    """The data, read once a process for each state it is in: processes outlive the comparison they were made for."""
    from foveola.lab.recipe import compose, merge, read_recipe

    tables = read_recipe(recipe) if recipe else {}
    found = open_data(compose(merge(tables, {**json.loads(told), "data.source": source})))
    if state_of(found) != state:
        raise DataError(f"{source} has changed while it was compared on: say the same command again")
    return found
