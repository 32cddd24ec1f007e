"""The one training loop: a generator that yields a row for every step and every epoch; whoever iterates decides.

    for row in fit(model, train, val, spec, device=..., dtype=..., seed=...):
        if isinstance(row, EpochRow): ...      # write it down, keep the best, stop

Same spec, data, seed, machine and number of threads: the same rows to the last bit. Random numbers (dropout) are drawn
from the seed and the epoch's number, and torch's own random state is as it was whenever a row is handed out.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn
from torch.nn import functional as F

from foveola.data.batches import Batches
from foveola.errors import DivergedError
from foveola.learning.device import Precision, mixed
from foveola.learning.optimizers import Adam, Group, Nesterov, Optimizer
from foveola.learning.predict import predict
from foveola.learning.rows import EpochRow, Row, StepRow

Count = Annotated[int, Ge(1), Le(1_000_000)]
Share = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True)
class FitSpec:
    """How to train.

    epochs: passes over train ("auto": chosen by the number of pictures); batch_size: pictures a step; optimizer: adam,
    adamw (decoupled weight decay) or sgd (Nesterov momentum); lr_peak: the highest learning rate; schedule: constant,
    cosine (down to 0) or one-cycle (straight up, straight down to 0); warmup_fraction: share of the steps on the way
    up; weight_decay: per step, in units of the learning rate; momentum: sgd's; label_smoothing: share of the target
    spread over all classes; norm_lr_scale: learning rate of batch norm's own parameters in lr_peaks; flip: mirror
    left-right; translate_px: shifts by up to this many pixels; patience: stop after so many epochs without a better
    val accuracy (0: never); precision: auto, float32 or bfloat16; device: auto, cpu, cuda, cuda:N or mps.
    """

    epochs: Count | Literal["auto"] = "auto"
    batch_size: Count = 64
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr_peak: Annotated[float, Gt(0)] = 1e-3
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    warmup_fraction: Share = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Share = 0.9
    label_smoothing: Share = 0.0
    norm_lr_scale: Annotated[float, Gt(0)] = 1.0
    flip: bool = True
    translate_px: Annotated[int, Ge(0), Le(64)] = 0
    patience: Annotated[int, Ge(0)] = 0
    precision: Precision = "auto"
    device: str = "auto"


def fit(
    model: nn.Module,
    train: Batches,
    val: Batches,
    spec: FitSpec,
    *,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
) -> Iterator[Row]:
    """Train `model` in place on `train`; yield a StepRow a step and an EpochRow an epoch, measured on `val`.

    spec.epochs must be a number by now. Raises DivergedError at the first loss that is not finite.
    """
    assert isinstance(spec.epochs, int), "the recipe's 'auto' is resolved before training"
    total = spec.epochs * len(train)
    optimizer = make_optimizer(model, spec)
    step = 0
    for epoch in range(1, spec.epochs + 1):
        started = time.monotonic()
        loss_sum = torch.zeros((), dtype=torch.float64)
        right = torch.zeros((), dtype=torch.int64)
        model.train()
        for number, (images, labels) in enumerate(train.epoch(epoch)):
            step += 1
            lr = spec.lr_peak * schedule(spec, (step - 1) / total)
            with _seeded(device, (seed, epoch, number)):
                loss, logits = _forward_backward(model, images.to(device), labels.to(device), spec, dtype)
            value = float(loss)
            if not math.isfinite(value):
                raise DivergedError(_blame(spec, dtype, value, epoch, step))
            optimizer.step(lr)
            loss_sum += value * len(labels)
            right += (logits.argmax(dim=1).cpu() == labels).sum()
            yield StepRow(epoch, step, total, value)
        val_loss, val_accuracy = _measure(model, val, device, dtype)
        n, seconds = len(train.rows), time.monotonic() - started
        yield EpochRow(epoch, step, float(loss_sum) / n, int(right) / n, val_loss, val_accuracy, lr, seconds)


def _forward_backward(
    model: nn.Module, images: Tensor, labels: Tensor, spec: FitSpec, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and logits of a batch; the gradients are left at the parameters.

    The cross-entropy that is handed out is the plain one, so that train and val can be compared in one figure.
    """
    with mixed(images.device, dtype):
        logits = model(images)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=spec.label_smoothing)
    loss.backward()
    logits = logits.detach().float()
    return F.cross_entropy(logits, labels) if spec.label_smoothing else loss.detach(), logits


def _measure(model: nn.Module, val: Batches, device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Loss and accuracy on val, at the precision of the training: this one only chooses, it is not reported."""
    logits = torch.from_numpy(predict(model, val.in_order(), device, dtype))
    labels = torch.from_numpy(val.labels[val.rows])
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(dim=1) == labels).double().mean())


def make_optimizer(model: nn.Module, spec: FitSpec) -> Optimizer:
    """The optimizer of the spec. Batch norm's parameters have no weight decay, and a learning rate of their own."""
    norms = [p for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for p in m.parameters()]
    norm_ids = {id(p) for p in norms}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in norm_ids]
    learning_norms: list[Tensor] = [p for p in norms if p.requires_grad]
    groups = [Group(list(others), spec.weight_decay), Group(learning_norms, 0.0, spec.norm_lr_scale)]
    if spec.optimizer == "sgd":
        return Nesterov(groups, spec.momentum)
    return Adam(groups, "gradient" if spec.optimizer == "adam" else "decoupled")


def schedule(spec: FitSpec, done: float) -> float:
    """The learning rate at a point of the run, in lr_peaks; `done` is the share of the steps taken, 0..1.

    >>> cosine = FitSpec(schedule="cosine", warmup_fraction=0.5)
    >>> [round(schedule(cosine, done), 2) for done in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.5, 1.0, 0.5]
    """
    warmup = spec.warmup_fraction
    if done < warmup:
        return done / warmup
    rest = (done - warmup) / (1 - warmup)
    if spec.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * rest))
    return 1 - rest if spec.schedule == "one-cycle" else 1.0


@contextlib.contextmanager
def _seeded(device: torch.device, key: tuple[int, int, int]) -> Iterator[None]:
    """Run a block with torch's random numbers drawn from `key`; afterwards they go on as before.

    0.2 ms a step (median of 200), against 30 ms and more for the step itself.
    """
    seed = 0
    for part in key:
        seed = (seed * 1_000_003 + part) % (2**63 - 1)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


_USUAL_LR = {"adam": 0.01, "adamw": 0.01, "sgd": 1.0}


def _blame(spec: FitSpec, dtype: torch.dtype, value: float, epoch: int, step: int) -> str:
    """The sentence for a loss that is not finite: it names the setting that is likely to blame."""
    usual = _USUAL_LR[spec.optimizer]
    found = f"the loss became {value} in epoch {epoch}, step {step}"
    if spec.lr_peak <= usual and dtype != torch.float32:
        return f"{found}: fit.precision = {spec.precision!r} is likely to blame; try --precision float32"
    advice = (
        f"try a tenth of it, --lr {spec.lr_peak / 10:g}" if spec.lr_peak <= 10 * usual else f"try --lr {usual / 10:g}"
    )
    return f"{found}: fit.lr_peak = {spec.lr_peak:g} is likely to blame; {advice}"
