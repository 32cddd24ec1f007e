"""onnx:NAME: a network in the user's ONNX file that gives features, with a new linear head; needs onnxruntime.

The bytes of the file are a tensor of this network, so a run's weights.safetensors holds the whole network. Pixels are
scaled by mean and deviation before the file's network sees them, unless its input is uint8.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveola.errors import ResourceError, UsageError
from foveola.models.layers import Normalise
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

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxFeatures(nn.Module):
    """A network in an ONNX file: images float32 (b, 3, H, W) to features float32 (b, F), means of feature maps included.

    file: the file's bytes, uint8 (n,), a buffer; zeros until a run's weights are loaded, and features are zeros then, too.
    """

    file: Tensor

    def __init__(self, raw: bytes, file_bytes: int, columns: int) -> None:
        super().__init__()
        content = (
            torch.frombuffer(bytearray(raw), dtype=torch.uint8) if raw else torch.zeros(file_bytes, dtype=torch.uint8)
        )
        self.register_buffer("file", content)
        self.columns = columns
        self._session: Any = None

    def forward(self, images: Tensor) -> Tensor:
        if not len(self.file) or not self.file[0]:  # no ONNX file begins with a zero
            return images.new_zeros((len(images), self.columns), dtype=torch.float32)
        if self._session is None:
            self._session = open_session(self.file.cpu().numpy().tobytes())
        values = images.detach().to("cpu", torch.float32).numpy()
        return torch.from_numpy(run_session(self._session, values)).to(images.device)

    def extra_repr(self) -> str:
        return f"{len(self.file):,} bytes, {self.columns:,} features"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}  # a session can't be copied or sent to another process

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        before = self.file.clone()
        super()._load_from_state_dict(*args, **kwargs)
        if not torch.equal(before, self.file):
            self._session = None


class OnnxNetwork(nn.Module):
    """`Normalise`, the network of an ONNX file, and a linear head that starts at zero."""

    def __init__(
        self,
        classes: int,
        weights: WeightsFile | None,
        mean: Sequence[float],
        std: Sequence[float],
        columns: int,
        file_bytes: int,
    ) -> None:
        super().__init__()
        self.normalise = Normalise.of_unit_pixels(mean, std)
        self.network = OnnxFeatures(weights.path.read_bytes() if weights else b"", file_bytes, columns)
        self.head = zero_head(columns, classes)
        self.origins = {} if weights is None else {weights.name: weights.origin}
        self.features_key = digest(weights.sha256 if weights else "", json.dumps([list(mean), list(std)]), _version())
        self.features_ready = weights is not None

    def features(self, images: Tensor) -> Tensor:
        """Images (b, 3, H, W) to float32 (b, F)."""
        found: Tensor = self.network(self.normalise(images))
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def onnx_network(
    *,
    size: Size,
    classes: int,
    weights: str = "",
    weights_sha256: str = "",
    mean: Mean = IMAGENET_MEAN,
    std: Deviation = IMAGENET_STD,
    columns: int = 1,
    file_bytes: int = 0,
) -> OnnxNetwork:
    """A network in an ONNX file that gives features, with a new classifier; `--weights FILE.onnx` names it."""
    file = read_onnx(Path(weights)).about if weights else None
    return OnnxNetwork(classes, file, mean, std, columns, file_bytes)


@dataclass(frozen=True)
class OnnxFacts:
    """An ONNX file. size: of its images, None if it takes several; raw_pixels: whether its input is uint8."""

    about: WeightsFile
    size: Size | None
    raw_pixels: bool


def read_onnx(path: Path) -> OnnxFacts:
    """Open an ONNX file and check its input. Raises UsageError for a file that can't be used, ResourceError without
    onnxruntime."""
    session = _open(path)
    inputs = session.get_inputs()
    shown = f"the weights file {printable(str(path))}"
    if len(inputs) != 1:
        raise UsageError(
            f"{shown} has {count(len(inputs), 'input')} ({printable(', '.join(one.name for one in inputs))}), but a network "
            "for images has one: give another file"
        )
    (one,) = inputs
    channels = [place for place in (1, 3) if len(one.shape) == 4 and one.shape[place] == 3]
    if one.type not in _TYPES or not channels:
        shape = " x ".join(map(str, one.shape))
        raise UsageError(
            f"{shown} takes {one.type} of shape {printable(shape)}, but foveola gives it float or uint8 images of shape "
            "n x 3 x height x width or n x height x width x 3: give another file"
        )
    sides = one.shape[2:] if channels[0] == 1 else one.shape[1:3]
    fixed = Size(*sides) if all(isinstance(side, int) for side in sides) else None
    about = read_weights_file(path, metadata=session.get_modelmeta().custom_metadata_map)
    return OnnxFacts(about, fixed, _TYPES[one.type] is np.uint8)


def feature_columns(path: Path, size: Size) -> int:
    """The number of features that an ONNX file gives for an image. Raises UsageError for an output that is none."""
    session = _open(path)
    shown = f"the weights file {printable(str(path))}"
    try:
        found = _outputs(session, np.zeros((1, 3, *size), np.float32))
    except Exception as error:  # onnxruntime has its own exceptions, without a common class
        raise UsageError(
            f"{shown} can't take images of {size}: {_reason(error)}: choose another --size, or give another file"
        ) from error
    if found.ndim not in (2, 4) or len(found) != 1 or found.size == 0 or not np.issubdtype(found.dtype, np.floating):
        shape = " x ".join(map(str, found.shape))
        raise UsageError(
            f"{shown} gives {found.dtype} of shape {shape or '1'} for one image, but features must be float numbers of shape "
            "1 x F, or feature maps of shape 1 x F x height x width: export the network without other outputs first"
        )
    return int(found.shape[1])


def run_session(session: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features float32 (b, F) of scaled images float32 (b, 3, H, W); feature maps are averaged over the image."""
    batch = session.get_inputs()[0].shape[0]
    step = batch if isinstance(batch, int) else max(1, len(images))
    found = np.concatenate([_outputs(session, images[k : k + step]) for k in range(0, len(images), step)])
    return np.ascontiguousarray(found.mean(axis=(2, 3)) if found.ndim == 4 else found, np.float32)


def _outputs(session: Any, images: NDArray[np.float32]) -> NDArray[Any]:
    """The first output for scaled images float32 (b, 3, H, W), in the type and order of axes that the file asks for.

    A file that takes a fixed number of images gets copies of the last one, too.
    """
    one, n = session.get_inputs()[0], len(images)
    if isinstance(one.shape[0], int):
        images = np.concatenate([images, np.repeat(images[-1:], one.shape[0] - n, axis=0)])
    values = images if one.shape[1] == 3 else images.transpose(0, 2, 3, 1)
    kind = _TYPES[one.type]
    values = np.rint(values).clip(0, 255) if kind is np.uint8 else values
    found: NDArray[Any] = session.run([session.get_outputs()[0].name], {one.name: values.astype(kind)})[0]
    return found[:n]


def open_session(source: bytes | str) -> Any:
    """A session of onnxruntime on the processor, of a file or of its bytes. Raises ResourceError without onnxruntime."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised; warnings are for the file's author
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _open(path: Path) -> Any:
    """A session of a file. Raises UsageError if the file is damaged, or has its weights in other files."""
    _runtime()
    try:
        return open_session(path.read_bytes())
    except Exception as error:  # onnxruntime has its own exceptions, without a common class
        problem = error
    try:
        open_session(str(path))
    except Exception:
        raise damaged(path, _reason(problem)) from problem
    raise UsageError(
        f"the weights file {printable(str(path))} has its weights in other files: export the network into one file, as in "
        "torch.onnx.export(..., external_data=False)"
    ) from problem


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0].rstrip(".: ")) if lines else type(error).__name__


def _version() -> str:
    return str(_runtime().__version__)


def _runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except Exception as error:  # a broken installation raises more than ImportError
        raise ResourceError(
            f"networks in ONNX files need the package onnxruntime, and importing it failed: {_reason(error)}: "
            "pip install 'foveola[onnx]'"
        ) from error
