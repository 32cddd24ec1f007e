"""Which test pictures a run keeps, because its report shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

GRID, STRIP, WORST = 25, 8, 24
"""How many test pictures the report shows: the 5x5 grid, the strip with probability bars, the worst mistakes."""


def grid_rows(n: int, most: int = GRID) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which test pictures the report's grid shows: evenly spread over the test part, so that all classes come up."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))
