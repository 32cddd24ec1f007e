"""Learned kernels of a convolution, and the patches of a data set that activate a channel most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
from foveola.text import unknown
from foveola.types import Image, Images, Indices, Tick, no_tick

_PROBES, _AT_ONCE = 4, 64


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
