"""Thumbnails as data URIs, so that a page needs no other files."""

from __future__ import annotations

from base64 import b64encode
from typing import NamedTuple

from foveola.imaging.decode import encode
from foveola.imaging.resize import shrink
from foveola.types import Image

SMALL_PX, ENLARGED_PX, LONGEST_PX = 64, 96, 160


class Thumbnail(NamedTuple):
    """An image for the page: its data URI, its displayed size, and whether pixels are drawn as sharp squares."""

    uri: str
    width_px: int
    height_px: int
    pixelated: bool


def thumbnail(image: Image, longest_px: int = LONGEST_PX) -> Thumbnail:
    """Make a thumbnail of an image, uint8 (h, w, 3), with its proportions kept.

    An image below 64 px stays unchanged, as PNG, and is enlarged by a whole factor to about 96 px. A larger one is shrunk to
    `longest_px` and stored as JPEG, which takes a tenth of the bytes.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest < SMALL_PX:
        factor = max(1, round(ENLARGED_PX / longest))
        return Thumbnail(_uri(encode(image), "png"), width * factor, height * factor, True)
    small = shrink(image, longest_px)
    return Thumbnail(_uri(encode(small, "JPEG"), "jpeg"), small.shape[1], small.shape[0], False)


def exact(image: Image, widest_px: int) -> Thumbnail:
    """Make a lossless thumbnail as PNG, enlarged by a whole factor to at most about `widest_px` in width.

    image: uint8 (h, w, 3), or with an alpha channel (h, w, 2 or 4).
    """
    height, width = image.shape[:2]
    factor = max(1, widest_px // width)
    return Thumbnail(_uri(encode(image), "png"), width * factor, height * factor, True)


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
