"""Prepare a run: read and decode the data, split it, choose defaults and build the network."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveola.checks.finding import sort_findings
from foveola.checks.fingerprints import kept_fingerprints
from foveola.checks.run import find_duplicates, quick_findings
from foveola.data.builtin import DATASETS
from foveola.data.dataset import require_classes
from foveola.data.folds import fold_splits, require_divisible
from foveola.data.prepare import apply_filters, prepare
from foveola.data.split import Split, split
from foveola.errors import UsageError
from foveola.filters.chain import Chain
from foveola.models.registry import require_known, require_model
from foveola.recipes.defaults import resolve_defaults
from foveola.recipes.from_weights import settings_from_weights
from foveola.recipes.recipe import merge_tables, read_recipe, recipe_from_tables
from foveola.runs.folders import run_folder
from foveola.storage import digest
from foveola.text import parse_time, printable
from foveola.types import Size, Tick
from foveola.workflows.datasets import Data, leave_out, open_data, require_plain, suggest_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from foveola.checks.finding import Finding
    from foveola.data.dataset import Dataset
    from foveola.data.folds import Folds
    from foveola.data.prepare import Prepared
    from foveola.recipes.recipe import Recipe
    from foveola.runs.time_budget import Deadline
    from foveola.runs.trainer import Trainer


@dataclass
class RunTimer:
    """When a run began, when torch was there, when the first step was done, in monotonic seconds; how long it may take and
    is expected to take, in seconds, and what holds it to that, where a budget was given; whether the memory's peak is this
    run's own."""

    started: float
    imported: float = 0.0
    first_step: float = 0.0
    budget: str | float | None = None
    predicted: float | None = None
    deadline: Deadline | None = None
    own_memory: bool = True


@dataclass(frozen=True)
class RunRequest:
    """What the user asks for: a data set that was read, and the settings as they were given.

    tables: of the recipe, checked, with "auto" where foveola chooses; out: the folder of the run, None for a new one below
    `runs`.
    """

    dataset: Dataset
    tables: Mapping[str, Any]
    where: str
    source: str | None
    seed: int
    out: Path | None
    runs: Path

    @property
    def names_no_model(self) -> bool:
        """Whether the user leaves the choice of the network to foveola."""
        return bool(self.tables.get("model", {}).get("name", "auto") == "auto")

    def plan(
        self, tick: Tick, clock: RunTimer, choice: Mapping[str, object] | None = None, *, fill_budget: bool = True
    ) -> Trainer:
        """Decode, split and choose what is left open. Writes only caches.

        choice: settings that foveola has chosen, such as {"model.name": "fast"}. fill_budget: if there is a budget, plan as
        many epochs as fit in the remaining time.
        """
        from foveola.runs.cross_validation import CrossValidation
        from foveola.runs.trainer import Trainer

        tables = merge_tables(self.tables, choice or {}, where=self.where)
        early = recipe_from_tables(tables, where=self.where)
        prepared, divided, findings, prints = _prepare(leave_out(self.dataset, early), early, self.seed, tick)
        split = divided if isinstance(divided, Split) else divided.splits[0][0]
        tables = merge_tables(tables, {"data.source": self.source and printable(self.source)})
        fills = fill_budget and clock.budget is not None
        done, remarks = _complete(
            tables, prepared, split, self.seed, clock if fills else None, larger=self.names_no_model
        )
        deadline = clock.deadline if fills else None
        fingerprint = digest(done.fingerprint, prepared.dataset.fingerprint)
        folder = self.out or run_folder(self.runs, prepared.dataset.name, done, fingerprint, self.seed)
        rest = (done, self.seed, folder, tick, remarks, findings, deadline, self.out is None, prints)
        if isinstance(divided, Split):
            return Trainer(prepared, divided, *rest)
        return CrossValidation(prepared, divided.whole, *rest, folds=divided)


def read_request(
    data: Data | None,
    *,
    settings: Mapping[str, object],
    seed: int,
    recipe: str | os.PathLike[str] | None,
    out: str | os.PathLike[str] | None,
    runs: str | os.PathLike[str],
    tick: Tick,
    clock: RunTimer,
) -> RunRequest:
    """Check the settings and read the data. Raises UsageError, DataError or ResourceError before anything is computed."""
    # What can be refused without torch is refused before it is imported.
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed {seed} is out of range: give a whole number from 0 to {2**32 - 1:,}")
    tables = read_recipe(Path(recipe)) if recipe is not None else {}
    where = f"the recipe {recipe}" if recipe is not None else "the settings"
    source = os.fspath(data) if isinstance(data, str | os.PathLike) else None
    tables = merge_tables(tables, {"data.source": source, **settings}, where=where)
    tables = merge_tables(tables, settings_from_weights(tables, where=where), where=where)
    early = recipe_from_tables(tables, where=where)
    if data is None and recipe is not None:
        _require_source(early.data.source, Path(recipe))
    if early.model.name != "auto":
        require_known(early.model.name)
    _require_folds_alone(early, clock)
    if clock.budget is not None:
        clock.budget = parse_time(clock.budget)
    with _collector_paused():
        import foveola.runs.cross_validation  # noqa: F401 - imports torch
        from foveola.runs.time_budget import require_free

    clock.imported = time.monotonic()
    require_model(early.model.name)
    if clock.budget is not None:
        require_free(tables)
    with _collector_paused():
        dataset = open_data(early, tick) if data is None or isinstance(data, str | os.PathLike) else data
    if not early.data.source:
        require_plain(early.data, dataset.name)
    require_classes(dataset.name, dataset.class_names, dataset.labels, dataset.problems)
    if early.split.folds:
        require_divisible(leave_out(dataset, early), early.split)
    return RunRequest(dataset, tables, where, source, seed, None if out is None else Path(out), Path(runs))


def _require_folds_alone(recipe: Recipe, clock: RunTimer) -> None:
    """Refuse a budget with folds, and repeats without folds. Raises UsageError."""
    folds, repeats = recipe.split.folds, recipe.split.repeats
    if folds and clock.budget is not None:
        raise UsageError(
            f"--budget plans one network, and --folds {folds} trains {folds * repeats + 1:,}: leave out --budget, and set "
            "--epochs for less time"
        )
    if repeats > 1 and not folds:
        raise UsageError(f"--repeats {repeats} repeats a cross-validation: add --folds, as in --folds 5")


def _require_source(source: str, recipe: Path) -> None:
    """Raise UsageError if the data that a recipe names does not exist."""
    there = os.path.exists(os.path.expanduser(source))  # noqa: PTH110, PTH111 - as `open_data` reads it
    if source and not there and source not in DATASETS:
        raise UsageError(
            f"the recipe {recipe} names the data {printable(source)}, which does not exist: name the data before the "
            f"recipe, as in foveola train DATA --recipe {recipe}"
        )


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause Python's garbage collector while a million objects are made that all stay.

    It would look at them again and again: `import torch` takes 0.93 s without it and 1.12 s with it (medians of four).
    Not for decoding: that makes garbage, and would hold it all.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _prepare(
    dataset: Dataset, recipe: Recipe, seed: int, tick: Tick
) -> tuple[Prepared, Split | Folds, tuple[Finding, ...], Mapping[str, NDArray[Any]]]:
    """Decode, find duplicates, split with duplicates kept together: images, split or folds, findings and fingerprints."""
    given = recipe.data.size
    size = Size.parse(given) if given != "auto" else suggest_size(dataset, recipe.model.name)
    prepared = prepare(dataset, size, recipe.data.resize, tick=tick)
    usable = prepared.dataset
    require_classes(usable.name, usable.class_names, usable.labels, usable.problems)
    relations = find_duplicates(prepared, tick=tick)  # of the images themselves, before any filter
    findings = sort_findings(quick_findings(prepared, relations))
    divide = fold_splits if recipe.split.folds else split
    parts = divide(prepared.dataset, prepared.content, recipe.split, seed, related=relations.groups)
    prints = kept_fingerprints(prepared, tick=tick)
    return apply_filters(prepared, Chain.parse(recipe.data.chain), tick=tick), parts, findings, prints


def _complete(
    tables: Mapping[str, Any], prepared: Prepared, split: Split, seed: int, clock: RunTimer | None, *, larger: bool
) -> tuple[Recipe, tuple[str, ...]]:
    """Replace every "auto" of the recipe; return it with remarks on the chosen network and budget plan.

    clock: with the budget to fill; None to fill none. larger: a larger version of the network may fill it.
    """
    from foveola.runs.time_budget import deadline, fit_to_budget

    n_train, title = len(split.train), printable(prepared.dataset.name)
    found = resolve_defaults(tables, prepared.size, n_train, title, mirror_safe=prepared.dataset.mirror_safe)
    remarks = (found.remark,) if found.remark else ()
    if clock is None:
        return found.recipe, remarks
    assert clock.budget is not None, "there is a budget to fill"
    budget, tables = float(clock.budget), merge_tables(tables, {"model.name": found.recipe.model.name})
    forecast = fit_to_budget(budget, clock.started, tables, prepared, split, seed, name=title, sizes=larger)
    clock.predicted = forecast.seconds
    clock.deadline = deadline(forecast, budget, clock.started, n_train)
    return forecast.recipe, (*remarks, forecast.sentence(budget))
