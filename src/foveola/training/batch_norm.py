"""Recompute the running statistics of batch norm before a network in training is measured.

In training, batch norm normalises by the batch's own mean and variance and keeps a moving average of both. In evaluation it
uses that average. Where the average spans many steps it belongs to weights of long ago, and to activations with dropout:
in the course's networks it spans a hundred steps, so that after a short epoch every validation accuracy is far off.
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
"""A moving average over fewer images than this is recent enough: that of `fast` spans 312."""

SHARE, LEAST, MOST_PIXELS = 0.025, 16, 2**26
"""Images to settle with: this share of those that an epoch shows, at least 16, and at most N pixels in all. Without
its gradient an image costs a third of a training step, so that the share takes less than a hundredth of an epoch's time."""

MANY = 256
"""From this many images on, new statistics replace the old ones. Those of fewer are noisy: they go half into the old."""


def layers_to_settle(model: nn.Module, batch_size: int, steps: int) -> list[Norm]:
    """The batch norms whose moving averages don't fit the weights after N steps of a training.

    Norms without a moving average, and those that don't learn one now (a frozen part of a network), are not among them.
    """
    norms = [one for one in model.modules() if isinstance(one, Norm) and one.training and one.track_running_stats]
    return [one for one in norms if one.momentum is not None and not _recent(one.momentum, batch_size, steps)]


def _recent(momentum: float, batch_size: int, steps: int) -> bool:
    """Whether a moving average spans few images, and less than a hundredth of it is what it began with."""
    return momentum > 0 and batch_size / momentum <= RECENT and (1 - momentum) ** steps <= 0.01


def images_needed(shown: int, pixels: int) -> int:
    """With how many images to settle after an epoch that has shown N, each of N pixels."""
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
    """Move the running statistics of these norms to those of `images`: uint8 (n, 3, H, W), from train, not augmented.

    first: they were never settled before, so that the old ones are partly what a norm begins with, and count for nothing.
    The other layers work as in evaluation meanwhile, without dropout; afterwards the network is in training mode. The method
    is "PreciseBN" of Y. Wu and J. Johnson, "Rethinking 'Batch' in BatchNorm" (2021, arXiv:2105.07576, section 3): the mean
    over groups of images, with the weights as they are now.
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
