"""Convolutions in training: Winograd's algorithm for 3x3 taps, direct sums for the gradient of other kernels' weights.

They are used where they are faster than torch's: in float32 on processors with AVX2 and without AVX-512. The results are
torch's but for the rounding of float32. With 3x3 taps the error is about twice that of torch's (docs/why/speed.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import record_function

from foveola.models.layers import ConvSame
from foveola_kernels import winograd
from foveola_kernels.availability import kernels

LEAST_PIXELS, LEAST_TAPS = 25, 9
"""Torch computes smaller maps and kernels: they are too little work for a tile (docs/why/speed.md)."""

PROFILER_NAMES = ("foveola::convolution", "foveola::convolution_images", "foveola::convolution_weights")
"""Names of the forward pass and the two gradients in torch's profiler."""

_ON: ContextVar[bool] = ContextVar("_ON", default=False)


def are_convolutions_faster(dtype: torch.dtype) -> bool:
    """Whether these convolutions are faster than torch's for this type on this processor."""
    return dtype == torch.float32 and is_avx2_only()


def is_avx2_only() -> bool:
    """Whether torch computes with AVX2 and without AVX-512; the environment's ATEN_CPU_CAPABILITY may say so."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


@contextlib.contextmanager
def convolutions_on(wanted: bool) -> Iterator[None]:
    """Whether `conv2d`, `uses_winograd` and `is_rgb_conv` may choose these convolutions in this block."""
    token = _ON.set(wanted)
    try:
        yield
    finally:
        _ON.reset(token)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d`, computed here where `is_supported` allows it and by torch elsewhere."""
    if isinstance(padding, str) or groups != 1 or not (_pair(stride) == _pair(dilation) == (1, 1)):
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    supported = _ON.get() and is_supported(input, weight, _pair(padding))
    if not supported or (bias is not None and bias.dtype != weight.dtype):
        return F.conv2d(input, weight, bias, padding=padding)
    out: Tensor = _Convolution.apply(input, weight, bias, _pair(padding), False)  # type: ignore[no-untyped-call]
    return out


def uses_winograd(layer: nn.Conv2d, images: Sequence[int]) -> bool:
    """Whether Winograd's algorithm computes this layer for float32 images (b, C, H, W): 3x3 taps, padded by 1."""
    return (
        _same(layer, images)
        and tuple(layer.kernel_size) == (3, 3)
        and _fits_winograd(images, layer.weight.shape, (1, 1))
    )


def is_rgb_conv(layer: nn.Conv2d, images: Sequence[int]) -> bool:
    """Whether this layer has few input channels and keeps the size of float32 images (b, C, H, W)."""
    return (
        _same(layer, images)
        and not uses_winograd(layer, images)
        and _fits_rgb_conv(images, layer.weight.shape, _half(layer))
    )


def _same(layer: nn.Conv2d, images: Sequence[int]) -> bool:
    """Whether this layer has stride 1, keeps the size, and may be computed here."""
    if not (_ON.get() and _learns(images, layer.weight) and layer.kernel_size[0] % 2 == layer.kernel_size[1] % 2 == 1):
        return False
    plain = layer.stride == layer.dilation == (1, 1) and layer.groups == 1
    zeros = layer.padding_mode == "zeros" and layer.padding == _half(layer)
    padded = isinstance(layer, ConvSame) or zeros
    return plain and padded and (layer.bias is None or layer.bias.dtype == torch.float32)


def _half(layer: nn.Conv2d) -> tuple[int, int]:
    return layer.kernel_size[0] // 2, layer.kernel_size[1] // 2


def conv_with_bn_stats(layer: nn.Conv2d, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """The layer's output, and the sums that batch norm needs of it; None in their place without `uses_winograd`."""
    if images.dtype != torch.float32 or not uses_winograd(layer, images.shape):
        return layer(images), None
    out: tuple[Tensor, Tensor] = _Convolution.apply(images, layer.weight, layer.bias, (1, 1), True)  # type: ignore[no-untyped-call]
    return out


def is_supported(images: Tensor, weight: Tensor, padding: tuple[int, int]) -> bool:
    """Whether this convolution can be computed here: images (b, C, H, W), weight (outputs, C, h, w), stride 1, one group."""
    if images.dtype != torch.float32 or not _learns(images.shape, weight):
        return False
    return any(way(images.shape, weight.shape, padding) for way in (_fits_winograd, _fits_direct_sums, _fits_rgb_conv))


def _learns(images: Sequence[int], weight: Tensor) -> bool:
    """Whether float32 weights need a gradient from images of this shape."""
    learns = torch.is_grad_enabled() and weight.requires_grad and weight.dtype == torch.float32
    return learns and len(images) == 4 and images[1] == weight.shape[1]


def _fits_winograd(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether forward and backward are computed by `winograd`."""
    sides = _sides(images, weight, padding)
    whole = weight[0] % 8 == weight[1] % 8 == 0 and tuple(weight[2:]) == (3, 3)
    return whole and min(sides) > 0 and winograd.pays(*sides)


def _fits_direct_sums(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether the gradient of the weights is computed by `weight_gradient`."""
    sides = _sides(images, weight, padding)
    whole = weight[0] % 4 == weight[1] % 8 == 0
    return whole and min(sides) > 0 and sides[0] * sides[1] >= LEAST_PIXELS and weight[2] * weight[3] >= LEAST_TAPS


def _fits_rgb_conv(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether the gradient of the weights is computed by `rgb_conv_gradients`."""
    sides, (outputs, inputs, tall, broad) = _sides(images, weight, padding), weight
    whole = inputs < 8 and inputs * broad % 3 == 0 and (outputs % 24 == 0 or outputs % 32 == 0)
    return whole and min(*sides, *padding) >= 0 and sides[0] * sides[1] >= LEAST_PIXELS and tall * broad >= LEAST_TAPS


def _sides(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> tuple[int, int]:
    return images[2] + 2 * padding[0] - weight[2] + 1, images[3] + 2 * padding[1] - weight[3] + 1


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], adding: bool
    ) -> Tensor | tuple[Tensor, Tensor]:
        images = images.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(images, weight)
        ctx.padding, ctx.has_bias = padding, bias is not None
        ctx.winograd = _fits_winograd(images.shape, weight.shape, padding)
        if not ctx.winograd:
            return F.conv2d(images, weight, bias, 1, padding)
        with record_function(PROFILER_NAMES[0]):
            if not adding:
                return winograd.convolve(images, weight, bias, padding)
            out = winograd.convolve_with_sums(images, weight, bias, padding)
        ctx.mark_non_differentiable(out[1])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        towards_images = _image_gradient(images, weight, dy, ctx) if ctx.needs_input_grad[0] else None
        with record_function(PROFILER_NAMES[2]):
            if ctx.winograd:
                towards_weight, towards_bias = winograd.gradients(images, dy, ctx.padding)
            elif _fits_rgb_conv(images.shape, weight.shape, ctx.padding):
                towards_weight, towards_bias = rgb_conv_gradients(images, dy, weight.shape, ctx.padding)
            else:
                towards_weight, towards_bias = weight_gradient(images, dy, weight.shape, ctx.padding), None
        if not (ctx.has_bias and ctx.needs_input_grad[2]):
            towards_bias = None
        elif towards_bias is None:
            towards_bias = dy.sum((0, 2, 3))
        return towards_images, towards_weight, towards_bias, None, None


def _image_gradient(images: Tensor, weight: Tensor, dy: Tensor, ctx: Any) -> Tensor:
    if ctx.winograd:
        with record_function(PROFILER_NAMES[1]):
            return winograd.image_gradient(dy, weight, ctx.padding)
    out: Tensor = torch.ops.aten.convolution_backward(
        dy, images, weight, None, [1, 1], ctx.padding, [1, 1], False, [0, 0], 1, [True, False, False]
    )[0]
    return out


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    return (both[0], both[-1])


def weight_gradient(images: Tensor, dy: Tensor, shape: Sequence[int], padding: tuple[int, int]) -> Tensor:
    """The gradient of a convolution's weights by direct sums: of this shape, (outputs, C, h, w), float32, channels-last.

    images: (b, C, H, W); dy: (b, outputs, H', W'), the gradient of the output; both float32, channels-last.
    """
    run = kernels()
    n, inputs, height, width = images.shape
    outputs, _, *kernel = shape
    sums = torch.empty((run.GROUPS, outputs, *kernel, inputs))
    where = (images.data_ptr(), dy.data_ptr(), sums.data_ptr())
    run.add_weight_gradients(32, *where, n, height, width, inputs, outputs, *kernel, *padding)
    return sums.sum(0).permute(0, 3, 1, 2)


def rgb_conv_gradients(
    images: Tensor,
    dy: Tensor,
    shape: Sequence[int],
    padding: tuple[int, int],
    back: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The same for images of few channels, such as RGB, and the gradient of the bias, (outputs,).

    back: the convolution's output, like dy, and the factors of `layers.coefficients`, if dy must first go back through the
    ReLU and batch norm that follow.
    """
    run = kernels()
    outputs, inputs, *kernel = shape
    padded = F.pad(images, (padding[1], padding[1], padding[0], padding[0]))
    padded = padded.contiguous(memory_format=torch.channels_last)
    sums, totals = torch.empty((run.CHUNKS, *kernel, inputs, outputs)), torch.empty((run.CHUNKS, outputs))
    where = (padded.data_ptr(), dy.data_ptr(), sums.data_ptr(), totals.data_ptr())
    each = 4 * run.rgb_conv_grad.ROWS * dy.shape[3] * outputs if back else 0
    memory = torch.empty(torch.get_num_threads() * each, dtype=torch.uint8)
    through = [one.data_ptr() for one in back] if back else [0, 0]
    sizes = *(padded.shape[k] for k in (0, 2, 3)), inputs, outputs, *kernel
    run.add_rgb_conv_gradients(32, *where, *sizes, *through, memory.data_ptr(), each)
    return sums.sum(0).permute(3, 2, 0, 1), totals.sum(0)
