"""A file of weights that the user brings: its kind, digest, and what it says about its architecture, pixels and licence.

    about = read_weights_file(Path("dinov2/model.safetensors"))
    about.architecture, about.licence, about.mean

Two kinds are read: `.safetensors`, with weights of an architecture of timm, and `.onnx`, a network that gives features.
Neither can run code. Pickled files (.pth, .pt, .bin, .ckpt) can, so they are refused, whatever their name. Facts come from
the file's own metadata and from the `config.json` next to it, in the form in which the Hugging Face hub ships it with
timm's weights (https://huggingface.co/docs/timm): "architecture", "model_args", and "pretrained_cfg" with "mean", "std",
"input_size" and "license". Nothing here imports torch, timm or onnxruntime.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Gt, Len
from safetensors import SafetensorError, safe_open

from foveola.errors import UsageError
from foveola.storage import require_ordinary
from foveola.text import printable
from foveola.types import Size

Kind: TypeAlias = Literal["safetensors", "onnx"]

Mean: TypeAlias = Annotated[Sequence[float], Len(3, 3)]
Deviation: TypeAlias = Annotated[Sequence[Annotated[float, Gt(0)]], Len(3, 3)]
"""Of pixels 0..1, three numbers: red, green and blue."""

IMAGENET_MEAN: Mean = (0.485, 0.456, 0.406)
IMAGENET_STD: Deviation = (0.229, 0.224, 0.225)
"""Of ImageNet's images: what most networks were trained with."""

UNKNOWN = "unknown"
"""The licence of a file that states none."""

_PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")


@dataclass(frozen=True)
class WeightsFile:
    """What a file of weights says about itself.

    kind: of the file; sha256: of its bytes; size_bytes: their number; architecture: its name in timm, "" if not stated;
    licence: as stated, else "unknown"; mean, std: of its pixels, 0..1, None if not stated; size: of its images, None if not
    stated; arguments: of the architecture, such as {"global_pool": "token"}; facts: the other entries of "pretrained_cfg".
    """

    path: Path
    kind: Kind
    sha256: str
    size_bytes: int
    architecture: str
    licence: str
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    size: Size | None
    arguments: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The file's name, for logs and reports."""
        return printable(self.path.name)

    @property
    def origin(self) -> dict[str, object]:
        """What environment.json says about the file."""
        return {
            "file": self.name,
            "bytes": self.size_bytes,
            "architecture": self.architecture or UNKNOWN,
            "licence": self.licence,
            "sha256": self.sha256,
        }


def read_weights_file(path: Path, *, metadata: Mapping[str, str] | None = None) -> WeightsFile:
    """Read what a file of weights says about itself, but not the weights.

    metadata: of an ONNX file, which only onnxruntime reads. Its entries, and those of a .safetensors file, come before those
    of config.json. Raises UsageError if there is no such file, and for a pickled, damaged or other file.
    """
    kind = require_weights_file(path)
    if kind == "safetensors":
        metadata = _safetensors_metadata(path)
    config = _config(path.with_name("config.json"))
    nested = config.get("pretrained_cfg")
    facts = {**(nested if isinstance(nested, dict) else config), **_own_facts(metadata or {})}
    arguments = config.get("model_args")
    architecture = (metadata or {}).get("architecture") or config.get("architecture")
    licence = next((facts[key] for key in ("licence", "license") if facts.get(key)), None)
    licence = licence or next((config[key] for key in ("licence", "license") if config.get(key)), UNKNOWN)
    return WeightsFile(
        path,
        kind,
        *_digest(path),
        architecture if isinstance(architecture, str) else "",
        printable(str(licence)),
        _three(facts.get("mean"), "mean", path),
        _three(facts.get("std"), "std", path),
        _size(facts.get("input_size"), path),
        arguments if isinstance(arguments, dict) else {},
        facts,
    )


def require_weights_file(path: Path) -> Kind:
    """Which kind of weights a file has, by its content and its name. Raises UsageError for a file of another kind."""
    start = _first_bytes(path)
    if path.suffix.lower() == ".safetensors" and _may_be_safetensors(start, path):
        return "safetensors"
    if path.suffix.lower() in _PICKLED or _is_pickled(start):
        raise UsageError(
            f"{_shown(path)} is a pickled file, which can run code when it is opened, so foveola does not read it: fetch the "
            "network's .safetensors file, or convert the file once with "
            "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'model.safetensors')"
        )
    if path.suffix.lower() == ".safetensors":
        raise damaged(path)
    if path.suffix.lower() == ".onnx":
        return "onnx"
    raise UsageError(f"{_shown(path)} has no weights that foveola can read: give a .safetensors or an .onnx file")


def damaged(path: Path, reason: str = "") -> UsageError:
    """The error for a file that is cut off or changed; reason: of the program that reads it."""
    why = f" ({printable(reason)})" if reason else ""
    return UsageError(f"{_shown(path)} is damaged or not whole{why}: fetch it again")


def _shown(path: Path) -> str:
    return f"the weights file {printable(str(path))}"


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        inside = next((one.name for kind in ("safetensors", "onnx") for one in sorted(path.glob(f"*.{kind}"))), "")
        example = path / (inside or "model.safetensors")
        raise UsageError(f"{_shown(path)} is a folder: give a file, such as {printable(str(example))}")
    try:
        require_ordinary(path)
        with path.open("rb") as file:
            return file.read(512)
    except FileNotFoundError:
        raise UsageError(f"there is no weights file {printable(str(path))}: check the path") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{_shown(path)} can't be read ({reason}): make it readable, or give another file") from None


def _may_be_safetensors(start: bytes, path: Path) -> bool:
    """Whether the file begins as the format says: 8 bytes with the header's length, then the header, which is JSON."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size


def _is_pickled(start: bytes) -> bool:
    """Whether the bytes begin as a pickle does, or as the zip and tar files in which torch wraps pickles."""
    return start[:2] == b"PK" or start[257:262] == b"ustar" or (start[:1] == b"\x80" and start[1:2] <= b"\x05")


def _safetensors_metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "np") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError, ValueError):
        raise damaged(path) from None


def _config(path: Path) -> dict[str, Any]:
    """The config.json next to a file; {} if there is none."""
    try:
        require_ordinary(path)
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(
            f"{printable(str(path))} is not a table in JSON: fetch it again, or move it away from the weights"
        )
    return found


def _own_facts(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The facts in a file's own metadata, where numbers are text: "0.5, 0.5, 0.5" or "[0.5, 0.5, 0.5]"."""
    found: dict[str, Any] = {key: metadata[key] for key in ("licence", "license") if metadata.get(key)}
    for key in ("mean", "std", "input_size"):
        if text := metadata.get(key):
            try:
                found[key] = json.loads(f"[{text.strip().strip('[]()')}]")
            except ValueError:
                found[key] = text
    return found


def _three(value: object, what: str, path: Path) -> tuple[float, ...] | None:
    """Three numbers, red, green and blue; None if there are none."""
    if value is None:
        return None
    if isinstance(value, Sequence) and len(value) == 3 and all(_is_number(one) for one in value):
        found = tuple(float(one) for one in value)
        if what == "mean" or min(found) > 0:
            return found
    least = ", above 0" if what == "std" else ""
    raise UsageError(
        f"{_shown(path)} states {what} = {printable(str(value))[:60]}, but it must be three numbers{least}: correct its "
        f"config.json or its metadata, or add --set model.{what}=[...]"
    )


def _size(value: object, path: Path) -> Size | None:
    """The images' size in "input_size": [3, height, width]; None if there is none."""
    if value is None:
        return None
    if isinstance(value, Sequence) and len(value) == 3 and all(_is_number(one) for one in value):
        channels, height, width = (int(one) for one in value)
        if channels == 3 and min(height, width) > 0:
            return Size(height, width)
    raise UsageError(
        f"{_shown(path)} states input_size = {printable(str(value))[:60]}, but foveola has images of 3 channels and needs 3, "
        "height and width: give a network for colour images"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 and number of bytes; read once for a file that does not change."""
    found = path.stat()
    return _digest_of(os.path.abspath(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns), found.st_size  # noqa: PTH100


@functools.lru_cache(maxsize=16)
def _digest_of(path: str, size: int, changed: int, moved: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
