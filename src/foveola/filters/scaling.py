"""Filters that change how many pixels there are, for a while or for good."""

from __future__ import annotations

from typing import Annotated

import cv2
from annotated_types import Ge, Le

from foveola.errors import UsageError
from foveola.filters.pictures import Mat, on_stacks
from foveola.opening import MAX_PIXELS, MAX_SIDE_PX
from foveola.types import Image

Factor = Annotated[int, Ge(1), Le(64)]

Side = Annotated[int, Ge(1), Le(4096)]
"""Of a picture, in pixels."""


@on_stacks
def resize_down_up(image: Image, *, factor: Factor = 4) -> Mat:
    """Pixelated: `cv2.resize` to 1/factor by the mean of each area, and back by repeating pixels.

    Means of exactly 2x2 pixels are rounded half up, others half to even.
    """
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, round(width / factor)), max(1, round(height / factor))), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


@on_stacks
def scale(image: Image, *, width: Side, height: Side) -> Mat:
    """So many pixels, each the mean of the area it covers: `cv2.resize(..., interpolation=cv2.INTER_AREA)`; it resizes.

    Means of exactly 2x2 pixels are rounded half up, others half to even. A side that grows is filled in between neighbours,
    after the other has shrunk: in one call OpenCV would leave out pixels of that.
    """
    rows, columns = image.shape[:2]
    less = min(width, columns), min(height, rows)
    shrunk = cv2.resize(image, less, interpolation=cv2.INTER_AREA)
    return shrunk if less == (width, height) else cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_AREA)


@on_stacks
def upscale(image: Image, *, factor: Annotated[int, Ge(1), Le(8)] = 2) -> Mat:
    """`factor` times as many pixels each way, smoothly (Lanczos, 8x8 neighbours): `cv2.resize`; it resizes.

    The border pixel is repeated outwards. Raises UsageError for more than 120 million pixels or a side of more than 30,000.
    """
    height, width = factor * image.shape[0], factor * image.shape[1]
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE_PX:  # what could not be read again is not made
        raise UsageError(
            f"upscale(factor={factor}) would make {height}x{width} of this picture: {MAX_PIXELS:,} pixels and sides of "
            f"{MAX_SIDE_PX:,} are allowed; take a smaller factor"
        )
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LANCZOS4)
