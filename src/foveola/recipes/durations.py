"""Lengths of time as people write them, such as "1h30m"."""

from __future__ import annotations

import re

from foveola.errors import UsageError


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
    """Format seconds for `parse_time`.

    >>> show_time(42.4), show_time(300), show_time(5460)
    ('42s', '5m', '1h31m')
    """
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{value}{unit}" for value, unit in parts if value) or "0s"
