"""Images made of images, for figures and pages: tiles in a grid, a heat map over an image.

This module does not import Matplotlib, because a page is written without it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from foveola.figures.palette import VERMILION, rgb
from foveola.types import Image

GAP = 1
"""Pixels between two tiles of a mosaic."""


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
