"""Decode and encode images. Training, prediction and the report all use this module, so they see the same pixels.

The rules:

- A file that is not an image, too large, damaged or truncated is refused with its reason (`file_formats`), never shown half.
  A JPEG that lacks only its end marker is used (`jpeg`).
- The EXIF orientation is applied. ICC profiles are ignored. Of an animation the first frame is used (in an APNG not the
  fallback image that is not part of the animation).
- Samples of 16 bits keep their high byte (v >> 8), or are scaled by the range that the file declares (`colour`). Samples of
  32 bits without a declared range are refused. Pillow converts 1-bit, palette and CMYK images to RGB.
- Transparency is laid on white. An alpha channel of a BMP that is 0 everywhere is ignored.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image as pillow

from foveola.errors import ImageProblem, UsageError
from foveola.imaging.colour import Note, colour_notes, is_deep, levels_used, to_rgb
from foveola.imaging.file_formats import (
    check_limits,
    check_readable,
    fix_strip_count,
    open_image,
    orientation_of,
)
from foveola.imaging.jpeg import add_end_marker, jpeg_quality
from foveola.imaging.resize import Resize, resize_picture, scaled_size
from foveola.types import Image, Size

MAX_JPEG_SIDE_PX = 65_500
"""Of a side, in libjpeg; the format itself ends at 65,535."""

_Enough: TypeAlias = Callable[[int, int], Size]
_ToSize: TypeAlias = Callable[[pillow.Image, Image], Image]
"""From a decoded picture and its pixels to the image that is wanted; pixels that fit already are not read a second time."""

_TURNED_BY_DECODER = ("HEIC", "TIFF")  # Pillow turns TIFF in load_end, and its size is the upright one from the start


@dataclass(frozen=True)
class Decoded:
    """A decoded image with the facts about its file.

    `image` is uint8 (h, w, 3), RGB, upright; `height_px` and `width_px` are those of the whole image (upright);
    `reduced` is True when a JPEG was decoded at 1/2, 1/4 or 1/8, enough for the size asked for; `notes` are the
    conversions ("converted from CMYK"); `content` is the SHA-256 of the decoded pixels before any resizing; `mode` is
    what the file stores, as Pillow calls it ("RGB", "L", "RGBA", "P", "CMYK", "I;16"), and `stored_bytes` its size; `levels`
    is how many of 256 levels the image uses where its file has more than 8 bits, else 0; `quality` is a JPEG's, 1 to 100,
    else 0.
    """

    image: Image
    format: str
    height_px: int
    width_px: int
    orientation: int
    reduced: bool
    notes: tuple[Note, ...]
    content: bytes = b""
    mode: str = "RGB"
    stored_bytes: int = 0
    levels: int = 0
    quality: float = 0.0


_SPARE = 1.5
"""A JPEG is decoded with sides this many times those it is resized to, or larger: libjpeg's own reduction is a box, which
the bicubic after it then hides. 400 photos to 224x224, mean difference from the whole image resized: 0.56 grey levels
at 1.5, 1.09 at 1, 0.35 at 2; one core takes 2.56, 2.47 and 2.74 s (in turns; three, three and two times)."""


def decode_and_resize(data: bytes, size: Size, how: Resize = "pad") -> Decoded:
    """Decode a file's bytes and resize to `size`; what training and prediction see of a file."""

    def enough(height: int, width: int) -> Size:
        return Size(*(math.ceil(_SPARE * side) for side in scaled_size(height, width, size, how)))

    def to_size(picture: pillow.Image, pixels: Image) -> Image:
        # Many small files have the size already: 60,000 of 32x32 take 9 s less of processor time than with a resize.
        return np.array(pixels) if pixels.shape[:2] == tuple(size) else resize_picture(picture, size, how)

    return _decode(data, enough, to_size)


def decode(data: bytes, *, enough: _Enough | None = None) -> Decoded:
    """Decode an image from the bytes of a file.

    With `enough`, a large JPEG is decoded at the smallest of 1/2, 1/4 or 1/8 that still has both sides at least as long
    as what `enough` says for its upright height and width: libjpeg does it in the frequency domain, antialiased, in a
    fraction of the time.

    A JPEG that lacks only its end marker is used, with a note (`jpeg`), and so is a TIFF with a wrong length of its last
    strip (`file_formats.fix_strip_count`).

    Raises ImageProblem with the reason when this is not a usable image.
    """
    return _decode(data, enough, lambda _, pixels: np.array(pixels))


def _decode(data: bytes, enough: _Enough | None, to_size: _ToSize) -> Decoded:
    try:
        return _decode_whole(data, enough, to_size)
    except ImageProblem:
        mended, note = (
            (whole, Note.NO_END) if (whole := add_end_marker(data)) else (fix_strip_count(data), Note.WRONG_COUNT)
        )
        if mended is None:
            raise
    decoded = _decode_whole(mended, enough, to_size)
    return replace(decoded, notes=(*decoded.notes, note), stored_bytes=len(data))


def _decode_whole(data: bytes, enough: _Enough | None, to_size: _ToSize) -> Decoded:
    with open_image(data) as picture:
        width, height = picture.size
        check_limits(height, width)
        deep, quality = is_deep(picture), jpeg_quality(picture)
        if picture.info.get("default_image"):
            picture.seek(1)
        name = picture.format or "?"
        notes = colour_notes(picture)
        mode = picture.mode
        orientation = 1 if name in _TURNED_BY_DECODER else orientation_of(picture)
        if orientation >= 5:
            height, width = width, height
        if enough is not None and name in ("JPEG", "MPO"):
            least = enough(height, width)
            want = (least.height_px, least.width_px) if orientation >= 5 else (least.width_px, least.height_px)
            picture.draft(None, want)
        rgb = to_rgb(picture, orientation, data)
        whole = np.asarray(rgb)
    if name in _TURNED_BY_DECODER:  # by more than the tag that was asked: XMP may say it, too
        width, height = rgb.size
    reduced = rgb.width * rgb.height < width * height
    content = sha256(whole).digest()
    form = "JPEG" if name == "MPO" else name
    levels = levels_used(whole) if deep else 0
    return Decoded(
        to_size(rgb, whole), form, height, width, orientation, reduced, notes, content, mode, len(data), levels, quality
    )


def from_pillow(picture: pillow.Image) -> Image:
    """The pixels of a Pillow image by the rules for files: uint8 (h, w, 3), RGB, upright. The image itself stays as it is.

    Raises ImageProblem with the reason when they can't be had.
    """
    with check_readable():
        width, height = picture.size
        check_limits(height, width)
        picture.load()
        orientation = 1 if picture.format in _TURNED_BY_DECODER else orientation_of(picture)
        return np.array(to_rgb(picture, orientation, b""))


def size_of(data: bytes) -> tuple[int, int]:
    """Upright height and width in pixels, from the header alone. Raises ImageProblem with the reason."""
    with open_image(data) as picture:
        width, height = picture.size
        turned = picture.format not in _TURNED_BY_DECODER and orientation_of(picture) >= 5
        return (width, height) if turned else (height, width)


def encode(image: Image, format: Literal["PNG", "JPEG"] = "PNG", *, quality: int = 88, smallest: bool = True) -> bytes:
    """The bytes of a PNG or JPEG file of the image. smallest: spend more time on a smaller PNG, much more for photos.

    Raises UsageError for a JPEG with a side of more than 65,500 pixels, which libjpeg does not write.
    """
    if format == "JPEG" and max(image.shape[:2]) > MAX_JPEG_SIDE_PX:
        raise UsageError(
            f"an image of {image.shape[1]}x{image.shape[0]} can't be a JPEG, whose sides are at most {MAX_JPEG_SIDE_PX:,} "
            "pixels: write it as .png"
        )
    out = io.BytesIO()
    options = {"quality": quality} if format == "JPEG" else {"optimize": True} if smallest else {"compress_level": 3}
    pillow.fromarray(image).save(out, format, **options)
    return out.getvalue()


@contextlib.contextmanager
def suppress_pillow_warnings() -> Iterator[None]:
    """Silence Pillow's warnings (odd EXIF, large images) around many decodes: foveola has its own limits and notes.

    Python's warning filters belong to the process, so enter this once, outside the threads that decode.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
