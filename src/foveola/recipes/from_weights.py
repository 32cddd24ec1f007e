"""`--weights FILE`: a file of weights names the network of a recipe, with the size and scale of its pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveola.errors import UsageError
from foveola.models.registry import FILE_PREFIX, ONNX_PREFIX, PREFIX
from foveola.models.weights_file import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    WeightsFile,
    read_weights_file,
    require_weights_file,
)
from foveola.text import printable
from foveola.types import Size


def settings_from_weights(tables: Mapping[str, Any], *, where: str) -> dict[str, object]:
    """The settings that a recipe's `model.weights` implies, by their dotted names; {} without a file.

    They name the network, pin the file's digest, and state the images' size and the scale of the pixels. What the recipe
    itself states stays. The file is read, and refused if it does not fit. Raises UsageError, and ResourceError without
    timm or onnxruntime.
    """
    model = tables.get("model", {})
    if not isinstance(model, Mapping):
        return {}  # `recipe_from_tables` says what it must be
    weights, given = (model.get(key, usual) for key, usual in (("weights", ""), ("name", "auto")))
    if not isinstance(weights, str) or not isinstance(given, str):
        return {}
    if not weights:
        _require_no_file(given)
        return {}
    path = Path(weights).expanduser()
    if require_weights_file(path) == "onnx":
        found = _from_onnx(path, tables, given, where)
    else:
        found = _from_timm(path, tables, given)
    pinned = model.get("weights_sha256")
    if pinned and pinned != found["model.weights_sha256"]:
        raise UsageError(
            f"{where}: the weights file {printable(str(path))} has a SHA-256 that begins with "
            f"{str(found['model.weights_sha256'])[:12]}, and {str(pinned)[:12]} is expected: give the file that the recipe "
            "was made with, or leave out model.weights_sha256"
        )
    return found


def _require_no_file(name: str) -> None:
    for prefix in (FILE_PREFIX, ONNX_PREFIX):
        if name.startswith(prefix):
            raise UsageError(f"model {printable(name)} is a network from a file: add the file, as in --weights FILE")


def _from_timm(path: Path, tables: Mapping[str, Any], given: str) -> dict[str, object]:
    from foveola.models.timm_from_file import clean_arguments, default_size, pixel_scale, require_fitting

    file = read_weights_file(path)
    name = _architecture(file, given)
    mean, std = pixel_scale(file, name)
    size = _size(tables, default_size(file, name))
    arguments = tables["model"].get("arguments") or json.dumps(clean_arguments(file.arguments), sort_keys=True)
    _require_table(arguments)
    require_fitting(file.sha256, path, name, size, arguments)
    return {
        "model.name": FILE_PREFIX + name,
        "model.arguments": arguments,
        **_common(file, tables, size, mean, std),
    }


def _require_table(arguments: object) -> None:
    try:
        if isinstance(arguments, str) and isinstance(json.loads(arguments), dict):
            return
    except ValueError:
        pass
    raise UsageError(f"model.arguments = {arguments!r} can't be used: it must be a table in JSON, such as '{{}}'")


def _architecture(file: WeightsFile, given: str) -> str:
    """The architecture's name in timm: as the user gives it, else as the file states it."""
    for prefix in (PREFIX, FILE_PREFIX):
        if given.startswith(prefix):
            return given.removeprefix(prefix)
    if given != "auto":
        raise UsageError(
            f"--weights {printable(str(file.path))} starts a network of timm, and --model {printable(given)} is not one: "
            "leave out --model, or name the file's architecture, as in --model timm:NAME"
        )
    if not file.architecture:
        raise UsageError(
            f"the weights file {printable(str(file.path))} does not state its architecture: add --model timm:NAME, or put "
            "the config.json of its page on the Hugging Face hub next to it"
        )
    return file.architecture


def _from_onnx(path: Path, tables: Mapping[str, Any], given: str, where: str) -> dict[str, object]:
    from foveola.models.onnx_network import feature_columns, read_onnx

    if given != "auto" and not given.startswith(ONNX_PREFIX):
        raise UsageError(
            f"--weights {printable(str(path))} is a whole network, and --model {printable(given)} names another one: leave "
            "out --model"
        )
    _require_frozen(path, tables.get("fit", {}), where)
    facts = read_onnx(path)
    file = facts.about
    size = _size(tables, facts.size or file.size or Size(224, 224))
    if facts.size and size != facts.size:
        raise UsageError(
            f"the network in {printable(str(path))} takes images of {facts.size} only, and --size is {size}: leave out --size"
        )
    mean, std = file.mean or IMAGENET_MEAN, file.std or IMAGENET_STD
    if facts.raw_pixels:
        mean, std = (0.0,) * 3, (1 / 255,) * 3
    return {
        "model.name": f"{ONNX_PREFIX}{given.removeprefix(ONNX_PREFIX) if given != 'auto' else path.stem}",
        "model.columns": feature_columns(path, size),
        "model.file_bytes": file.size_bytes,
        **_common(file, tables, size, list(mean), list(std)),
    }


def _require_frozen(path: Path, fit: Mapping[str, Any], where: str) -> None:
    """Refuse settings that would train the network of an ONNX file."""
    if fit.get("finetune") is True or fit.get("epochs", 0) not in (0, "auto", None):
        asked = "fit.finetune = true" if fit.get("finetune") is True else f"fit.epochs = {fit['epochs']}"
        raise UsageError(
            f"{where}: {asked} trains the network itself, but {printable(path.name)} is an ONNX file, whose network can't be "
            "trained: leave out fine-tuning and epochs"
        )


def _size(tables: Mapping[str, Any], usual: Size) -> Size:
    given = tables.get("data", {}).get("size", "auto")
    return usual if given == "auto" else Size.parse(given)


def _common(
    file: WeightsFile, tables: Mapping[str, Any], size: Size, mean: list[float], std: list[float]
) -> dict[str, object]:
    model = tables["model"]
    return {
        "model.weights_sha256": file.sha256,
        "model.mean": model.get("mean", mean),
        "model.std": model.get("std", std),
        "data.size": str(size),
    }
