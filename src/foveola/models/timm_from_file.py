"""weights:NAME: a network of timm without its classifier, from the user's .safetensors file, with a new linear head.

timm itself loads the tensors, so it converts older names and resizes position embeddings to the images' size. The
features are those of the pooled layer before the classifier (`forward_features`, then `forward_head(pre_logits=True)`).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from foveola.errors import UsageError
from foveola.models.layers import Normalise
from foveola.models.timm_adapter import import_timm, require_architecture
from foveola.models.transfer import zero_head
from foveola.models.weights_file import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Deviation,
    Mean,
    WeightsFile,
    damaged,
    read_weights_file,
)
from foveola.storage import digest
from foveola.text import count, printable
from foveola.types import Size

_KEPT = ("input_size", "pool_size", "first_conv", "classifier", "fixed_input_size", "min_input_size", "label_offset")
"""Entries of "pretrained_cfg" that decide how timm loads tensors. Those that name a place to load from are left out."""


class TimmFromFile(nn.Module):
    """A network of timm that gives features, behind `Normalise`, and a linear head that starts at zero.

    weights: the file that it starts from; without one the weights are random, until those of a run are loaded.
    """

    def __init__(
        self,
        name: str,
        size: Size,
        classes: int,
        weights: WeightsFile | None,
        mean: Sequence[float],
        std: Sequence[float],
        arguments: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.normalise = Normalise.of_unit_pixels(mean, std)
        self.network = _create(name, size, weights, arguments)
        self.head = zero_head(_features_of(self.network), classes)
        self.origins = {} if weights is None else {weights.name: weights.origin}
        decides = json.dumps([name, list(mean), list(std), dict(arguments)])
        self.features_key = digest(weights.sha256 if weights else "", decides, import_timm().__version__)
        self.features_ready = weights is not None

    def features(self, images: Tensor) -> Tensor:
        """Images (b, 3, H, W) to float32 (b, F); float64 in a network that was turned to it."""
        network: Any = self.network
        pooled: Tensor = network.forward_head(network.forward_features(self.normalise(images)), pre_logits=True)
        return pooled if pooled.dtype == torch.float64 else pooled.float()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def file_factory(name: str) -> Callable[..., nn.Module]:
    """The factory of weights:`name`. timm is imported when it is called."""

    def make(
        *,
        size: Size,
        classes: int,
        weights: str = "",
        weights_sha256: str = "",
        mean: Mean = IMAGENET_MEAN,
        std: Deviation = IMAGENET_STD,
        arguments: str = "{}",
    ) -> TimmFromFile:
        file = read_weights_file(Path(weights)) if weights else None
        return TimmFromFile(name, size, classes, file, mean, std, json.loads(arguments))

    return make


def default_size(weights: WeightsFile, name: str) -> Size:
    """The images' size that the weights were trained with: as the file states it, else as timm does."""
    _, height, width = _facts_of(name).get("input_size") or (3, 224, 224)
    return weights.size or Size(height, width)


def pixel_scale(weights: WeightsFile, name: str) -> tuple[list[float], list[float]]:
    """Mean and deviation of the pixels, 0..1: as the file states them, else as timm does."""
    facts = _facts_of(name)
    mean = weights.mean or facts.get("mean") or IMAGENET_MEAN
    std = weights.std or facts.get("std") or IMAGENET_STD
    return list(mean), list(std)


@functools.lru_cache(maxsize=4)
def require_fitting(weights_sha256: str, path: Path, name: str, size: Size, arguments: str) -> None:
    """Build the network once, to refuse a file that does not fit before any image is read. Raises UsageError."""
    _create(name, size, read_weights_file(path), json.loads(arguments))


def _create(name: str, size: Size, weights: WeightsFile | None, arguments: Mapping[str, Any]) -> nn.Module:
    """The network of timm without its classifier, for images of this size, with the file's tensors or random ones."""
    facts, arguments = _facts_of(name), dict(arguments)
    arguments.pop("img_size", None)
    if facts.get("fixed_input_size"):
        arguments["img_size"] = tuple(size)
    return _built(name, size, arguments) if weights is None else _loaded(name, size, weights, arguments)


def _built(name: str, size: Size, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        network: nn.Module = import_timm().create_model(name, pretrained=False, num_classes=0, **arguments)
    except Exception as error:  # each architecture has its own checks, and arguments come from a file
        raise UsageError(
            f"timm can't build {name} for images of {size}{_in_words(arguments)}: {_reason(error)}: choose another "
            "--size, or correct model_args in the config.json next to the weights"
        ) from error
    return network


def _loaded(name: str, size: Size, weights: WeightsFile, arguments: Mapping[str, Any]) -> nn.Module:
    """The network with the file's tensors. Raises UsageError that says in what they differ from the network's."""
    tensors = _read(weights.path)
    stated = {key: weights.facts[key] for key in _KEPT if weights.facts.get(key) is not None}
    # A number of classes that differs from 0 makes timm drop the classifier's tensors.
    facts = {**_facts_of(name), **stated, "num_classes": 1, "custom_load": False, "state_dict": dict(tensors)}
    try:
        with warnings.catch_warnings(action="ignore"):
            loaded: nn.Module = import_timm().create_model(
                name, pretrained=True, pretrained_cfg=facts, num_classes=0, **arguments
            )
    except Exception as error:
        classifiers = facts.get("classifier") or ()
        dropped = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
        kept = {key: one for key, one in tensors.items() if key.rpartition(".")[0] not in dropped}
        differs = _mismatch(_built(name, size, arguments), kept) or _reason(error)
        raise UsageError(
            f"the weights file {printable(str(weights.path))} does not fit timm's {name}: {differs}: name the file's "
            "architecture, as in --model timm:NAME, or give another file"
        ) from error
    if any(not bool(one.isfinite().all()) for one in loaded.state_dict().values() if one.is_floating_point()):
        raise UsageError(
            f"the weights file {printable(str(weights.path))} has numbers that are not finite: give another file"
        )
    return loaded


def _read(path: Path) -> dict[str, Tensor]:
    """The file's tensors; numbers of less precision become float32."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError):
        raise damaged(path) from None
    return {name: one.float() if one.is_floating_point() else one for name, one in tensors.items()}


def _mismatch(network: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """In what the file's tensors differ from the network's, by name and shape; "" if they agree."""
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors]
    others = [name for name in tensors if name not in wanted]
    shapes = [name for name in wanted if name in tensors and wanted[name].shape != tensors[name].shape]
    parts = []
    if missing:
        parts.append(f"{len(missing):,} of its {count(len(wanted), 'tensor')} are missing, such as {missing[0]}")
    if others:
        parts.append(f"{len(others):,} of the file's tensors are unknown to it, such as {printable(others[0])}")
    if shapes:
        found, expected = (_shape(one[shapes[0]]) for one in (tensors, wanted))
        parts.append(f"{shapes[0]} has the shape {found}, and {expected} is expected")
    return "; ".join(parts)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "of one number"


def _facts_of(name: str) -> dict[str, Any]:
    """What timm says about the weights that it knows for this architecture, without the places to load them from."""
    require_architecture(name)
    try:
        found = import_timm().get_pretrained_cfg(name)
    except Exception as error:  # of a tag after the name's point
        raise UsageError(f"timm has no weights {name}: {_reason(error)}: leave out the part after the point") from error
    places = ("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source")
    facts = {} if found is None else {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return {key: value for key, value in facts.items() if key not in places}


def clean_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an architecture, without those that choose classes, channels or weights, and without None."""
    reserved = {*inspect.signature(import_timm().create_model).parameters, "num_classes", "in_chans", "features_only"}
    return {key: value for key, value in arguments.items() if key not in reserved and value is not None}


def _features_of(network: nn.Module) -> int:
    """The number of features before the classifier, which is wider than the last stage in some architectures."""
    return int(getattr(network, "head_hidden_size", None) or network.num_features)  # type: ignore[arg-type]


def _in_words(arguments: Mapping[str, Any]) -> str:
    given = {key: value for key, value in arguments.items() if key != "img_size"}
    return f" with {printable(json.dumps(given))}" if given else ""


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0].rstrip(".: ")) if lines else type(error).__name__
