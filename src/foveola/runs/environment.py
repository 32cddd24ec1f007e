"""Environment of a run: versions, processor, device, precision, start time and command."""

from __future__ import annotations

import functools
import inspect
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from torch import nn

from foveola.filters.chain import FILTERS, Chain
from foveola.models.accelerate import backend_id
from foveola.models.build import FromPublishedWeights, FromUsersWeights
from foveola.models.registry import get_model
from foveola.recipes.recipe import Recipe
from foveola.storage import digest


def environment_of(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What environment.json says of a run on this device in this precision."""
    return {
        "foveola": version("foveola"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "backend": backend_id(),  # with foveola-kernels some layers round differently
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "system": platform.platform(),
        "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "precision": str(dtype).removeprefix("torch."),
    }


def origin_of(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """What environment.json says of a run's beginning: `started`, the local time; `folder`, where the recipe's relative
    paths start; and `command`, if one was typed.

    arguments: of the process (default: sys.argv). A script or a notebook that calls `train` leaves no command.

    >>> origin_of(["/usr/bin/foveola", "train", "my photos"])["command"]
    ['foveola', 'train', 'my photos']
    >>> "command" in origin_of(["notebook.py"])
    False
    """
    program, *words = (sys.argv if arguments is None else arguments) or [""]
    path = Path(program)
    typed = path.stem == "foveola" or path.parts[-2:] == ("foveola", "__main__.py")
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"started": started, "folder": str(Path.cwd()), **({"command": ["foveola", *words]} if typed else {})}


def weights_of(model: nn.Module) -> dict[str, Any]:
    """Under "weights" the origin, the digest and the licence of each file of weights that a network starts from."""
    published = model.published if isinstance(model, FromPublishedWeights) else ()
    found: dict[str, Any] = {
        one.name: {"package": one.package, "version": one.version, "licence": one.licence, "sha256": one.sha256}
        for one in published
    }
    found.update(model.origins if isinstance(model, FromUsersWeights) else {})
    return {"weights": found} if found else {}


def parts_of(recipe: Recipe) -> dict[str, Callable[..., Any]]:
    """The network and the filters that a recipe uses, by their names."""
    chain, name = Chain.parse(recipe.data.chain), recipe.model.name
    return {name: get_model(name), **{step.name: FILTERS[step.name] for step in chain.steps}}


def own_code(used: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """Under "own_code" the digest of each network or filter in use that is not foveola's, by its name; {} where all are.

    used: the functions by their names. Of each its own text counts, not what it calls.
    """
    found = {}
    for name, function in used.items():
        if not (getattr(function, "__module__", "") or "").startswith("foveola."):
            found[name] = _digest_of(function)
    return {"own_code": found} if found else {}


def own_files(used: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """Under "own_files" the file that registered each network or filter in use that is not foveola's, by its name."""
    found = {}
    for name, function in used.items():
        file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", "")
        if not (getattr(function, "__module__", "") or "").startswith("foveola.") and Path(file).is_file():
            found[name] = file
    return {"own_files": found} if found else {}


@functools.cache
def _digest_of(function: Callable[..., Any]) -> str:
    """Of its text as it was when first asked: what its file says later is not what runs."""
    try:
        text = inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):  # typed at a prompt
        text = repr(getattr(function, "__qualname__", function))
    return digest(text)[:16]


def versions_of(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Entries that influence a run's numbers, next to recipe, data and seed."""
    found = environment_of(device, dtype)
    return {key: found[key] for key in ("foveola", "torch", "backend", "device", "precision")}
