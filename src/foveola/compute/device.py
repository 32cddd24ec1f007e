"""Choose the device (CPU, CUDA, MPS) and the precision (float32, bfloat16) of a computation."""

from __future__ import annotations

import contextlib

import torch

from foveola.errors import ResourceError, UsageError
from foveola.types import Precision


def choose_device(name: str) -> torch.device:
    """The device of this name; "auto" takes CUDA, then Apple's MPS, then the processor.

    On CUDA cuDNN is held, for the whole process, to algorithms that give the same twice, and float32 to its own 24 bits (by
    itself it convolves with 11); no such device has been measured here.

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
            f"device '{name}' is not on this machine, which has {', '.join(there)}; use --set fit.device=auto"
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
    """Whether the device's own instructions compute in bfloat16; torch is asked, not a list of names."""
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
