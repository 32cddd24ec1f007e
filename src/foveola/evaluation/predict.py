"""The one evaluation pass: a network and batches in, logits (or features) out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from foveola.compute.device import autocast_context
from foveola.compute.memory import tune_malloc
from foveola.compute.threads import Pace
from foveola.evaluation.views import ALONE, Views

PIXELS_AT_ONCE = 2**18
"""So many pixels are answered at a time by a processor: four pictures of 256x256, 256 of 32x32.

What lies between two layers then stays near, and below the size at which the C library takes new pages for it each time
(see `memory`). Milliseconds a picture, in turns, n = 8: `transfer` on 256x256 20.4 by fours, 27.5 by 32; `fast_m` on 32x32
1.25 by 256, 1.44 by 1,000.
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
    """Logits float32 (n, K), in the order of the batches; the network is left in the mode it came in.

    float32 by default: numbers that are reported shall not depend on a processor's short formats. pace: what measures the
    work, where this call is a part of a longer one.
    """
    return np.concatenate(
        list(model_outputs(model, averaged_over_views(model, views), batches, device, dtype, pace=pace))
    )


def averaged_over_views(model: nn.Module, views: Views) -> Callable[[Tensor], Tensor]:
    """The network's logits for uint8 pictures (b, 3, H, W), averaged over the views."""

    def mirrored_too(images: Tensor) -> Tensor:
        one: Tensor = model(images).float()
        return one.add(model(images.flip(3)).float()).div(2) if views.flips else one

    def moved_too(images: Tensor) -> Tensor:
        reach, (height, width) = views.shift_px, images.shape[2:]
        # Padding by reflection is not there for uint8; the numbers 0..255 are the same in float32.
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
    """What `read`, the network itself or a method of it, gives for each batch in eval mode: float32 (b, ...).

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
    """The parts of a batch that are predicted one by one: about PIXELS_AT_ONCE on a processor, else the whole batch."""
    if images.device.type != "cpu":
        return (images,)
    few: Sequence[Tensor] = images.split(max(1, PIXELS_AT_ONCE // (images.shape[2] * images.shape[3])))
    return few
