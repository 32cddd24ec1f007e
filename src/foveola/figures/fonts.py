"""Find fonts for class and file names in any script, and replace a name by a number if no installed font has its letters.

DejaVu Sans comes with Matplotlib and has Latin, Greek, Cyrillic, Arabic, Hebrew and more. For other scripts (Chinese,
Japanese, Korean, Thai, Hindi, emoji) foveola searches the installed fonts. If none has the letters of a name, Matplotlib
would draw the same box for each letter. foveola draws a number instead and explains it in a note.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

import matplotlib as mpl
from matplotlib import font_manager

MAIN = "DejaVu Sans"

_INVISIBLE = frozenset("\n\t\u200b\u200c\u200d\u200e\u200f\ufe0e\ufe0f")
"""Invisible characters: line breaks, joiners, direction marks and emoji variants."""

MOST_NAMED = 20
"""Number of names that a note lists at most."""


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
