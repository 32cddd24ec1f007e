"""Images as users give them (files, folders, bytes, Pillow images, arrays, lists of these) and as the network gets them.

Importing this needs no torch, so that a missing file is reported at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow

from foveola.data.dataset import read_named
from foveola.data.scan import scan_folder
from foveola.errors import ImageProblem, UsageError
from foveola.filters.chain import Chain
from foveola.imaging import decode as images
from foveola.imaging import resize as resizing
from foveola.imaging.resize import Resize
from foveola.types import Image, Size

if TYPE_CHECKING:
    from torch import Tensor

OneInput: TypeAlias = str | os.PathLike[str] | bytes | pillow.Image | NDArray[np.uint8]
Inputs: TypeAlias = OneInput | Iterable[OneInput]
"""Inputs that `predict` accepts: see `gather`."""

_ARRAYS = "uint8 from 0 to 255 in RGB, of the shape (height, width, 3), or (n, height, width, 3) for n images"


class PreparedInput(NamedTuple):
    """An image at the network's size, uint8 (H, W, 3), its original size, and the bytes of its file (b"" without a file)."""

    image: Image
    original: Size
    data: bytes


@dataclass(frozen=True)
class Input:
    """One image to predict: its name, and its content as a file, encoded bytes, Pillow image or array.

    problem: why the image can't be predicted, else "".
    """

    name: str
    content: Path | bytes | pillow.Image | Image
    problem: str = ""

    def prepared(self, size: Size, resize: Resize) -> Image:
        """The image at this size, prepared as for training: uint8 (H, W, 3). Raises ImageProblem with the reason."""
        return self.read(size, resize).image

    def read(self, size: Size, resize: Resize) -> PreparedInput:
        """The prepared image, its original size and the bytes of its file. Raises ImageProblem with the reason."""
        if isinstance(self.content, np.ndarray | pillow.Image):
            whole = self.content if isinstance(self.content, np.ndarray) else images.from_pillow(self.content)
            prepared = np.array(
                resizing.resize(whole, size, resize)
            )  # a copy, because the caller's array may be read-only
            return PreparedInput(prepared, Size(*whole.shape[:2]), b"")
        data = read_named(self.content) if isinstance(self.content, Path) else self.content
        decoded = images.decode_and_resize(data, size, resize)
        return PreparedInput(decoded.image, Size(decoded.height_px, decoded.width_px), data)


def gather(given: Inputs | Iterable[OneInput | Input]) -> list[Input]:
    """Collect the images of all inputs, in their order.

    given: a file, a folder (all images in it), the bytes of an image file, a Pillow image, an array uint8 (H, W, 3) or
    (n, H, W, 3), or an iterable of these. An image without a file is called "image 1", "image 2" by its position.

    Raises UsageError for a path that does not exist, a web address, an array or object of another kind, and if there is no
    image at all.
    """
    found: list[Input] = []
    missing: list[str] = []
    for one in _flat(given):
        if isinstance(one, Input):
            found.append(one)
        elif isinstance(one, str | os.PathLike):
            path = _path(one)
            if path.exists() or path.is_symlink():
                found.extend(_files(path))
            else:
                missing.append(str(path))
        else:
            found.extend(_in_memory(one, first=len(found) + 1))
    if missing:
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise UsageError(f"there is no file {missing[0]}{more}: check the path")
    if not found:
        raise UsageError("there are no images to predict: give image files, or folders of images")
    return found


def require_no_address(text: str) -> None:
    """Raise UsageError for a web address."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise UsageError(f"{text} is a web address, but foveola reads only files on this computer: download it first")


def _flat(given: Any) -> Iterator[Any]:
    if isinstance(given, Input | str | os.PathLike | bytes | bytearray | memoryview | pillow.Image | np.ndarray):
        yield given
    elif isinstance(given, dict) or not isinstance(given, Iterable) or hasattr(given, "__array__"):
        raise _refused(type(given).__name__)
    else:
        for one in given:
            yield from _flat(one)


def _path(given: str | os.PathLike[str]) -> Path:
    text = os.fspath(given)
    if isinstance(given, str):
        require_no_address(given)
    return Path(text)


def _files(path: Path) -> Iterator[Input]:
    """A file, or all files of a folder in order; unusable files have a `problem`."""
    if not path.is_dir():
        yield Input(str(path), path)
        return
    listing = scan_folder(path)
    refused = {problem.file: problem.reason for problem in listing.problems}
    for name in sorted({*listing.ids, *refused}):
        yield Input(str(path / name), path / name, refused.get(name, ""))


def _in_memory(given: Any, first: int) -> list[Input]:
    """Images without a file, named by their position in the list, which starts at `first`."""
    if isinstance(given, np.ndarray):
        return [Input(f"image {first + k}", image) for k, image in enumerate(_rows(given))]
    return [Input(f"image {first}", given if isinstance(given, pillow.Image) else bytes(given))]


def _rows(array: NDArray[Any]) -> list[Image]:
    """The images of an array. Raises UsageError, with a hint, for an array of another kind."""
    if array.dtype != np.uint8:
        raise _refused(f"{_article(array)} array", f"; {_scaling(array)}")
    if array.ndim not in (3, 4) or array.shape[-1] != 3 or array.size == 0:
        turned = array.ndim in (3, 4) and array.shape[-3] == 3
        grey = array.ndim == 2 or (array.ndim in (3, 4) and array.shape[-1] == 1)
        hint = "np.moveaxis(array, -3, -1) moves the channels to the end" if turned else ""
        hint = "np.stack([array.squeeze()] * 3, axis=-1) makes three channels of a grey image" if grey else hint
        raise _refused(f"an array of the shape {array.shape}", f"; {hint}" if hint else "")
    return list(array) if array.ndim == 4 else [array]


def _article(array: NDArray[Any]) -> str:
    name = array.dtype.name
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _scaling(array: NDArray[Any]) -> str:
    share = array.dtype.kind == "f" and array.size > 0 and array.min() >= 0 and array.max() <= 1
    if share:
        return "np.rint(array * 255).astype(np.uint8) converts values from 0 to 1"
    return "give the original values, before any scaling"


def _refused(what: str, hint: str = "") -> UsageError:
    article = "" if what.startswith(("a ", "an ")) else "an " if what[:1].lower() in "aeiou" else "a "
    return UsageError(
        f"{article}{what} can't be predicted: give files, folders, bytes of image files, Pillow images, lists of these, or "
        f"{_ARRAYS}{hint}"
    )


_HOW = {
    "pad": "proportions kept, black around",
    "crop": "proportions kept, the middle cut out",
    "stretch": "proportions not kept",
}


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of a run's images: resize, then filter. The network itself normalises.

    size: height and width in pixels; resize: "pad", "crop" or "stretch" (see `imaging.resize`); chain:
    the filters after resizing. The network takes uint8 or float32 (n, 3, H, W), RGB, values 0 to 255.

        tensor = run.preprocessing("cat.jpg")
        probabilities = run.model()(tensor).softmax(dim=1)
    """

    size: Size
    resize: Resize
    chain: Chain

    def __call__(self, given: Inputs) -> Tensor:
        """Prepare images as input of the network: uint8 (n, 3, H, W), RGB. given: as for `foveola.predict`.

        Raises UsageError for unsupported inputs, ImageProblem for an image that can't be read.
        """
        import torch

        with images.suppress_pillow_warnings():
            pixels = np.stack([self._prepared(one) for one in gather(given)])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def _prepared(self, one: Input) -> Image:
        try:
            return self.prepared(one)
        except ImageProblem as problem:
            raise ImageProblem(f"{one.name} can't be read: {problem}") from None

    def prepared(self, one: Input) -> Image:
        """One image as the network sees it: uint8 (H, W, 3). Raises ImageProblem with the reason."""
        if one.problem:
            raise ImageProblem(one.problem)
        return self.chain(one.prepared(self.size, self.resize))

    def __repr__(self) -> str:
        filters = f"the filters {self.chain}; " if self.chain.steps else ""
        return (
            f"Preprocessing: resized to {self.size} (width x height), {self.resize} ({_HOW[self.resize]}); {filters}"
            f"RGB, values 0 to 255, shape (n, 3, {self.size.height_px}, {self.size.width_px}); the network normalises"
        )


class Views(NamedTuple):
    """Test-time augmentation: the versions of an image whose predictions are averaged; by default only the image itself.

    flips: include the mirror image, for twice the time. shift_px: include the image moved by this many pixels up and left,
    and down and right, with edges mirrored, for three times the time. The original has half of the weight and the two moved
    images the other half (K. Jordan, arXiv:2404.00498, "multi-crop evaluation", and its code).
    """

    flips: bool = False
    shift_px: int = 0


ALONE = Views()
"""Only the image itself."""
