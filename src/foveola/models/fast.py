"""fast: a small modern network for small images that learns in few epochs.

The architecture follows K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024, arXiv:2404.00498) at a
size for two processor cores: a fixed whitening convolution of 2x2 patches, three blocks of convolution, pooling,
batch norm and SiLU, a global maximum and a scaled linear head. The source has GELU, which takes twice the time of SiLU on a
processor and learned no better (docs/why/speed.md).
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

from foveola.models.layers import Normalise
from foveola.types import Size

Width = Annotated[int, Ge(8), Le(1024)]

WHITENED_PIXELS = 2**24
"""Patches are taken from at most this many pixels. Patches of 2,000 images of 224x224 took 12 GB."""


class Whitening(nn.Conv2d):
    """A convolution whose filters are the eigenvectors of the training set's 2x2 patches, scaled to variance 1.

    24 outputs: the 12 eigenvectors of the 2x2x3 patches and their negatives, so that the activation loses nothing. All
    weights are fixed after `adapt`. Method: T. Tysanny and K. Jordan, in the source above, where the bias is trained in the
    first third of the run. Here the bias stays 0: then no gradient goes back to the largest feature map, which saves a
    tenth of a step and costs no accuracy (docs/why/speed.md).
    """

    def __init__(self) -> None:
        super().__init__(3, 24, 2, bias=True)
        self.requires_grad_(False)

    def adapt(self, images: Tensor) -> None:
        """Set the filters from normalised images: float (n, 3, H, W)."""
        patches = F.unfold(images, 2).transpose(1, 2).reshape(-1, 12)
        patches -= patches.mean(dim=0)
        values, vectors = torch.linalg.eigh((patches.T @ patches / len(patches)).to(torch.float64))
        # Directions in which the images don't vary (the colours of grey images) would only amplify rounding errors: bfloat16
        # turned them into noise, and `fast` learned nothing from 28 grey digits. Directions that vary replace them.
        varying = max(1, int((values > 1e-5 * values.max()).sum()))
        taken = 11 - torch.arange(12) % varying  # eigh sorts upwards
        filters = (vectors / (values + 5e-4).sqrt()).T[taken].reshape(12, 3, 2, 2)
        with torch.no_grad():
            self.weight.copy_(torch.cat([filters, -filters]).to(self.weight.dtype))
            assert self.bias is not None
            self.bias.zero_()


class Block(nn.Module):
    """conv 3x3, max pool 2, batch norm, SiLU, conv 3x3, batch norm, SiLU."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.norm1 = _norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = _norm(width)

    def forward(self, images: Tensor) -> Tensor:
        images = self.conv1(images)
        images = F.silu(self.norm1(F.max_pool2d(images, 2)))
        return F.silu(self.norm2(self.conv2(images)))


class Fast(nn.Module):
    """Normalise, whiten, three blocks, global maximum, linear head times 1/9; see the module's source."""

    def __init__(self, widths: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.normalise = Normalise("standard")
        self.whitening = Whitening()
        self.block1 = Block(24, widths[0])
        self.block2 = Block(widths[0], widths[1])
        self.block3 = Block(widths[1], widths[2])
        self.head = nn.Linear(widths[2], classes, bias=False)
        self.stages = ("whitening", "block1", "block2", "block3")
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer is not self.whitening:
                _dirac(layer.weight)

    def adapt(self, images: Tensor) -> None:
        """Take the pixels' scale and the whitening filters from training images: uint8 (n, 3, H, W)."""
        self.normalise.adapt(images)
        step = max(1, -(-len(images) * images.shape[2] * images.shape[3] // WHITENED_PIXELS))
        self.whitening.adapt(self.normalise(images[::step]))

    def forward(self, images: Tensor) -> Tensor:
        images = F.silu(self.whitening(self.normalise(images)))
        images = self.block3(self.block2(self.block1(images)))
        logits: Tensor = self.head(images.amax(dim=(2, 3))) / 9
        return logits


def fast(*, size: Size, classes: int, width1: Width = 32, width2: Width = 128, width3: Width = 128) -> Fast:
    """A modern small network for small images: few epochs, about half a million parameters."""
    return Fast((width1, width2, width3), classes)


def fast_m(*, size: Size, classes: int, width1: Width = 48, width2: Width = 192, width3: Width = 192) -> Fast:
    """`fast` with 1.5 times the channels, 1.1 million parameters: 90.4 % on CIFAR-10 (JPEG) in 18 epochs (five seeds)."""
    return fast(size=size, classes=classes, width1=width1, width2=width2, width3=width3)


def fast_l(*, size: Size, classes: int, width1: Width = 128, width2: Width = 384, width3: Width = 384) -> Fast:
    """`fast` with three to four times the channels and about nine times the computation, for runs of half an hour or more."""
    return fast(size=size, classes=classes, width1=width1, width2=width2, width3=width3)


def _norm(width: int) -> nn.BatchNorm2d:
    # The scale is fixed at 1: only the bias is trained, as in the source. Momentum is 0.4 (in torch's definition), since a
    # run of few epochs has few steps to average over. eps is torch's, not the source's 1e-12: a channel that is constant in a
    # batch (black borders, a tiny data set) would be multiplied by a million, and the loss would become nan.
    norm = nn.BatchNorm2d(width, eps=1e-5, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def _dirac(weight: Tensor) -> None:
    """Initialise the first channels as the identity, the others as torch does (the source's initialisation)."""
    with torch.no_grad():
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        nn.init.dirac_(weight[: weight.shape[1]])
