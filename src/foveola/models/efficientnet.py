"""EfficientNet-Lite0: the trunk that transfer learning starts from, for photos of 224x224.

The architecture follows M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(2019, arXiv:1905.11946), in its Lite variant of width and depth 1: no squeeze-and-excitation, ReLU6 instead of swish
(https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html). The published batch
norms no longer learn, so they are part of the convolutions before them: every convolution has a bias, and there is no
batch norm (see `models/pretrained_weights.py`, which folds them).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from foveola.models.layers import ConvSame, Normalise

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
    start as torch draws them and are meant to be replaced by `pretrained_weights.lite0_weights`. Dropout and stochastic
    depth, which the original was trained with, are left to the caller.

    `stages` names the modules whose outputs are feature maps; at 224x224 their sides are 112, 112, 56, 28, 14, 14, 7, 7
    and 7. `Normalise` is fixed to mean 127 and deviation 128, MEAN_RGB and STDDEV_RGB of the original's
    efficientnet_lite_builder.py. Measured on 255 daisies of 128x128, enlarged to 224x224: 107 are "daisy" to the ImageNet
    head, at 3.32 nats an image; with torchvision's mean and deviation it is 94, at 3.79.
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
    # In place: 25 to 34 ms an image (float32, one busy core) against 38 to 51 with a copy; a convolution's gradient
    # does not need its output.
    conv = ConvSame(inputs, outputs, kernel, stride, groups=groups)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU6(inplace=True)))
