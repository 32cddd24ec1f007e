"""What a run was made with: versions, processor, device and precision."""

from __future__ import annotations

import functools
import inspect
import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import PIL
import torch

from foveola.models.fused import compiler
from foveola.store import digest


def environment_of(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What environment.json says of a run on this device in this precision."""
    return {
        "foveola": version("foveola"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": compiler(),  # with it some layers round less often
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "system": platform.platform(),
        "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "precision": str(dtype).removeprefix("torch."),
    }


def own_code(used: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """Under "own_code" the digest of each network or filter in use that is not foveola's, by its name; {} where all are.

    used: the functions by their names. Of each its own text counts, not what it calls.
    """
    found = {}
    for name, function in used.items():
        if not (getattr(function, "__module__", "") or "").startswith("foveola."):
            found[name] = _digest_of(function)
    return {"own_code": found} if found else {}


@functools.cache
def _digest_of(function: Callable[..., Any]) -> str:
    """Of its text as it was when first asked: what its file says later is not what runs."""
    try:
        text = inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):  # typed at a prompt
        text = repr(getattr(function, "__qualname__", function))
    return digest(text)[:16]


def versions_of(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What of it decides a run's numbers, beside recipe, data and seed."""
    found = environment_of(device, dtype)
    return {key: found[key] for key in ("foveola", "torch", "numba", "device", "precision")}
