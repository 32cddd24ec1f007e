"""timm:NAME: any network of the package timm; needs timm and torchvision.

timm is R. Wightman's collection of image networks (https://github.com/huggingface/pytorch-image-models). This
adapter scales the pixels as the weights expect, and loads the pretrained weights once, before the first training step.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from foveola.errors import ResourceError, UsageError
from foveola.models.layers import Normalise
from foveola.models.registry import PREFIX
from foveola.models.weights_file import IMAGENET_MEAN, IMAGENET_STD
from foveola.text import printable
from foveola.types import Size


class Timm(nn.Module):
    """A network of timm behind `Normalise`, set to the mean and deviation that its weights were trained with."""

    def __init__(self, name: str, classes: int, pretrained: bool) -> None:
        super().__init__()
        self.name, self.classes, self.pretrained = name, classes, pretrained
        self.network: nn.Module = import_timm().create_model(name, pretrained=False, num_classes=classes)
        facts = getattr(self.network, "pretrained_cfg", None) or {}
        self.normalise = Normalise.of_unit_pixels(facts.get("mean", IMAGENET_MEAN), facts.get("std", IMAGENET_STD))

    def adapt(self, images: Tensor) -> None:
        """Take the pretrained weights, whatever the images; timm downloads them where it has not yet.

        Raises ResourceError when they can't be had.
        """
        if not self.pretrained:
            return
        try:
            ready = import_timm().create_model(self.name, pretrained=True, num_classes=self.classes)
        except Exception as error:  # no network, no such weights, no room: timm and its hub raise all kinds
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ResourceError(
                f"the pretrained weights of {PREFIX}{self.name} can't be loaded: {reason}: connect to the internet "
                "once, or train from scratch with --set model.pretrained=false"
            ) from error
        self.network.load_state_dict(ready.state_dict())

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(images))
        return logits


def timm_factory(name: str) -> Callable[..., nn.Module]:
    """The factory of timm:`name`. Raises ResourceError without timm, UsageError for a name that it does not know."""
    require_architecture(name)

    def make(*, size: Size, classes: int, pretrained: bool = True) -> Timm:
        return Timm(name, classes, pretrained)

    return make


def require_architecture(name: str) -> None:
    """Raise UsageError for a name that timm does not know, ResourceError without timm."""
    known = import_timm().list_models()
    if name.split(".")[0] not in known:
        raise UsageError(
            f"timm has no model '{printable(name)}': python -c 'import timm; print(timm.list_models())' lists them"
        )


def import_timm() -> Any:
    """The package timm. Raises ResourceError if it can't be imported."""
    try:
        return importlib.import_module("timm")
    except Exception as error:  # a torchvision that does not fit raises more than ImportError
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResourceError(
            f"models of timm need the package timm and a torchvision that fits this torch, and importing it failed: "
            f"{reason}: pip install 'foveola[timm]'"
        ) from error
