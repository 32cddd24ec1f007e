"""Convolutions of a network that learns, the gradient of their weights computed by `loops.weights` where that is faster.

That is in float32 on processors with AVX2 and without AVX-512: most laptops. What comes out is what torch would give, but for
the order in which float32 numbers are added up.
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

from foveola.models.fused import loops

LEAST_PIXELS, LEAST_TAPS = 25, 9
"""Smaller maps and kernels are left to torch: too little is done with a tile (docs/why/speed.md)."""

NAME = "foveola::convolution_weights"
"""What the gradient is called in torch's profiler."""


def own_gradients(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """The context in which a network's forward pass runs, so that its convolutions learn by the faster way there is.

    >>> type(own_gradients(torch.device("cpu"), torch.bfloat16)).__name__
    'nullcontext'
    """
    if device.type != "cpu" or dtype != torch.float32 or not _pays() or loops() is None:
        return contextlib.nullcontext()
    return _Convolutions()


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
    if not fits(input, weight, _pair(padding)):
        return F.conv2d(input, weight, bias, padding=padding)
    out: Tensor = _Convolution.apply(input, weight, bias, _pair(padding))  # type: ignore[no-untyped-call]
    return out


def fits(images: Tensor, weight: Tensor, padding: tuple[int, int]) -> bool:
    """Whether the loops take this convolution: images (b, C, H, W), weight (outputs, C, h, w), stride 1, one group."""
    if not (torch.is_grad_enabled() and weight.requires_grad and images.ndim == 4):
        return False
    outputs, inputs, *kernel = weight.shape
    sides = [side + 2 * pad - taps + 1 for side, pad, taps in zip(images.shape[2:], padding, kernel, strict=True)]
    whole_tiles = inputs % 8 == 0 and outputs % 4 == 0 and images.shape[1] == inputs
    enough = min(sides) > 0 and sides[0] * sides[1] >= LEAST_PIXELS and kernel[0] * kernel[1] >= LEAST_TAPS
    return images.dtype == weight.dtype == torch.float32 and whole_tiles and enough


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(images, weight)
        ctx.padding, ctx.has_bias = padding, bias is not None
        return F.conv2d(images, weight, bias, 1, padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        towards_images, towards_bias = None, None
        if ctx.needs_input_grad[0]:
            towards_images = torch.ops.aten.convolution_backward(
                dy, images, weight, None, [1, 1], ctx.padding, [1, 1], False, [0, 0], 1, [True, False, False]
            )[0]
        if ctx.has_bias and ctx.needs_input_grad[2]:
            towards_bias = dy.sum((0, 2, 3))
        with record_function(NAME):
            return towards_images, weight_gradient(images, dy, weight.shape, ctx.padding), towards_bias, None


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


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    return (both[0], both[-1])
