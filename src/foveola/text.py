"""Words and numbers as text: counts, percentages, lengths of time, names fit for a screen, "did you mean", HTML tables."""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Iterable, Sequence

from foveola.errors import UsageError


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun in the right form.

    >>> count(1, "image"), count(1200, "image"), count(2, "class", "classes")
    ('1 image', '1,200 images', '2 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """A share 0..1 as a percentage with one decimal.

    >>> percent(0.0316), percent(1)
    ('3.2 %', '100.0 %')
    """
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours.

    >>> duration(4.24), duration(61), duration(7384)
    ('4 s', '1 min 01 s', '2 h 03 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def parse_time(text: str | float) -> float:
    """Parse "90s", "5m", "1h30m" or a number of seconds into seconds. Raises UsageError for anything else.

    A text without a unit is refused: "10" could be meant as minutes.

    >>> parse_time("5m"), parse_time("1h30m"), parse_time("90s"), parse_time(2.5)
    (300.0, 5400.0, 90.0, 2.5)
    """
    if isinstance(text, str) and re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        raise UsageError(
            f"budget '{text}' has no unit: write {text}s for seconds, {text}m for minutes or {text}h for hours"
        )
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", str(text).strip().lower())
    try:
        hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    except ValueError:
        hours = minutes = seconds = 0
    total = 3600 * hours + 60 * minutes + seconds
    if not 0 < total < 1e7:
        raise UsageError(f"budget '{text}' is not a time: write, for example, 90s, 5m or 1h30m")
    return float(total)


def show_time(seconds: float) -> str:
    """Format seconds as an option that `parse_time` reads.

    >>> show_time(42.4), show_time(300), show_time(5460)
    ('42s', '5m', '1h31m')
    """
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{value}{unit}" for value, unit in parts if value) or "0s"


def printable(text: str) -> str:
    """A file's name fit for any screen or page: bytes that are no text and control characters are written as escapes.

    >>> printable("a\\nb\\udcff.jpg")
    'a\\\\nb\\\\xff.jpg'
    """
    if text.isprintable():  # nearly all are, and a report has thousands
        return text
    out = []
    for letter in text:
        code = ord(letter)
        if 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif code < 32 or code == 127 or 0xD800 <= code <= 0xDFFF or code in _DIRECTION_MARKS:
            out.append(letter.encode("unicode_escape", "surrogatepass").decode("ascii"))
        else:
            out.append(letter)
    return "".join(out)


_DIRECTION_MARKS = frozenset((0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))


def joined(items: Iterable[str], last: str = "and") -> str:
    """The items with commas between them and the word `last` before the last one; "" if there are none.

    >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"], "or")
    ('a', 'a and b', 'a, b or c')
    """
    *others, end = list(items) or [""]
    return f"{', '.join(others)} {last} {end}" if others else end


def shorten(text: str, most: int) -> str:
    """Shorten a text to at most `most` letters by removing its middle, because names often differ at their ends.

    >>> shorten("train/ants/466530434_4000737.jpg", 20), shorten("rose", 6)
    ('train/ants…00737.jpg', 'rose')
    """
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for an unknown name: what was asked, the closest known one, all that are allowed.

    >>> unknown("model", "fst", ["fast", "vgg6"])
    "unknown model 'fst' (did you mean 'fast'?); known: fast, vgg6"

    Of many names only the nearest are listed:

    >>> unknown("stage", "blok7", [f"block{k}" for k in range(40)])
    "unknown stage 'blok7' (did you mean 'block7'?); the nearest of 40: block7, block37, block27, block17, block9"
    """
    names = sorted(known)
    folded = {one.casefold(): one for one in names}
    least = 0.7 if len(name) <= 3 else 0.5  # two of three letters are alike by chance: "cat", "ant"
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=least)
    hint = f" (did you mean '{folded[close[0]]}'?)" if close else ""
    if len(names) <= MANY:
        return f"unknown {kind} '{name}'{hint}; known: {', '.join(names) or 'none'}"
    nearest = difflib.get_close_matches(name.casefold(), folded, n=NEAREST, cutoff=0.0)
    return f"unknown {kind} '{name}'{hint}; the nearest of {len(names):,}: {', '.join(folded[one] for one in nearest)}"


MANY, NEAREST = 20, 5
"""Lists of more than MANY names are shortened to the NEAREST closest ones."""


MOST_ROWS = 20
"""The number of rows of a table that are shown."""


def html_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, above: str = "") -> str:
    """An HTML table of the first rows, for notebooks, with a line above it; the text of the cells is escaped.

    >>> html_table(["name"], [["<b>"]], above="1 class")
    '<p>1 class</p><table><tr><th>name</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    lines = [f"<p>{_escaped(above)}</p>"] if above else []
    cells = [f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows[:MOST_ROWS]]
    lines.append(f"<table><tr>{''.join(f'<th>{_escaped(name)}</th>' for name in header)}</tr>{''.join(cells)}</table>")
    if len(rows) > MOST_ROWS:
        lines.append(f"<p>and {count(len(rows) - MOST_ROWS, 'more row')}</p>")
    return "".join(lines)


def _escaped(value: object) -> str:
    """A value as HTML text; undecodable bytes and control characters are written as escapes."""
    return html.escape(printable(str(value)))
