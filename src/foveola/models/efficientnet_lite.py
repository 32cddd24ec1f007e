"""EfficientNet-Lite without its classifier, in the widths and depths of Lite0 to Lite2, and its ImageNet weights.

The architecture follows M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(2019, arXiv:1905.11946), in its Lite variant: no squeeze-and-excitation, ReLU6 instead of swish, and a stem and a top of the
same width in all sizes
(https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html). The published batch
norms no longer learn, so they are part of the convolutions before them: every convolution has a bias, and there is no
batch norm (see `lite_weights`, which folds them).
"""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from foveola.models.feature_sets import Block
from foveola.models.layers import ConvSame, Normalise
from foveola.models.pretrained_weights import LITE0, PublishedWeights
from foveola.storage import digest, write_atomic

TOP = 1280
"""The number of channels of the last convolution, "top"."""

EARLIER = ("stage7", "stage5", "stage3")
"""Stages whose channel means are features, too, after those of "top"."""


class Stage(NamedTuple):
    """A row of the paper's table 1: the number of blocks and their kernel; the first has the stride, all the expansion."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


STAGES = (
    Stage(blocks=1, kernel=3, stride=1, expansion=1, width=16),
    Stage(blocks=2, kernel=3, stride=2, expansion=6, width=24),
    Stage(blocks=2, kernel=5, stride=2, expansion=6, width=40),
    Stage(blocks=3, kernel=3, stride=2, expansion=6, width=80),
    Stage(blocks=3, kernel=5, stride=1, expansion=6, width=112),
    Stage(blocks=4, kernel=5, stride=2, expansion=6, width=192),
    Stage(blocks=1, kernel=3, stride=1, expansion=6, width=320),
)
"""stage1 to stage7 of EfficientNet-B0, which Lite0 shares."""


def stages_of(width: float = 1.0, depth: float = 1.0) -> tuple[Stage, ...]:
    """The seven stages of a network that is wider and deeper than Lite0 by these factors.

    Widths are rounded to multiples of 8, up where they would fall below nine tenths; blocks are rounded up. The first and
    the last stage keep their one block.

    >>> [stage.width for stage in stages_of(width=1.1)]
    [16, 24, 48, 88, 120, 208, 352]
    >>> [stage.blocks for stage in stages_of(depth=1.2)]
    [1, 3, 3, 4, 4, 5, 1]
    """
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            width=_round8(stage.width * width),
            blocks=stage.blocks if k in (0, last) else math.ceil(stage.blocks * depth),
        )
        for k, stage in enumerate(STAGES)
    )


def _round8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class Bottleneck(nn.Sequential):
    """An inverted bottleneck: 1x1 convolution to `expansion` times the channels, depthwise convolution, 1x1 back.

    ReLU6 follows the first two, nothing the last; the input is added where shapes allow. float (b, inputs, H, W) to
    (b, width, ceil(H / stride), ceil(W / stride)). Source: M. Sandler et al., "MobileNetV2", 2018, arXiv:1801.04381.
    """

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        inner = inputs * stage.expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if stage.expansion > 1:
            layers["expand"] = _conv_relu6(inputs, inner)
        layers["depthwise"] = _conv_relu6(inner, inner, stage.kernel, stride, groups=inner)
        layers["project"] = nn.Conv2d(inner, stage.width, 1)
        super().__init__(layers)
        self.adds = stride == 1 and inputs == stage.width

    def forward(self, images: Tensor) -> Tensor:
        out = images
        for layer in self:
            out = layer(out)
        return out + images if self.adds else out


class EfficientNetLite(nn.Module):
    """Normalise, stem, seven stages, a 1x1 convolution to 1280 channels ("top"): a network without its classifier.

    It gives `features` of images uint8 or float (b, 3, H, W), 0..255, of any size (Lite0 was made for 224x224). The weights
    start as torch draws them and are meant to be replaced by `lite_weights`. Dropout and stochastic depth, which the
    original was trained with, are left to the caller.

    `stages` names the modules whose outputs are feature maps; at 224x224 their sides are 112, 112, 56, 28, 14, 14, 7, 7
    and 7. `Normalise` is fixed to mean 127 and deviation 128, MEAN_RGB and STDDEV_RGB of the original's
    efficientnet_lite_builder.py. Measured on 255 daisies of 128x128, enlarged to 224x224: 107 are "daisy" to the ImageNet
    head, at 3.32 nats per image; with torchvision's mean and deviation it is 94, at 3.79.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.normalise = Normalise("half")
        self.stem = _conv_relu6(3, 32, 3, stride=2)
        inputs, widths = 32, {"top": TOP}
        for number, stage in enumerate(stages_of(width, depth), start=1):
            blocks = [Bottleneck(inputs, stage, stage.stride)]
            blocks += [Bottleneck(stage.width, stage, 1) for _ in range(1, stage.blocks)]
            self.add_module(f"stage{number}", nn.Sequential(*blocks))
            inputs = widths[f"stage{number}"] = stage.width
        self.top = _conv_relu6(inputs, TOP)
        self.stages: tuple[str, ...] = ("stem", *(f"stage{k}" for k in range(1, len(STAGES) + 1)), "top")
        self.blocks = tuple(Block(name, widths[name]) for name in ("top", *EARLIER))

    def load(self, published: PublishedWeights) -> None:
        """Load ImageNet weights for this width and depth; a head is not changed. Raises ResourceError without them."""
        weights = lite_weights(published)
        self.load_state_dict({name: one for name, one in weights.items() if not name.startswith("head.")}, strict=False)

    def features(self, images: Tensor) -> Tensor:
        """Means of the channels over the image, float32 (b, 1752 in Lite0), those of each of `blocks` after the other.

        Under autocast too they are float32: the means are added up and kept in it, since rounding features to bfloat16
        would lose digits that a classifier can use. (A network turned to float64 gives float64.)
        """
        means: dict[str, Tensor] = {}
        images = self.normalise(images)
        for stage in self.stages:
            images = self.get_submodule(stage)(images)
            if stage in ("top", *EARLIER):
                means[stage] = images.mean(dim=(2, 3), dtype=torch.promote_types(images.dtype, torch.float32))
        return torch.cat([means[block.name] for block in self.blocks], dim=1)


def _conv_relu6(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    # In place: 25 to 34 ms per image (float32, one busy core) against 38 to 51 with a copy; a convolution's gradient
    # does not need its output.
    conv = ConvSame(inputs, outputs, kernel, stride, groups=groups)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU6(inplace=True)))


def lite_weights(published: PublishedWeights = LITE0) -> dict[str, Tensor]:
    """The weights of an `EfficientNetLite`: float32, by the names of its parameters, and "head" for ImageNet's 1,000 classes.

    They are converted once (the batch norms are folded into the convolutions in float64), then read from the cache; a copy
    there that is damaged is made again. Load them with strict=False: Normalise's buffers are not among them.

    Raises ResourceError when the package is not installed, when its file can't be read or is not the one that is pinned,
    and when the cache can't be written.
    """
    path = published.cached
    weights = _read(path, published)
    if weights is None:
        theirs = torch.load(io.BytesIO(published.read()), map_location="cpu", weights_only=True)
        weights = convert(theirs, stages_of(published.width, published.depth))
        write_atomic(path, save(weights, {"digest": _content(weights)}))
    return weights


_EPSILON = 1e-3  # of the batch norms: BN_EPSILON of the original, batch_norm_epsilon of the package's reference


def convert(theirs: Mapping[str, Tensor], stages: Sequence[Stage] = STAGES) -> dict[str, Tensor]:
    """The published weights under our names, and each batch norm folded into the convolution before it.

    norm(conv(x)) = (conv(x) - mean) * scale + shift with scale = gamma / sqrt(variance + epsilon) is a convolution by
    weight * scale with the bias shift - mean * scale (B. Jacob et al., 2018, arXiv:1712.05877, section 3.2).
    """
    out: dict[str, Tensor] = {}
    for ours, conv, norm in _names(stages):
        gamma, shift, mean, variance = (
            theirs[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / (variance + _EPSILON).sqrt()
        folded = theirs[f"{conv}.weight"].double() * scale.view(-1, 1, 1, 1)
        out[f"{ours}.weight"] = folded.float().contiguous()
        out[f"{ours}.bias"] = (shift - mean * scale).float()
    return out | {f"head.{part}": theirs[f"_fc.{part}"].float().contiguous() for part in ("weight", "bias")}


def _names(stages: Sequence[Stage]) -> Iterator[tuple[str, str, str]]:
    """(our convolution, theirs, its batch norm); they count the blocks through all stages."""
    yield "stem.conv", "_conv_stem", "_bn0"
    places = [(f"stage{k}.{block}", stage) for k, stage in enumerate(stages, start=1) for block in range(stage.blocks)]
    for number, (place, stage) in enumerate(places):
        if stage.expansion > 1:
            yield f"{place}.expand.conv", f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0"
        yield f"{place}.depthwise.conv", f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1"
        yield f"{place}.project", f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2"
    yield "top.conv", "_conv_head", "_bn1"


def _read(path: Path, published: PublishedWeights) -> dict[str, Tensor] | None:
    """The cached copy; None when there is none, or when names, shapes, types or one bit are not as they were written."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return None
    with torch.device("meta"):  # names and shapes without memory
        whole = nn.ModuleDict(
            {"trunk": EfficientNetLite(published.width, published.depth), "head": nn.Linear(TOP, 1000)}
        )
    wanted = {name.removeprefix("trunk."): (value.shape, value.dtype) for name, value in whole.named_parameters()}
    if {name: (value.shape, value.dtype) for name, value in weights.items()} != wanted:
        return None
    return weights if metadata.get("digest") == _content(weights) else None


def _content(weights: Mapping[str, Tensor]) -> str:
    return digest(*(part for name in sorted(weights) for part in (name, weights[name].numpy().tobytes())))
