"""Find the activation function that follows a layer, by tracing one forward pass.

Hooks see modules only, but many networks call activations as functions. torch's function mode sees both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

_ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "silu": "SiLU",
    "gelu": "GELU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "selu": "SELU",
    "mish": "Mish",
    "hardswish": "hard swish",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softplus": "softplus",
}
"""Names of elementwise activations, by the name of torch's function without the underscore of in-place versions."""


class ActivationTracer(TorchFunctionMode):
    """Record the first function that is applied to `output`, which a layer's hook sets.

    name: the activation, "" if something else comes first, such as pooling or batch norm; result: its output.
    """

    def __init__(self) -> None:
        super().__init__()
        self.output: Tensor | None = None
        self.name = ""
        self.result: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        taken = self.output is not None and any(one is self.output for one in args)
        if taken and self.result is None and isinstance(result, Tensor):  # other functions may only read its shape
            self.name = _activation(func, args, kwargs)
            self.result = result.clone()  # the next layer may change it in place
        return result


def _activation(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    name = getattr(func, "__name__", "").rstrip("_")
    ends = (*args[1:3], *(kwargs[key] for key in ("min_val", "max_val") if key in kwargs))
    if name == "hardtanh" and ends == (0, 6):  # as torch's ReLU6 calls it
        name = "relu6"
    return _ACTIVATIONS.get(name, "")
