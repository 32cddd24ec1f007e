"""MODELS: the networks by name, and everything that foveola chooses for each of them: one `ModelEntry` a network.

Nothing here imports torch, so that a recipe is read and an unknown name is refused at once; `build` makes the networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from foveola.errors import UsageError
from foveola.models.pretrained_weights import LITE0, require_pair
from foveola.registry import Later, Registry
from foveola.text import unknown

if TYPE_CHECKING:
    from torch import nn

Factory: TypeAlias = "Callable[..., nn.Module]"
"""Factory(*, size: Size, classes: int, **options) -> network; images (b, 3, H, W) to logits (b, classes)."""

PREFIX = "timm:"
"""What the names of timm's networks begin with here."""

FILE_PREFIX, ONNX_PREFIX = "weights:", "onnx:"
"""What the names of networks from a file of the user begin with: an architecture of timm follows, or the file's name."""


@dataclass(frozen=True)
class ModelEntry:
    """What foveola chooses for a network where the recipe leaves it out.

    fit: training settings that differ from those of FitSpec, such as {"lr_peak": 0.01}.
    finetune: training settings of fine-tuning that differ from `fit`, for a pre-trained network; empty for any other.
    finetune_options: options of the network itself that fine-tuning sets.
    average_flips: whether predictions are averaged over the image and its mirror image, if it is trained with flips.
    average_shift_px: whether they are averaged over shifted images, too, and by how many pixels.
    min_px: the smallest side of an image in pixels; any_size: whether one network takes images of every size from there on,
    so that training may start with smaller images (fit.start_scale).
    max_auto_px: the largest side that `--size auto` chooses.
    epochs_by_pixels: whether the number of epochs follows the number of pixels, and not of images.
    larger: larger versions that `--budget` may choose in its place, from small to large.
    pretrained_on: the data that its weights come from; requires: a function that raises ResourceError if they are missing.
    show_size, show_classes: what `foveola show` takes if you don't say it.
    """

    fit: Mapping[str, object] = field(default_factory=dict)
    finetune: Mapping[str, object] = field(default_factory=dict)
    finetune_options: Mapping[str, object] = field(default_factory=dict)
    average_flips: bool = False
    average_shift_px: int = 0
    min_px: int = 1
    any_size: bool = False
    max_auto_px: int = 224
    epochs_by_pixels: bool = False
    larger: tuple[str, ...] = ()
    pretrained_on: str = ""
    requires: Callable[[], None] | None = None
    show_size: str = "32x32"
    show_classes: int = 10


class ModelRegistry(Registry[Factory]):
    """The table of networks: name -> factory. `entry` gives what else is known about a network."""

    def __init__(self, models: Mapping[str, tuple[Factory | Later, ModelEntry]]) -> None:
        super().__init__("model", {name: factory for name, (factory, _) in models.items()})
        self._entries = {name: entry for name, (_, entry) in models.items()}

    @overload  # type: ignore[override]
    def register(self, name: str, item: None = None, **facts: Any) -> Callable[[Factory], Factory]: ...

    @overload
    def register(self, name: str, item: Factory, **facts: Any) -> Factory: ...

    @overload
    def register(self, name: Factory, item: None = None, **facts: Any) -> Factory: ...

    def register(self, name: Any, item: Any = None, **facts: Any) -> Any:
        """Add a network, as `Registry.register` does; `facts` are those of `ModelEntry`.

            @fv.MODELS.register("tiny", fit={"lr_peak": 0.01}, average_flips=True, min_px=16)
            def tiny(*, size, classes, width: int = 16):
                return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))

        A network without a `Normalise` layer gets one in front. `foveola.models.build` says what else a network may offer.
        Raises UsageError when the name is taken or is no text, and for an unknown fact.
        """
        known = [one.name for one in fields(ModelEntry)]
        for fact in facts:
            if fact not in known:
                raise UsageError(f"a model can't be registered: {unknown('fact', fact, known)}")
        entry = ModelEntry(**facts)

        def add(name: Any, factory: Factory) -> Factory:
            self._add(name, factory)
            self._entries[name] = entry
            return factory

        if item is not None:
            return add(name, item)
        if isinstance(name, str):
            return lambda factory: add(name, factory)
        return add(getattr(name, "__name__", name), name)

    def unregister(self, name: str) -> None:
        """Remove a network from the table. Raises UsageError for an unknown name."""
        super().unregister(name)
        del self._entries[name]

    def entry(self, name: str) -> ModelEntry:
        """What is known about a network, about any of timm ("timm:NAME"), or about any from a file of the user.

        Raises UsageError for an unknown name.

        >>> MODELS.entry("fast").min_px
        10
        """
        for prefix, entry in ((PREFIX, TIMM), (FILE_PREFIX, FROM_FILE), (ONNX_PREFIX, FROM_ONNX)):
            if name.startswith(prefix):
                return entry
        self.require(name)
        return self._entries[name]

    def entries(self) -> Iterator[tuple[str, ModelEntry]]:
        """Each name and its entry, then "timm", which stands for all networks of timm."""
        yield from self._entries.items()
        yield PREFIX.rstrip(":"), TIMM


_COURSE: Mapping[str, object] = {"optimizer": "adam", "lr_peak": 1e-3, "schedule": "cosine"}

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

_FINETUNE: Mapping[str, object] = {
    "epochs": 5,
    "patience": 3,
    "augment": "photo",
    "lr_peak": 5e-4,
    "stage_lr_factor": 0.7,
    "warmup_fraction": 0.1,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
}
# 720 flowers of 128x128, one run, 600 other images: three stages at 1e-3, factor 0.4, without decay and smoothing, remember
# the training images (98.9 % right) and lose 0.2 points against the last layer alone; these settings, with six stages, gain
# 1.8.

# A network sees objects larger at test than at training size and gains by larger images (H. Touvron et al., "Fixing the
# train-test resolution discrepancy", 2019, arXiv:1906.06423). 400 photos of faces, seeds 0 to 9: 91.0 % at 224, 92.5 % at
# 256, 91.6 % at 288.
_TRANSFER = ModelEntry(
    fit={"epochs": 0, "batch_size": 32, "lr_peak": 1e-4, "optimizer": "adamw", "schedule": "cosine"},
    finetune=_FINETUNE,
    finetune_options={"finetune_stages": 6},
    average_flips=True,
    min_px=32,
    any_size=True,
    max_auto_px=256,
    pretrained_on="ImageNet",
    requires=LITE0.require,
)

MODELS = ModelRegistry({
    "alexnet_mini": (
        Later("foveola.models.course"),
        ModelEntry(fit={**_COURSE, "batch_size": 32}, show_size="224x224", show_classes=2),
    ),
    "vgg6": (Later("foveola.models.course"), ModelEntry(fit={**_COURSE, "batch_size": 64}, min_px=8)),
    "fast": (
        Later("foveola.models.fast"),
        ModelEntry(
            fit=_FAST, average_flips=True, min_px=10, any_size=True, epochs_by_pixels=True, larger=("fast_m", "fast_l")
        ),
    ),
    # Predictions averaged over shifts, too: CIFAR-10 (JPEG), 5,000 images of val, one run each, flips alone and with shifts:
    # 48, 192, 192 channels 89.3 and 89.6 %, 64, 256, 256 channels 89.1 and 89.4 %.
    "fast_m": (
        Later("foveola.models.fast"),
        ModelEntry(
            fit={**_FAST, "batch_size": 1000, "micro_batch_size": 200, "whole_from": 0.55},
            average_flips=True,
            average_shift_px=1,
            min_px=10,
            any_size=True,
            epochs_by_pixels=True,
        ),
    ),
    "fast_l": (
        Later("foveola.models.fast"),
        ModelEntry(
            fit={**_FAST, "batch_size": 1000, "whole_from": 0.55},
            average_flips=True,
            average_shift_px=1,
            min_px=10,
            any_size=True,
            epochs_by_pixels=True,
        ),
    ),
    "transfer": (Later("foveola.models.transfer"), _TRANSFER),
    "transfer_pair": (Later("foveola.models.transfer_pair"), replace(_TRANSFER, requires=require_pair)),
})  # fmt: skip

TIMM = ModelEntry(
    fit={"optimizer": "adamw", "lr_peak": 1e-4, "batch_size": 32, "schedule": "cosine", "warmup_fraction": 0.1},
    finetune=_FINETUNE,
)

FROM_FILE = replace(
    _TRANSFER, finetune_options={}, min_px=1, any_size=False, max_auto_px=1024, pretrained_on="", requires=None
)
"""The settings are those of `transfer`; `recipes/from_weights.py` chooses the images' size."""

FROM_ONNX = replace(FROM_FILE, finetune={})


def require_known(name: str) -> None:
    """Refuse a name that is neither in the table nor one of timm's; nothing is imported. Raises UsageError."""
    MODELS.entry(name)


def get_model(name: str) -> Factory:
    """The factory of a network of the table, or of timm's where the name begins with "timm:"."""
    if name.startswith(PREFIX):
        from foveola.models.timm_adapter import timm_factory  # imports torch

        return timm_factory(name.removeprefix(PREFIX))
    if name.startswith(FILE_PREFIX):
        from foveola.models.timm_from_file import file_factory  # imports torch

        return file_factory(name.removeprefix(FILE_PREFIX))
    if name.startswith(ONNX_PREFIX):
        from foveola.models.onnx_network import onnx_network  # imports torch

        return onnx_network
    return MODELS[name]


def require_model(name: str) -> None:
    """Refuse a network that lacks what it starts from, before any image is read. Raises ResourceError."""
    requires = None if name == "auto" else MODELS.entry(name).requires
    if requires:
        requires()
