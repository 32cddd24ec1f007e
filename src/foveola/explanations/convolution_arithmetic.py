"""The arithmetic of one output value of a convolution: sum(patch * kernel) + bias, and the activation that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from foveola.errors import UsageError
from foveola.explanations.kernels import receptive_field
from foveola.explanations.stages import convolutions_of, eval_mode, require_output, to_batch
from foveola.models.layers import ConvSame, same_padding
from foveola.text import unknown
from foveola.types import Image

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


Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class ConvolutionArithmetic:
    """The terms of sum(patch * kernel) + bias = value for one output value of a convolution.

    patch, kernel: float64 (C, kh, kw), the patch including zero padding; value: the output of the network's layer, computed
    in float32; sees: the receptive field in the image: top, left, bottom, right in pixels; activation: "ReLU", "SiLU" and so
    on if one follows the convolution directly, and activated is its output; "" if another layer follows, such as pooling or
    batch norm; first: the number of the patch's first input channel, which is not 0 in grouped convolutions; over_colours:
    whether the inputs are red, green and blue.
    """

    layer: str
    channel: int
    row: int
    column: int
    patch: Numbers
    kernel: Numbers
    bias: float
    value: float
    sees: tuple[int, int, int, int]
    activation: str = ""
    activated: float = 0.0
    first: int = 0
    over_colours: bool = False

    @property
    def products(self) -> Numbers:
        """patch * kernel, elementwise: float64 (C, kh, kw)."""
        return self.patch * self.kernel

    @property
    def total(self) -> float:
        """The sum of all products and the bias."""
        return float(self.products.sum() + self.bias)


def one_pixel(model: nn.Module, image: Image, layer: str, channel: int, row: int, column: int) -> ConvolutionArithmetic:
    """Compute the arithmetic of one output value of a convolution.

    image: uint8 (H, W, 3).
    Raises UsageError for a layer that is not a convolution, and for a channel or position outside its output.
    """
    known = convolutions_of(model)
    if layer not in known:
        raise UsageError(unknown("convolution", layer, known))
    conv = model.get_submodule(layer)
    assert isinstance(conv, nn.Conv2d)
    seen: list[Tensor] = []
    following = ActivationTracer()

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.extend((inputs[0].clone(), output.clone()))
        following.output = output if following.output is None else following.output

    hook = conv.register_forward_hook(note)
    try:
        with eval_mode(model), torch.inference_mode(), following:
            model(to_batch(image[None]))
    finally:
        hook.remove()
    require_output(layer, seen)
    given, out = seen[0], seen[1]
    for what, index, limit in zip(("channel", "row", "column"), (channel, row, column), out.shape[1:], strict=True):
        if not 0 <= index < limit:
            raise UsageError(f"{what} {index} is not in the output of '{layer}': give a number from 0 to {limit - 1}")
    kernel = conv.weight[channel].detach().double().numpy()
    each = conv.in_channels // conv.groups
    first = channel // (conv.out_channels // conv.groups) * each
    patch = _patch(conv, given[0].double(), slice(first, first + each), row, column)
    bias = 0.0 if conv.bias is None else float(conv.bias[channel].detach())
    value = float(out[0, channel, row, column])
    _require_plain(layer, patch, kernel, bias, value)
    sees = receptive_field(model, layer, image.shape[:2], row, column)
    at = 0, channel, row, column
    activated = float(following.result[at]) if following.name and following.result is not None else 0.0
    over_colours = layer == known[0] and each == 3
    return ConvolutionArithmetic(
        layer, channel, row, column, patch, kernel, bias, value, sees, following.name, activated, first, over_colours
    )


def _require_plain(layer: str, patch: Numbers, kernel: Numbers, bias: float, value: float) -> None:
    """Raise UsageError for a convolution whose own `forward` computes something else."""
    if patch.shape == kernel.shape:
        products = patch * kernel
        if np.isclose(products.sum() + bias, value, rtol=1e-3, atol=1e-3 * float(np.abs(products).sum())):
            return
    raise UsageError(f"'{layer}' computes more than kernel x patch + bias: choose another convolution")


def _patch(conv: nn.Conv2d, given: Tensor, channels: slice, row: int, column: int) -> Numbers:
    """The part of the padded input under the kernel: float64 (C, kh, kw)."""
    size, step, spread = conv.kernel_size, conv.stride, conv.dilation
    if isinstance(conv, ConvSame):
        pads = [same_padding(side, size[0], step[0]) for side in given.shape[1:]]
    elif conv.padding == "same":
        total = [d * (k - 1) for d, k in zip(spread, size, strict=True)]
        pads = [(t // 2, t - t // 2) for t in total]
    else:
        pads = [(0, 0), (0, 0)] if conv.padding == "valid" else [(int(p), int(p)) for p in conv.padding]
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    wide = F.pad(given[None], (*pads[1], *pads[0]), mode=mode)[0]
    top, left = row * step[0], column * step[1]
    cut = wide[
        channels,
        top : top + spread[0] * (size[0] - 1) + 1 : spread[0],
        left : left + spread[1] * (size[1] - 1) + 1 : spread[1],
    ]
    return cut.numpy()


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
