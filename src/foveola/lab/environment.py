"""What a run was made with: versions, processor, device and precision."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import PIL
import torch

from foveola.models.fused import compiler


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


def versions_of(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What of it decides a run's numbers, beside recipe, data and seed."""
    found = environment_of(device, dtype)
    return {key: found[key] for key in ("foveola", "torch", "numba", "device", "precision")}
