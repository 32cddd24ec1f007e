"""Types that all packages share: arrays of images, sizes, intervals, callbacks for progress and messages.

Nothing here touches a disk or a device.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveola.errors import UsageError

Image: TypeAlias = NDArray[np.uint8]
"""One image: uint8 (height, width, 3), RGB, 0..255, upright."""

Images: TypeAlias = NDArray[np.uint8]
"""A stack of images: uint8 (n, height, width, 3), RGB, 0..255, upright."""

Labels: TypeAlias = NDArray[np.int64]
"""Class numbers: int64 (n,), 0..K-1."""

Indices: TypeAlias = NDArray[np.int64]
"""Positions in a data set: int64 (n,)."""

Tick: TypeAlias = Callable[[str, int, int], None]
"""A progress callback: called with (name of the stage, amount done, total amount)."""


def no_tick(stage: str, done: int, total: int) -> None:
    """Ignore progress (the default)."""


Tell: TypeAlias = Callable[[str], None]
"""A message callback: called with a line for the user."""


def tell_nobody(line: str) -> None:
    """Ignore messages (the default)."""


class Size(NamedTuple):
    """An image's size in pixels: a pair (height, width), as in arrays; its text is "WIDTHxHEIGHT", as image programs show it.

    >>> Size.parse("224x160")
    Size(height_px=160, width_px=224)
    >>> str(Size(160, 224))
    '224x160'
    """

    height_px: int
    width_px: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read "WIDTHxHEIGHT", or one number for a square; both sides 8..1024.

        Raises UsageError for anything else.
        """
        match = re.fullmatch(r"\s*(\d{1,5})\s*(?:[x×]\s*(\d{1,5})\s*)?", text)
        if match:
            width, height = int(match[1]), int(match[2] or match[1])
            if 8 <= height <= 1024 and 8 <= width <= 1024:
                return cls(height, width)
        raise UsageError(f"size '{text}' is not WIDTHxHEIGHT with sides of 8 to 1024 pixels: write for example 224x224")

    @classmethod
    def of(cls, size: SizeLike) -> Size:
        """Read a size from text, the side of a square or a pair (height, width). Raises UsageError as `parse` does.

        >>> Size.of("64x48"), Size.of(64), Size.of((64, 48))
        (Size(height_px=48, width_px=64), Size(height_px=64, width_px=64), Size(height_px=64, width_px=48))
        """
        if isinstance(size, Sequence) and not isinstance(size, str) and len(size) == 2:
            height, width = size
            return cls.parse(f"{width}x{height}")
        return cls.parse(str(size))

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}"


SizeLike: TypeAlias = str | int | Sequence[int]
"""How a user may write a size: text "WIDTHxHEIGHT", 224 for a square, a pair (height, width) or a Size."""


class Interval(NamedTuple):
    """A range that holds the true value with probability `level` (0..1)."""

    low: float
    high: float
    level: float


Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
"""Number format of the computation; "auto" is bfloat16 where the device supports it."""
