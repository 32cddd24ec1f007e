"""Figures of a comparison as SVG: intervals around zero and paired dots.

As in `svg`, the page sets colours by CSS class (arm-0 is the baseline), and lengths are percentages, so that the text
keeps its size. Arms differ in colour, position and name, never in colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from foveola.figures.palette import arm_number
from foveola.report.svg import short_number, svg, ticks
from foveola.text import printable, shorten

MARGIN_LEFT, MARGIN_RIGHT = 3.0, 97.0  # percent of the width: half a label must fit at both ends

ROW_PX, AXIS_PX = 68, 34

LINE_PX, ONE_LINE = 18, 20
"""Height of a second label line; longest name, in letters, that fits on one line with its numbers, also on a phone."""

DOTS_PX = 56
"""Height of an arm's row in `paired_dots`; the page writes the arms' names next to the rows."""


class AgainstZero(NamedTuple):
    """One arm against the baseline, in points: each seed's difference, their mean, its interval (infinite if there is
    none), and the interval for new images."""

    name: str
    colour: str
    points: Sequence[float]
    mean: float
    low: float
    high: float
    wide: tuple[float, float] | None


def colour(k: int) -> str:
    """The CSS class of arm k."""
    return f"arm-{arm_number(k)}"


def against_zero(rows: Sequence[AgainstZero], margin: float, baseline: str) -> Markup:
    """SVG of each arm's mean difference with its interval on one axis of points, with zero and the margin."""
    values = [value for row in rows for value in (*row.points, row.mean, row.low, row.high, *(row.wide or ()))]
    axis = _Axis.around([0.0, -margin, margin, *values])
    second_line = LINE_PX if any(len(_name(row.name)) > ONE_LINE for row in rows) else 0
    row_px = ROW_PX + second_line
    bottom = row_px * len(rows) + 6
    said = "; ".join(f"{row.name} {signed(row.mean)}{_between(row.low, row.high)}" for row in rows)
    body = [
        *(_ground(axis, margin, row_px * k + second_line) for k in range(len(rows))),
        axis.drawn(bottom, signed_tick),
        *(_label(row, row_px * k, second_line) for k, row in enumerate(rows)),
        *(_against(axis, row, row_px * k + second_line) for k, row in enumerate(rows)),
    ]
    text = f"Differences to {baseline} in points: {said}; grey: the margin of ±{margin:g} points"
    return svg(f'class="points-axis" width="100%" height="{bottom + AXIS_PX}"', text, "".join(body))


def _ground(axis: _Axis, margin: float, top: int) -> str:
    """The margin and the zero line of one row, drawn below the row's label so that no line crosses the text."""
    x, left, right = _p(axis.x(0)), axis.x(-margin), axis.x(margin)
    zero = f'<line class="zero" x1="{x}" x2="{x}" y1="{top + 22}" y2="{top + ROW_PX}"/>'
    width = _p(right - left)
    field = f'<rect class="margin" x="{_p(left)}" width="{width}" y="{top + 22}" height="{ROW_PX - 22}"/>'
    return (field if margin else "") + zero


def _label(row: AgainstZero, top: int, second_line: int) -> str:
    """Draw the arm's name and its numbers on one line, or on two lines that are `second_line` px apart."""
    place = f'x="0" dy="{second_line}"' if second_line else 'dx="8"'
    return (
        f'<text class="label" x="0" y="{top + 15}"><tspan class="strong">{_name(row.name)}</tspan>'
        f'<tspan class="muted" {place}>{signed(row.mean)}{_between(row.low, row.high)}</tspan></text>'
    )


def _against(axis: _Axis, row: AgainstZero, top: int) -> str:
    low, high = row.low, row.high
    out = []
    for value, aside in _spread(row.points):
        x, y = _p(axis.x(value)), short_number(top + 32 + 3.5 * aside)
        out.append(f'<circle class="seed {row.colour}" cx="{x}" cy="{y}" r="3.5"/>')
    y = str(top + 50)
    if row.wide and math.isfinite(row.wide[0]):
        ends = [_p(axis.x(value)) for value in row.wide]
        out.append(f'<line class="whisker {row.colour}" x1="{ends[0]}" x2="{ends[1]}" y1="{y}" y2="{y}"/>')
    if math.isfinite(low):
        x, width = _p(axis.x(low)), _p(max(0.3, axis.x(high) - axis.x(low)))
        out.append(f'<rect class="interval {row.colour}" x="{x}" width="{width}" y="{top + 45}" height="10" rx="2"/>')
    out.append(f'<circle class="mean {row.colour}" cx="{_p(axis.x(row.mean))}" cy="{y}" r="6"/>')
    return "".join(out)


def _spread(values: Sequence[float]) -> list[tuple[float, int]]:
    """Each value with a vertical offset (0, -1, 1, -2, ...), so that dots with equal values don't overlap.

    >>> _spread([0.5, 0.2, 0.5, 0.5])
    [(0.5, 0), (0.2, 0), (0.5, -1), (0.5, 1)]
    """
    seen: dict[float, int] = {}
    out = []
    for value in values:
        k = seen[round(value, 2)] = seen.get(round(value, 2), -1) + 1
        out.append((value, (k + 1) // 2 * (-1 if k % 2 else 1)))
    return out


def paired_dots(names: Sequence[str], accuracy: Sequence[Sequence[float]]) -> Markup:
    """SVG with a row of dots for each arm, the dots of a seed joined, and a stroke at each mean.

    accuracy: 0..1, by arm and seed.
    """
    shares = [[100 * value for value in row] for row in accuracy]
    axis = _Axis.around([value for row in shares for value in row])
    bottom = DOTS_PX * len(names)
    means = [sum(row) / len(row) for row in shares]
    y = [DOTS_PX * k + DOTS_PX // 2 for k in range(len(names))]
    lines = [
        f'<line class="pair" x1="{_p(axis.x(a))}" x2="{_p(axis.x(b))}" y1="{y[k]}" y2="{y[k + 1]}"/>'
        for k in range(len(names) - 1)
        for a, b in zip(shares[k], shares[k + 1], strict=True)
    ]
    body = [axis.drawn(bottom, lambda tick: f"{tick:g}{' %' * (tick == axis.marks[-1])}"), *lines]
    for k, row in enumerate(shares):
        x = _p(axis.x(means[k]))
        body += [f'<circle class="seed {colour(k)}" cx="{_p(axis.x(v))}" cy="{y[k]}" r="4.5"/>' for v in row]
        body.append(f'<line class="mean-stroke" x1="{x}" x2="{x}" y1="{y[k] - 12}" y2="{y[k] + 12}"/>')
    said = ", ".join(f"{name} {mean:.2f} %" for name, mean in zip(names, means, strict=True))
    text = f"Test accuracies, one dot for each seed, dots of the same seed joined; means: {said}"
    return svg(f'class="points-axis" width="100%" height="{bottom + AXIS_PX}"', text, "".join(body))


def small_interval(mean: float, low: float, high: float, reach: float, kind: str) -> Markup:
    """SVG of one interval for a table cell that shows -reach..reach points, with zero in the middle."""

    def x(value: float) -> float:
        return 50 + 48 * max(-1.0, min(1.0, value / reach))

    body = '<line class="zero" x1="50%" x2="50%" y1="0" y2="14"/>'
    if math.isfinite(low):
        body += (
            f'<rect class="{kind}" x="{_p(x(low))}" width="{_p(max(0.5, x(high) - x(low)))}" y="4" height="6" rx="1"/>'
        )
    body += f'<circle class="{kind}" cx="{_p(x(mean))}" cy="7" r="4"/>'
    return svg('class="small-interval" width="100%" height="14"', f"{signed(mean)}{_between(low, high)}", body)


class _Axis(NamedTuple):
    marks: list[float]

    @classmethod
    def around(cls, values: Sequence[float]) -> _Axis:
        finite = [value for value in values if math.isfinite(value)]
        low, high = min(finite), max(finite)
        return cls(ticks(low - 0.5, high + 0.5, 5) if low == high else ticks(low, high, 5))

    def x(self, value: float) -> float:
        """The position of a value, in percent of the width."""
        share = (value - self.marks[0]) / (self.marks[-1] - self.marks[0])
        return MARGIN_LEFT + share * (MARGIN_RIGHT - MARGIN_LEFT)

    def drawn(self, bottom: int, said: Callable[[float], str]) -> str:
        out = [f'<line class="axis" x1="{MARGIN_LEFT}%" x2="{MARGIN_RIGHT}%" y1="{bottom}" y2="{bottom}"/>']
        for mark in self.marks:
            x = _p(self.x(mark))
            out.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 5}"/>')
            out.append(f'<text class="muted" x="{x}" y="{bottom + 21}" text-anchor="middle">{said(mark)}</text>')
        return "".join(out)


def signed(points: float, places: int = 2) -> str:
    """A difference with a typographic sign.

    >>> signed(0.5), signed(-1.254), signed(0.001), signed(-1.254, places=1)
    ('+0.50', '−1.25', '0.00', '−1.3')
    """
    text = f"{abs(points):.{places}f}"
    return text if float(text) == 0 else f"{'+' if points > 0 else '−'}{text}"


def signed_tick(points: float) -> str:
    """A difference with its sign for an axis, without trailing zeros.

    >>> signed_tick(-0.5), signed_tick(0), signed_tick(1)
    ('−0.5', '0', '+1')
    """
    return "0" if points == 0 else f"{'+' if points > 0 else '−'}{abs(points):g}"


def _between(low: float, high: float) -> str:
    return f" ({signed(low)} to {signed(high)})" if math.isfinite(low) else ""


def _name(name: str) -> Markup:
    return escape(shorten(printable(name), 32))


def _p(value: float) -> str:
    return f"{short_number(value)}%"
