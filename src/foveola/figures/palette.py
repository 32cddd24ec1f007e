"""The colours of figures and pages.

This module does not import Matplotlib, because a page is written without it.
"""

from __future__ import annotations

BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, YELLOW, BLACK = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000",
)  # fmt: skip
"""Colours that colour-blind readers can distinguish too (M. Okabe and K. Ito, "Color Universal Design", 2008)."""

COLOURS = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, YELLOW, BLACK)

ARM_COLOURS = ("#5c6670", BLUE, VERMILION, GREEN, "#aa4499", "#b8860b")
"""Colours of the arms of a comparison: the baseline is grey. From the seventh arm on they repeat without the grey."""


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
