"""Convolutions of a network that learns, computed by `winograd` and `direct` where that is faster.

That is in float32 on processors with AVX2 and without AVX-512: most laptops. What comes out is what torch would give, but for
the rounding of float32: with 3x3 taps the error is about twice that of torch's (docs/why/speed.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.profiler import record_function

from foveola.models import winograd
from foveola.models.direct import narrow_gradients, weight_gradient
from foveola.models.fused import loops
from foveola.models.layers import ConvSame

LEAST_PIXELS, LEAST_TAPS = 25, 9
"""Smaller maps and kernels are left to torch: too little is done with a tile (docs/why/speed.md)."""

NAMES = ("foveola::convolution", "foveola::convolution_images", "foveola::convolution_weights")
"""What forward and the two gradients are called in torch's profiler, where they are not torch's own."""


def own_convolutions(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """The context in which a network's forward pass runs, so that its convolutions learn by the faster way there is.

    >>> type(own_convolutions(torch.device("cpu"), torch.bfloat16)).__name__
    'nullcontext'
    """
    return _Convolutions() if _loops_pay(device, dtype) else contextlib.nullcontext()


_ON: ContextVar[bool] = ContextVar("_ON", default=False)
"""Whether such a context is entered."""


def _loops_pay(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether loops for convolutions are there and faster than torch's own: in float32 with AVX2 and without AVX-512."""
    return device.type == "cpu" and dtype == torch.float32 and _pays() and loops() is not None


def _pays() -> bool:
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


class _Convolutions(TorchFunctionMode):
    """Takes the calls of conv2d that `fits` says yes to, whatever the network they are in."""

    def __enter__(self) -> Self:
        self._before = _ON.set(True)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *why: Any) -> None:
        super().__exit__(*why)  # type: ignore[no-untyped-call]
        _ON.reset(self._before)

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
    out: Tensor = _Convolution.apply(input, weight, bias, _pair(padding), False)  # type: ignore[no-untyped-call]
    return out


def quick(layer: nn.Conv2d, images: Sequence[int]) -> bool:
    """Whether this layer has 3x3 taps, padded by 1, which here and now are `winograd`'s for float32 images (b, C, H, W)."""
    return (
        _same(layer, images) and tuple(layer.kernel_size) == (3, 3) and _quick_fits(images, layer.weight.shape, (1, 1))
    )


def narrow(layer: nn.Conv2d, images: Sequence[int]) -> bool:
    """Whether its map is as large as float32 images (b, C, H, W) are, and the gradient of its weights is `loops.narrow`'s."""
    return _same(layer, images) and not quick(layer, images) and _narrow_fits(images, layer.weight.shape, _half(layer))


def _same(layer: nn.Conv2d, images: Sequence[int]) -> bool:
    """Whether the loops may have this layer, of stride 1 and padded to the same size."""
    if not (_ON.get() and _learns(images, layer.weight) and layer.kernel_size[0] % 2 == layer.kernel_size[1] % 2 == 1):
        return False
    plain = layer.stride == layer.dilation == (1, 1) and layer.groups == 1
    padded = isinstance(layer, ConvSame) or layer.padding == _half(layer)
    return plain and padded and (layer.bias is None or layer.bias.dtype == torch.float32)


def _half(layer: nn.Conv2d) -> tuple[int, int]:
    return layer.kernel_size[0] // 2, layer.kernel_size[1] // 2


def added_up(layer: nn.Conv2d, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """What the layer makes of these images, and what `winograd.convolve_adding` has added up of it, if it is `quick`."""
    if images.dtype != torch.float32 or not quick(layer, images.shape):
        return layer(images), None
    out: tuple[Tensor, Tensor] = _Convolution.apply(images, layer.weight, layer.bias, (1, 1), True)  # type: ignore[no-untyped-call]
    return out


def fits(images: Tensor, weight: Tensor, padding: tuple[int, int]) -> bool:
    """Whether the loops take this convolution: images (b, C, H, W), weight (outputs, C, h, w), stride 1, one group."""
    if images.dtype != torch.float32 or not _learns(images.shape, weight):
        return False
    return any(way(images.shape, weight.shape, padding) for way in (_quick_fits, _direct_fits, _narrow_fits))


def _learns(images: Sequence[int], weight: Tensor) -> bool:
    """Whether weights of float32 learn from images of this shape."""
    learns = torch.is_grad_enabled() and weight.requires_grad and weight.dtype == torch.float32
    return learns and len(images) == 4 and images[1] == weight.shape[1]


def _quick_fits(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether forward and back are `winograd`'s."""
    sides = _sides(images, weight, padding)
    whole = weight[0] % 8 == weight[1] % 8 == 0 and tuple(weight[2:]) == (3, 3)
    return whole and min(sides) > 0 and winograd.pays(*sides)


def _direct_fits(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether the gradient of the weights is that of `loops.weights`."""
    sides = _sides(images, weight, padding)
    whole = weight[0] % 4 == weight[1] % 8 == 0
    return whole and min(sides) > 0 and sides[0] * sides[1] >= LEAST_PIXELS and weight[2] * weight[3] >= LEAST_TAPS


def _narrow_fits(images: Sequence[int], weight: Sequence[int], padding: tuple[int, int]) -> bool:
    """Whether it is a first layer's, whose gradient of the weights is that of `loops.narrow`."""
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
        ctx.quick = _quick_fits(images.shape, weight.shape, padding)
        if not ctx.quick:
            return F.conv2d(images, weight, bias, 1, padding)
        with record_function(NAMES[0]):
            if not adding:
                return winograd.convolve(images, weight, bias, padding)
            out = winograd.convolve_adding(images, weight, bias, padding)
        ctx.mark_non_differentiable(out[1])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        towards_images = _image_gradient(images, weight, dy, ctx) if ctx.needs_input_grad[0] else None
        with record_function(NAMES[2]):
            if ctx.quick:
                towards_weight, towards_bias = winograd.gradients(images, dy, ctx.padding)
            elif _narrow_fits(images.shape, weight.shape, ctx.padding):
                towards_weight, towards_bias = narrow_gradients(images, dy, weight.shape, ctx.padding)
            else:
                towards_weight, towards_bias = weight_gradient(images, dy, weight.shape, ctx.padding), None
        if not (ctx.has_bias and ctx.needs_input_grad[2]):
            towards_bias = None
        elif towards_bias is None:
            towards_bias = dy.sum((0, 2, 3))
        return towards_images, towards_weight, towards_bias, None, None


def _image_gradient(images: Tensor, weight: Tensor, dy: Tensor, ctx: Any) -> Tensor:
    if ctx.quick:
        with record_function(NAMES[1]):
            return winograd.image_gradient(dy, weight, ctx.padding)
    out: Tensor = torch.ops.aten.convolution_backward(
        dy, images, weight, None, [1, 1], ctx.padding, [1, 1], False, [0, 0], 1, [True, False, False]
    )[0]
    return out


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    return (both[0], both[-1])
