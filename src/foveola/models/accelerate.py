"""Use the optional package foveola-kernels in training, if it is installed. Only this file knows the package."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import warnings
from types import ModuleType

import torch
from torch import nn

from foveola.errors import FoveolaWarning

PACKAGE = "foveola_kernels"


def accelerated(
    model: nn.Module, device: torch.device, dtype: torch.dtype
) -> contextlib.AbstractContextManager[object]:
    """The context of a forward pass in training with this precision; it does nothing without foveola-kernels.

    The backward pass is accelerated, too. The results are torch's within 1e-3, with the same bits for any number of
    threads. If the package is installed but fails, a FoveolaWarning says so once.
    """
    kernels = _working_kernels()
    if kernels is None:
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[object] = kernels.accelerated(model, device, dtype)
    return context


def backend_id() -> str:
    """What computes a training here, as a part of a run's identity: "torch", or the versions of foveola-kernels and numba."""
    kernels, _ = _imported()
    return str(kernels.backend_id()) if kernels else "torch"


@functools.cache
def _working_kernels() -> ModuleType | None:
    kernels, problem = _imported()
    problem = problem or (kernels.problem() if kernels else "")
    if not problem:
        return kernels
    warnings.warn(
        f"foveola-kernels is installed but does not work: {problem}. Training continues with torch alone and takes longer; "
        "install foveola-kernels again, or remove it",
        FoveolaWarning,
        stacklevel=3,
    )
    return None


@functools.cache
def _imported() -> tuple[ModuleType | None, str]:
    """The package, or None and why its import failed; a package that is not installed is no failure."""
    if importlib.util.find_spec(PACKAGE) is None:
        return None, ""
    try:
        return importlib.import_module(PACKAGE), ""
    except Exception as error:  # a torch or an installation that does not fit raises more than ImportError
        return None, str(error).partition("\n")[0] or type(error).__name__
