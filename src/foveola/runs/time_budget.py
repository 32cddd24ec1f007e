"""Choose settings that fill a time budget, and end a run at a given time.

The recipe records the chosen numbers and not the budget, so anyone can repeat the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from foveola.compute.device import peak_memory_mb
from foveola.data.prepare import Prepared
from foveola.data.split import Split
from foveola.errors import UsageError
from foveola.evaluation.calibration import ENOUGH, FOLDS, MOST
from foveola.evaluation.forward_pass import averaged_over_views
from foveola.models.build import FeatureNetwork
from foveola.models.registry import MODELS
from foveola.recipes.defaults import resolve_defaults
from foveola.recipes.recipe import Recipe, merge_tables
from foveola.runs.trainer import Trainer
from foveola.text import show_time
from foveola.training.config import FitSpec
from foveola.training.features import are_features_cached, has_features
from foveola.training.timing import (
    CROSS_EVALUATIONS,
    head_seconds,
    mean_step,
    prediction_seconds,
    sizes_of,
    step_seconds,
)

CPU, FLOAT32 = torch.device("cpu"), torch.float32

CLOSING_SECONDS = 1.5
"""Weights, report and result of a run."""


@dataclass(frozen=True)
class StepCosts:
    """Seconds on this machine: of a pass over train and one over val, and of all that is not epochs.

    has_head: whether a head is fitted first, so that a run without epochs is one too; steps: seconds per step, by the
    images' size; before: what of `rest` comes before the epochs, features and head.
    """

    train: float
    val: float
    rest: float
    has_head: bool = False
    steps: Mapping[float, float] = field(default_factory=dict)
    before: float = 0.0


def measure_costs(trainer: Trainer, steps: Mapping[float, float]) -> StepCosts:
    """What a run like this one should cost, its steps known; the trainer's network changes: throw both away."""
    split = trainer.split
    learned = pass_seconds(trainer, steps)
    model, device, dtype = trainer.ready(), trainer.device, trainer.dtype
    predicted = prediction_seconds(model, model, trainer.batches(split.val).in_order(), device, dtype)
    before, after = _head_costs(trainer, model) if has_features(model) else (0.0, 0.0)
    rest = CLOSING_SECONDS + after
    # Test, and val for calibration, are predicted on the CPU in float32, in all views. Last: it moves the network there.
    read_all = averaged_over_views(model.cpu(), trainer.views)
    exact = prediction_seconds(model, read_all, trainer.batches(split.test).in_order(), CPU, FLOAT32)
    rest += exact * (len(split.test) + min(len(split.val), MOST))
    return StepCosts(learned, predicted * len(split.val), rest + before, has_features(model), steps, before)


def _head_costs(trainer: Trainer, model: nn.Module) -> tuple[float, float]:
    """Seconds for features and head before the epochs, and for the head's cross-validation after them."""
    assert isinstance(model, FeatureNetwork) and isinstance(model.head, nn.Linear), "only for networks with features"
    split, device, dtype, before = trainer.split, trainer.device, trainer.dtype, 0.0
    if not are_features_cached(trainer.prepared, model, device, dtype):
        batches = trainer.batches(split.train).in_order()
        before = 2 * len(trainer.prepared.pixels) * prediction_seconds(model, model.features, batches, device, dtype)
    rows = len(split.train) * (2 if trainer.recipe.fit.flip else 1)
    features, classes = model.head.in_features, model.head.out_features
    before += head_seconds(rows, features, classes)
    if len(split.val) >= ENOUGH:
        return before, 0.0
    return before, head_seconds(rows, features, FOLDS * classes, CROSS_EVALUATIONS)


def time_steps(trainer: Trainer, least_seconds: float = 0.0) -> dict[float, float]:
    """Seconds per step, by the images' size, timed for N seconds in all; the trainer's network learns from it."""
    model, device, dtype, fit = trainer.ready(), trainer.device, trainer.dtype, trainer.recipe.fit
    return step_seconds(model, trainer.train, fit, device, dtype, least_seconds=least_seconds)


def pass_seconds(trainer: Trainer, steps: Mapping[float, float]) -> float:
    """Seconds of a pass over train, of those that a step takes at each size."""
    return mean_step(steps, sizes_of(trainer.recipe.fit)) * len(trainer.train)


AIM = 0.96
"""What share of the budget the plan fills: what the machine does also makes runs longer, hardly ever shorter."""

MEASURED = 0.02
"""What share of the budget is spent on timing steps of the network that was chosen."""

LARGER_FROM = 7.0
"""Passes over train that must fit before foveola chooses a larger network."""

MOST_EPOCHS = 100
"""With more passes than this, an epoch has several of them, so that measuring on val does not cost more than training."""


class Forecast(NamedTuple):
    """What is planned, and what it should cost: seconds for the whole command, megabytes (10^6 bytes) at its peak."""

    recipe: Recipe
    passes: float
    seconds: float
    memory_mb: float | None
    costs: StepCosts

    def sentence(self, budget: float) -> str:
        """Return the line of the plan about the budget."""
        fit = self.recipe.fit
        memory = f" and {self.memory_mb:,.0f} MB of memory" if self.memory_mb else ""
        what = f"{self.recipe.model.name}, {self.passes:.1f} passes over the training set in {fit.epochs} epochs"
        if not fit.epochs:
            what = f"{self.recipe.model.name}, last layer only (no epoch of fine-tuning fits)"
        return f"budget {show_time(budget)}: {what}; expected: {show_time(self.seconds)} in total{memory}"


def deadline(found: Forecast, budget: float, started: float, n_train: int) -> Deadline:
    """What holds the run to the plan's end, while the machine changes its speed."""
    costs, batches = found.costs, math.ceil(n_train / found.recipe.fit.batch_size)
    return Deadline(
        started + max(AIM * budget, found.seconds),  # one epoch may use the margin up
        SLACK * budget,
        dict(costs.steps),
        n_train / batches,
        costs.val,
        costs.rest - costs.before,
        found.recipe.fit,
    )


def require_free(tables: Mapping[str, Any]) -> None:
    """Refuse a budget together with a number of epochs."""
    fit = tables.get("fit", {})
    for key in ("epochs", "epoch_images"):
        if fit.get(key, "auto") not in ("auto", None):
            raise UsageError(f"--budget and fit.{key} = {fit[key]} both set how long to train: give one of them")


def fit_to_budget(
    budget: float,
    started: float,
    tables: Mapping[str, Any],
    prepared: Prepared,
    split: Split,
    seed: int,
    *,
    name: str,
    sizes: bool,
) -> Forecast:
    """Choose a recipe that fills `budget` seconds, counted from `started` (time.monotonic()).

    tables name the network; with `sizes`, one of its `larger` versions may be chosen. name: what the data is called. Raises
    UsageError when not even one epoch fits.
    """
    n_train = len(split.train)

    def planned(recipe: Recipe, costs: StepCosts) -> Forecast:
        return _forecast(recipe, costs, n_train, budget, time.monotonic() - started)

    def trainer_of(model: str) -> Trainer:
        one = merge_tables(tables, {"model.name": model, "fit.epochs": 1})
        mirror_safe = prepared.dataset.mirror_safe
        recipe = resolve_defaults(one, prepared.size, n_train, name, mirror_safe=mirror_safe).recipe
        return Trainer(prepared, split, recipe, seed, Path())

    given = tables["model"]["name"]
    names = (given, *MODELS.entry(given).larger) if sizes else (given,)
    forecast, trainer = _largest(map(trainer_of, names), planned)
    costs = forecast.costs
    if forecast.passes >= LARGER_FROM:
        steps = time_steps(trainer, MEASURED * budget)
        costs = replace(costs, train=pass_seconds(trainer, steps), steps=steps)
    forecast = planned(forecast.recipe, costs)
    if forecast.passes < 1 and (forecast.recipe.fit.epochs or forecast.seconds > budget):
        raise _too_small(forecast.recipe, costs, n_train, budget, time.monotonic() - started)
    return forecast


def _largest(trainers: Iterator[Trainer], planned: Callable[[Recipe, StepCosts], Forecast]) -> tuple[Forecast, Trainer]:
    """The last of these runs, from small to large, that passes over train often enough; the first in any case."""
    first = next(trainers)
    found = planned(first.recipe, measure_costs(first, time_steps(first))), first
    # The next size costs about three times as much: it is not worth measuring where it can't fit.
    while found[0].passes >= 3 * LARGER_FROM and (larger := next(trainers, None)) is not None:
        steps = time_steps(larger)
        # With the time per prediction of the smaller size: timing its own can take longer than its steps.
        at_best = replace(found[0].costs, train=pass_seconds(larger, steps))
        if planned(larger.recipe, at_best).passes < LARGER_FROM:
            break
        forecast = planned(larger.recipe, measure_costs(larger, steps))
        if forecast.passes < LARGER_FROM:
            break
        found = forecast, larger
    return found


def expected_seconds(trainer: Trainer) -> float:
    """What a planned run should take in all, by a few steps of a network like its own."""
    epochs, costs = _planned_costs(trainer)
    return costs.rest + epochs * (costs.train + costs.val)


def epochs_within(trainer: Trainer, seconds: float, least: int = 1) -> tuple[int, float]:
    """How many of the planned epochs fit this time, and what these should take; 0 and the time of the least if fewer fit."""
    epochs, costs = _planned_costs(trainer)
    epoch = costs.train + costs.val
    fit = min(epochs, int(max(0.0, seconds - costs.rest) / epoch))
    if fit < min(least, epochs):
        return 0, costs.rest + min(least, epochs) * epoch
    return fit, costs.rest + fit * epoch


def _planned_costs(trainer: Trainer) -> tuple[int, StepCosts]:
    """The number of epochs of a planned run and what they cost; `train` is that of an average epoch."""
    like = Trainer(trainer.prepared, trainer.split, trainer.recipe, trainer.seed, Path())
    fit = trainer.recipe.fit
    assert isinstance(fit.epochs, int), "a planned run has a number of epochs"
    costs = measure_costs(like, time_steps(like) if fit.epochs else {1.0: 0.0})
    given, size = fit.epoch_images, like.train.epoch_size
    passes = sum(given) / size / fit.epochs if isinstance(given, list) else 1.0
    return fit.epochs, replace(costs, train=passes * costs.train)


def _forecast(recipe: Recipe, costs: StepCosts, n_train: int, budget: float, spent: float) -> Forecast:
    free = AIM * budget - spent - costs.rest
    epochs = min(MOST_EPOCHS, math.ceil(free / (costs.train + costs.val))) if free > 0 else 1
    # Where val costs more than train it is measured less often.
    while epochs > 1 and free - epochs * costs.val < costs.train:
        epochs -= 1
    passes = (free - epochs * costs.val) / costs.train
    seconds = spent + costs.rest + epochs * costs.val + passes * costs.train
    if passes < 1:
        # One epoch may just not fit with the margin, but without it.
        epochs, passes = 1, (free + (1 - AIM) * budget - costs.val) / costs.train
        passes = 1.0 if passes >= 1 else passes
        seconds = spent + costs.rest + costs.val + passes * costs.train
    fit = replace(recipe.fit, epochs=epochs, epoch_images=round(max(1.0, passes) * n_train / epochs))
    if passes < 1 and costs.has_head:
        fit, seconds = replace(recipe.fit, epochs=0, finetune=False), spent + costs.rest
    return Forecast(replace(recipe, fit=fit), passes, seconds, peak_memory_mb(), costs)


def _too_small(recipe: Recipe, costs: StepCosts, n_train: int, budget: float, spent: float) -> UsageError:
    epoch, around = costs.train + costs.val, spent + costs.rest
    what = f"one epoch of {recipe.model.name} on {n_train:,} images takes {show_time(math.ceil(epoch))} here"
    if not recipe.fit.epochs:
        what, epoch = f"only the last layer of {recipe.model.name} on {n_train:,} images could fit", 0.0
    least = 5 * math.ceil((around + epoch) / AIM / 5)
    return UsageError(
        f"a budget of {show_time(budget)} is too small: {what}, and reading, measuring and the report take "
        f"{show_time(math.ceil(around))}: give --budget {show_time(least)} or more"
    )


SLACK = 0.02
"""By less than this share of the budget the end may lie off before anything is changed."""

RECENT = 3
"""The last N epochs say how fast the machine is."""

SHORTEST, LONGEST = 1 / 3, 3.0
"""An epoch can become this many times as long as planned, at least and at most."""


@dataclass
class Deadline:
    """When a run should end, what its epochs should cost, and what they did.

    end: monotonic seconds; slack, val, rest: seconds, of what may be off, of a pass over val, of what follows the epochs;
    steps: seconds per step, by the images' size; step_images: how many images such a step had; spec: with the number of
    epochs.
    """

    end: float
    slack: float
    steps: dict[float, float]
    step_images: float
    val: float
    rest: float
    spec: FitSpec
    factor: float = 1.0
    _asked: float = 0.0
    _expected: list[float] = field(default_factory=list)
    _took: list[float] = field(default_factory=list)

    def images(self, epoch: int, planned: int) -> int:
        """How many images the epoch (from 1) shows, where N were planned for each; asked as each begins."""
        assert isinstance(self.spec.epochs, int), "a planned run has a number of epochs"
        now, speed = time.monotonic(), 1.0
        if epoch > 1:
            self._took.append(now - self._asked)
            speed = max(sum(self._took[-RECENT:]) / sum(self._expected[-RECENT:]), 1e-9)
        left = range(epoch, self.spec.epochs + 1)
        trained, around = sum(self._trained(one, planned) for one in left), self.val * len(left) + self.rest
        off = now + speed * (self.factor * trained + around) - self.end
        if abs(off) > self.slack:  # before the first epoch, too: features and head may have taken longer than planned
            wanted = (self.end - now - speed * around) / (speed * trained)
            self.factor = min(max(wanted, SHORTEST), LONGEST)
        self._asked = now
        n = max(min(planned, self.spec.batch_size), round(planned * self.factor))
        self._expected.append(self._trained(epoch, n) + self.val)
        return n

    def _trained(self, epoch: int, images: int) -> float:
        """Seconds that the epoch's steps should take."""
        epochs = self.spec.epochs
        assert isinstance(epochs, int)
        sizes = sizes_of(self.spec, (epoch - 1) / epochs, epoch / epochs)
        return mean_step(self.steps, sizes) * images / self.step_images
