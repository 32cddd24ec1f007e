"""Whether the compiled kernels can run here, and how tensors are passed to them."""

from __future__ import annotations

import functools
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16)
"""Types of the feature maps that the kernels take."""


@functools.cache
def kernels() -> Any:
    """The module of compiled kernels, or None where they can't run: see `why_unavailable`."""
    return None if why_unavailable() else _compiled()


@functools.cache
def why_unavailable() -> str:
    """Why the kernels can't run here, or "" where they can."""
    if reason := _why_not_asked():
        return reason
    try:
        _compiled()
    except (ImportError, OSError, RuntimeError) as error:  # RuntimeError: numba finds no folder for its cache
        return str(error).partition("\n")[0] or type(error).__name__
    return ""


def is_wanted() -> bool:
    """Whether the kernels should run here: on Linux, unless NUMBA_DISABLE_JIT forbids numba to compile."""
    return not _why_not_asked()


def _why_not_asked() -> str:
    if platform.system() != "Linux":
        return "the kernels run on Linux only"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return "NUMBA_DISABLE_JIT is set"
    return ""


def _compiled() -> Any:
    from foveola_kernels import compiled

    return compiled


def numba_version() -> str | None:
    """The version of numba, read without the 0.2 s that importing it takes; None if numba is not installed."""
    try:
        return version("numba")
    except PackageNotFoundError:
        return None


def bits(maps: Tensor) -> int:
    """The number of bits of each number of a feature map: 16 or 32."""
    return 16 if maps.dtype == torch.bfloat16 else 32


def pack_args(z: Tensor) -> tuple[int, int, int, int]:
    """The first arguments of every task on a feature map: bits, address, number of elements, channels."""
    return bits(z), z.data_ptr(), z.numel(), z.shape[1]


def row_pointers(rows: Tensor) -> list[int]:
    """The address of each of the tensor's rows."""
    first, step = rows.data_ptr(), rows.stride(0) * rows.element_size()
    return [first + k * step for k in range(len(rows))]
