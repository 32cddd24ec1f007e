"""Recompute the running statistics of batch norm before a network in training is measured.

In training, batch norm normalises by the batch's own mean and variance and keeps a moving average of both. In evaluation it
uses that average. If the average spans many steps, it belongs to older weights, and to activations with dropout. In the
course's networks it spans a hundred steps, so after a short epoch the validation accuracy is wrong by several points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from foveola.compute.device import autocast_context
from foveola.evaluation.predict import split_batch

Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

RECENT = 1000
"""A moving average over fewer images than this is recent enough. That of `fast` spans 312."""

SHARE, LEAST, MOST_PIXELS = 0.025, 16, 2**26
"""Number of images for new statistics: this share of an epoch's images, at least 16, and at most this many pixels in all.
Without a gradient an image costs a third of its time in training, so the share takes less than 1 % of an epoch's time."""

MANY = 256
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
    return momentum > 0 and batch_size / momentum <= RECENT and (1 - momentum) ** steps <= 0.01


def images_needed(shown: int, pixels: int) -> int:
    """Number of images for new statistics after an epoch of `shown` images of `pixels` pixels each."""
    return min(max(LEAST, math.ceil(SHARE * shown)), max(1, MOST_PIXELS // pixels))


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
    new = 1.0 if first or len(images) >= MANY else 0.5
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
