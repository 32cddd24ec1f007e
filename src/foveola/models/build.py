"""Build a network by its name, and list its layers and parameters. The protocols say what a network may offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveola.config import check_options
from foveola.errors import UsageError
from foveola.models.feature_sets import FeatureSet
from foveola.models.layers import Normalise
from foveola.models.pretrained_weights import PublishedWeights
from foveola.models.registry import MODELS, get_model
from foveola.models.summary import LayerRow, Summary
from foveola.models.weights_file import UNKNOWN
from foveola.types import Size


@runtime_checkable
class Adaptable(Protocol):
    """A network that looks at training images before the first step, or loads pre-trained weights then."""

    def adapt(self, images: Tensor) -> None:
        """Look at images: uint8 (n, 3, H, W). Called once, before the first step of a training."""


@runtime_checkable
class Staged(Protocol):
    """A network that names the layers whose outputs are its feature maps; others are looked up by their shapes."""

    stages: tuple[str, ...]


@runtime_checkable
class AnySize(Protocol):
    """A network that takes images of every size whose sides have at least this many pixels."""

    min_px: int


@runtime_checkable
class FeatureNetwork(Protocol):
    """A network whose linear `head` can be fitted first, on features that are computed once and cached."""

    head: nn.Module
    features_key: str
    """What decides the features, together with the images: a digest of the weights."""

    features_ready: bool
    """Whether the network has these weights: a new one may have random weights until `adapt`."""

    def features(self, images: Tensor) -> Tensor:
        """Images (b, 3, H, W) to float32 (b, F)."""


@runtime_checkable
class FromPublishedWeights(Protocol):
    """A network that starts from published weights, whose digests and licences a run records."""

    published: tuple[PublishedWeights, ...]


@runtime_checkable
class FromUsersWeights(Protocol):
    """A network that starts from a file of the user.

    origins: what a run records about the file, by its name: see `WeightsFile.origin`.
    """

    origins: Mapping[str, Mapping[str, object]]


@runtime_checkable
class SideBySide(Protocol):
    """A network whose features are those of several others, each of which is cached under its own key.

    places: the columns of the features that each gives.
    """

    trunks: Sequence[Any]
    trunk_keys: Sequence[str]
    places: Sequence[NDArray[np.int64]]


@runtime_checkable
class SelectableFeatures(Protocol):
    """A network that names sets of its features: its head is fitted on each of them, and the best on val stays."""

    feature_sets: tuple[FeatureSet, ...]


def build(
    name: str, size: Size, classes: int, options: Mapping[str, object] | None = None, *, seed: int = 0
) -> nn.Module:
    """Build a network of the table with random weights from `seed`; torch's own random state stays as it was.

    Raises UsageError for an unknown name, an unknown option, a wrong value or a size that the network can't take.
    """
    factory, entry = get_model(name), MODELS.entry(name)
    if min(size) < entry.min_px:
        least = Size(entry.min_px, entry.min_px)
        raise UsageError(f"model {name} needs images of at least {least}; got {size}: choose a larger --size")
    checked = check_options(factory, options or {}, where=f"model {name}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every other device, too
        model = factory(size=size, classes=classes, **checked)
        if not any(isinstance(layer, Normalise) for layer in model.modules()):
            model = Normalised(model)
        if entry.any_size:
            cast(AnySize, model).min_px = entry.min_px
        _probe(name, model, size, classes)
    return model


class Normalised(nn.Sequential):
    """A user's network with `Normalise` in front."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.normalise = Normalise("standard")
        self.network = model
        self.stages = tuple(f"network.{stage}" for stage in declared_stages(model))
        if isinstance(model, AnySize):
            self.min_px = model.min_px

    def adapt(self, images: Tensor) -> None:
        """Compute the pixels' scale from training images, then adapt the network itself."""
        self.normalise.adapt(images)
        adapt(self.network, images)


def declared_stages(model: nn.Module) -> tuple[str, ...]:
    """The stages that a network names. Many networks keep modules under `stages`: those are no names."""
    stages = model.stages if isinstance(model, Staged) else ()
    named = isinstance(stages, tuple | list) and all(isinstance(stage, str) for stage in stages)
    return tuple(stages) if named else ()


def feature_sets(model: nn.Module) -> tuple[FeatureSet, ...]:
    """The sets of features that a network names; () if its head takes all features."""
    return model.feature_sets if isinstance(model, SelectableFeatures) else ()


def licence_notes(model: nn.Module) -> list[str]:
    """A note for each file of the user's weights that states no licence."""
    origins = model.origins if isinstance(model, FromUsersWeights) else {}
    return [
        f"the licence of {name} is unknown, because the file and the config.json next to it state none: look it up before "
        "you share the run"
        for name, origin in origins.items()
        if origin["licence"] == UNKNOWN
    ]


def adapt(model: nn.Module, images: Tensor) -> None:
    """Let a network that is `Adaptable` look at training images, uint8 (n, 3, H, W), before the first step."""
    if isinstance(model, Adaptable):
        with torch.no_grad():
            model.adapt(images)


def summary(model: nn.Module, size: Size) -> Summary:
    """The table of a network's layers for images of this size; shapes are (height, width, channels) as in the course."""
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
        LayerRow(name, type(layer).__name__, shapes[layer], _parameters(layer))
        for layer, name in leaves.items()
        if layer in shapes
    ]
    # All parameters: also those of layers that have no row, because they contain layers or are not used in a prediction.
    whole = sum(p.numel() for p in model.parameters()) + sum(map(_running, model.modules()))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Summary(tuple(rows), whole, trainable)


def _parameters(layer: nn.Module) -> int:
    return sum(p.numel() for p in layer.parameters(recurse=False)) + _running(layer)


def _running(layer: nn.Module) -> int:
    """The number of running means and variances of a batch norm."""
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
            output: Tensor = model(black.contiguous(memory_format=torch.channels_last))  # the layout of batches
    finally:
        model.train(training)
    return output


def _probe(name: str, model: nn.Module, size: Size, classes: int) -> None:
    """Run one black image through the network, so that a wrong size fails before any image is decoded."""
    try:
        shape = tuple(_forward(model, size).shape)
    except (RuntimeError, AssertionError, ValueError) as error:  # timm's networks for one size raise AssertionError
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        way_out = (
            "mend it" if "reshape" in reason else "choose a larger --size, or the size that the network was made for"
        )
        raise UsageError(f"model {name} can't take images of {size}: {reason}; {way_out}") from error
    if shape != (1, classes):
        raise UsageError(f"model {name} gives an output of shape {shape} for one image: it must be (1, {classes})")
