"""Choose the device (CPU, CUDA, MPS) and the precision (float32, bfloat16) of a computation; measure and tune its memory."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import sys
from pathlib import Path

import torch

from foveola.errors import ResourceError, UsageError
from foveola.types import Precision

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""Names of mallopt's parameters: https://man7.org/linux/man-pages/man3/mallopt.3.html"""

_KEPT = 512 * 2**20
"""Free bytes at the end of the heap that the process keeps; glibc returns the rest to the system."""

_AHEAD = 64 * 2**20
"""Bytes by which the heap grows at a time."""

_MAPPED = 32 * 2**20
"""glibc maps blocks of this size and more one by one, and returns them when they are freed. It allows no higher limit."""


def choose_device(name: str) -> torch.device:
    """The device of this name; "auto" chooses CUDA, then Apple's MPS, then the processor.

    On CUDA this makes cuDNN use deterministic algorithms in the whole process, and compute float32 with its full 24 bits (by
    default cuDNN convolves with 11). We have not measured such a device.

    Raises ResourceError if the machine lacks this device, UsageError for an unknown name.
    """
    device = _found(name)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        torch.backends.cudnn.allow_tf32 = False
    return device


def _found(name: str) -> torch.device:
    there = available_devices()
    if name == "auto":
        return torch.device(there[0])
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdecimal()):
        raise UsageError(f"device '{name}' is not known: choose auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if kind not in there or int(index or 0) >= count:
        raise ResourceError(
            f"device '{name}' is not available on this computer, which has {', '.join(there)}; use --set fit.device=auto"
        )
    return torch.device(name)


def available_devices() -> list[str]:
    """The kinds of device on this machine, the preferred one first."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def choose_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes with it, float32 elsewhere, when left to "auto".

    Raises ResourceError when bfloat16 is asked for and would only be emulated (slower than float32, and less exact).
    """
    if wanted == "float32":
        return torch.float32
    if has_bfloat16(device):
        return torch.bfloat16
    if wanted == "bfloat16":
        raise ResourceError(f"{device.type} does not support bfloat16 on this machine: use --set fit.precision=float32")
    return torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, as torch reports them."""
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        return bool(can.get("avx512_bf16") or can.get("amx_bf16") or can.get("bf16"))
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):  # torch asks the current one
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def autocast_context(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """The context in which a forward pass runs at this precision."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


@functools.cache
def tune_malloc() -> bool:
    """Make the process keep freed memory for the next training step, if its C library is glibc; say whether it does.

    By default glibc returns large freed blocks to the system. A step of `vgg6` takes and frees the same few megabytes over
    and over. Each time the system provided 6,500 empty pages of 4 KB, a tenth of the step (docs/why/speed.md).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_M_MMAP_THRESHOLD, _MAPPED), (_M_TRIM_THRESHOLD, _KEPT), (_M_TOP_PAD, _AHEAD))
    done = [mallopt(name, value) for name, value in wanted]
    return all(done)


def peak_memory_mb() -> float | None:
    """The largest resident memory of this process so far, in megabytes (10^6 bytes); None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6, 1)


def reset_peak_memory() -> bool:
    """Start the measurement of `peak_memory_mb` again; say whether that worked.

    Linux can, by /proc/self/clear_refs (man 5 proc).
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
