"""The one evaluation pass: a network and batches in, logits (or features) out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveola.learning.device import mixed


def predict(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    *,
    flips: bool = False,
) -> NDArray[np.float32]:
    """Logits float32 (n, K), in the order of the batches; the network is left in the mode it came in.

    float32 by default: numbers that are reported shall not depend on a processor's short formats. With `flips` they are
    the mean of the picture's and its mirror image's, for twice the time.
    """

    def both(images: Tensor) -> Tensor:
        one: Tensor = model(images).float()
        return one.add(model(images.flip(3)).float()).div(2)

    return np.concatenate(list(outputs(model, both if flips else model, batches, device, dtype)))


def outputs(
    model: nn.Module,
    read: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    dtype: torch.dtype,
    *,
    mirrored: bool = False,
) -> Iterator[NDArray[np.float32]]:
    """What `read`, the network itself or a method of it, gives for each batch in eval mode: float32 (b, ...)."""
    training = model.training
    model.eval()
    try:
        for images, _ in batches:
            with torch.inference_mode(), mixed(device, dtype):
                images = images.to(device, non_blocking=True)
                out = read(images.flip(3) if mirrored else images)
            yield out.float().cpu().numpy()
    finally:
        model.train(training)
