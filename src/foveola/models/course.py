"""The two networks of the course, layer for layer as Keras builds them.

Both follow Keras's conventions: "same" padding, Glorot uniform weights, batch norm with momentum 0.99 (0.01 in torch's
definition) and epsilon 1e-3. Their last layer returns logits; the course's softmax is in the loss.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Annotated

from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from foveola.models.layers import ConvSame, Dropout, Init, MaxPoolSame, Normalise, Scale, init_weights
from foveola.types import Size

Share = Annotated[float, Ge(0), Lt(1)]
Positive = Annotated[float, Gt(0), Lt(1)]


class Classic(nn.Sequential):
    """A chain of named layers that begins with `Normalise`. `stages`: the layers whose outputs are its feature maps."""

    def __init__(self, layers: OrderedDict[str, nn.Module], stages: tuple[str, ...]) -> None:
        super().__init__(layers)
        self.stages = stages

    def adapt(self, images: Tensor) -> None:
        """Take the pixels' mean and deviation from training images: uint8 (n, 3, H, W)."""
        first = self[0]
        assert isinstance(first, Normalise)
        first.adapt(images)


def alexnet_mini(
    *,
    size: Size,
    classes: int,
    dropout: Share = 0.5,
    pixels: Scale = "standard",
    init: Init = "glorot_uniform",
    bn_momentum: Positive = 0.99,
    bn_eps: Positive = 1e-3,
) -> Classic:
    """The course's reduced AlexNet for photos: five convolutions, two dense layers; 635,170 parameters at 224x224.

    Sides of 224 become 56, 28 and 14. After Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep
    Convolutional Neural Networks", 2012, with far fewer channels.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalise=Normalise(pixels))
    plan = ((32, 11, 4, True), (64, 5, 1, True), (128, 3, 1, False), (64, 3, 1, False), (32, 3, 1, False))
    channels = 3
    for number, (width, kernel, stride, pooled) in enumerate(plan, start=1):
        layers[f"conv{number}"] = ConvSame(channels, width, kernel, stride)
        layers[f"relu{number}"] = nn.ReLU()
        if pooled:
            layers[f"pool{number}"] = MaxPoolSame(3, 2)
            layers[f"norm{number}"] = nn.BatchNorm2d(width, bn_eps, 1 - bn_momentum)
        channels = width
    sides = [math.ceil(math.ceil(math.ceil(side / 4) / 2) / 2) for side in size]
    layers["flatten"] = nn.Flatten()
    for number, inputs in enumerate((channels * sides[0] * sides[1], 64), start=1):
        layers[f"dense{number}"] = nn.Linear(inputs, 64)
        layers[f"dense_relu{number}"] = nn.ReLU()
        layers[f"dropout{number}"] = Dropout(dropout)
    layers["output"] = nn.Linear(64, classes)
    model = Classic(layers, tuple(f"relu{number}" for number in range(1, 6)))
    init_weights(model, init)
    return model


def vgg6(
    *,
    size: Size,
    classes: int,
    head_batchnorm: bool = False,
    pixels: Scale = "standard",
    init: Init = "glorot_uniform",
    bn_momentum: Positive = 0.99,
    bn_eps: Positive = 1e-3,
) -> Classic:
    """The course's network for CIFAR-10: three pairs of 3x3 convolutions; 552,362 parameters at 32x32, 10 classes.

    After Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014.
    `head_batchnorm` adds a batch norm behind the dense layer (552,874 parameters).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalise=Normalise(pixels))
    channels, number = 3, 0
    for block, (width, drop) in enumerate(((32, 0.3), (64, 0.5), (128, 0.5)), start=1):
        for _ in range(2):
            number += 1
            layers[f"conv{number}"] = ConvSame(channels, width, 3)
            layers[f"relu{number}"] = nn.ReLU()
            layers[f"norm{number}"] = nn.BatchNorm2d(width, bn_eps, 1 - bn_momentum)
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2)
        layers[f"dropout{block}"] = Dropout(drop)
    layers["flatten"] = nn.Flatten()
    layers["dense"] = nn.Linear(channels * (size[0] // 8) * (size[1] // 8), 128)
    layers["dense_relu"] = nn.ReLU()
    if head_batchnorm:
        layers["dense_norm"] = nn.BatchNorm1d(128, bn_eps, 1 - bn_momentum)
    layers["dropout4"] = Dropout(0.5)
    layers["output"] = nn.Linear(128, classes)
    model = Classic(layers, tuple(f"norm{k}" for k in range(1, 7)))
    init_weights(model, init)
    return model
