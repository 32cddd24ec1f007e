"""Fonts for class and file names in any script: which installed font has the letters, and numbers where none has.

DejaVu Sans comes with Matplotlib and has Latin, Greek, Cyrillic, Arabic, Hebrew and more. For the others (Chinese, Japanese,
Korean, Thai, Hindi, emoji) the computer's own fonts are looked through. Where none has the letters of a name, Matplotlib
would draw the same box for each of them; a number is drawn instead, and a note says which name it stands for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

import matplotlib as mpl
from matplotlib import font_manager

MAIN = "DejaVu Sans"

_INVISIBLE = frozenset("\n\t\u200b\u200c\u200d\u200e\u200f\ufe0e\ufe0f")
"""Letters that are never drawn: breaks, joiners, direction marks and variants of emoji."""

MOST_NAMED = 20
"""Names that a note lists."""


def families_for(texts: Iterable[str]) -> list[str]:
    """Font families for these texts, the first one first: of a letter that it lacks Matplotlib takes the next that has it.

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
    """What the numbers of `spelled` stand for, in one line; empty where there are none.

    >>> note_on(["cat", "\\U0010fffd"])[:59]
    'no font on this computer has the letters of 1 name: #2 in t'
    """
    pairs = [(drawn, name) for drawn, name in zip(spelled(names), names, strict=True) if drawn != name]
    if not pairs:
        return ""
    first, *others = pairs[:MOST_NAMED]
    said = f"{first[0]} in the figures is {first[1]}" + "".join(f", {drawn} is {name}" for drawn, name in others)
    more = f" and so on ({len(pairs) - MOST_NAMED:,} more)" if len(pairs) > MOST_NAMED else ""
    names_have = "1 name" if len(pairs) == 1 else f"{len(pairs):,} names"
    return (
        f"no font on this computer has the letters of {names_have}: {said}{more}; foveola uses a font that has them once you "
        "install one"
    )


def _uncommon(texts: Iterable[str]) -> frozenset[str]:
    """The letters that the main font lacks."""
    return frozenset("".join(texts)) - _INVISIBLE - _letters_of(font_manager.findfont(MAIN))


def forget_fonts() -> None:
    """Look through the installed fonts again at the next name; else this is done once."""
    _families_with.cache_clear()
    _add_new_fonts.cache_clear()
    _letters_of.cache_clear()


@cache
def _families_with(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Installed families that have as many of the letters as can be had, and the letters that none has."""
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
    """Not those of coloured pictures, which Matplotlib can't draw, nor its own for formulas and for a box of any letter."""
    return "color" not in font.name.casefold() and not font.fname.startswith(mpl.get_data_path())


def _plainness(font: font_manager.FontEntry) -> tuple[bool, bool, float, str]:
    """Sort key: upright before slanted, without serifs before others, of normal weight first."""
    name = font.name.casefold()
    sans = any(word in name for word in ("sans", "gothic", "hei", "ui"))
    weight = font.weight if isinstance(font.weight, int | float) else 400
    return font.style != "normal", not sans, abs(weight - 400), font.name


@cache
def _add_new_fonts() -> None:
    """Make fonts known that were installed after Matplotlib made its list, which it keeps for ever."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        with contextlib.suppress(Exception):  # a broken font is no reason to draw nothing
            font_manager.fontManager.addfont(path)


@lru_cache(maxsize=16)
def _letters_of(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except Exception:  # a font that can't be opened has none
        return frozenset()
