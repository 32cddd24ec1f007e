"""MODELS: the table of networks, how one is built, and what a network costs, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from foveola.errors import UsageError
from foveola.html_table import table
from foveola.models.classic import alexnet_mini, vgg6
from foveola.models.fast import fast, fast_l, fast_m
from foveola.models.layers import Normalise
from foveola.models.pretrained import require_weights
from foveola.models.timm import PREFIX, timm_factory
from foveola.models.transfer import transfer
from foveola.registry import Registry
from foveola.specs import check_options
from foveola.types import Size

MODELS: Registry[Callable[..., nn.Module]] = Registry(
    "model",
    {
        "alexnet_mini": alexnet_mini,
        "fast": fast,
        "fast_m": fast_m,
        "fast_l": fast_l,
        "transfer": transfer,
        "vgg6": vgg6,
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
"""What each network of ours is trained with when the recipe is silent; others take FitSpec's own defaults.

"timm" stands for every network of timm."""

AVERAGES_FLIPS = frozenset({"fast", "fast_m", "fast_l", "transfer"})
"""Networks that answer with the mean of both mirrorings when the recipe is silent."""


AVERAGES_SHIFTS: Mapping[str, int] = {"fast_m": 1, "fast_l": 1}
"""Networks that answer with the mean over shifts by so many pixels too when the recipe is silent.

CIFAR-10 (JPEG), 5,000 pictures of val, one run each, flips alone and with shifts: 48, 192, 192 channels 89.3 and 89.6 %,
64, 256, 256 channels 89.1 and 89.4 %.
"""


def find(name: str) -> Callable[..., nn.Module]:
    """The factory of a network of the table, or of timm's where the name begins with "timm:"."""
    if name.startswith(PREFIX):
        return timm_factory(name.removeprefix(PREFIX))
    return MODELS[name]


def require(name: str) -> None:
    """Refuse a network that lacks what it starts from, before any picture is read. Raises ResourceError."""
    if name == "transfer":
        require_weights()


def build(
    name: str, size: Size, classes: int, options: Mapping[str, object] | None = None, *, seed: int = 0
) -> nn.Module:
    """Build a network of the table, its weights drawn from `seed`; torch's own random state is left as it was.

    Raises UsageError for an unknown name, an unknown option or a wrong value.
    """
    factory = find(name)
    checked = check_options(factory, options or {}, where=f"model {name}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every other device, too
        model = factory(size=size, classes=classes, **checked)
        if not any(isinstance(layer, Normalise) for layer in model.modules()):
            model = Normalised(model)
        _probe(name, model, size, classes)
    return model


class Normalised(nn.Sequential):
    """A user's network with `Normalise` in front."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.normalise = Normalise("standard")
        self.network = model
        self.stages = tuple(f"network.{stage}" for stage in getattr(model, "stages", ()))
        self.least_px = getattr(model, "least_px", None)

    def initialise_from(self, images: Tensor) -> None:
        """Take the pixels' scale from training pictures, then let the network itself take what it wants."""
        self.normalise.initialise_from(images)
        initialise_from(self.network, images)


def initialise_from(model: nn.Module, images: Tensor) -> None:
    """Let a network that wants to see training pictures before the first step (uint8 (n, 3, H, W)) see them."""
    take = getattr(model, "initialise_from", None)
    if callable(take):
        with torch.no_grad():
            take(images)


class Row(NamedTuple):
    """One layer of a summary: its name and kind, its output's shape without the batch, its parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


class Summary(NamedTuple):
    """A network's table. Parameters are counted as Keras counts: batch norm's running means and variances are among them."""

    rows: tuple[Row, ...]
    parameters: int
    trainable: int

    def __repr__(self) -> str:
        return (
            f"Summary({len(self.rows):,} layers, {self.parameters:,} parameters, {self.trainable:,} of them trainable)"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each layer."""
        rows = [(row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}") for row in self.rows]
        return table(("layer", "kind", "output shape", "parameters"), rows, above=repr(self))


def summary(model: nn.Module, size: Size) -> Summary:
    """The table of a network's layers for pictures of this size; shapes are (height, width, channels) as in the course."""
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def note(layer: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            shapes[layer] = _keras_shape(output)

    leaves = {layer: name for name, layer in model.named_modules() if not any(layer.children())}
    hooks = [layer.register_forward_hook(note) for layer in leaves]
    try:
        _forward(model, size)
    finally:
        for hook in hooks:
            hook.remove()
    rows = [
        Row(name, type(layer).__name__, shapes[layer], _parameters(layer))
        for layer, name in leaves.items()
        if layer in shapes
    ]
    # All of them, those of layers with layers inside or that no answer needs too, which have no row.
    whole = sum(p.numel() for p in model.parameters()) + sum(map(_running, model.modules()))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Summary(tuple(rows), whole, trainable)


def _parameters(layer: nn.Module) -> int:
    return sum(p.numel() for p in layer.parameters(recurse=False)) + _running(layer)


def _running(layer: nn.Module) -> int:
    """How many means and variances a batch norm keeps."""
    return 2 * layer.num_features if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) else 0


def _keras_shape(output: Tensor) -> tuple[int, ...]:
    shape = tuple(output.shape[1:])
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _forward(model: nn.Module, size: Size) -> Tensor:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            black = torch.zeros((1, 3, *size), dtype=torch.uint8)
            output: Tensor = model(black.contiguous(memory_format=torch.channels_last))  # as batches lie
    finally:
        model.train(training)
    return output


def _probe(name: str, model: nn.Module, size: Size, classes: int) -> None:
    """One forward pass of one black picture: a network that can't take the size says so now, not after the decoding."""
    try:
        shape = tuple(_forward(model, size).shape)
    except (RuntimeError, AssertionError, ValueError) as error:  # timm's networks of one size say so by AssertionError
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        way_out = "mend it" if "reshape" in reason else "choose a larger --size, or the one it is made for"
        raise UsageError(f"model {name} can't take pictures of {size}: {reason}; {way_out}") from error
    if shape != (1, classes):
        raise UsageError(f"model {name} gives an output of shape {shape} for one picture: it must be (1, {classes})")
