"""Convolutions of a network that learns, computed by `loops.winograd` and `loops.weights` where that is faster.

That is in float32 on processors with AVX2 and without AVX-512: most laptops. What comes out is what torch would give, but for
the rounding of float32: with 3x3 taps the error is about twice that of torch's (docs/why/speed.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.profiler import record_function

from foveola.models import winograd
from foveola.models.fused import loops

LEAST_PIXELS, LEAST_TAPS = 25, 9
"""Smaller maps and kernels are left to torch: too little is done with a tile (docs/why/speed.md)."""

NAMES = ("foveola::convolution", "foveola::convolution_images", "foveola::convolution_weights")
"""What forward and the two gradients are called in torch's profiler, where they are not torch's own."""


def own_convolutions(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """The context in which a network's forward pass runs, so that its convolutions learn by the faster way there is.

    >>> type(own_convolutions(torch.device("cpu"), torch.bfloat16)).__name__
    'nullcontext'
    """
    return _Convolutions() if loops_pay(device, dtype) else contextlib.nullcontext()


def loops_pay(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether loops for convolutions are there and faster than torch's own: in float32 with AVX2 and without AVX-512."""
    return can_pay(device, dtype) and loops() is not None


def can_pay(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether they would be faster if they are there, which is not looked at: that loads them."""
    return device.type == "cpu" and dtype == torch.float32 and _pays()


def _pays() -> bool:
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


class _Convolutions(TorchFunctionMode):
    """Takes the calls of conv2d that `fits` says yes to, whatever the network they are in."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d:
            return _conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str) or groups != 1 or not (_pair(stride) == _pair(dilation) == (1, 1)):
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    if not fits(input, weight, _pair(padding)) or (bias is not None and bias.dtype != weight.dtype):
        return F.conv2d(input, weight, bias, padding=padding)
    out: Tensor = _Convolution.apply(input, weight, bias, _pair(padding))  # type: ignore[no-untyped-call]
    return out


def fits(images: Tensor, weight: Tensor, padding: tuple[int, int]) -> bool:
    """Whether the loops take this convolution: images (b, C, H, W), weight (outputs, C, h, w), stride 1, one group."""
    if not (torch.is_grad_enabled() and weight.requires_grad and images.ndim == 4):
        return False
    if images.dtype != torch.float32 or weight.dtype != torch.float32 or images.shape[1] != weight.shape[1]:
        return False
    return any(way(images.shape, weight.shape, padding) for way in (_quick, _direct, _narrow))


def _quick(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether forward and back are `winograd`'s."""
    sides = _sides(images, weight, padding)
    whole = weight[0] % 8 == weight[1] % 8 == 0 and tuple(weight[2:]) == (3, 3)
    return whole and min(sides) > 0 and winograd.pays(*sides)


def _direct(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether the gradient of the weights is that of `loops.weights`."""
    sides = _sides(images, weight, padding)
    whole = weight[0] % 4 == weight[1] % 8 == 0
    return whole and min(sides) > 0 and sides[0] * sides[1] >= LEAST_PIXELS and weight[2] * weight[3] >= LEAST_TAPS


def _narrow(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether it is a first layer's, whose gradient of the weights is that of `loops.narrow`."""
    sides, (outputs, inputs, tall, broad) = _sides(images, weight, padding), weight
    whole = inputs < 8 and inputs * broad % 3 == 0 and (outputs % 24 == 0 or outputs % 32 == 0)
    return whole and min(*sides, *padding) >= 0 and sides[0] * sides[1] >= LEAST_PIXELS and tall * broad >= LEAST_TAPS


def _sides(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> tuple[int, int]:
    return images[2] + 2 * padding[0] - weight[2] + 1, images[3] + 2 * padding[1] - weight[3] + 1


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(images, weight)
        ctx.padding, ctx.has_bias = padding, bias is not None
        ctx.quick = _quick(images.shape, weight.shape, padding)
        if not ctx.quick:
            return F.conv2d(images, weight, bias, 1, padding)
        with record_function(NAMES[0]):
            return winograd.convolve(images, weight, bias, padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        towards_images = _image_gradient(images, weight, dy, ctx) if ctx.needs_input_grad[0] else None
        with record_function(NAMES[2]):
            if ctx.quick:
                towards_weight, towards_bias = winograd.gradients(images, dy, ctx.padding)
            elif _narrow(images.shape, weight.shape, ctx.padding):
                towards_weight, towards_bias = narrow_gradients(images, dy, weight.shape, ctx.padding)
            else:
                towards_weight, towards_bias = weight_gradient(images, dy, weight.shape, ctx.padding), None
        if not (ctx.has_bias and ctx.needs_input_grad[2]):
            towards_bias = None
        elif towards_bias is None:
            towards_bias = dy.sum((0, 2, 3))
        return towards_images, towards_weight, towards_bias, None


def _image_gradient(images: Tensor, weight: Tensor, dy: Tensor, ctx: Any) -> Tensor:
    if ctx.quick:
        with record_function(NAMES[1]):
            return winograd.image_gradient(dy, weight, ctx.padding)
    out: Tensor = torch.ops.aten.convolution_backward(
        dy, images, weight, None, [1, 1], ctx.padding, [1, 1], False, [0, 0], 1, [True, False, False]
    )[0]
    return out


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
    images: Tensor, dy: Tensor, shape: Sequence[int], padding: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The same for maps of few channels, and the gradient of the bias, (outputs,)."""
    run: Any = loops()
    outputs, inputs, *kernel = shape
    padded = F.pad(images, (padding[1], padding[1], padding[0], padding[0]))
    padded = padded.contiguous(memory_format=torch.channels_last)
    sums, totals = torch.empty((run.CHUNKS, *kernel, inputs, outputs)), torch.empty((run.CHUNKS, outputs))
    where = (padded.data_ptr(), dy.data_ptr(), sums.data_ptr(), totals.data_ptr())
    run.add_narrow_gradients(32, *where, *(padded.shape[k] for k in (0, 2, 3)), inputs, outputs, *kernel)
    return sums.sum(0).permute(3, 2, 0, 1), totals.sum(0)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    return (both[0], both[-1])
