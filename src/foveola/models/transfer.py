"""transfer: EfficientNet-Lite0 pre-trained on ImageNet, with a new classifier for your classes; for photos of 224x224.

A network that has `features` and a `head` is trained in two steps: first the head alone, on features that are computed once
(`training/linear_probe.py`), then the last stages and the head together, if the recipe asks for epochs.

The architecture follows M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(2019, arXiv:1905.11946), in its Lite variant of width and depth 1: no squeeze-and-excitation, ReLU6 instead of swish
(https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html). The published batch
norms no longer learn, so they are part of the convolutions before them: every convolution has a bias, and there is no
batch norm (see `lite0_weights`, which folds them).
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Le
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from foveola.models.layers import ConvSame, Normalise
from foveola.models.pretrained_weights import SHA256, cached_weights, published_weights
from foveola.storage import digest, write_atomic
from foveola.types import Size

FEATURES = 1280
"""How many numbers `EfficientNetLite0.features` gives for an image."""


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


class EfficientNetLite0(nn.Module):
    """Normalise, stem, seven stages, a 1x1 convolution to 1280 channels, their means, a linear head.

    Images uint8 or float (b, 3, H, W), 0..255, of any size (made for 224x224), give logits (b, classes). The weights
    start as torch draws them and are meant to be replaced by `lite0_weights`. Dropout and stochastic
    depth, which the original was trained with, are left to the caller.

    `stages` names the modules whose outputs are feature maps; at 224x224 their sides are 112, 112, 56, 28, 14, 14, 7, 7
    and 7. `Normalise` is fixed to mean 127 and deviation 128, MEAN_RGB and STDDEV_RGB of the original's
    efficientnet_lite_builder.py. Measured on 255 daisies of 128x128, enlarged to 224x224: 107 are "daisy" to the ImageNet
    head, at 3.32 nats per image; with torchvision's mean and deviation it is 94, at 3.79.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.normalise = Normalise("half")
        self.stem = _conv_relu6(3, 32, 3, stride=2)
        width = 32
        for number, stage in enumerate(STAGES, start=1):
            blocks = [Bottleneck(width, stage, stage.stride)]
            blocks += [Bottleneck(stage.width, stage, 1) for _ in range(1, stage.blocks)]
            self.add_module(f"stage{number}", nn.Sequential(*blocks))
            width = stage.width
        self.top = _conv_relu6(width, FEATURES)
        self.head = nn.Linear(FEATURES, classes)
        self.stages: tuple[str, ...] = ("stem", *(f"stage{k}" for k in range(1, len(STAGES) + 1)), "top")

    def features(self, images: Tensor) -> Tensor:
        """What the head sees: the mean of each channel over the image, float32 (b, 1280), 0..6.

        Under autocast too it is float32: the mean is added up and kept in it, since rounding features to bfloat16
        would lose digits that the head can use. (A network turned to float64 gives float64.)
        """
        images = self.normalise(images)
        for stage in self.stages:
            images = self.get_submodule(stage)(images)
        return images.mean(dim=(2, 3), dtype=torch.promote_types(images.dtype, torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def _conv_relu6(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    # In place: 25 to 34 ms per image (float32, one busy core) against 38 to 51 with a copy; a convolution's gradient
    # does not need its output.
    conv = ConvSame(inputs, outputs, kernel, stride, groups=groups)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU6(inplace=True)))


class Transfer(EfficientNetLite0):
    """EfficientNet-Lite0 whose last `finetune_stages` stages are trained; its head starts at zero."""

    features_key = SHA256
    """What decides the features, together with the images, once `features_ready`."""

    features_ready = False
    """Whether the weights are those that `features_key` names: only after `adapt`."""

    def __init__(self, classes: int, finetune_stages: int) -> None:
        super().__init__(classes)
        learning = self.stages[len(self.stages) - finetune_stages :]
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.partition(".")[0] in (*learning, "head"))
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.zero_()

    def adapt(self, images: Tensor) -> None:
        """Load the ImageNet weights, whatever the images; the head stays at zero. Raises ResourceError without them."""
        trunk = {name: value for name, value in lite0_weights().items() if not name.startswith("head.")}
        self.load_state_dict(trunk, strict=False)
        self.features_ready = True


def transfer(*, size: Size, classes: int, finetune_stages: Annotated[int, Ge(0), Le(9)] = 3) -> Transfer:
    """EfficientNet-Lite0, pre-trained on ImageNet, with a new classifier: for photos, especially if there are few."""
    return Transfer(classes, finetune_stages)


def lite0_weights() -> dict[str, Tensor]:
    """The weights of `EfficientNetLite0(1000)`: float32, by the names of its parameters, `head` for ImageNet's classes.

    Converted once (the batch norms are folded into the convolutions in float64), then read from the cache; a copy there
    that is damaged is made again. Load them with strict=False: Normalise's buffers are not among them.

    Raises ResourceError when the package is not installed, when its file can't be read or is not the one that is pinned,
    and when the cache can't be written.
    """
    path = cached_weights()
    weights = _read(path)
    if weights is None:
        theirs = torch.load(io.BytesIO(published_weights()), map_location="cpu", weights_only=True)
        weights = _convert(theirs)
        write_atomic(path, save(weights, {"digest": _content(weights)}))
    return weights


_EPSILON = 1e-3  # of the batch norms: BN_EPSILON of the original, batch_norm_epsilon of the package's reference


def _convert(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names, and each batch norm folded into the convolution before it.

    norm(conv(x)) = (conv(x) - mean) * scale + shift with scale = gamma / sqrt(variance + epsilon) is a convolution by
    weight * scale with the bias shift - mean * scale (B. Jacob et al., 2018, arXiv:1712.05877, section 3.2).
    """
    out: dict[str, Tensor] = {}
    for ours, conv, norm in _names():
        gamma, shift, mean, variance = (
            theirs[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / (variance + _EPSILON).sqrt()
        folded = theirs[f"{conv}.weight"].double() * scale.view(-1, 1, 1, 1)
        out[f"{ours}.weight"] = folded.float().contiguous()
        out[f"{ours}.bias"] = (shift - mean * scale).float()
    return out | {f"head.{part}": theirs[f"_fc.{part}"].float().contiguous() for part in ("weight", "bias")}


def _names() -> Iterator[tuple[str, str, str]]:
    """(our convolution, theirs, its batch norm); they count the blocks through all stages."""
    yield "stem.conv", "_conv_stem", "_bn0"
    places = [(f"stage{k}.{block}", stage) for k, stage in enumerate(STAGES, start=1) for block in range(stage.blocks)]
    for number, (place, stage) in enumerate(places):
        if stage.expansion > 1:
            yield f"{place}.expand.conv", f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0"
        yield f"{place}.depthwise.conv", f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1"
        yield f"{place}.project", f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2"
    yield "top.conv", "_conv_head", "_bn1"


def _read(path: Path) -> dict[str, Tensor] | None:
    """The cached copy; None when there is none, or when names, shapes, types or one bit are not as they were written."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return None
    with torch.device("meta"):  # names and shapes without memory
        wanted = {name: (value.shape, value.dtype) for name, value in EfficientNetLite0(1000).named_parameters()}
    if {name: (value.shape, value.dtype) for name, value in weights.items()} != wanted:
        return None
    return weights if metadata.get("digest") == _content(weights) else None


def _content(weights: Mapping[str, Tensor]) -> str:
    return digest(*(part for name in sorted(weights) for part in (name, weights[name].numpy().tobytes())))
