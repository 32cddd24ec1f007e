"""Decode, resize and encode images. Training, prediction and the report all use this module, so they see the same pixels.

The rules:

- A file that is not an image, too large, damaged or truncated is refused with its reason (`file_formats`), never shown half.
  A JPEG that lacks only its end marker is used (`jpeg_end`).
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
from PIL import ImageOps

from foveola.errors import ImageProblem, UsageError
from foveola.imaging.colour import Note, colour_notes, is_deep, levels_used, to_rgb
from foveola.imaging.file_formats import (
    check_limits,
    check_readable,
    fix_strip_count,
    open_image,
    orientation_of,
)
from foveola.imaging.jpeg_end import add_end_marker
from foveola.imaging.jpeg_quality import jpeg_quality
from foveola.imaging.resize import bicubic, bicubic_by_pillow
from foveola.types import Image, Size

MAX_JPEG_SIDE_PX = 65_500
"""Of a side, in libjpeg; the format itself ends at 65,535."""

Resize: TypeAlias = Literal["pad", "crop", "stretch"]
"""How an image gets to its size: pad with black (the course's way), crop the middle, or stretch."""

_TURNED_BY_DECODER = ("HEIC", "TIFF")  # Pillow turns TIFF in load_end, and its size is the upright one from the start


@dataclass(frozen=True)
class Decoded:
    """A decoded image with the facts about its file.

    `image` is uint8 (h, w, 3), RGB, upright; `height_px` and `width_px` are those of the whole image (upright);
    `reduced` is True when a JPEG was decoded at 1/2, 1/4 or 1/8, enough for the size asked for; `notes` are the
    conversions ("transparency laid on white"); `content` is the SHA-256 of the decoded pixels before any resizing; `mode` is
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


def decode(data: bytes, *, enough: Callable[[int, int], Size] | None = None) -> Decoded:
    """Decode an image from the bytes of a file.

    With `enough`, a large JPEG is decoded at the smallest of 1/2, 1/4 or 1/8 that still has both sides at least as long
    as what `enough` says for its upright height and width: libjpeg does it in the frequency domain, antialiased, in a
    fraction of the time.

    A JPEG that lacks only its end marker is used, with a note (`jpeg_end`), and so is a TIFF with a wrong length of its last
    strip (`file_formats.fix_strip_count`).

    Raises ImageProblem with the reason when this is not a usable image.
    """
    try:
        return _decoded(data, enough)
    except ImageProblem:
        mended, note = (
            (whole, Note.NO_END) if (whole := add_end_marker(data)) else (fix_strip_count(data), Note.WRONG_COUNT)
        )
        if mended is None:
            raise
    decoded = _decoded(mended, enough)
    return replace(decoded, notes=(*decoded.notes, note), stored_bytes=len(data))


def _decoded(data: bytes, enough: Callable[[int, int], Size] | None) -> Decoded:
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
        image = to_rgb(picture, orientation, data)
    if name in _TURNED_BY_DECODER:  # by more than the tag that was asked: XMP may say it, too
        height, width = image.shape[:2]
    reduced = image.shape[0] * image.shape[1] < width * height
    content = sha256(np.ascontiguousarray(image)).digest()
    form = "JPEG" if name == "MPO" else name
    levels = levels_used(image) if deep else 0
    return Decoded(image, form, height, width, orientation, reduced, notes, content, mode, len(data), levels, quality)


def from_pillow(picture: pillow.Image) -> Image:
    """The pixels of a Pillow image by the rules for files: uint8 (h, w, 3), RGB, upright. The image itself stays as it is.

    Raises ImageProblem with the reason when they can't be had.
    """
    with check_readable():
        width, height = picture.size
        check_limits(height, width)
        picture.load()
        orientation = 1 if picture.format in _TURNED_BY_DECODER else orientation_of(picture)
        return to_rgb(picture, orientation, b"")


def size_of(data: bytes) -> tuple[int, int]:
    """Upright height and width in pixels, from the header alone. Raises ImageProblem with the reason."""
    with open_image(data) as picture:
        width, height = picture.size
        turned = picture.format not in _TURNED_BY_DECODER and orientation_of(picture) >= 5
        return (width, height) if turned else (height, width)


_SPARE = 1.5
"""A JPEG is decoded with sides this many times those it is resized to, or larger: libjpeg's own reduction is a box, which
the bicubic after it then hides. 400 photos to 224x224, mean difference from the whole image resized: 0.56 grey levels
at 1.5, 1.09 at 1, 0.35 at 2; one core takes 2.56, 2.47 and 2.74 s (in turns; three, three and two times)."""


def decode_and_resize(data: bytes, size: Size, how: Resize = "pad") -> Decoded:
    """Decode a file's bytes and resize to `size`; what training and prediction see of a file."""

    def enough(height: int, width: int) -> Size:
        return Size(*(math.ceil(_SPARE * side) for side in _scaled(height, width, size, how)))

    decoded = decode(data, enough=enough)
    return replace(decoded, image=resize(decoded.image, size, how))


def _scaled(height: int, width: int, size: Size, how: Resize) -> Size:
    """The size an image of this height and width is scaled to before it is padded to `size` or cut to it."""
    if how == "stretch":
        return size
    scales = size.height_px / height, size.width_px / width
    if how == "crop":
        scale = max(scales)
        return Size(max(size.height_px, round(height * scale)), max(size.width_px, round(width * scale)))
    scale = min(scales)
    inner = (min(max(1, round(side * scale)), limit) for side, limit in zip((height, width), size, strict=True))
    return Size(*inner)


def resize(image: Image, size: Size, how: Resize = "pad") -> Image:
    """Resize an image to exactly `size`, antialiased (`resampling.bicubic`; the cut by Pillow).

    "pad" keeps the proportions and fills the rest with black, centred; "crop" keeps them and cuts the middle; "stretch"
    does not keep them. uint8 (h, w, 3) in, uint8 (size.height_px, size.width_px, 3) out.

    >>> tall = np.full((40, 10, 3), 255, np.uint8)
    >>> resize(tall, Size(8, 8))[4, :, 0].tolist()
    [0, 0, 0, 255, 255, 0, 0, 0]
    """
    height, width = image.shape[:2]
    target_h, target_w = size
    if (height, width) == (target_h, target_w):
        return image
    if how == "stretch":
        return bicubic(image, size)
    if how == "crop":
        fitted = ImageOps.fit(pillow.fromarray(image), (target_w, target_h), pillow.Resampling.BICUBIC)
        return np.asarray(fitted)
    top, left, inner_h, inner_w = padded_box(height, width, size)
    out = np.zeros((target_h, target_w, 3), np.uint8)
    out[top : top + inner_h, left : left + inner_w] = bicubic(image, Size(inner_h, inner_w))
    return out


def padded_box(height: int, width: int, size: Size) -> tuple[int, int, int, int]:
    """Where an image of this height and width lies after `resize(..., "pad")`: top, left, height, width in pixels.

    >>> padded_box(40, 10, Size(8, 8))
    (0, 3, 8, 2)
    """
    inner_h, inner_w = _scaled(height, width, size, "pad")
    return (size.height_px - inner_h) // 2, (size.width_px - inner_w) // 2, inner_h, inner_w


def shrink(image: Image, longest_px: int) -> Image:
    """An image for people to look at: its longer side at most `longest_px`, its proportions kept; never enlarged."""
    scale = longest_px / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return bicubic_by_pillow(image, Size(height, width))


def encode(image: Image, format: Literal["PNG", "JPEG"] = "PNG", *, quality: int = 88, smallest: bool = True) -> bytes:
    """The bytes of a PNG or JPEG file of the image. smallest: spend more time on a smaller PNG, much more for photos.

    Raises UsageError for a JPEG with a side of more than 65,500 pixels, which libjpeg does not write.
    """
    if format == "JPEG" and max(image.shape[:2]) > MAX_JPEG_SIDE_PX:
        raise UsageError(
            f"an image of {image.shape[0]}x{image.shape[1]} can't be a JPEG, whose sides end at {MAX_JPEG_SIDE_PX:,}: "
            "write it as .png"
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
