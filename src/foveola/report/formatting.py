"""Values as the pages show them: numbers, sizes, dates, paths, commands, thumbnails; and the templates that use them."""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from foveola.evaluation.headline import with_interval
from foveola.figures.palette import ARM_COLOURS, BLUE, VERMILION, rgb
from foveola.imaging.decode import encode
from foveola.imaging.resize import shrink
from foveola.text import count, duration, percent, printable, shorten
from foveola.types import Image

_HOME = re.compile(r"(?<![\w./~])(?:/home/[^/\s]+|/Users/[^/\s]+|/root|[A-Za-z]:\\Users\\[^\\\s]+)(?![^/\\\s])")

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
"""Not strftime's names, which depend on the locale."""

SMALL_PX, ENLARGED_PX, LONGEST_PX = 64, 96, 160
"""Thumbnails: an image below SMALL_PX is enlarged to about ENLARGED_PX, a larger one is shrunk to LONGEST_PX."""


@cache
def environment() -> Environment:
    """The Jinja environment of the templates; every text is escaped and cleaned."""
    environment = Environment(
        loader=PackageLoader("foveola.report"),
        autoescape=True,
        finalize=clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"blue": BLUE, "vermilion": VERMILION, "arm_colours": ARM_COLOURS, "rgb": rgb}
    environment.filters |= {
        "percent": percent,
        "with_interval": with_interval,
        "thousands": thousands,
        "shape": shape,
        "number": number,
        "duration": duration,
        "shorten": shorten,
        "printable": printable,
        "phrases": phrases,
        "counted": count,
        "sentence": sentence,
        "shell": shell,
    }
    return environment


def clean(value: Any) -> Any:
    """Make a value safe to print in a template: text is cleaned by `printable`; our own markup and numbers stay.

    >>> clean("a\\nb"), clean(3)
    ('a\\\\nb', 3)
    """
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def sentence(text: str) -> str:
    """Format a note of the terminal as a sentence: with a capital letter and a full stop.

    >>> sentence("the split is given")
    'The split is given.'
    """
    return f"{text[:1].upper()}{text[1:]}."


def thousands(number: int) -> str:
    """A whole number with commas.

    >>> thousands(4318)
    '4,318'
    """
    return f"{number:,}"


def shape(sides: Iterable[int]) -> str:
    """Lengths joined by multiplication signs.

    >>> shape((56, 56, 32)), shape([1000])
    ('56 × 56 × 32', '1,000')
    """
    return " × ".join(f"{side:,}" for side in sides)


def number(value: float) -> str:
    """A number with two significant digits.

    >>> number(31.6228), number(0.1), number(0.0316), number(1000.0)
    ('32', '0.1', '0.032', '1,000')
    """
    return f"{round(value):,}" if abs(value) >= 10 else f"{float(f'{value:.2g}'):g}"


def date(moment: str) -> str:
    """A time in ISO format as a readable date, in its own time zone; "" stays "".

    >>> date("2026-11-30T06:05:12+01:00")
    '30 November 2026, 06:05'
    """
    if not moment:
        return ""
    when = datetime.fromisoformat(moment)
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}, {when:%H:%M}"


def without_home(text: str) -> str:
    """Replace home folders in a path or text by "~", so that a page does not contain the user's name.

    >>> without_home("/home/anna/photos/pets"), without_home("--labels=/home/anna/sick.csv"), without_home("/data/pets")
    ('~/photos/pets', '--labels=~/sick.csv', '/data/pets')
    """
    return _HOME.sub("~", text)


def shell(word: str) -> str:
    """Quote one word of a command for a shell; a leading "~/" stays outside the quotes, so that the shell expands it.

    >>> shell("my photos"), shell("~/my photos"), shell("photos")
    ("'my photos'", "~/'my photos'", 'photos')
    """
    return f"~/{shlex.quote(word[2:])}" if word.startswith("~/") and len(word) > 2 else shlex.quote(word)


def phrases(command: str) -> list[str]:
    """Split a command into pieces without line breaks: each option stays with its value.

    >>> phrases("foveola train 'my pets' --epochs 3 --no-flip --seed 1")
    ['foveola', 'train', "'my pets'", '--epochs 3', '--no-flip', '--seed 1']
    """
    out: list[str] = []
    for word in shlex.split(command):
        shown = shell(word)
        if out and out[-1].startswith("-") and " " not in out[-1] and not word.startswith("-"):
            out[-1] += f" {shown}"
        else:
            out.append(shown)
    return out


def typed(words: Iterable[str]) -> str:
    """Join words into a command line for a page, with home folders as "~".

    >>> typed(["foveola", "train", "/home/anna/pets", "--epochs", "3"])
    'foveola train ~/pets --epochs 3'
    """
    return " ".join(shell(without_home(word)) for word in words)


class Thumbnail(NamedTuple):
    """An image for the page: its data URI, its displayed size, and whether pixels are drawn as sharp squares."""

    uri: str
    width_px: int
    height_px: int
    pixelated: bool


def thumbnail(image: Image, longest_px: int = LONGEST_PX) -> Thumbnail:
    """Make a thumbnail of an image, uint8 (h, w, 3), with its proportions kept.

    An image below 64 px stays unchanged, as PNG, and is enlarged by a whole factor to about 96 px. A larger one is shrunk to
    `longest_px` and stored as JPEG, which takes a tenth of the bytes.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest < SMALL_PX:
        factor = max(1, round(ENLARGED_PX / longest))
        return Thumbnail(_uri(encode(image), "png"), width * factor, height * factor, True)
    small = shrink(image, longest_px)
    return Thumbnail(_uri(encode(small, "JPEG"), "jpeg"), small.shape[1], small.shape[0], False)


def exact(image: Image, widest_px: int) -> Thumbnail:
    """Make a lossless thumbnail as PNG, enlarged by a whole factor to at most about `widest_px` in width.

    image: uint8 (h, w, 3), or with an alpha channel (h, w, 2 or 4).
    """
    height, width = image.shape[:2]
    factor = max(1, widest_px // width)
    return Thumbnail(_uri(encode(image), "png"), width * factor, height * factor, True)


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
