"""Layers that torch lacks or computes slowly: TensorFlow's "same" padding, normalised pixels, dropout with 16-bit random
numbers.

Networks take uint8 or float images (b, 3, H, W) with values 0..255 and return logits (b, K). `Normalise` is their first
layer, so a network always gets pixels of the scale that it was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Scale: TypeAlias = Literal["standard", "unit", "raw", "half"]
"""How pixels are scaled: "standard" (minus the training set's mean, by its deviation), "unit" (0..1), "raw" (0..255), or
"half" (mean 127, deviation 128, whatever the images: about -1..1, what EfficientNet-Lite's weights were made with)."""

_FIXED: dict[Scale, tuple[float, float]] = {"standard": (0, 1), "unit": (0, 255), "raw": (0, 1), "half": (127, 128)}
"""Mean and deviation before `adapt`; only "standard" changes them."""

Init: TypeAlias = Literal["glorot_uniform", "he_normal", "torch"]
"""Initial weights: Keras's default, He's for ReLU networks, or torch's own."""


class Normalise(nn.Module):
    """(images - mean) / deviation, channel by channel; the first layer of every network.

    mean and deviation, float32 (1, 3, 1, 1), are buffers: they are saved with the weights, and are not parameters. With
    scale "standard" `adapt` computes them from training images; with the others they are fixed.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, scale: Scale = "standard") -> None:
        super().__init__()
        self.scale = scale
        mean, deviation = _FIXED[scale]
        self.register_buffer("mean", torch.full((1, 3, 1, 1), float(mean)))
        self.register_buffer("deviation", torch.full((1, 3, 1, 1), float(deviation)))

    @classmethod
    def of_unit_pixels(cls, mean: Sequence[float], deviation: Sequence[float]) -> Normalise:
        """The layer for weights whose mean and deviation, three numbers each, are stated for pixels 0..1."""
        layer = cls("raw")
        layer.mean.copy_(255 * torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        layer.deviation.copy_(255 * torch.tensor(deviation, dtype=torch.float32).view(1, 3, 1, 1))
        return layer

    def adapt(self, images: Tensor) -> None:
        """Take mean and deviation from images: uint8 (n, 3, H, W)."""
        if self.scale != "standard":
            return
        values = images.to(torch.float32)
        self.mean.copy_(values.mean(dim=(0, 2, 3), keepdim=True))
        self.deviation.copy_(values.std(dim=(0, 2, 3), keepdim=True).clamp_min(1.0))

    def forward(self, images: Tensor) -> Tensor:
        values = images.to(self.mean.dtype)
        if not values.is_contiguous(memory_format=torch.channels_last):
            return (values - self.mean) / self.deviation
        # The colours of a pixel are adjacent. Computing a row at a time, with mean and deviation repeated for every pixel,
        # gives exactly the same result in a quarter to a third of the time (4 x 256x256, 512 x 32x32).
        rows, width = values.permute(0, 2, 3, 1).flatten(2), values.shape[3]
        rows = (rows - self.mean.flatten().repeat(width)).div_(self.deviation.flatten().repeat(width))
        return rows.reshape(len(values), values.shape[2], width, -1).permute(0, 3, 1, 2)


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "same" padding of one side: ceil(side / stride) outputs, the odd pixel at the end.

    Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2

    >>> same_padding(224, 11, 4), same_padding(56, 3, 2), same_padding(32, 3, 1)
    ((3, 4), (0, 1), (1, 1))
    """
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class ConvSame(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, also for strides above 1, where torch has none; square kernels."""

    def forward(self, images: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = same_padding(images.shape[-2], kernel, stride)
        left, right = same_padding(images.shape[-1], kernel, stride)
        if top == bottom and left == right:
            return F.conv2d(images, self.weight, self.bias, self.stride, (top, left), groups=self.groups)
        if self.groups > 1:
            # The convolution itself pads by one more stride on all sides, and one more row and column of the output are cut
            # off: 6.3 ms and not 13.9 for 4 x 96 channels of 128x128, and the same bits.
            padding = (top + stride, left + stride)
            out = F.conv2d(images, self.weight, self.bias, self.stride, padding, groups=self.groups)
            height, width = (-(-side // stride) for side in images.shape[-2:])
            return out[..., 1 : height + 1, 1 : width + 1].clone()
        padded = F.pad(images, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


class MaxPoolSame(nn.Module):
    """Max pooling with TensorFlow's "same" padding: padded pixels never win."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, images: Tensor) -> Tensor:
        top, bottom = same_padding(images.shape[-2], self.kernel, self.stride)
        left, right = same_padding(images.shape[-1], self.kernel, self.stride)
        if top or bottom or left or right:
            images = F.pad(images, (left, right, top, bottom), value=float("-inf"))
        return F.max_pool2d(images, self.kernel, self.stride)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"


class Dropout(nn.Dropout):
    """torch's dropout with cheaper random numbers on the CPU: 16 bits per element, from one call of the generator for four.

    p is rounded to a multiple of 1/65536. The remaining elements are scaled by the exact share that stays, so the mean is
    kept. Forward and backward of 64x32x16x16 in bfloat16 take 1.3 ms, and 6.0 ms with torch's dropout, a sixth of a step of
    `vgg6` (medians of 30, two cores). On other devices this is torch's own.
    """

    def forward(self, images: Tensor) -> Tensor:
        if not self.training or self.p == 0 or images.device.type != "cpu":
            return super().forward(images)
        dropped = min(round(self.p * 65536), 65535)
        bits = torch.empty(-(-images.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: images.numel()] >= dropped - 32768
        mask = kept.to(images.dtype).mul_(65536 / (65536 - dropped))
        if images.ndim == 4:  # the convolutions' layout: channels-last
            b, c, h, w = images.shape
            return images * mask.view(b, h, w, c).permute(0, 3, 1, 2)
        return images * mask.view(images.shape)


def init_weights(model: nn.Module, init: Init) -> None:
    """Set the weights of all convolutions and dense layers, zero their biases.

    "glorot_uniform": U(-a, a) with a = sqrt(6 / (fan_in + fan_out)), Keras's default (Glorot and Bengio 2010);
    "he_normal": N(0, 2 / fan_in) (He et al. 2015); "torch": left as torch made them.
    """
    if init == "torch":
        return
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if init == "glorot_uniform":
                nn.init.xavier_uniform_(layer.weight)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
