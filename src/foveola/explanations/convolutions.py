"""Convolutions: their learned kernels, the patches of a data set that activate a channel most, their receptive fields, and
the arithmetic of one output value: sum(patch * kernel) + bias, and the activation that follows."""

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
from foveola.explanations.stages import (
    convolutions_of,
    eval_mode,
    gradient_errors_as_usage_errors,
    recorded_outputs,
    require_output,
    require_stage,
    stages_of,
    to_batch,
)
from foveola.models.layers import ConvSame, same_padding
from foveola.text import unknown
from foveola.types import Image, Images, Indices, Tick, no_tick

_PROBES, _AT_ONCE = 4, 64

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
class Kernels:
    """A convolution's weights: float32 (outputs, inputs, kh, kw).

    over_colours: whether the inputs are red, green and blue; groups: of inputs, of which an output sees one.
    """

    layer: str
    values: NDArray[np.float32]
    over_colours: bool = False
    groups: int = 1

    @property
    def images(self) -> Images | None:
        """Kernels over three colours as images uint8 (outputs, kh, kw, 3), zero is grey, one scale for all; else None."""
        if not self.over_colours:
            return None
        top = float(np.abs(self.values).max()) or 1.0
        return np.asarray(np.rint(127.5 + 127.5 * self.values.transpose(0, 2, 3, 1) / top), np.uint8)


@dataclass(frozen=True)
class Patch:
    """A patch that activates a channel: position (row of the data set, top, left, in pixels), activation, pixels."""

    row: int
    top: int
    left: int
    value: float
    image: Image


def kernels(model: nn.Module, layer: str = "") -> Kernels:
    """The learned kernels of a convolution.

    layer: the first convolution by default.
    Raises UsageError for a layer that is not a convolution.
    """
    known = convolutions_of(model)
    if not known:
        raise UsageError("this network has no convolution: there are no kernels to show")
    layer = layer or known[0]
    if layer not in known:
        raise UsageError(unknown("convolution", layer, known))
    conv = model.get_submodule(layer)
    assert isinstance(conv, nn.Conv2d)
    values = conv.weight.detach().float().cpu().numpy()
    return Kernels(layer, values, layer == known[0] and values.shape[1] == 3 and conv.groups == 1, conv.groups)


def max_activating(
    model: nn.Module, images: Images, stage: str = "", *, each: int = 9, tick: Tick = no_tick
) -> dict[int, list[Patch]]:
    """For each channel of a stage, the patches of a data set that activate it most.

    stage: the last stage by default; each: patches per channel, from different images; images: uint8 (n, H, W, 3). A patch
    is the receptive field of the position with the highest activation, cut at the image's border.
    """
    stage = stage or stages_of(model)[-1]
    require_stage(model, stage)
    highs: list[NDArray[np.float32]] = []
    places: list[NDArray[np.int64]] = []
    with eval_mode(model), torch.inference_mode(), recorded_outputs(model, (stage,)) as seen:
        for start in range(0, len(images), _AT_ONCE):
            model(to_batch(images[start : start + _AT_ONCE]))
            require_output(stage, seen)
            maps = seen[stage]
            if maps.ndim != 4:
                shape = tuple(maps.shape[1:])
                raise UsageError(
                    f"stage '{stage}' has an output of shape {shape}, not (channels, height, width): choose another stage"
                )
            high, place = maps.float().flatten(2).max(dim=2)
            highs.append(high.numpy())
            places.append(place.numpy())
            tick("Searching for patches", min(start + _AT_ONCE, len(images)), len(images))
        width = maps.shape[3]
    value, place_ = np.concatenate(highs), np.concatenate(places)
    views: dict[int, tuple[int, int, int, int]] = {}
    found: dict[int, list[Patch]] = {}
    for channel in range(value.shape[1]):
        order: Indices = np.argsort(-value[:, channel], kind="stable")[:each]
        found[channel] = []
        for row in order.tolist():
            at = int(place_[row, channel])
            if at not in views:
                views[at] = receptive_field(model, stage, images.shape[1:3], *divmod(at, width))
            top, left, bottom, right = views[at]
            patch = np.asarray(images[row, top:bottom, left:right])
            found[channel].append(Patch(row, top, left, float(value[row, channel]), patch))
    return found


def receptive_field(
    model: nn.Module, stage: str, size: tuple[int, int], row: int, column: int
) -> tuple[int, int, int, int]:
    """Receptive field of a position in a stage: top, left, bottom, right in pixels, the last two not included.

    Computed from gradients: the pixels that affect the sum of the position's channels in any of four random images. One image
    is not enough, because a ReLU or a maximum hides some pixels. This works for any architecture.
    """
    generator = torch.Generator().manual_seed(0)
    images = 255 * torch.rand((_PROBES, 3, *size), generator=generator)
    layer, caught = require_stage(model, stage), []
    hook = layer.register_forward_hook(lambda _, inputs, output: caught.append(output))
    try:
        with eval_mode(model), torch.enable_grad(), gradient_errors_as_usage_errors("the image"):
            images.requires_grad_()
            model(images)
            (slope,) = torch.autograd.grad(caught[0][:, :, row, column].abs().sum(), images)
    finally:
        hook.remove()
    touched = slope.abs().amax(dim=(0, 1)) > 0
    rows, columns = touched.any(dim=1).nonzero().ravel(), touched.any(dim=0).nonzero().ravel()
    if not len(rows):
        return 0, 0, *size
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


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
