"""Colours and images that the Matplotlib figures and the pages share: the palette, mosaics, heat maps over an image.

This module does not import Matplotlib, because a page is written without it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from foveola.types import Image

BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, YELLOW, BLACK = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000",
)  # fmt: skip
"""Colours that colour-blind readers can distinguish too (M. Okabe and K. Ito, "Color Universal Design", 2008)."""

COLOURS = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, YELLOW, BLACK)

ARM_COLOURS = ("#5c6670", BLUE, VERMILION, GREEN, "#aa4499", "#b8860b")
"""Colours of the arms of a comparison: the baseline is grey. From the seventh arm on they repeat without the grey."""

GAP = 1
"""Pixels between two tiles of a mosaic."""


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour such as "#d55e00", 0 to 255.

    >>> rgb(VERMILION)
    (213, 94, 0)
    """
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def arm_number(k: int) -> int:
    """The position of arm k's colour in ARM_COLOURS.

    >>> [arm_number(k) for k in range(8)]
    [0, 1, 2, 3, 4, 5, 1, 2]
    """
    return k if k < len(ARM_COLOURS) else 1 + (k - 1) % (len(ARM_COLOURS) - 1)


def mosaic(tiles: NDArray[np.generic], columns: int, fill: float | NDArray[np.generic]) -> NDArray[np.generic]:
    """Arrange tiles (n, h, w) or (n, h, w, 3) in a grid; gaps and empty cells have the value or colour `fill`.

    >>> mosaic(np.ones((3, 1, 1), np.uint8), 2, 9).tolist()
    [[1, 9, 1], [9, 9, 9], [1, 9, 9]]
    """
    n, height, width = tiles.shape[:3]
    columns = max(1, min(n, columns))
    rows = math.ceil(n / columns)
    out = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, *tiles.shape[3:]), fill, tiles.dtype)
    for k, tile in enumerate(tiles):
        top, left = k // columns * (height + GAP), k % columns * (width + GAP)
        out[top : top + height, left : left + width] = tile
    return out


def heat_over(image: Image, heat: NDArray[np.floating]) -> Image:
    """Blend a heat map, float (H, W) in 0..1, over the image in grey; the strongest heat covers 80 % of the image.

    The colour is vermilion. Returns uint8 (H, W, 3).
    """
    grey = image.mean(axis=2, keepdims=True)
    share = 0.8 * heat[..., None]
    return np.asarray(np.rint(grey * (1 - share) + np.array(rgb(VERMILION)) * share), np.uint8)
