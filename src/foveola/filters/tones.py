"""Brightness and colour: pixel by pixel, or region by region."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from annotated_types import Ge, Gt, Le

from foveola.filters.pictures import Mat, on_stacks
from foveola.types import Image


@on_stacks
def grayscale(image: Image) -> Mat:
    """Brightness alone, 0.299 R + 0.587 G + 0.114 B in all three channels: `cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)`."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


@on_stacks
def invert(image: Image) -> Mat:
    """The negative, 255 - v: `cv2.bitwise_not`."""
    return cv2.bitwise_not(image)


@on_stacks
def gamma(image: Image, *, value: Annotated[float, Gt(0), Le(10)] = 0.5) -> Mat:
    """255 (v / 255)^value: below 1 dark parts become lighter, above 1 darker; `cv2.LUT`."""
    return cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** value).astype(np.uint8))


@on_stacks
def equalize(
    image: Image, *, limit: Annotated[float, Gt(0), Le(100)] = 2.0, tiles: Annotated[int, Ge(1), Le(64)] = 8
) -> Mat:
    """Contrast evened out region by region (CLAHE, K. Zuiderveld, 1994) on the lightness of L*a*b*: `cv2.createCLAHE`."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(limit, (tiles, tiles)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
