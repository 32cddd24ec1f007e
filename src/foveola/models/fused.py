"""Layers between two convolutions, taken together on the processor while a network learns.

What comes out is what the layers one by one would give, but for rounding: in bfloat16 they round after every layer, here it
is once. Where the loops can't run (no numba, no Linux, another device), the layers run one by one.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from foveola.models.layers import Dropout

_DTYPES = (torch.float32, torch.bfloat16)


@functools.cache
def loops() -> ModuleType | None:
    """The compiled loops, or None where there are none: `foveola.models.loops` says why they want torch's own threads."""
    if platform.system() != "Linux":
        return None
    try:
        from foveola.models import loops as found
    except (ImportError, RuntimeError):  # no numba here, or no folder where it may keep what it compiled
        return None
    return found


def can_fuse(images: Tensor) -> bool:
    """Whether the loops can run for a network that is fed with these."""
    return images.device.type == "cpu" and loops() is not None


def pieces(layers: Sequence[nn.Module]) -> Iterator[Callable[[Tensor], Tensor]]:
    """The layers in order, [ReLU, batch norm] and [ReLU, batch norm, pooling of 2, dropout] taken as one."""
    at = 0
    while at < len(layers):
        match layers[at : at + 4]:
            case [nn.ReLU(), nn.BatchNorm2d() as norm, nn.MaxPool2d(kernel_size=2, stride=2), Dropout() as dropout]:
                yield functools.partial(relu_norm, norm=norm, behind=tuple(layers[at + 2 : at + 4]), dropout=dropout.p)
                at += 4
            case [nn.ReLU(), nn.BatchNorm2d() as norm, *_]:
                yield functools.partial(relu_norm, norm=norm)
                at += 2
            case _:
                yield layers[at]
                at += 1


def relu_norm(
    z: Tensor, norm: nn.BatchNorm2d, *, behind: tuple[nn.Module, ...] = (), dropout: float | None = None
) -> Tensor:
    """norm(relu(z)) for a norm that learns; with `dropout`, a share, pooled by 2 and dropped out too.

    z: float32 or bfloat16 (b, C, H, W), channels-last. behind: the layers of pooling and dropout, for sides that are odd.
    """
    if z.dtype not in _DTYPES or norm.momentum is None:
        return functools.reduce(lambda x, layer: layer(x), (norm, *behind), torch.relu(z))
    if dropout is not None and (z.shape[2] % 2 or z.shape[3] % 2):
        return functools.reduce(lambda x, layer: layer(x), behind, relu_norm(z, norm))
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    out: Tensor = _ReluNorm.apply(z, norm.weight, norm.bias, norm, dropout)  # type: ignore[no-untyped-call]
    return out


def max_pool(images: Tensor) -> Tensor:
    """Max pooling by 2, as torch does it to the last bit; images as in `relu_norm`.

    On the processor while a network learns, in half the time: the gradient's zeros are not written first.
    """
    if not (images.requires_grad and images.dtype in _DTYPES and can_fuse(images)) or min(images.shape[2:]) < 2:
        return F.max_pool2d(images, 2)
    out: Tensor = _MaxPool.apply(images)  # type: ignore[no-untyped-call]
    return out


class _ReluNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, dropout: float | None
    ) -> Tensor:
        run = _ready()
        z = z.contiguous(memory_format=torch.channels_last)
        mean, inverse = torch.empty_like(weight), torch.empty_like(weight)
        running = _flat(norm.running_mean), _flat(norm.running_var)
        run.statistics(_flat(z), _flat(mean), _flat(inverse), *running, norm.momentum, norm.eps)
        scale = weight * inverse
        offset = bias - mean * scale
        ctx.width, ctx.keep = z.shape[3], np.float32(1)
        if dropout is None:
            y, winner = torch.empty_like(z), torch.empty(0, dtype=torch.uint8)
            run.relu_norm(_flat(z), _flat(scale), _flat(offset), _flat(y))
        else:
            b, c, h, w = z.shape
            y = torch.empty((b, c, h // 2, w // 2), dtype=z.dtype, memory_format=torch.channels_last)
            winner = torch.empty(y.numel(), dtype=torch.uint8)
            dropped = min(round(dropout * 2**32), 2**32 - 1)
            ctx.keep = np.float32(2**32 / (2**32 - dropped))
            key = np.uint64(int(torch.randint(2**62, ())) * 2 + 1)
            how = ctx.width, key, np.uint32(dropped), ctx.keep
            run.relu_norm_pool_drop(_flat(z), _flat(scale), _flat(offset), *how, _flat(y), winner.numpy())
        ctx.save_for_backward(z, weight, mean, inverse, winner)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        run = _ready()
        z, weight, mean, inverse, winner = ctx.saved_tensors
        dz, dweight, dbias = torch.empty_like(z), torch.empty_like(weight), torch.empty_like(weight)
        dy = dy.to(z.dtype).contiguous(memory_format=torch.channels_last)
        learned = _flat(weight), _flat(mean), _flat(inverse)
        out = _flat(dz), _flat(dweight), _flat(dbias)
        run.gradients(_flat(z), _flat(dy), winner.numpy(), ctx.width, ctx.keep, *learned, *out)
        return dz, dweight, dbias, None, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        z = z.contiguous(memory_format=torch.channels_last)
        b, c, h, w = ctx.shape = z.shape
        y = torch.empty((b, c, h // 2, w // 2), dtype=z.dtype, memory_format=torch.channels_last)
        winner = torch.empty(y.numel(), dtype=torch.uint8)
        _ready().max_pool(_flat(z), h, w, c, _flat(y), winner.numpy())
        ctx.save_for_backward(winner)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (winner,) = ctx.saved_tensors
        _, c, h, w = ctx.shape
        dy = dy.contiguous(memory_format=torch.channels_last)
        dz = torch.empty(ctx.shape, dtype=dy.dtype, memory_format=torch.channels_last)
        _ready().max_pool_back(_flat(dy), winner.numpy(), h, w, c, _flat(dz))
        return dz


def _ready() -> ModuleType:
    """The loops, on as many threads as torch has."""
    import numba

    run = loops()
    assert run is not None
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(min(torch.get_num_threads(), most))
    return run


def _flat(values: Tensor | None) -> NDArray[Any]:
    """A tensor's memory as a flat array without a copy: float32, or the bits of bfloat16 as uint16."""
    assert values is not None
    values = values.detach()
    if values.ndim == 4:
        values = values.permute(0, 2, 3, 1).view(-1)
    if values.dtype == torch.bfloat16:
        return values.view(torch.uint16).numpy()
    return values.numpy()
