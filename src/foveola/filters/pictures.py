"""What all filters share: the picture they take, the stack they take too, and the options of more than one of them.

The written rule: a filter takes uint8 (H, W, 3), RGB, and gives the same. What it computes is rounded and clipped to
0..255 as OpenCV does for uint8: half to even, but half up in a Gaussian blur, which it computes in whole numbers, and in a
mean of areas of exactly 2x2. Beyond the border the picture is mirrored without repeating its last row (OpenCV's
BORDER_REFLECT_101) unless the filter says otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Concatenate, ParamSpec, TypeAlias

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from foveola.errors import UsageError
from foveola.types import Image, Images

P = ParamSpec("P")

Mat: TypeAlias = NDArray[Any]
"""What OpenCV's type hints say it gives. For uint8 it gives uint8: the tests look at every filter."""


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "it must be odd, so that the kernel has a middle")
    return value


KernelSize = Annotated[int, Ge(1), Le(31), AfterValidator(_odd)]
"""Side of a kernel in pixels."""

DerivativeSize = Annotated[int, Ge(1), Le(7), AfterValidator(_odd)]
"""Side of a derivative's kernel in pixels: OpenCV has 1, 3, 5 and 7."""

Sigma = Annotated[float, Ge(0), Le(1000)]
"""Standard deviation of a bell curve, in pixels or grey levels; 0 where the filter has a rule for it."""


def on_stacks(one: Callable[Concatenate[Image, P], Mat]) -> Callable[Concatenate[Images, P], Images]:
    """The filter of one picture as a filter of pictures: uint8 (H, W, 3) or a stack (..., H, W, 3), shape by shape.

    Raises UsageError for anything else.
    """

    @functools.wraps(one)
    def many(images: Images, /, *args: P.args, **options: P.kwargs) -> Images:
        require_pictures(images)
        if images.ndim == 3:
            return one(images, *args, **options)
        flat = images.reshape(-1, *images.shape[-3:])
        if not len(flat):
            return images.copy()
        done = np.stack([one(image, *args, **options) for image in flat])
        return done.reshape(*images.shape[:-3], *done.shape[1:])

    return many


def require_pictures(images: Any) -> None:
    """Raise UsageError unless these are pictures: uint8 (..., H, W, 3)."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim < 3 or images.shape[-1] != 3:
        raise UsageError(
            f"a filter takes pictures as uint8 (height, width, 3) or a stack of them: this is {what(images)}"
        )
    if 0 in images.shape[-3:]:
        raise UsageError(f"a filter takes pictures of one pixel at least: this is {what(images)}")


def what(value: Any) -> str:
    """An array's dtype and shape for a sentence, or another value's type."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def require_room(image: Image, size: int, what: str) -> None:
    """Raise UsageError when a kernel of this side is larger than the picture."""
    height, width = image.shape[:2]
    if size > min(height, width):
        raise UsageError(f"{what} has a kernel of {size}x{size}: this picture of {height}x{width} is too small for it")
