"""Fit text into figures: break titles into lines, scale the numbers of a table to their cells, format short numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from foveola.figures.fonts import families_for
from foveola.figures.style import DIVERGING, INK, no_axes

LINE_INCHES = 0.15
"""Height of a line of a title."""


def width_of(text: str, size: float) -> float:
    """Width of a line of text of this font size, in points."""
    if not text.strip():
        return 0.0
    with mpl.rc_context({"text.parse_math": False}):
        return float(
            TextPath((0, 0), text, size=size, prop=FontProperties(family=families_for([text]))).get_extents().width
        )


def fit_text(text: str, points: float, *, lines: int = 2, size: float = 9.0) -> str:
    """Break a text into at most `lines` lines of at most `points` width; an ellipsis replaces the rest.

    >>> fit_text("a_long_class_name", 60)
    'a_long_\\nclass_name'
    >>> fit_text("a_long_class_name", 60, lines=1)
    'a_long_clas…'
    """
    rest, found = text[:400], list[str]()
    while len(found) < lines - 1 and width_of(rest, size) > points:
        cut = _cut(rest, _fitting(rest, points, size))
        found.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if width_of(rest, size) > points:
        rest = rest[: _fitting(rest, points - width_of("…", size), size)] + "…"
    return "\n".join([*found, rest])


def _fitting(text: str, points: float, size: float) -> int:
    """How many of the first letters fit, at least one."""
    return max(1, bisect_right(range(1, len(text) + 1), points, key=lambda n: width_of(text[:n], size)))


def _cut(text: str, most: int) -> int:
    """Where to break a line: at a space or bracket, else within a word at _ - / or comma, else anywhere; not in the first
    third."""
    for ends in (" (", "_-/,"):
        if found := max((text.rfind(end, most // 3, most) for end in ends), default=-1) + 1:
            return found
    return most


def write_on(axes: Axes, values: NDArray[np.float64], texts: Iterable[str], size: float, points: float) -> None:
    """Draw a table of numbers, each on a square coloured by its value (zero is white), in dark or light text.

    size: font size, reduced if the longest number would not fit its square; points: width of the whole table.
    """
    top = float(np.abs(values).max()) or 1.0
    drawn = axes.imshow(values, cmap=DIVERGING, vmin=-top, vmax=top)
    lightness = drawn.to_rgba(values)[..., :3] @ (0.2126, 0.7152, 0.0722)
    written = list(texts)
    widest = max(width_of(text, 1.0) for text in set(written))
    size = min(size, 0.8 * points / values.shape[1] / max(widest, 1e-9))
    for (row, column), text in zip(np.ndindex(values.shape), written, strict=True):
        colour = INK if lightness[row, column] > 0.5 else "white"
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    no_axes(axes)


def short(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits and no leading zero: .25, -1, -.077; thousands are written in full."""
    if value and abs(value) < 0.0005:
        return "~0"
    if 10**digits <= abs(value) < 10_000:
        return f"{value:.0f}"
    return without_zero(f"{value:.{digits}g}")


def fixed(value: float, decimals: int = 3) -> str:
    """A number with at most `decimals` decimals (above 1: digits), without redundant zeros; ~0 if it would round to 0.

    >>> fixed(0.25), fixed(-0.0123), fixed(1.8636), fixed(0.00004), fixed(123456.0)
    ('.25', '-.012', '1.86', '~0', '1.2e+05')
    """
    if abs(value) >= 10_000:
        return f"{value:.2g}"
    if abs(value) >= 1:
        return short(value, decimals)
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "~0" if value and not text.strip("-0.") else without_zero(text)


def in_units(values: NDArray[np.float64]) -> tuple[list[str], str]:
    """Numbers as at most two digits in a common unit, and the unit, for tables with little space.

    >>> in_units(np.array([0.0312, -0.004, 0.0]))
    (['31', '-4', '0'], 'in units of 0.001')
    """
    power = int(np.floor(np.log10(float(np.abs(values).max()) or 10.0))) - 1
    if np.abs(np.rint(values / 10.0**power)).max() >= 100:  # 9.96 is 10
        power += 1
    texts = [f"{round(float(value) / 10.0**power)}" for value in values.flat]
    return texts, f"in units of {10.0**power:g}" if power else ""


def without_zero(number: str) -> str:
    """Remove the zero before the decimal point, and the sign of a zero: -0.25 becomes -.25, -0.00 becomes 0."""
    if not number.strip("-0."):
        return "0"
    return number.replace("0.", ".", 1) if number.lstrip("-")[:2] == "0." else number
