"""Resize images: pad, crop or stretch, always with Pillow's antialiased bicubic.

Training, prediction and the pages all use this one way. Its sums are whole numbers, so an image has the same pixels on every
machine.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from PIL import Image as pillow
from PIL import ImageOps

from foveola.types import Image, Size

Resize: TypeAlias = Literal["pad", "crop", "stretch"]
"""How an image gets to its size: pad with black (the course's way), crop the middle, or stretch."""

_BICUBIC = pillow.Resampling.BICUBIC
"""The cubic convolution of Keys (1981) with a = -1/2, widened by the factor of shrinking."""


def resize(image: Image, size: Size, how: Resize = "pad") -> Image:
    """Resize an image to exactly `size` by antialiased bicubic interpolation.

    "pad" keeps the proportions and fills the rest with black, centred; "crop" keeps them and cuts the middle; "stretch"
    does not keep them. uint8 (h, w, 3) in, uint8 (size.height_px, size.width_px, 3) out.

    >>> tall = np.full((40, 10, 3), 255, np.uint8)
    >>> resize(tall, Size(8, 8))[4, :, 0].tolist()
    [0, 0, 0, 255, 255, 0, 0, 0]
    """
    if image.shape[:2] == tuple(size):
        return image
    return resize_picture(pillow.fromarray(image), size, how)


def resize_picture(picture: pillow.Image, size: Size, how: Resize = "pad") -> Image:
    """`resize` of a Pillow image of mode RGB. Decoding has one already, and the way over an array takes 0.6 ms a photo."""
    wanted = (size.width_px, size.height_px)
    if how == "stretch":
        return np.array(picture.resize(wanted, _BICUBIC))
    if how == "crop":
        return np.array(ImageOps.fit(picture, wanted, _BICUBIC))
    top, left, height, width = padded_box(picture.height, picture.width, size)
    padded = np.zeros((*size, 3), np.uint8)
    padded[top : top + height, left : left + width] = np.asarray(picture.resize((width, height), _BICUBIC))
    return padded


def scaled_size(height: int, width: int, size: Size, how: Resize) -> Size:
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


def padded_box(height: int, width: int, size: Size) -> tuple[int, int, int, int]:
    """Where an image of this height and width lies after `resize(..., "pad")`: top, left, height, width in pixels.

    >>> padded_box(40, 10, Size(8, 8))
    (0, 3, 8, 2)
    """
    inner_h, inner_w = scaled_size(height, width, size, "pad")
    return (size.height_px - inner_h) // 2, (size.width_px - inner_w) // 2, inner_h, inner_w


def shrink(image: Image, longest_px: int) -> Image:
    """An image for people to look at: its longer side at most `longest_px`, its proportions kept; never enlarged."""
    scale = longest_px / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return resize(image, Size(height, width), "stretch")
