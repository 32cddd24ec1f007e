"""The gradient of a convolution's weights by direct sums: torch's side of `loops.weights` and `loops.narrow`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from foveola.models.fused import loops


def weight_gradient(images: Tensor, dy: Tensor, shape: Sequence[int], padding: tuple[int, int]) -> Tensor:
    """The gradient of a convolution's weights, of this shape: (outputs, C, h, w), float32, channels-last.

    images: (b, C, H, W); dy: (b, outputs, H', W'), the gradient of what came out; both float32, channels-last.
    """
    run: Any = loops()
    n, inputs, height, width = images.shape
    outputs, _, *kernel = shape
    sums = torch.empty((run.GROUPS, outputs, *kernel, inputs))
    where = (images.data_ptr(), dy.data_ptr(), sums.data_ptr())
    run.add_weight_gradients(32, *where, n, height, width, inputs, outputs, *kernel, *padding)
    return sums.sum(0).permute(0, 3, 1, 2)


def narrow_gradients(
    images: Tensor,
    dy: Tensor,
    shape: Sequence[int],
    padding: tuple[int, int],
    back: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The same for maps of few channels, and the gradient of the bias, (outputs,).

    back: what came out, like dy, and factors of `norms.coefficients`, where dy still has to go back through the norm and ReLU
    behind it.
    """
    run: Any = loops()
    outputs, inputs, *kernel = shape
    padded = F.pad(images, (padding[1], padding[1], padding[0], padding[0]))
    padded = padded.contiguous(memory_format=torch.channels_last)
    sums, totals = torch.empty((run.CHUNKS, *kernel, inputs, outputs)), torch.empty((run.CHUNKS, outputs))
    where = (padded.data_ptr(), dy.data_ptr(), sums.data_ptr(), totals.data_ptr())
    each = 4 * run.narrow.ROWS * dy.shape[3] * outputs if back else 0
    memory = torch.empty(torch.get_num_threads() * each, dtype=torch.uint8)
    through = [one.data_ptr() for one in back] if back else [0, 0]
    sizes = *(padded.shape[k] for k in (0, 2, 3)), inputs, outputs, *kernel
    run.add_narrow_gradients(32, *where, *sizes, *through, memory.data_ptr(), each)
    return sums.sum(0).permute(3, 2, 0, 1), totals.sum(0)
