"""transfer: EfficientNet-Lite0 pre-trained on ImageNet, with a new classifier for your classes.

A network that has `features` and a `head` is trained in two steps: first the head alone, on features that are computed once
(`training/linear_probe.py`), then the last stages and the head together, if the recipe asks for epochs.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from foveola.models.efficientnet import EfficientNetLite0
from foveola.models.pretrained_weights import SHA256, lite0_weights
from foveola.types import Size


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
    """EfficientNet-Lite0 as trained on ImageNet, with a head of your own: for photos, above all when there are few."""
    return Transfer(classes, finetune_stages)
