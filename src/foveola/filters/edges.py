"""Edges: where brightness changes fast."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from annotated_types import Ge, Le

from foveola.errors import UsageError
from foveola.filters.pictures import DerivativeSize, Mat, on_stacks, require_room
from foveola.types import Image

Threshold = Annotated[float, Ge(0), Le(10_000)]
"""A length of the gradient, as a 3x3 Sobel kernel measures it: up to 1,020 along an axis."""


@on_stacks
def sobel(image: Image, *, size: DerivativeSize = 3) -> Mat:
    """Length of the gradient in each colour: `cv2.magnitude` of `cv2.Sobel` in x and in y."""
    require_room(image, max(3, size), f"sobel(size={size})")
    return _length(cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=size), cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=size))


@on_stacks
def scharr(image: Image) -> Mat:
    """Length of the gradient in each colour by Scharr's kernel, truer to its direction than Sobel's: `cv2.Scharr`."""
    require_room(image, 3, "scharr")
    return _length(cv2.Scharr(image, cv2.CV_32F, 1, 0), cv2.Scharr(image, cv2.CV_32F, 0, 1))


@on_stacks
def laplacian(image: Image, *, size: DerivativeSize = 1) -> Mat:
    """How far each pixel differs from its surroundings, in each colour: `cv2.convertScaleAbs(cv2.Laplacian(...))`."""
    require_room(image, max(3, size), f"laplacian(size={size})")
    return cv2.convertScaleAbs(cv2.Laplacian(image, cv2.CV_32F, ksize=size))


def require_order(low: float, high: float) -> None:
    """Raise UsageError unless Canny's thresholds are in their order."""
    if low > high:
        raise UsageError(f"canny(low={low:g}, high={high:g}): low must not be above high: exchange the two")


@on_stacks
def canny(image: Image, *, low: Threshold = 50.0, high: Threshold = 150.0) -> Mat:
    """Thin edges, 255 on 0 (J. Canny, 1986): those above `high`, and those above `low` that touch them; `cv2.Canny`.

    The border pixel is repeated outwards.
    """
    require_order(low, high)
    require_room(image, 3, "canny")
    return np.repeat(cv2.Canny(image, low, high)[..., None], 3, axis=2)


def _length(across: np.ndarray, down: np.ndarray) -> Mat:
    return cv2.convertScaleAbs(cv2.magnitude(across, down))
