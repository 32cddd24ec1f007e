"""Convolutions of 3x3 taps in a quarter of the multiplications: tensors in and out of `compiled.winograd_conv`."""

from __future__ import annotations

import torch
from torch import Tensor

from foveola_kernels.availability import kernels

SIDE, LEAST_PIXELS = 4, 16
"""A tile's side, and the smallest output, in pixels, for which the transforms are worth their time."""

MANY = 64 * 64
"""From this many pairs of channels on, fewer shares of the images are faster: the sums of every share must be added up."""


def pays(rows: int, columns: int) -> bool:
    """Whether an output of this size is computed faster this way: tiles at least half full, at least one of them full.

    >>> [side for side in range(1, 12) if pays(side, side)]
    [4, 6, 7, 8, 9, 10, 11]
    """
    tiles = -(-rows // SIDE) * -(-columns // SIDE)
    return rows * columns >= max(LEAST_PIXELS, tiles * SIDE**2 / 2)


def convolve(images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
    """torch's conv2d but for rounding: (b, outputs, H + 2 padding - 2, W + 2 padding - 2), channels-last.

    images: (b, C, H, W), channels-last; weight: (outputs, C, 3, 3); bias: (outputs,); all float32, C and outputs multiples of
    8. A negative padding leaves out pixels at the border.
    """
    return _convolved(images, weight, bias, padding)[0]


def convolve_with_sums(
    images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], *, norm: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The same, and the sums that `layers.statistics` needs, float32 (3, strips, outputs).

    norm: scale and offset, (2, C), of a ReLU and batch norm that are applied first: relu(images) * scale + offset.
    """
    return _convolved(images, weight, bias, padding, norm=norm, adding=True)


def image_gradient(dy: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    """The gradient of the input: the convolution of dy, (b, outputs, H', W'), with the taps rotated by 180 degrees."""
    return _convolved(dy, weight.transpose(0, 1), None, (2 - padding[0], 2 - padding[1]), turned=True)[0]


def image_gradient_with_sums(
    dy: Tensor, weight: Tensor, padding: tuple[int, int], *, z: Tensor, mean: Tensor
) -> tuple[Tensor, Tensor]:
    """The same if the input was the batch norm, with this mean, (C,), of relu(z); and sums, float32 (2, strips, C).

    These are sums of the gradient, and of its products with relu(z) - mean, which `layers.coefficients` needs.
    """
    turned = 2 - padding[0], 2 - padding[1]
    out, added = _convolved(dy, weight.transpose(0, 1), None, turned, turned=True, adding=True, before_norm=(z, mean))
    return out, added[1:]


def _convolved(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: tuple[int, int],
    *,
    turned: bool = False,
    norm: Tensor | None = None,
    adding: bool = False,
    before_norm: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    n, inputs, height, width = images.shape
    outputs, panel = len(weight), _panel(len(weight))
    shape = n, outputs, height + 2 * padding[0] - 2, width + 2 * padding[1] - 2
    out = torch.empty(shape, memory_format=torch.channels_last)
    bias = torch.zeros(outputs) if bias is None else bias.contiguous()
    taps = weight.permute(2, 3, 0, 1).reshape(9, outputs // panel, panel, inputs).transpose(2, 3)
    taps, values = taps.contiguous(), torch.empty((36, outputs * inputs))
    kernels().spread_taps(32, taps.data_ptr(), values.data_ptr(), outputs * inputs, int(turned))
    where = images.data_ptr(), values.data_ptr(), bias.data_ptr(), out.data_ptr()
    memory, each = _memory(shape[2], shape[3], inputs, outputs)
    added = torch.empty((3, n * kernels().winograd_strips.cut_of(*shape[2:])[0], outputs) if adding else 0)
    fused = _address(norm), added.data_ptr(), *((one.data_ptr() for one in before_norm) if before_norm else (0, 0))
    kernels().convolve(32, *where, n, height, width, inputs, outputs, *padding, panel, memory.data_ptr(), each, *fused)
    return out, added


def _memory(rows: int, columns: int, inputs: int, outputs: int) -> tuple[Tensor, int]:
    """The memory that all threads work in, uint8, and the bytes of each thread."""
    each = kernels().winograd_strips.memory_of(rows, columns, inputs, outputs)
    return torch.empty(torch.get_num_threads() * each, dtype=torch.uint8), each


def gradients(
    images: Tensor, dy: Tensor, padding: tuple[int, int], *, norm: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The gradients of the weights, (outputs, C, 3, 3), channels-last, and of the bias, (outputs,).

    images: (b, C, H, W); dy: (b, outputs, H', W'); both channels-last. norm: as for `convolve_with_sums`.
    """
    run = kernels()
    n, inputs, height, width = images.shape
    outputs = dy.shape[1]
    shares = 4 if inputs * outputs <= MANY else 2
    sums, totals = torch.empty((shares, 36, outputs * inputs)), torch.empty((shares, outputs))
    where = images.data_ptr(), dy.data_ptr(), sums.data_ptr()
    memory, each = _memory(dy.shape[2], dy.shape[3], inputs, outputs)
    sizes = n, height, width, inputs, outputs, *padding, shares
    run.add_gradients_3x3(32, *where, *sizes, totals.data_ptr(), memory.data_ptr(), each, _address(norm))
    taps = torch.empty((outputs, 3, 3, inputs))
    run.gather_taps(32, sums.data_ptr(), taps.data_ptr(), shares, outputs, inputs)
    return taps.permute(0, 3, 1, 2), totals.sum(0)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _panel(outputs: int) -> int:
    """How many outputs are multiplied at once."""
    return next(wide for wide in (16, 24, 8) if outputs % wide == 0)
