"""Train the runs of a comparison, arm by arm and seed by seed; finished runs are used again.

Several runs train at once if there are enough cores. Measured on two cores (n = 4 runs each way, in turns), two processes
of one thread need 88 % of the time of one process of two threads: 2.6 against 3.0 s per run on digits, 14.7 against 16.6 s on
CIFAR-10 (one epoch of `fast`). Starting the processes takes five seconds, so a few runs train one after the other.

The number of threads changes the order of sums, and so their rounding. A comparison fixes it before its first run, from the
number of cores alone: it does not depend on how many runs there are, are left or train at once.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from foveola.comparison.result import require_same_test
from foveola.compute.threads import adapting, current
from foveola.errors import DamagedRunError, DataError, UsageError
from foveola.filters.chain import Chain
from foveola.models.registry import get_model
from foveola.processes import call_apart
from foveola.recipes.recipe import merge_tables, read_recipe, recipe_from_tables
from foveola.runs.progress import Progress
from foveola.runs.run import open_run
from foveola.text import printable
from foveola.types import Image, Tell, Tick, no_tick, tell_nobody
from foveola.workflows.datasets import Data, open_data
from foveola.workflows.prepare_run import RunTimer, read_request
from foveola.workflows.training import train_and_report

if TYPE_CHECKING:
    from foveola.comparison.arms import Arm
    from foveola.data.dataset import Dataset
    from foveola.recipes.recipe import Recipe
    from foveola.runs.run import Run
    from foveola.runs.trainer import Trainer


class _Reading(Progress):
    """The progress of one of many runs: reading its data, without its plan and its epochs."""

    def __init__(self, shown: Progress) -> None:
        self.shown = shown

    def tick(self, stage: str, done: int, total: int) -> None:
        self.shown.tick(stage, done, total)


class FinishedRun(NamedTuple):
    """A finished run; there: whether it existed before this comparison."""

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
) -> tuple[Trainer, RunTimer]:
    """Plan the run of an arm and seed, without training it; return it with its timer. source: as in `Trials`."""
    clock = RunTimer(monotonic())
    settings = {**common, **arm.settings}
    if source is not None:
        settings["data.source"] = printable(source)
    request = read_request(
        dataset, settings=settings, seed=seed, recipe=arm.recipe, out=None, runs=runs, tick=tick, clock=clock
    )
    return request.plan(tick, clock), clock


def finished_like(planned: Trainer, tell: Tell = tell_nobody) -> Run | None:
    """A finished run with the same recipe, data, seed, versions and number of threads in the same folder, or None.

    A run whose number of threads changed is never used again. If only damaged runs match, `tell` names them.
    """
    parent, name = planned.folder.parent, f"seed-{planned.seed:04d}"
    damaged, threads = list[DamagedRunError](), current()
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
        except DamagedRunError as problem:  # it is trained again, next to it
            damaged.append(problem)
        except (UsageError, OSError, ValueError, KeyError):  # unfinished
            continue
    for one in damaged:
        tell(f"note: {one.what}; foveola trains it again in a new folder")
    return None


def is_built_in(trainer: Trainer) -> bool:
    """Whether other processes know the network and the filters: those of users are registered in this process only."""
    factory = get_model(trainer.recipe.model.name)
    return getattr(factory, "__module__", "").startswith("foveola.") and Chain.parse(trainer.recipe.data.chain).is_ours


def train_apart(
    data: Dataset | str, source: str | None, arm: Arm, common: dict[str, object], seed: int, runs: Path, threads: int
) -> str:
    """Train one run in a separate process; return its folder. data: the data set, or the state of its source (`state_of`).

    Raises DataError if the source has changed since then.
    """
    if isinstance(data, str):
        assert source is not None, "data is sent or named"
        told = {key: value for key, value in {**common, **arm.settings}.items() if key.startswith("data.")}
        data = _opened(source, arm.recipe, json.dumps(told), data, str(Path.cwd()))
    with adapting(threads):
        trainer, clock = plan_one(data, source, arm, common, runs, seed)
        return str(train_one(trainer, clock, Progress()).path)


def state_of(dataset: Dataset) -> str:
    """Identify the state of a data set, with its groups."""
    return dataset.fingerprint + dataset.grouping.get("groups", "")


def train_one(trainer: Trainer, clock: RunTimer, progress: Progress) -> Run:
    from foveola.compute.device import reset_peak_memory

    clock.own_memory = reset_peak_memory()  # or all later runs would report the largest run's memory
    return train_and_report(trainer, clock, _Reading(progress))


@lru_cache(maxsize=1)
def _opened(source: str, recipe: Path | None, told: str, state: str, place: str) -> Dataset:
    """The data, read once in each process. state, place: part of the key, because processes outlive their comparison."""
    tables = read_recipe(recipe) if recipe else {}
    found = open_data(recipe_from_tables(merge_tables(tables, {**json.loads(told), "data.source": source})))
    if state_of(found) != state:
        raise DataError(f"{source} has changed during the comparison: run the same command again")
    return found


WORTH_PROCESSES = 4
"""Smallest number of runs for which several processes save time."""

AT_A_TIME = 4
"""Largest number of processes that train at once, because each needs memory; with more cores each gets more threads."""

START_SECONDS = 5.0
"""Seconds to start the processes."""


def _require_no_folds(tables: Mapping[str, Any]) -> None:
    """Refuse an arm with folds. Raises UsageError."""
    folds = tables.get("split", {}).get("folds")
    if folds:
        raise UsageError(
            f"a comparison trains one network for each seed, and split.folds = {folds} trains several: leave out split.folds"
        )


@dataclass
class Trials:
    """All runs of a comparison.

    source: the user's name for the data, None for a Dataset; jobs: number of runs at once, 0: automatic; threads: of
    each run, 0: automatic.
    """

    dataset: Dataset
    source: str | None
    arms: Sequence[Arm]
    common: Mapping[str, object]
    runs: Path
    jobs: int = 0
    threads: int = 0
    progress: Progress = field(default_factory=Progress)
    trained: int = 0
    _first: list[Trainer] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        data: Data | None,
        arms: Sequence[Arm],
        common: Mapping[str, object],
        runs: Path,
        jobs: int,
        threads: int,
        progress: Progress,
    ) -> Trials:
        """Read the data, once for all arms. Raises UsageError where their recipes name different data."""
        source = os.fspath(data) if isinstance(data, str | os.PathLike) else None
        tables = [read_recipe(arm.recipe) if arm.recipe else {} for arm in arms]
        for arm, one in zip(arms, tables, strict=True):
            _require_no_folds(merge_tables(one, {**common, **arm.settings}))
        if data is None:
            source = _one_source(arms, tables)
        if data is None or source is not None:
            where = f"the recipe {arms[0].recipe}" if arms[0].recipe else "the settings"
            settings = {"data.source": source, **common, **arms[0].settings}
            data = open_data(
                recipe_from_tables(merge_tables(tables[0], settings, where=where), where=where), progress.tick
            )
        assert not isinstance(data, str | os.PathLike), "a name was opened"
        return cls(data, source, arms, common, runs, jobs, threads, progress)

    def recipes(self, seed: int) -> list[Recipe]:
        """Return the completed recipe of each arm."""
        return [trainer.recipe for trainer in self.first(seed)]

    def first(self, seed: int) -> list[Trainer]:
        """The planned run of each arm with the first seed. Raises UsageError if the arms have different test images."""
        if not self._first:
            self._first = [self.plan(arm, seed)[0] for arm in self.arms]
            ids = [[trainer.prepared.dataset.ids[i] for i in trainer.split.test] for trainer in self._first]
            for arm, theirs in zip(self.arms[1:], ids[1:], strict=True):
                require_same_test(self.arms[0].name, ids[0], arm.name, theirs, seed)
        return self._first

    def require_trainable(self, seed: int) -> None:
        """Build the network of each arm without a finished run. Raises UsageError for one that can't be built."""
        for trainer in self.first(seed):
            if finished_like(trainer) is None:
                _ = trainer.model

    def plan(self, arm: Arm, seed: int) -> tuple[Trainer, RunTimer]:
        """Plan the run of an arm and seed, without training it; return it with its timer."""
        return plan_one(self.dataset, self.source, arm, self.common, self.runs, seed, self.progress.tick)

    @property
    def group(self) -> int:
        """Number of seeds that train together to keep all processes busy."""
        return self.jobs // math.gcd(self.jobs, len(self.arms))

    def settle(self, seeds: int) -> None:
        """Choose the threads of each run and the number of runs at once, unless the user has."""
        if self.jobs < 0:
            raise UsageError(f"--jobs must be 1 or more, or 0 to let foveola choose; got {self.jobs}")
        cores, runs = available_cores(), len(self.arms) * seeds
        able = all(is_built_in(one) and one.device.type == "cpu" for one in self._first)
        self.threads = self.threads or (max(1, cores // AT_A_TIME) if able else cores)
        if not self.jobs:
            self.jobs = min(cores // self.threads, AT_A_TIME, runs) if able and runs >= WORTH_PROCESSES else 1
            self.jobs = max(1, self.jobs)
        elif self.jobs > 1:
            for arm, trainer in zip(self.arms, self._first, strict=True):
                if not is_built_in(trainer):
                    raise UsageError(
                        f"--jobs {self.jobs} trains in separate processes, which don't know the network or filter of arm "
                        f"'{arm.name}', because it is registered in this process only: give --jobs 1"
                    )

    def rows(self, seeds: Sequence[int]) -> Iterator[Iterator[FinishedRun]]:
        """Yield the runs of these seeds, one row of all arms per seed; missing runs are trained on demand."""
        if self.jobs > 1:
            yield from self._side_by_side(seeds)
            return
        for seed in seeds:
            yield (self._one(arm, seed) for arm in self.arms)

    def _one(self, arm: Arm, seed: int) -> FinishedRun:
        trainer, clock = self.plan(arm, seed)
        there = finished_like(trainer, self.progress.tell)
        self.trained += there is None
        return FinishedRun(there or train_one(trainer, clock, self.progress), there is not None)

    def _side_by_side(self, seeds: Sequence[int]) -> Iterator[Iterator[FinishedRun]]:
        """As `rows`, in several processes."""
        # Planned here too, so that images are decoded and filtered once and not by every process.
        there = {
            (k, seed): finished_like(self.plan(arm, seed)[0], self.progress.tell)
            for seed in seeds
            for k, arm in enumerate(self.arms)
        }
        todo = [key for key, run in there.items() if run is None]
        self.trained += len(todo)
        data = self.dataset if self.source is None else state_of(self.dataset)
        calls = (
            (data, self.source, self.arms[k], dict(self.common), seed, self.runs, self.threads) for k, seed in todo
        )
        made = call_apart(train_apart, calls, processes=self.jobs, idle_seconds=60, share=True)

        def one(found: Run | None) -> FinishedRun:
            return FinishedRun(found or open_run(Path(next(made))), found is not None)

        for seed in seeds:
            yield (one(there[k, seed]) for k in range(len(self.arms)))

    def expected_seconds(self, seed: int) -> float:
        """Expected seconds to train all arms once, from a few measured steps or from finished runs."""
        from foveola.runs.time_budget import expected_seconds

        total = 0.0
        for trainer in self.first(seed):
            there = finished_like(trainer)
            total += float(there.result["seconds"]) if there else expected_seconds(trainer)
        return total

    def missing(self, seeds: Sequence[int]) -> int:
        """Number of missing runs of these seeds."""
        planned = (self.plan(arm, seed)[0] for seed in seeds for arm in self.arms)
        return sum(finished_like(one) is None for one in planned)

    def image(self, k: int, name: str) -> Image:
        """An image as arm k sees it, by its id."""
        return np.asarray(self._first[k].prepared.pixels[self._places[k][name]])

    @cached_property
    def _places(self) -> list[dict[str, int]]:
        """For each arm: id of an image -> its row. Images that are excluded or can't be decoded are missing."""
        return [{name: i for i, name in enumerate(one.prepared.dataset.ids)} for one in self._first]


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_source(arms: Sequence[Arm], tables: Sequence[Mapping[str, Any]]) -> str | None:
    """The data that recipes name. Raises UsageError when it is not the same for all that name any."""
    named = [(arm.name, table.get("data", {}).get("source")) for arm, table in zip(arms, tables, strict=True)]
    named = [(name, source) for name, source in named if source]
    for name, source in named[1:]:
        if source != named[0][1]:
            raise UsageError(
                f"recipe {named[0][0]} reads {named[0][1]} and recipe {name} reads {source}, but a comparison takes "
                "one data set: name it before the recipes"
            )
    return named[0][1] if named else None
