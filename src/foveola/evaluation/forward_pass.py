"""Forward pass for evaluation: a network and batches in, logits (or features) out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from foveola.compute.device import autocast_context, tune_malloc
from foveola.compute.threads import Pace
from foveola.evaluation.inputs import ALONE, Views

PIXELS_AT_ONCE = 2**18
"""Pixels in one forward pass on a CPU: four images of 256x256, or 256 of 32x32.

The activations then fit into the caches, and stay below the size at which the C library allocates new pages each time
(see `compute.device`). Milliseconds per image, measured in turns, n = 8: `transfer` on 256x256 takes 20.4 with 4 images and
27.5 with 32; `fast_m` on 32x32 takes 1.25 with 256 images and 1.44 with 1,000.
"""


def predict(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    *,
    views: Views = ALONE,
    pace: Pace | None = None,
) -> NDArray[np.float32]:
    """Logits float32 (n, K), in the order of the batches; the network keeps its mode (train or eval).

    dtype: float32 by default, so that reported numbers do not depend on the processor's support for shorter formats. pace:
    the measurement to continue, if this call is a part of a longer work.
    """
    return np.concatenate(
        list(model_outputs(model, averaged_over_views(model, views), batches, device, dtype, pace=pace))
    )


def averaged_over_views(model: nn.Module, views: Views) -> Callable[[Tensor], Tensor]:
    """The network's logits for uint8 images (b, 3, H, W), averaged over the views."""

    def mirrored_too(images: Tensor) -> Tensor:
        one: Tensor = model(images).float()
        return one.add(model(images.flip(3)).float()).div(2) if views.flips else one

    def moved_too(images: Tensor) -> Tensor:
        reach, (height, width) = views.shift_px, images.shape[2:]
        # torch can't pad uint8 by reflection; the values 0..255 are the same in float32.
        wide = F.pad(images.float(), (reach,) * 4, mode="reflect").to(torch.uint8)
        corners = (0, 2 * reach)
        moved = [wide[:, :, k : k + height, k : k + width] for k in corners]
        others = [mirrored_too(some.contiguous(memory_format=torch.channels_last)) for some in moved]
        return mirrored_too(images).div(2).add(torch.stack(others).mean(dim=0).div(2))

    return moved_too if views.shift_px else mirrored_too


def model_outputs(
    model: nn.Module,
    read: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    dtype: torch.dtype,
    *,
    mirrored: bool = False,
    pace: Pace | None = None,
) -> Iterator[NDArray[np.float32]]:
    """The outputs of `read` (the network or a method of it) for each batch in eval mode: float32 (b, ...).

    pace: as for `predict`.
    """
    tune_malloc()
    training = model.training
    model.eval()
    try:
        with Pace(device.type) if pace is None else nullcontext(pace) as measured:
            for images, _ in batches:
                with torch.inference_mode(), autocast_context(device, dtype):
                    images = images.to(device)
                    some = split_batch(images.flip(3) if mirrored else images)
                    out = torch.cat([_measured(read, part, measured) for part in some])
                yield out.float().cpu().numpy()
    finally:
        model.train(training)


def _measured(read: Callable[[Tensor], Tensor], images: Tensor, pace: Pace) -> Tensor:
    with pace.unit(len(images)):
        return read(images)


def split_batch(images: Tensor) -> Sequence[Tensor]:
    """Split a batch for the forward pass: on a CPU into parts of about PIXELS_AT_ONCE pixels; on a GPU not at all."""
    if images.device.type != "cpu":
        return (images,)
    few: Sequence[Tensor] = images.split(max(1, PIXELS_AT_ONCE // (images.shape[2] * images.shape[3])))
    return few
