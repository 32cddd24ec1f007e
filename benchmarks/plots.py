"""Two kinds of figure as SVG files of their own: points and lines on a logarithmic axis of x, y straight or logarithmic.

Colours are Okabe and Ito's, told apart by colour-blind readers too; each curve has a mark of its own and its name at its end,
so that no colour has to be told apart at all. White ground: the files are shown on light and dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from foveola.report.svg import ticks

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A6A00", "#56B4E9", "#000000")
WIDTH, HEIGHT = 860, 500
LEFT, RIGHT, TOP, BOTTOM = 84, 632, 48, 414
GAP = 19  # between two names at the right: a line of letters


class Point(NamedTuple):
    """A median with the ranges it came from; ranges of no width are not drawn."""

    x: float
    y: float
    y_low: float
    y_high: float
    x_low: float
    x_high: float


@dataclass(frozen=True)
class Curve:
    """Points with a name. joined: a line through them; guess: a further x that was estimated, dashed; fit: a line's text."""

    name: str
    points: Sequence[Point]
    joined: bool = True
    guess: tuple[float, float] | None = None
    fit: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Axis:
    """An axis: what it shows, from where to where, logarithmic or not, in percent or not."""

    title: str
    low: float
    high: float
    log: bool
    percent: bool = False

    def share(self, value: float) -> float:
        """Where the value lies between both ends, 0..1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def marks(self) -> list[float]:
        """The values that are written: 1, 2, 5 times powers of ten while they are few, else the powers."""
        if not self.log:
            return [tick for tick in ticks(self.low, self.high, 8) if self.low <= tick <= self.high * (1 + 1e-9)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if math.log10(self.high / self.low) < 3.2 else (1,)
        found = [m * 10.0**power for power in powers for m in steps]
        return [mark for mark in found if self.low * (1 - 1e-9) <= mark <= self.high * (1 + 1e-9)]

    def label(self, value: float) -> str:
        """A mark's text."""
        return f"{100 * value:g} %" if self.percent else f"{value:,.10g}"


def around(values: Sequence[float], factor: float = 1.3) -> tuple[float, float]:
    """The ends of a logarithmic axis that holds the values with some room; they must be above 0."""
    return min(values) / factor, max(values) * factor


def figure(title: str, x: Axis, y: Axis, curves: Sequence[Curve], note: str = "") -> str:
    """The figure as the text of an SVG file."""
    body = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="26" class="title">{escape(title)}</text>',
        *(_mark_x(x, mark) for mark in x.marks()),
        *(_mark_y(y, mark) for mark in y.marks()),
        f'<path class="axis" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>',
        f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 45}" text-anchor="middle">{escape(x.title)}</text>',
        f'<text transform="translate(20 {(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(y.title)}</text>',
        *(_curve(curve, k, x, y) for k, curve in enumerate(curves)),
        _names(curves, x, y),
        f'<text x="{LEFT}" y="{HEIGHT - 12}" class="note">{escape(note)}</text>' if note else "",
    ]
    style = (
        "text{font:16px system-ui,sans-serif;fill:#222}.title{font-size:18px;font-weight:600}.note{font-size:14px}"
        ".grid{stroke:#e3e3e3}.axis{stroke:#444;fill:none}.line{fill:none;stroke-width:2}"
        ".guess{fill:none;stroke-width:2;stroke-dasharray:3 5}.leader{stroke-width:1;fill:none;opacity:.5}"
        ".range{stroke-width:1.5;opacity:.75}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img"><title>{escape(title)}</title><style>{style}</style>{"".join(body)}</svg>\n'
    )


def _x(axis: Axis, value: float) -> float:
    return round(LEFT + axis.share(value) * (RIGHT - LEFT), 2)


def _y(axis: Axis, value: float) -> float:
    return round(BOTTOM - axis.share(value) * (BOTTOM - TOP), 2)


def _mark_x(axis: Axis, mark: float) -> str:
    at = _x(axis, mark)
    return (
        f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{BOTTOM}"/>'
        f'<text x="{at}" y="{BOTTOM + 20}" text-anchor="middle">{axis.label(mark)}</text>'
    )


def _mark_y(axis: Axis, mark: float) -> str:
    at = _y(axis, mark)
    return (
        f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at}" y2="{at}"/>'
        f'<text x="{LEFT - 8}" y="{at}" dy="5" text-anchor="end">{axis.label(mark)}</text>'
    )


def _curve(curve: Curve, number: int, x: Axis, y: Axis) -> str:
    colour, out = COLOURS[number % len(COLOURS)], []
    if curve.joined and len(curve.points) > 1:
        out.append(_path("line", colour, [(_x(x, p.x), _y(y, p.y)) for p in curve.points]))
    if curve.fit:
        out.append(_path("guess", colour, [(_x(x, a), _y(y, b)) for a, b in curve.fit]))
    if curve.guess:
        last, end = curve.points[-1], (_x(x, curve.guess[0]), _y(y, curve.guess[1]))
        out.append(_path("guess", colour, [(_x(x, last.x), _y(y, last.y)), end]))
        out.append(f'<g fill="#fff" stroke="{colour}" stroke-width="2">{_mark(number, *end)}</g>')
    for point in curve.points:
        across, up = _x(x, point.x), _y(y, point.y)
        low, high, left, right = (
            _y(y, point.y_low), _y(y, point.y_high), _x(x, point.x_low), _x(x, point.x_high)
        )  # fmt: skip
        out.append(f'<path class="range" stroke="{colour}" d="M{across} {low}V{high}M{left} {up}H{right}"/>')
        out.append(f'<g fill="{colour}">{_mark(number, across, up)}</g>')
    return "".join(out)


def _path(kind: str, colour: str, points: Sequence[tuple[float, float]]) -> str:
    way = "L".join(f"{across} {up}" for across, up in points)
    return f'<path class="{kind}" stroke="{colour}" d="M{way}"/>'


def _mark(number: int, x: float, y: float) -> str:
    """Disc, square, triangle, diamond, triangle on its head, by turns."""
    shapes = (
        f'<circle cx="{x}" cy="{y}" r="5"/>',
        f'<rect x="{x - 4.5}" y="{y - 4.5}" width="9" height="9"/>',
        f'<path d="M{x} {y - 6}l6 10.5h-12z"/>',
        f'<path d="M{x} {y - 6.5}l6.5 6.5l-6.5 6.5l-6.5 -6.5z"/>',
        f'<path d="M{x} {y + 6}l6 -10.5h-12z"/>',
    )
    return shapes[number % len(shapes)]


def _names(curves: Sequence[Curve], x: Axis, y: Axis) -> str:
    """The names at the right in the order of the curves' ends, pushed apart, a thin line to each end."""
    ends = []
    for number, curve in enumerate(curves):
        at = curve.guess or (curve.points[-1].x, curve.points[-1].y)
        ends.append((_y(y, at[1]), _x(x, at[0]), number, curve.name))
    out, lowest = [], TOP - GAP
    ends.sort(key=lambda end: (end[0], -end[1]))
    for place, (up, across, number, name) in enumerate(ends):
        room_below = GAP * (len(ends) - 1 - place)
        lowest = max(lowest + GAP, min(up, BOTTOM - room_below))
        colour = COLOURS[number % len(COLOURS)]
        out.append(f'<path class="leader" stroke="{colour}" d="M{across + 8} {up}L{RIGHT + 8} {lowest}"/>')
        out.append(f'<g fill="{colour}">{_mark(number, RIGHT + 18, lowest)}</g>')
        out.append(f'<text x="{RIGHT + 30}" y="{lowest}" dy="5">{escape(name)}</text>')
    return "".join(out)
