"""MODELS: the networks by name, and their default training settings.

Nothing here imports torch, so that a recipe is read and an unknown name is refused at once; `build` makes the networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from foveola.registry import Later, Registry

if TYPE_CHECKING:
    from torch import nn

Factory: TypeAlias = "Callable[..., nn.Module]"

PREFIX = "timm:"
"""What the names of timm's networks begin with here."""

MODELS: Registry[Factory] = Registry(
    "model",
    {
        "alexnet_mini": Later("foveola.models.course"),
        "fast": Later("foveola.models.fast"),
        "fast_m": Later("foveola.models.fast"),
        "fast_l": Later("foveola.models.fast"),
        "transfer": Later("foveola.models.transfer"),
        "vgg6": Later("foveola.models.course"),
    },
)
"""Name -> factory(*, size: Size, classes: int, **options) -> network; images (b, 3, H, W) to logits (b, classes).

Add your own:

    @fv.MODELS.register("tiny")
    def tiny(*, size, classes, width: int = 16):
        return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))

A network without a `Normalise` layer gets one in front; a `stages` attribute names the layers with its feature maps.
"""

_FAST: Mapping[str, object] = {
    "optimizer": "muon",
    "lr_peak": 0.24,
    "momentum": 0.6,
    "norm_lr_scale": 50.0,
    "batch_size": 250,
    "micro_batch_size": 125,
    "schedule": "one-cycle",
    "weight_decay": 1.3e-3,
    "label_smoothing": 0.2,
    "translate_px": 2,
    "start_scale": 0.5,
}

RECOMMENDED_FIT: Mapping[str, Mapping[str, object]] = {
    "alexnet_mini": {"optimizer": "adam", "lr_peak": 1e-3, "batch_size": 32, "schedule": "cosine"},
    "vgg6": {"optimizer": "adam", "lr_peak": 1e-3, "batch_size": 64, "schedule": "cosine"},
    "fast": _FAST,
    "fast_m": {**_FAST, "batch_size": 1000, "micro_batch_size": 200, "whole_from": 0.55},
    "fast_l": {**_FAST, "batch_size": 1000, "whole_from": 0.55},
    "timm": {"optimizer": "adamw", "lr_peak": 1e-4, "batch_size": 32, "schedule": "cosine", "warmup_fraction": 0.1},
    "transfer": {"epochs": 0, "batch_size": 32, "lr_peak": 1e-4, "optimizer": "adamw", "schedule": "cosine"},
}
"""Default training settings of each network; other networks take the defaults of FitSpec.

"timm" stands for every network of timm."""

AVERAGES_FLIPS = frozenset({"fast", "fast_m", "fast_l", "transfer"})
"""Networks whose predictions by default are averaged over the image and its mirror image."""


AVERAGES_SHIFTS: Mapping[str, int] = {"fast_m": 1, "fast_l": 1}
"""Networks whose predictions by default are also averaged over shifts by this number of pixels.

CIFAR-10 (JPEG), 5,000 images of val, one run each, flips alone and with shifts: 48, 192, 192 channels 89.3 and 89.6 %,
64, 256, 256 channels 89.1 and 89.4 %.
"""


def require_known(name: str) -> None:
    """Refuse a name that is neither in the table nor one of timm's; nothing is imported. Raises UsageError."""
    if not name.startswith(PREFIX):
        MODELS.require(name)


def get_model(name: str) -> Factory:
    """The factory of a network of the table, or of timm's where the name begins with "timm:"."""
    if name.startswith(PREFIX):
        from foveola.models.timm_adapter import timm_factory

        return timm_factory(name.removeprefix(PREFIX))
    return MODELS[name]


def require_model(name: str) -> None:
    """Refuse a network that lacks what it starts from, before any image is read. Raises ResourceError."""
    if name == "transfer":
        from foveola.models.pretrained_weights import require_weights

        require_weights()
