"""Whether compiled loops can run, what every task of theirs begins with, and max pooling by them.

Where they can't (no numba, no Linux, another device), a network's layers run one by one.
"""

from __future__ import annotations

import functools
import platform
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

DTYPES = (torch.float32, torch.bfloat16)
"""Of the feature maps that the loops take."""


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


def max_pool(images: Tensor) -> Tensor:
    """Max pooling by 2 for a network that learns, to the last bit as torch does it; images as in `relu_norm`.

    In a third of the time (docs/why/speed.md): among other things the gradient's zeros are not written first.
    """
    if not (images.requires_grad and images.dtype in DTYPES and can_fuse(images)) or min(images.shape[2:]) < 2:
        return F.max_pool2d(images, 2)
    out: Tensor = _MaxPool.apply(images)  # type: ignore[no-untyped-call]
    return out


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


def _bits(maps: Tensor) -> int:
    return 16 if maps.dtype == torch.bfloat16 else 32


def words(z: Tensor) -> tuple[int, int, int, int]:
    """What every task on a feature map begins with: bits, address, number of elements, channels."""
    return _bits(z), z.data_ptr(), z.numel(), z.shape[1]


def addresses(rows: Tensor) -> list[int]:
    """The address of each of the tensor's rows."""
    first, step = rows.data_ptr(), rows.stride(0) * rows.element_size()
    return [first + k * step for k in range(len(rows))]
