"""Text in figures: fonts for names in any script, line breaks, short numbers.

DejaVu Sans comes with Matplotlib and has Latin, Greek, Cyrillic, Arabic, Hebrew and more. For other scripts (Chinese,
Japanese, Korean, Thai, Hindi, emoji) foveola searches the installed fonts. If none has the letters of a name, Matplotlib
would draw the same box for each letter. foveola draws a number instead and explains it in a note.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

MAIN = "DejaVu Sans"


_INVISIBLE = frozenset("\n\t\u200b\u200c\u200d\u200e\u200f\ufe0e\ufe0f")
"""Invisible characters: line breaks, joiners, direction marks and emoji variants."""


MOST_NAMED = 20
"""Number of names that a note lists at most."""


LINE_INCHES = 0.15
"""Height of a line of a title."""


def families_for(texts: Iterable[str]) -> list[str]:
    """Font families for these texts, in Matplotlib's fallback order.

    >>> families_for(["cat", "pêche", "кот"])
    ['DejaVu Sans']
    """
    return [MAIN, *_families_with(_uncommon(texts))[0]]


def spelled(names: Sequence[str]) -> list[str]:
    """The names as figures can show them: "#2" for the second one if no installed font has all its letters.

    >>> spelled(["cat", "a\\U0010fffdb"])
    ['cat', '#2']
    """
    lacking = _families_with(_uncommon(names))[1]
    if not lacking:
        return list(names)
    return [f"#{k}" if lacking & set(name) else name for k, name in enumerate(names, start=1)]


def note_on(names: Sequence[str]) -> str:
    """A line that explains the numbers of `spelled`; "" if there are none.

    >>> note_on(["cat", "\\U0010fffd"])[:59]
    'no font on this computer has the letters of 1 name: #2 in t'
    """
    pairs = [(drawn, name) for drawn, name in zip(spelled(names), names, strict=True) if drawn != name]
    if not pairs:
        return ""
    first, *others = pairs[:MOST_NAMED]
    said = f"{first[0]} in the figures means {first[1]}" + "".join(f", {drawn} means {name}" for drawn, name in others)
    more = f" and so on ({len(pairs) - MOST_NAMED:,} more)" if len(pairs) > MOST_NAMED else ""
    names_have = "1 name" if len(pairs) == 1 else f"{len(pairs):,} names"
    return (
        f"no font on this computer has the letters of {names_have}: {said}{more}; install a font with these letters to see "
        "the names"
    )


def _uncommon(texts: Iterable[str]) -> frozenset[str]:
    """The letters that the main font does not have."""
    return frozenset("".join(texts)) - _INVISIBLE - _letters_of(font_manager.findfont(MAIN))


def forget_fonts() -> None:
    """Clear the caches, so that the installed fonts are searched again for the next name."""
    _families_with.cache_clear()
    _add_new_fonts.cache_clear()
    _letters_of.cache_clear()


@cache
def _families_with(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Installed families that together have these letters, and the letters that no family has."""
    if not letters:
        return (), letters
    _add_new_fonts()
    found, left = list[str](), set(letters)
    for font in sorted(filter(_is_for_text, font_manager.fontManager.ttflist), key=_plainness):
        if left and font.name not in found and left & _letters_of(font.fname):
            found.append(font.name)
            left -= _letters_of(font.fname)
    return tuple(found), frozenset(left)


def _is_for_text(font: font_manager.FontEntry) -> bool:
    """Whether a font is for text: not a colour font, which Matplotlib can't draw, and not one of Matplotlib's own."""
    return "color" not in font.name.casefold() and not font.fname.startswith(mpl.get_data_path())


def _plainness(font: font_manager.FontEntry) -> tuple[bool, bool, float, str]:
    """Sort key: upright before slanted, sans serif before serif, normal weight before others."""
    name = font.name.casefold()
    sans = any(word in name for word in ("sans", "gothic", "hei", "ui"))
    weight = font.weight if isinstance(font.weight, int | float) else 400
    return font.style != "normal", not sans, abs(weight - 400), font.name


@cache
def _add_new_fonts() -> None:
    """Register fonts that were installed after Matplotlib cached its list of fonts."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        with contextlib.suppress(Exception):  # ignore a broken font
            font_manager.fontManager.addfont(path)


@lru_cache(maxsize=16)
def _letters_of(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except Exception:  # a font that can't be opened has no letters
        return frozenset()


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
