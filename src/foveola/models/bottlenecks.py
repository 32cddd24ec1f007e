"""Inverted bottlenecks of a network that answers, computed by `loops.bottleneck` where that is faster: torch's side of it.

That is in float32 on processors with AVX2 and without AVX-512, and for so many pictures that loading the loops pays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from foveola.models.convolve import can_pay, loops_pay
from foveola.models.fused import compiler, loops
from foveola.models.layers import same_padding

MANY = 300
"""From so many pictures on the loops are loaded. They save 4 to 6 ms a picture of 256x256; loading takes 0.4 s, and 4 s more
the first time, when they are compiled."""

LARGEST = 80_000
"""Weights of both 1x1 convolutions: more do not stay in a core's cache beside the maps (docs/why/speed.md)."""

_ON = ContextVar("_ON", default=False)


@contextlib.contextmanager
def own_bottlenecks(pictures: int) -> Iterator[None]:
    """The context in which a network answers so many pictures, its blocks by the faster way where that pays."""
    before = _ON.set(_ON.get() or pictures >= MANY)
    try:
        yield
    finally:
        _ON.reset(before)


def way(device: torch.device, dtype: torch.dtype, pictures: int) -> str:
    """What decides the last bits of so many answers besides device and precision: "torch", or the loops' compiler.

    The loops themselves are not loaded for it.
    """
    numba = compiler() if pictures >= MANY and can_pay(device, dtype) else None
    return f"numba {numba}" if numba else "torch"


def taken(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether blocks that fit go to the loops: within `own_bottlenecks`, on a processor where they are the faster way."""
    return _ON.get() and loops_pay(device, dtype)


def fits(images: Tensor, expand: nn.Conv2d | None, depthwise: nn.Conv2d, project: nn.Conv2d) -> bool:
    """Whether the loops take this block for images (b, C, H, W): nothing is to be learned, and its weights are few."""
    if torch.is_grad_enabled() or not taken(images.device, images.dtype):
        return False
    layers = [layer for layer in (expand, depthwise, project) if layer is not None]
    if not all(layer.weight.dtype == torch.float32 for layer in layers):
        return False
    inputs, inner, outputs = images.shape[1], depthwise.out_channels, project.out_channels
    small = inner * ((0 if expand is None else inputs) + outputs) <= LARGEST
    return small and inputs % 8 == inner % 8 == outputs % 8 == 0 and depthwise.kernel_size[0] in (3, 5)


def bottleneck(
    images: Tensor, expand: nn.Conv2d | None, depthwise: nn.Conv2d, project: nn.Conv2d, adds: bool
) -> Tensor:
    """project(relu6(depthwise(relu6(expand(images))))), plus the images where it adds: float32, channels-last.

    What the layers give one by one, but for rounding. images: (b, C, H, W) float32; out: (b, outputs, ceil(H / stride),
    ceil(W / stride)); paddings are TensorFlow's.
    """
    run: Any = loops()
    images = images.contiguous(memory_format=torch.channels_last)
    (n, inputs, height, width), inner, outputs = images.shape, depthwise.out_channels, project.out_channels
    kernel, stride = depthwise.kernel_size[0], depthwise.stride[0]
    out = torch.empty((n, outputs, -(-height // stride), -(-width // stride)), memory_format=torch.channels_last)
    taps = depthwise.weight.reshape(inner // 8, 8, kernel * kernel).transpose(1, 2).contiguous()
    first, last = None if expand is None else _panels(expand), _panels(project)
    each = run.memory_of(width, inputs, inner, outputs, kernel, stride)
    memory = torch.empty(torch.get_num_threads() * each, dtype=torch.uint8)
    shape = (n, height, width, inputs, inner, outputs, kernel, stride)
    padding = [same_padding(side, kernel, stride)[0] for side in (height, width)]
    begin, middle, end = (0 if one is None else one.bias.data_ptr() for one in (expand, depthwise, project))  # type: ignore[union-attr]
    run.bottleneck(
        32, images.data_ptr(), out.data_ptr(), *shape, *padding, int(adds),
        0 if first is None else first.data_ptr(), begin, 0 if first is None else first.shape[2],
        taps.data_ptr(), middle, last.data_ptr(), end, last.shape[2], memory.data_ptr(), each,
    )  # fmt: skip
    return out


def _panels(conv: nn.Conv2d) -> Tensor:
    """The weights of a 1x1 convolution as `loops.tiles.multiply` takes them: (outputs / panel, inputs, panel)."""
    outputs, inputs = conv.weight.shape[:2]
    panel = next(wide for wide in (24, 16, 8) if outputs % wide == 0)
    return conv.weight.reshape(outputs // panel, panel, inputs).transpose(1, 2).contiguous()
