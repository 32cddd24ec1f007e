"""Mosaic: arrange many small images in one image."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

GAP = 1
"""Pixels between two tiles."""


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
