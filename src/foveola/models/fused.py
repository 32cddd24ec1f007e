"""Layers between two convolutions, taken together on the processor while a network learns.

What comes out is what the layers one by one would give, but for rounding: in bfloat16 they round after every layer, here it
is once. Where the loops can't run (no numba, no Linux, another device), the layers run one by one.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foveola.models.layers import Dropout

_DTYPES = (torch.float32, torch.bfloat16)


@functools.cache
def loops() -> ModuleType | None:
    """The compiled loops, or None where they can't run: they need numba, and torch's own threads (see `loops.threads`)."""
    if platform.system() != "Linux":
        return None
    try:
        from foveola.models import loops as found
    except (ImportError, OSError, RuntimeError):  # RuntimeError: no folder where numba may keep what it compiled
        return None
    return found


def compiler() -> str | None:
    """The version of numba that the loops would be compiled with, without the 0.2 s of importing it; None without loops."""
    if platform.system() != "Linux":
        return None
    try:
        return version("numba")
    except PackageNotFoundError:
        return None


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

    z: (b, C, H, W), channels-last; the loops take float32 and bfloat16, and a norm of float32 numbers with running means.
    behind: the layers of pooling and dropout, for sides that are odd.
    """
    learned = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    taken = all(one is not None and one.dtype == torch.float32 and one.is_contiguous() for one in learned)
    if z.dtype not in _DTYPES or norm.momentum is None or not taken:
        return functools.reduce(lambda x, layer: layer(x), (norm, *behind), torch.relu(z))
    if dropout is not None and (z.shape[2] % 2 or z.shape[3] % 2):
        return functools.reduce(lambda x, layer: layer(x), behind, relu_norm(z, norm))
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    out: Tensor = _ReluNorm.apply(z, norm.weight, norm.bias, norm, dropout)  # type: ignore[no-untyped-call]
    return out


def max_pool(images: Tensor) -> Tensor:
    """Max pooling by 2 for a network that learns, to the last bit as torch does it; images as in `relu_norm`.

    In a third of the time (docs/why/speed.md): among other things the gradient's zeros are not written first.
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
        run: Any = loops()
        z = z.contiguous(memory_format=torch.channels_last)
        b, c, h, w = z.shape
        sums, numbers = torch.empty((2, run.CHUNKS, run.lanes_of(c))), torch.empty((4, c))
        run.add_relu(*_words(z), *_addresses(sums))
        own = (weight.data_ptr(), bias.data_ptr(), norm.running_mean.data_ptr(), norm.running_var.data_ptr())  # type: ignore[union-attr]
        rates = _double(norm.momentum), _double(norm.eps)
        run.normalise(*_words(z), *_addresses(sums), *own, *rates, numbers.data_ptr())
        scale, offset = _addresses(numbers)[2:]
        ctx.keep, best, winner = 1.0, None, None
        if dropout is None:
            y = torch.empty_like(z)
            run.relu_norm(*_words(z), scale, offset, y.data_ptr())
        else:
            y = torch.empty((b, c, h // 2, w // 2), dtype=z.dtype, memory_format=torch.channels_last)
            best, winner = torch.empty_like(y), torch.empty(y.numel(), dtype=torch.uint8)
            dropped = min(round(dropout * 2**32), 2**32 - 1)
            ctx.keep = 2**32 / (2**32 - dropped)
            key = int(torch.randint(2**62, ())) * 2 + 1
            how = (w, key, dropped, _bits_of(ctx.keep), best.data_ptr(), winner.data_ptr())
            run.relu_norm_pool_drop(*_words(z), scale, offset, y.data_ptr(), *how)
        ctx.save_for_backward(z, weight, numbers, best, winner)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        run: Any = loops()
        z, weight, numbers, best, winner = ctx.saved_tensors
        c = z.shape[1]
        dy = dy.to(z.dtype).contiguous(memory_format=torch.channels_last)
        from_where = (dy.data_ptr(), 0 if winner is None else winner.data_ptr())
        sums, factors = torch.empty((2, run.CHUNKS, run.lanes_of(c))), torch.empty((3, c))
        run.add_gradients(*_words(z if best is None else best), *from_where, numbers.data_ptr(), *_addresses(sums))
        dweight, dbias, dz = torch.empty_like(weight), torch.empty_like(weight), torch.empty_like(z)
        known = (c, z.numel() // c, _double(ctx.keep), weight.data_ptr(), numbers.data_ptr())
        run.coefficients(32, *_addresses(sums), *known, dweight.data_ptr(), dbias.data_ptr(), factors.data_ptr())
        run.relu_norm_back(*_words(z), *from_where, z.shape[3], factors.data_ptr(), dz.data_ptr())
        return dz, dweight, dbias, None, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        run: Any = loops()
        z = z.contiguous(memory_format=torch.channels_last)
        b, c, h, w = ctx.shape = z.shape
        y = torch.empty((b, c, h // 2, w // 2), dtype=z.dtype, memory_format=torch.channels_last)
        winner = torch.empty(y.numel(), dtype=torch.uint8)
        run.max_pool(_bits(z), z.data_ptr(), b, h, w, c, y.data_ptr(), winner.data_ptr())
        ctx.save_for_backward(winner)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        run: Any = loops()
        (winner,) = ctx.saved_tensors
        b, c, h, w = ctx.shape
        dy = dy.contiguous(memory_format=torch.channels_last)
        dz = torch.empty(ctx.shape, dtype=dy.dtype, memory_format=torch.channels_last)
        run.max_pool_back(_bits(dz), dz.data_ptr(), b, h, w, c, dy.data_ptr(), winner.data_ptr())
        return dz


@functools.cache
def _bits_of(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


@functools.cache
def _double(value: float) -> int:
    return int(np.float64(value).view(np.int64))


def _bits(maps: Tensor) -> int:
    return 16 if maps.dtype == torch.bfloat16 else 32


def _words(z: Tensor) -> tuple[int, int, int, int]:
    """What every task on a feature map begins with: bits, address, number of elements, channels."""
    return _bits(z), z.data_ptr(), z.numel(), z.shape[1]


def _addresses(rows: Tensor) -> list[int]:
    """The address of each of the tensor's rows."""
    first, step = rows.data_ptr(), rows.stride(0) * rows.element_size()
    return [first + k * step for k in range(len(rows))]
