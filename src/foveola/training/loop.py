"""The training loop: a generator that yields a row for every step and every epoch. The caller can stop after any row.

    for row in fit(model, train, val, spec, device=..., dtype=..., seed=...):
        if isinstance(row, EpochLog): ...      # write it to the log, keep the best weights, stop

With the same spec, data, seed, machine and number of threads, a CPU gives exactly the same rows. Random numbers (dropout)
depend on the seed, the epoch and the step. torch's own random state is unchanged whenever a row is yielded.

Batch norm normalises by the batch's own mean and variance in training and keeps a moving average of both, which it uses in
evaluation. If the average spans many steps, it belongs to older weights, and to activations with dropout. In the course's
networks it spans a hundred steps, so after a short epoch the validation accuracy is wrong by several points. Therefore
`recompute_statistics` renews it before a network in training is measured.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foveola.compute.device import autocast_context, tune_malloc
from foveola.compute.threads import Pace
from foveola.data.loader import Batches
from foveola.errors import DivergedError, UsageError
from foveola.evaluation.forward_pass import predict, split_batch
from foveola.evaluation.inputs import ALONE, Views
from foveola.models.accelerate import accelerated
from foveola.models.build import AnySize
from foveola.training.class_weights import balanced_weights, weighted_cross_entropy, weighted_measure
from foveola.training.config import FitSpec, scale, schedule
from foveola.training.history import EpochLog, Row, StepLog
from foveola.training.optim import make_optimizer


def fit(
    model: nn.Module,
    train: Batches,
    val: Batches | None,
    spec: FitSpec,
    *,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
    images_in: Callable[[int], int] | None = None,
    views: Views = ALONE,
) -> Iterator[Row]:
    """Train `model` in place on `train`; yield a StepLog a step and an EpochLog an epoch, measured on `val`. Without
    `val` its val_loss and val_accuracy are NaN.

    spec.epochs must be a number. images_in: called before each epoch with its number (from 1), returns the number of images
    in this epoch; train.epoch_size by default. Schedules depend on the share of epochs that are done: each epoch is the
    same share, however many images it has. views: of the predictions for val. Raises DivergedError at the first loss that is
    not finite, on train or val.
    """
    assert isinstance(spec.epochs, int), "the recipe's 'auto' is resolved before training"
    stepper = Stepper(model, spec, device, dtype, _class_weights(train, spec))
    step, shown = 0, 0
    with Pace(device.type) as pace:
        for epoch in range(1, spec.epochs + 1):
            n = images_in(epoch) if images_in else train.epoch_size
            steps = train.steps(n)
            total = step + steps * (spec.epochs + 1 - epoch)
            started = time.monotonic()
            loss_sum = torch.zeros((), dtype=torch.float64)
            right = torch.zeros((), dtype=torch.int64)
            stepper.train_mode()
            for number, (images, labels) in enumerate(train.window(shown, n)):
                step += 1
                done = ((epoch - 1) * steps + number) / (spec.epochs * steps)
                lr = spec.lr_peak * schedule(spec, done)
                share = scale(spec, done)
                with pace.unit(images.numel() * share**2):
                    value, logits = stepper.take(images, labels, lr, share, (seed, epoch, number))
                if not math.isfinite(value):
                    raise DivergedError(_divergence_advice(spec, dtype, value, epoch, step))
                loss_sum += value * len(labels)
                right += (logits.argmax(dim=1).cpu() == labels).sum()
                yield StepLog(epoch, step, total, value)
            trained, shown = time.monotonic(), shown + n
            share = scale(spec, epoch / spec.epochs)  # as in the steps that follow; whole images after the last epoch
            stepper.update_batch_norm(train, n, share, (seed, epoch, step))
            on_val = stepper.measure(val, share, views) if val is not None else (math.nan, math.nan)
            if val is not None and not math.isfinite(
                on_val[0]
            ):  # the last step caused it, after its own loss was computed
                raise DivergedError(_divergence_advice(spec, dtype, on_val[0], epoch, step))
            seconds = time.monotonic() - started, time.monotonic() - trained
            yield EpochLog(epoch, step, float(loss_sum) / n, int(right) / n, *on_val, lr, *seconds, share)


@dataclass
class Stepper:
    """Takes the training steps of a run: a network, its FitSpec, the optimizer's state, and the weights of the classes in
    the loss, float32 (K,), if they differ."""

    model: nn.Module
    spec: FitSpec
    device: torch.device
    dtype: torch.dtype
    class_weights: Tensor | None = None

    def __post_init__(self) -> None:
        tune_malloc()
        self._least_px = min_input_size(self.model, self.spec)
        self._optimizer = make_optimizer(self.model, self.spec, self.dtype)
        self._weights = None if self.class_weights is None else self.class_weights.to(self.device)

    def train_mode(self) -> None:
        """Set the network to training mode. Fine-tuning keeps batch norm in evaluation: its statistics stay pre-trained."""
        self.model.train()
        for layer in self.model.modules() if self.spec.finetune else ():
            if isinstance(layer, Norm):
                layer.eval()

    def take(
        self, images: Tensor, labels: Tensor, lr: float, share: float, key: tuple[int, int, int]
    ) -> tuple[float, Tensor]:
        """Take one step on a batch, with this learning rate, scale of the images and seed `key`; return loss and logits.

        If the loss is not finite, the weights stay as they are.
        """
        whole_px = images.shape[2] * images.shape[3]
        images = resize_batch(images, share, self._least_px)
        parts = self.spec.parts(len(images), images.shape[2] * images.shape[3] / whole_px)
        with _seeded(self.device, key), _single_values_named():
            loss, logits = _forward_backward(
                self.model, images.to(self.device), labels.to(self.device), self.spec, self.dtype, parts, self._weights
            )
        value = float(loss)
        if math.isfinite(value):
            self._optimizer.step(lr)
        return value, logits

    def update_batch_norm(self, train: Batches, shown: int, share: float, key: tuple[int, int, int]) -> None:
        """Compute the running statistics of batch norm for the current weights, after an epoch of `shown` images.

        key: seed, epoch and number of steps so far; it decides which training images are used.
        """
        norms = stale_norms(self.model, self.spec.batch_size, key[2])
        if norms:
            pixels = train.pixels.shape[1] * train.pixels.shape[2]
            images = train.drawn(images_needed(shown, pixels), key)
            images = resize_batch(images, share, self._least_px)
            recompute_statistics(norms, self.model, images, self.device, self.dtype, first=key[1] == 1)

    def measure(self, val: Batches, share: float, views: Views = ALONE) -> tuple[float, float]:
        """Loss and accuracy on val in these views, with images of this scale and the precision of the training; both with
        class weights if there are any.

        These numbers only choose the best epoch. The reported ones are measured on whole images in float32.
        """
        batches = ((resize_batch(images, share, self._least_px), labels) for images, labels in val.in_order())
        logits = torch.from_numpy(predict(self.model, batches, self.device, self.dtype, views=views))
        labels = torch.from_numpy(val.labels[val.rows])
        return weighted_measure(logits, labels, self.class_weights)


def _forward_backward(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    spec: FitSpec,
    dtype: torch.dtype,
    parts: int,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and logits of a batch, computed in parts; the gradients are stored in the parameters.

    The returned cross-entropy is without label smoothing, so that train and val can be compared in one figure.
    """
    answers = []
    for some, their_labels in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        with autocast_context(images.device, dtype), accelerated(model, images.device, dtype):
            logits = model(some)
        loss = weighted_cross_entropy(logits.float(), their_labels, weights, spec.label_smoothing)
        (loss * (len(some) / len(images)) if parts > 1 else loss).backward()
        answers.append(logits.detach().float())
    if parts == 1 and not spec.label_smoothing:
        return loss.detach(), answers[0]
    logits = torch.cat(answers)
    return weighted_cross_entropy(logits, labels, weights), logits


def _class_weights(train: Batches, spec: FitSpec) -> Tensor | None:
    """The weights of the classes by their training images; None if all images count the same."""
    if spec.class_weights == "none":
        return None
    return torch.from_numpy(balanced_weights(train.labels[train.rows], int(train.labels.max()) + 1)).float()


def resize_batch(images: Tensor, share: float, min_px: int) -> Tensor:
    """The batch at this scale, antialiased, uint8 (b, 3, H', W'); no side gets shorter than `min_px`."""
    if share == 1:
        return images
    height, width = (max(min(side, min_px), round(side * share)) for side in images.shape[2:])
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True)


def min_input_size(model: nn.Module, spec: FitSpec) -> int:
    """The smallest side in pixels that a network takes; 1 for a network that is made for one size.

    Raises UsageError when smaller images are asked for and the network is made for one size.
    """
    least = model.min_px if isinstance(model, AnySize) else None
    if least is None and spec.start_scale < 1:
        raise UsageError(
            f"fit.start_scale = {spec.start_scale:g} starts with smaller images, but this network takes only one image size: "
            "set fit.start_scale to 1"
        )
    return least or 1


Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

RECENT_IMAGES = 1000
"""A moving average over fewer images than this is recent enough. That of `fast` spans 312."""

NORM_SHARE, NORM_LEAST, NORM_PIXELS = 0.025, 16, 2**26
"""Number of images for new statistics: this share of an epoch's images, at least 16, and at most this many pixels in all.
Without a gradient an image costs a third of its time in training, so the share takes less than 1 % of an epoch's time."""

NORM_MANY = 256
"""From this many images on, new statistics replace the old ones. Statistics of fewer images are noisy, so the mean of old and
new is used."""


def stale_norms(model: nn.Module, batch_size: int, steps: int) -> list[Norm]:
    """The batch norms whose moving averages are out of date after N steps of training.

    Norms without a moving average, and norms in a frozen part of a network, are not included.
    """
    norms = [
        layer for layer in model.modules() if isinstance(layer, Norm) and layer.training and layer.track_running_stats
    ]
    return [norm for norm in norms if norm.momentum is not None and not _is_recent(norm.momentum, batch_size, steps)]


def _is_recent(momentum: float, batch_size: int, steps: int) -> bool:
    """Whether a moving average spans few images, and less than 1 % of it comes from its initial value."""
    return momentum > 0 and batch_size / momentum <= RECENT_IMAGES and (1 - momentum) ** steps <= 0.01


def images_needed(shown: int, pixels: int) -> int:
    """Number of images for new statistics after an epoch of `shown` images of `pixels` pixels each."""
    return min(max(NORM_LEAST, math.ceil(NORM_SHARE * shown)), max(1, NORM_PIXELS // pixels))


def recompute_statistics(
    norms: Sequence[Norm],
    model: nn.Module,
    images: Tensor,
    device: torch.device,
    dtype: torch.dtype,
    *,
    first: bool,
) -> None:
    """Compute the running statistics of these norms on `images`: uint8 (n, 3, H, W), from train, not augmented.

    first: whether this is the first time in this training. Then the old statistics contain the initial values, and are
    ignored. Meanwhile the other layers work as in evaluation, without dropout. Afterwards the network is in training mode.
    The method is "PreciseBN" of Y. Wu and J. Johnson, "Rethinking 'Batch' in BatchNorm" (2021, arXiv:2105.07576, section
    3): the mean over groups of images, with the weights as they are now.
    """
    before = [(norm.momentum, norm.num_batches_tracked, norm.running_mean, norm.running_var) for norm in norms]
    new = 1.0 if first or len(images) >= NORM_MANY else 0.5
    model.eval()
    try:
        for norm in norms:
            norm.train()
            norm.momentum = None  # the mean over all groups
            norm.running_mean, norm.running_var = _like(norm.running_mean), _like(norm.running_var)
            norm.num_batches_tracked = torch.zeros((), dtype=torch.long, device=device)
        with torch.no_grad(), autocast_context(device, dtype):
            for group in split_batch(images.to(device)):
                model(group)
    finally:
        for norm, (momentum, tracked, *old) in zip(norms, before, strict=True):
            for was, found in zip(old, (norm.running_mean, norm.running_var), strict=True):
                if was is not None and found is not None:
                    was.lerp_(found, new)
            norm.momentum, norm.num_batches_tracked, (norm.running_mean, norm.running_var) = momentum, tracked, old
        model.train()


def _like(statistics: Tensor | None) -> Tensor | None:
    return None if statistics is None else torch.zeros_like(statistics)


@contextlib.contextmanager
def _seeded(device: torch.device, key: tuple[int, int, int]) -> Iterator[None]:
    """Run a block with torch's random numbers seeded by `key`; afterwards the generators continue as before.

    This seeds the generators of the CPU and the device only. torch.manual_seed seeds those of absent devices, too: 0.4 ms.
    """
    seed = 0
    for part in key:
        seed = (seed * 1_000_003 + part) % (2**63 - 1)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        if device.type != "mps":
            yield
            return
        before = torch.mps.get_rng_state()
        torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            torch.mps.set_rng_state(before)


@contextlib.contextmanager
def _single_values_named() -> Iterator[None]:
    """Turn torch's batch norm error for a single value into a UsageError that names the settings."""
    try:
        yield
    except ValueError as refusal:
        if "more than 1 value per channel" not in str(refusal):
            raise
        raise UsageError(
            "a batch or micro-batch contains a single image, and batch norm needs more than one value per channel: set "
            "fit.batch_size, and fit.micro_batch_size if you use it, to 3 or more"
        ) from None


_USUAL_LR = {"adam": 0.01, "adamw": 0.01, "sgd": 1.0, "muon": 1.0}


def _divergence_advice(spec: FitSpec, dtype: torch.dtype, value: float, epoch: int, step: int) -> str:
    """The sentence about a loss that is not finite, with the setting that is the likely cause."""
    usual = _USUAL_LR[spec.optimizer]
    found = f"the loss became {value} in epoch {epoch}, step {step}"
    if spec.lr_peak <= usual and dtype != torch.float32:
        return f"{found}: fit.precision = {spec.precision!r} is the likely cause; try --set fit.precision=float32"
    advice = (
        f"try a tenth of it, --set fit.lr_peak={spec.lr_peak / 10:g}"
        if spec.lr_peak <= 10 * usual
        else f"try --set fit.lr_peak={usual / 10:g}"
    )
    return f"{found}: fit.lr_peak = {spec.lr_peak:g} is the likely cause; {advice}"
