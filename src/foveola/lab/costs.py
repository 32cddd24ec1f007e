"""What a run should cost on this machine, by a few steps and answers of a network like its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from foveola.lab.calibration import ENOUGH, FOLDS, MOST
from foveola.lab.features import features_kept, has_features
from foveola.lab.training import Session
from foveola.learning.predict import averaged
from foveola.learning.timing import (
    CROSS_EVALUATIONS,
    answer_seconds,
    head_seconds,
    mean_step,
    sizes_of,
    step_seconds,
)
from foveola.models.bottlenecks import own_bottlenecks

CPU, FLOAT32 = torch.device("cpu"), torch.float32

CLOSING_SECONDS = 1.5
"""Weights, report and result of a run."""


@dataclass(frozen=True)
class Costs:
    """Seconds on this machine: of a pass over train and one over val, and of all that is not epochs.

    has_head: whether a head is fitted first, so that a run without epochs is one too; steps: seconds a step, by the
    pictures' size; before: what of `rest` comes before the epochs, features and head.
    """

    train: float
    val: float
    rest: float
    has_head: bool = False
    steps: Mapping[float, float] = field(default_factory=dict)
    before: float = 0.0


def measure(session: Session, steps: Mapping[float, float]) -> Costs:
    """What a run like this one should cost, its steps known; the session's network changes: throw both away."""
    n, split = len(session.prepared.pixels), session.split
    learned = pass_seconds(session, steps)
    model, device, dtype, spec = session.ready(), session.device, session.dtype, session.recipe.fit
    answer = answer_seconds(model, model, session.batches(split.val).in_order(), device, dtype)
    rest, before = CLOSING_SECONDS, 0.0
    if has_features(model):
        read, head = model.features, model.head
        if not features_kept(session.prepared, model, device, dtype):
            batches = session.batches(split.train).in_order()
            with own_bottlenecks(2 * n):
                before += 2 * n * answer_seconds(model, read, batches, device, dtype)  # type: ignore[arg-type]
        rows = len(split.train) * (2 if spec.flip else 1)
        features, classes = int(head.in_features), int(head.out_features)  # type: ignore[union-attr, arg-type]
        before += head_seconds(rows, features, classes)
        if len(split.val) < ENOUGH:
            rest += head_seconds(rows, features, FOLDS * classes, CROSS_EVALUATIONS)
    # Test, and val for calibration, are answered on the processor in float32, in all views. Last: it moves the network there.
    read_all = averaged(model.cpu(), session.views)
    with own_bottlenecks(len(split.test)):
        exact = answer_seconds(model, read_all, session.batches(split.test).in_order(), CPU, FLOAT32)
    rest += exact * (len(split.test) + min(len(split.val), MOST))
    return Costs(learned, answer * len(split.val), rest + before, has_features(model), steps, before)


def time_steps(session: Session, least_seconds: float = 0.0) -> dict[float, float]:
    """Seconds a step, by the pictures' size, timed for so many seconds in all; the session's network learns from it."""
    model, device, dtype, fit = session.ready(), session.device, session.dtype, session.recipe.fit
    return step_seconds(model, session.train, fit, device, dtype, least_seconds=least_seconds)


def pass_seconds(session: Session, steps: Mapping[float, float]) -> float:
    """Seconds of a pass over train, of those that a step takes at each size."""
    return mean_step(steps, sizes_of(session.recipe.fit)) * len(session.train)
