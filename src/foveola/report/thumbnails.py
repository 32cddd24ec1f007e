"""Pictures as data URIs: the page carries its own, so that it opens anywhere and asks nobody."""

from __future__ import annotations

from base64 import b64encode
from typing import NamedTuple

from foveola.imaging.decode import encode, shrink
from foveola.types import Image

SMALL_PX, ENLARGED_PX, LONGEST_PX = 64, 96, 160


class Thumbnail(NamedTuple):
    """A picture for the page: its data URI, the size it is shown at, and whether its pixels are to be seen as squares."""

    uri: str
    width_px: int
    height_px: int
    pixelated: bool


def thumbnail(image: Image, longest_px: int = LONGEST_PX) -> Thumbnail:
    """A picture, uint8 (h, w, 3), for the page, its proportions kept.

    Below 64 px it is kept exactly, as PNG, and enlarged by a whole factor to about 96 px; above it is shrunk to
    `longest_px` and becomes a JPEG, a tenth of the bytes.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest < SMALL_PX:
        factor = max(1, round(ENLARGED_PX / longest))
        return Thumbnail(_uri(encode(image), "png"), width * factor, height * factor, True)
    small = shrink(image, longest_px)
    return Thumbnail(_uri(encode(small, "JPEG"), "jpeg"), small.shape[1], small.shape[0], False)


def exact(image: Image, widest_px: int) -> Thumbnail:
    """An image whose every pixel counts, as PNG, shown larger by a whole factor, up to about `widest_px` wide.

    image: uint8 (h, w, 3), or with an alpha channel (h, w, 2 or 4).
    """
    height, width = image.shape[:2]
    factor = max(1, widest_px // width)
    return Thumbnail(_uri(encode(image), "png"), width * factor, height * factor, True)


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
