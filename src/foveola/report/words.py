"""How values read on the page: percents, thousands, shapes, durations; and the net that every text goes through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from foveola.data.dataset import printable
from foveola.learning.metrics import wilson


def clean(value: Any) -> Any:
    """What the template may write: text from files as `printable` gives it, our own markup and numbers as they are.

    >>> clean("a\\nb"), clean(3)
    ('a\\\\nb', 3)
    """
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def percent(share: float) -> str:
    """A share 0..1 with one decimal.

    >>> percent(0.81), percent(1)
    ('81.0 %', '100.0 %')
    """
    return f"{100 * share:.1f} %"


def with_interval(share: float, n: int) -> str:
    """A share 0..1 of n with its 95 % Wilson interval.

    >>> with_interval(0.825, 160)
    '82.5 % (75.9 to 87.6)'
    """
    low, high, _ = wilson(round(share * n), n)
    return f"{percent(share)} ({100 * low:.1f} to {100 * high:.1f})"


def thousands(number: int) -> str:
    """A whole number with commas.

    >>> thousands(4318)
    '4,318'
    """
    return f"{number:,}"


def shape(sides: Iterable[int]) -> str:
    """Lengths with a multiplication sign between.

    >>> shape((56, 56, 32)), shape([1000])
    ('56 × 56 × 32', '1,000')
    """
    return " × ".join(f"{side:,}" for side in sides)


def duration(seconds: float) -> str:
    """A time to the second, from a minute on with minutes, from an hour on with hours.

    >>> duration(4.24), duration(61), duration(7384)
    ('4 s', '1 min 01 s', '2 h 03 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def shorten(text: str, most: int) -> str:
    """The text with at most `most` letters; a cut one ends with an ellipsis.

    >>> shorten("dandelion", 6), shorten("rose", 6)
    ('dande…', 'rose')
    """
    return text if len(text) <= most else text[: most - 1] + "…"
