"""Where the pictures of a data set come from: files on a disk, or one array in memory."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foveola import images, opening
from foveola.errors import ImageProblem, PassingProblem
from foveola.images import Decoded, Resize
from foveola.store import require_ordinary
from foveola.types import Images, Rows, Size


class Source(Protocol):
    """Where the pictures of a data set come from."""

    def read(self, i: int, size: Size, how: Resize) -> Decoded:
        """Picture i at the given size. Raises ImageProblem with the reason."""

    def full(self, i: int) -> Decoded:
        """Picture i whole. Raises ImageProblem with the reason."""

    def size(self, i: int) -> tuple[int, int]:
        """Upright height and width of picture i, from its header. Raises ImageProblem with the reason."""

    def take(self, rows: Rows) -> Source:
        """The source of these pictures only, in this order."""

    @property
    def bytes_each(self) -> float:
        """Mean size of a stored picture, for planning the work."""


@dataclass(frozen=True)
class Files:
    """Pictures in files. `digests`, uint8 (n, 32), are the SHA-256 of their bytes when they were indexed."""

    root: Path
    ids: tuple[str, ...]
    digests: NDArray[np.uint8]
    bytes_each: float

    def read(self, i: int, size: Size, how: Resize) -> Decoded:
        return images.read(self._bytes(i), size, how)

    def full(self, i: int) -> Decoded:
        return images.decode(self._bytes(i))

    def size(self, i: int) -> tuple[int, int]:
        return images.size_of(read_file(f"{self.root}/{self.ids[i]}"))

    def take(self, rows: Rows) -> Files:
        return Files(self.root, tuple(self.ids[i] for i in rows), self.digests[rows], self.bytes_each)

    def _bytes(self, i: int) -> bytes:
        data = read_file(f"{self.root}/{self.ids[i]}")
        if sha256(data).digest() != self.digests[i].tobytes():
            raise PassingProblem("the file changed while it was being read: start again")
        return data


@dataclass(frozen=True)
class Arrays:
    """Pictures in memory, all of one size: uint8 (n, h, w, 3)."""

    pixels: Images

    def read(self, i: int, size: Size, how: Resize) -> Decoded:
        whole = self.full(i)
        return replace(whole, image=images.resize(whole.image, size, how))

    def full(self, i: int) -> Decoded:
        height, width = self.pixels.shape[1:3]
        image = self.pixels[i]
        content = sha256(np.ascontiguousarray(image)).digest()
        return Decoded(image, "array", height, width, 1, False, (), content, "RGB", image.nbytes)

    def size(self, i: int) -> tuple[int, int]:
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    def take(self, rows: Rows) -> Arrays:
        return Arrays(self.pixels[rows])

    @property
    def bytes_each(self) -> float:
        return float(np.prod(self.pixels.shape[1:]))


def read_named(path: Path) -> bytes:
    """The bytes of a file that a user named, which no listing has looked at. Raises ImageProblem with the reason."""
    try:
        require_ordinary(path)
    except OSError as error:
        raise PassingProblem(error.strerror or str(error)) from None
    return read_file(str(path))


def read_file(path: str) -> bytes:
    """The bytes of a file; a refusal of the disk becomes an ImageProblem, so that the others go on."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes on small files
            size = os.fstat(file.fileno()).st_size
            if size > opening.MAX_BYTES:
                raise ImageProblem(f"the file has {size:,} bytes, over the limit of {opening.MAX_BYTES:,}")
            return file.read()
    except PermissionError:
        raise PassingProblem("no permission to read it") from None
    except FileNotFoundError:
        raise PassingProblem("it vanished while the folder was being read") from None
    except OSError as error:
        raise PassingProblem(f"can't be read: {(error.strerror or str(error)).lower()}") from None
