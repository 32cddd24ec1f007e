"""transfer: EfficientNet-Lite0 pre-trained on ImageNet, with a new classifier for your classes; for photos of 224x224.

A network that has `features` and a `head` is trained in two steps: first the head alone, on features that are computed once
(`training/linear_probe.py`), then the last stages and the head together, if the recipe asks for epochs.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from foveola.models.efficientnet_lite import TOP, EfficientNetLite
from foveola.models.feature_sets import feature_sets_of
from foveola.models.pretrained_weights import LITE0
from foveola.types import Size

LAYERS = (1, 3, 4)
"""How many layers the head's features come from: top; top, stage7 and stage5; these and stage3. Other sets were worse or
equal on ten small sets of images."""


class Transfer(EfficientNetLite):
    """EfficientNet-Lite0 whose last `finetune_stages` stages are trained, and a linear head that starts at zero."""

    published = (LITE0,)
    features_key = LITE0.sha256
    """What decides the features, together with the images, once `features_ready`."""

    features_ready = False
    """Whether the weights are those that `features_key` names: only after `adapt`."""

    def __init__(self, classes: int, finetune_stages: int) -> None:
        super().__init__()
        self.feature_sets = feature_sets_of([self.blocks], LAYERS)
        self.head = zero_head(sum(block.columns for block in self.blocks), classes)
        self.register_load_state_dict_pre_hook(_widen_head)  # type: ignore[no-untyped-call]
        learning = self.stages[len(self.stages) - finetune_stages :]
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.partition(".")[0] in (*learning, "head"))

    def adapt(self, images: Tensor) -> None:
        """Load the ImageNet weights, whatever the images; the head stays at zero. Raises ResourceError without them."""
        self.load(LITE0)
        self.features_ready = True

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def transfer(*, size: Size, classes: int, finetune_stages: Annotated[int, Ge(0), Le(9)] = 3) -> Transfer:
    """EfficientNet-Lite0, pre-trained on ImageNet, with a new classifier: for photos, especially if there are few."""
    return Transfer(classes, finetune_stages)


def zero_head(columns: int, classes: int) -> nn.Linear:
    """A linear layer that gives all classes the same probability."""
    head = nn.Linear(columns, classes)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
    return head


def _widen_head(model: nn.Module, weights: dict[str, Any], prefix: str, *_: object) -> None:
    """Old runs have a head on the means of top alone: the other columns get weights of 0."""
    head = weights.get(f"{prefix}head.weight")
    if isinstance(head, Tensor) and head.ndim == 2 and head.shape[1] == TOP:
        others = model.get_parameter("head.weight").shape[1] - TOP
        weights[f"{prefix}head.weight"] = nn.functional.pad(head, (0, others))
