"""The one evaluation pass: a network and batches in, logits out."""

from __future__ import annotations

from collections.abc import Iterable

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
    training = model.training
    model.eval()
    out = []
    try:
        with torch.inference_mode(), mixed(device, dtype):
            for images, _ in batches:
                images = images.to(device, non_blocking=True)
                logits = model(images).float()
                out.append((logits + model(images.flip(3)).float()).div(2).cpu() if flips else logits.cpu())
    finally:
        model.train(training)
    return torch.cat(out).numpy()
