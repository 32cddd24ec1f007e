"""Run a network's forward pass with the compiled kernels, whatever plain torch layers it is made of."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from foveola_kernels.availability import is_wanted, kernels, numba_version, why_unavailable
from foveola_kernels.convolution import are_convolutions_faster, conv2d, convolutions_on
from foveola_kernels.fuse import can_fuse_layers, run_fused
from foveola_kernels.layers import max_pool2d

VERSION = "0.1.0"


@contextlib.contextmanager
def accelerated(model: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """The context of a forward pass in training. It also accelerates the backward pass of the result.

    dtype: what the pass computes in, float32 or bfloat16. On another device than the CPU, and where the kernels can't run,
    the context does nothing.

    In an `nn.Sequential`, [convolution, ReLU, batch norm] and [max pooling, dropout] after it become one operation each.
    Other convolutions and poolings are replaced one by one. Layers with hooks, with a `forward` of their own or in
    evaluation mode stay torch's.
    """
    if device.type != "cpu" or kernels() is None:
        yield
        return
    with _fused_sequentials(model), convolutions_on(are_convolutions_faster(dtype)), _Operations():
        yield


@contextlib.contextmanager
def _fused_sequentials(model: nn.Module) -> Iterator[None]:
    changed = [module for module in model.modules() if can_fuse_layers(module)]
    for module in changed:
        module.forward = functools.partial(run_fused, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in changed:
            del module.forward


class _Operations(TorchFunctionMode):
    """Replaces the calls of conv2d and max_pool2d, in any network."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _REPLACED.get(func, func)(*args, **(kwargs or {}))


_REPLACED: Mapping[Callable[..., Any], Callable[..., Any]] = {
    torch.conv2d: conv2d,
    F.max_pool2d: max_pool2d,
    torch.max_pool2d: max_pool2d,
}


def backend_id() -> str:
    """What computes a training here, as a part of a run's identity; "torch" where the kernels don't run.

    Reads versions only: numba is not imported.
    """
    numba = numba_version()
    return f"foveola-kernels {VERSION}, numba {numba}" if numba and is_wanted() else "torch"


def problem() -> str:
    """Why the kernels fail where they should run; "" where they run, or are not meant to."""
    return why_unavailable() if is_wanted() else ""
