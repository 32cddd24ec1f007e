"""Linear filters: a kernel is laid over every pixel, multiplied number by number and summed, each colour by itself.

OpenCV computes the correlation: the kernel is not turned round.
"""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from annotated_types import Ge, Le
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from foveola.filters.pictures import KernelSize, Mat, Sigma, on_stacks, require_room
from foveola.types import Image

SHARPEN = ((0, -1, 0), (-1, 5, -1), (0, -1, 0))
"""Identity plus the negative Laplacian: what differs from its neighbours differs more. Sums to 1."""

EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
"""Light from the lower right: a slope towards it is lit, its back is dark. Sums to 1."""

_SHARPEN, _EMBOSS = np.array(SHARPEN, np.float32), np.array(EMBOSS, np.float32)


def _square(values: list[list[float]]) -> list[list[float]]:
    side = len(values)
    if side not in (3, 5, 7) or any(len(row) != side for row in values):
        rows = "x".join(sorted({str(len(row)) for row in values})) or "0"
        raise PydanticCustomError(
            "square", f"it must be 3x3, 5x5 or 7x7 numbers, and it has {side} rows of {rows}".replace("{", "(")
        )
    return values


Number = Annotated[float, Ge(-1e6), Le(1e6)]

Kernel = Annotated[list[list[Number]], AfterValidator(_square)]
"""A kernel's numbers, row by row."""


@on_stacks
def kernel(image: Image, *, values: Kernel) -> Mat:
    """Any kernel of 3x3 to 7x7 numbers: `cv2.filter2D(image, -1, values)`."""
    require_room(image, len(values), "kernel")
    return cv2.filter2D(image, -1, np.array(values, np.float32))


@on_stacks
def sharpen(image: Image) -> Mat:
    """Edges become steeper: `cv2.filter2D` with 0 -1 0 / -1 5 -1 / 0 -1 0."""
    require_room(image, 3, "sharpen")
    return cv2.filter2D(image, -1, _SHARPEN)


@on_stacks
def emboss(image: Image) -> Mat:
    """A relief lit from one corner: `cv2.filter2D` with -2 -1 0 / -1 1 1 / 0 1 2."""
    require_room(image, 3, "emboss")
    return cv2.filter2D(image, -1, _EMBOSS)


@on_stacks
def blur(image: Image, *, size: KernelSize = 3, sigma: Sigma = 0.0) -> Mat:
    """A Gaussian mean of the neighbours: `cv2.GaussianBlur(image, (size, size), sigma)`; sigma 0 means what fits the size.

    That is OpenCV's own table up to size 9 (of size 3 it is 1/4 1/2 1/4), above it sigma = 0.15 size + 0.35. Halves are
    rounded up.
    """
    require_room(image, size, f"blur(size={size})")
    return cv2.GaussianBlur(image, (size, size), sigma)


@on_stacks
def box(image: Image, *, size: KernelSize = 3) -> Mat:
    """The plain mean of the neighbours: `cv2.blur(image, (size, size))`."""
    require_room(image, size, f"box(size={size})")
    return cv2.blur(image, (size, size))


@on_stacks
def unsharp(
    image: Image, *, size: KernelSize = 5, sigma: Sigma = 0.0, amount: Annotated[float, Ge(0), Le(20)] = 1.0
) -> Mat:
    """The picture plus `amount` times what a Gaussian blur takes away: `cv2.addWeighted` of the two."""
    require_room(image, size, f"unsharp(size={size})")
    return cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (size, size), sigma), -amount, 0)
