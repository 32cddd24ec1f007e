"""Measure the time of a training step, a prediction and a linear probe on this machine, to forecast a run."""

from __future__ import annotations

import itertools
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from foveola.data.loader import Batches
from foveola.evaluation.forward_pass import model_outputs, split_batch
from foveola.training.config import FitSpec, scale
from foveola.training.loop import Stepper

TIMED = 3
"""Number of timed repetitions. One more before them is not timed, because the first step prepares the convolutions."""

ENOUGH_SECONDS = 2.0
"""After this many seconds of timing one thing, fewer repetitions are enough."""

HEAD_EVALUATIONS = 130
"""The time to fit a linear probe with all sets of features and penalties (see `fit_linear_probe`), in evaluations of loss and
gradient in float64: 132 on 3,107 flowers in two views."""

CROSS_EVALUATIONS = 40
"""The same for all folds of `cross_fit` together, with one penalty: 38 on 3,453 flowers in two views."""


def step_seconds(
    model: nn.Module,
    train: Batches,
    spec: FitSpec,
    device: torch.device,
    dtype: torch.dtype,
    *,
    least_seconds: float = 0.0,
) -> dict[float, float]:
    """Seconds per training step, with reading and augmentation, for each scale of the images that `config.scale` gives.

    The scales are timed in turns, for at least `least_seconds`, because the speed of a shared machine changes by a third for
    half a minute at a time. This trains the network: don't use it afterwards.
    """
    stepper = Stepper(model, spec, device, dtype)
    batches = itertools.chain.from_iterable(train.epoch(number) for number in itertools.count(1))
    model.train()
    shares = sizes_of(spec)

    def step(share: float) -> None:
        images, labels = next(batches)
        stepper.take(images, labels, 0.0, share, (0, 0, 0))

    for share in shares:
        step(share)
    rounds: list[list[float]] = []
    began = time.perf_counter()
    while True:
        rounds.append([_seconds(lambda share=share: step(share)) for share in shares])  # type: ignore[misc]
        spent = time.perf_counter() - began
        if spent >= least_seconds and (len(rounds) >= TIMED or spent >= ENOUGH_SECONDS * len(shares)):
            # The mean, not the median: slow moments are a part of the run as well.
            return dict(zip(shares, map(statistics.fmean, zip(*rounds, strict=True)), strict=True))


def sizes_of(spec: FitSpec, begin: float = 0.0, end: float = 1.0) -> Counter[float]:
    """The share of a run, or of a part of it, at each scale of the images, in twentieths.

    >>> sizes_of(FitSpec(start_scale=0.5, whole_from=0.7))
    Counter({0.5: 8, 0.75: 6, 1.0: 6})
    """
    return Counter(scale(spec, begin + (end - begin) * (k + 0.5) / 20) for k in range(20))


def mean_step(seconds: Mapping[float, float], sizes: Counter[float]) -> float:
    """Mean seconds per step, from the seconds at each scale, weighted by the share of each scale in the run.

    A scale that was not timed, because it has less than a twentieth of the run, counts as the nearest one.

    >>> mean_step({0.5: 1.0, 1.0: 4.0}, Counter({0.5: 5, 1.0: 15}))
    3.25
    """
    nearest = {size: min(seconds, key=lambda timed: abs(timed - size)) for size in sizes}
    return sum(seconds[nearest[size]] * n for size, n in sizes.items()) / sizes.total()


def prediction_seconds(
    model: nn.Module,
    read: Callable[[Tensor], Tensor],
    batches: Iterator[tuple[Tensor, Tensor]],
    device: torch.device,
    dtype: torch.dtype,
) -> float:
    """Seconds per image for `read` (the network or a method of it) in a prediction.

    This times one batch of the size that a prediction uses; more images would give the same number.
    """
    images, labels = next(batches)
    some = split_batch(images.to(device))[0]
    return _median(lambda: list(model_outputs(model, read, [(some, labels)], device, dtype))) / len(some)


def head_seconds(rows: int, features: int, classes: int, evaluations: int = HEAD_EVALUATIONS) -> float:
    """Seconds to fit a linear head with all penalties, estimated from the time of its matrix products."""
    values, weight = np.ones((rows, features)), np.ones((features, classes))
    return evaluations * _median(lambda: (values @ weight).T @ values)


def _median(once: Callable[[], object]) -> float:
    once()
    seconds: list[float] = []
    while len(seconds) < TIMED and sum(seconds) < ENOUGH_SECONDS:
        seconds.append(_seconds(once))
    return statistics.median(seconds)


def _seconds(once: Callable[[], object]) -> float:
    started = time.perf_counter()
    once()
    return time.perf_counter() - started
