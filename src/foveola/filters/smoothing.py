"""Filters that smooth but keep edges: a pixel's answer depends on its neighbours' values, which no kernel can write down."""

from __future__ import annotations

from typing import Annotated

import cv2
from annotated_types import Gt, Le

from foveola.filters.pictures import KernelSize, Mat, Sigma, on_stacks, require_room
from foveola.types import Image


@on_stacks
def median(image: Image, *, size: KernelSize = 3) -> Mat:
    """The middle one of the neighbours' values, in each colour: `cv2.medianBlur`; the border pixel is repeated outwards."""
    require_room(image, size, f"median(size={size})")
    return cv2.medianBlur(image, size)


@on_stacks
def bilateral(image: Image, *, size: KernelSize = 5, sigma_color: Sigma = 50.0, sigma_space: Sigma = 50.0) -> Mat:
    """A mean of near neighbours of near colour (Tomasi and Manduchi, 1998): `cv2.bilateralFilter`."""
    require_room(image, size, f"bilateral(size={size})")
    return cv2.bilateralFilter(image, size, sigma_color, sigma_space)


@on_stacks
def denoise(image: Image, *, strength: Annotated[float, Gt(0), Le(100)] = 3.0) -> Mat:
    """Means over alike patches (Buades, Coll and Morel, 2005): `cv2.fastNlMeansDenoisingColored`, 7 px within 21 px."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.cvtColor(cv2.fastNlMeansDenoisingColored(bgr, None, strength, strength, 7, 21), cv2.COLOR_BGR2RGB)
