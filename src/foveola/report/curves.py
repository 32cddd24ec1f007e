"""Learning curves as SVG: lines by epoch with intervals, labelled at their ends. A figure scales as a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from foveola.report.figures import short_number, svg
from foveola.report.words import percent

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 368, 30, 208
LABEL_GAP = 15  # minimum distance of two labels at the curves' ends, in units of the figure: one line of text


class CurveLine(NamedTuple):
    """One curve: its name (also its CSS class), one value for each epoch, and optionally an interval (low, high) for each."""

    name: str
    values: Sequence[float]
    intervals: Sequence[tuple[float, float]] = ()


def ticks(low: float, high: float, steps: int = 5) -> list[float]:
    """Axis ticks: about `steps` round steps of 1, 2 or 5 times a power of ten that cover low..high.

    >>> ticks(0, 2.3), ticks(1, 40)
    ([0.0, 0.5, 1.0, 1.5, 2.0, 2.5], [0.0, 10.0, 20.0, 30.0, 40.0])
    """
    rough = (high - low) / steps if high > low else 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    # 1 + 1e-9: 0.6 / 3 is a hair above 0.2 in binary and must not jump to 0.5
    step = next(m * power for m in (1, 2, 5, 10) if rough <= m * power * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def epoch_ticks(epochs: int) -> list[int]:
    """Axis ticks at round epochs from 1 to `epochs`.

    >>> epoch_ticks(4), epoch_ticks(40)
    ([1, 2, 3, 4], [1, 10, 20, 30, 40])
    """
    inside = {int(tick) for tick in ticks(1, max(2, epochs), 7) if tick == int(tick) and 1 <= tick <= epochs}
    return sorted(inside | {1})


def curves(
    title: str,
    lines: Sequence[CurveLine],
    best: int,
    *,
    as_percent: bool = False,
    unit: str = "epoch",
    places: Sequence[str] = (),
    axis: str = "",
) -> Markup:
    """SVG of curves by epoch (or another unit) 1..n, labelled at their right ends; `best` is marked as kept, 0 marks none.

    places: tick labels of the horizontal axis, if they are not the numbers 1..n; axis: its title, if it is not the unit.
    """
    finite = [value for line in lines for value in line.values if math.isfinite(value)]
    marks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] if as_percent else ticks(0, max(finite, default=1.0) or 1.0)
    plot = _Plot(len(lines[0].values), marks[-1])
    shown = best or len(lines[0].values)
    said = ", ".join(f"{line.name} {_value(line.values[shown - 1], as_percent)}" for line in lines)
    at = places or [str(place) for place in range(1, plot.epochs + 1)]
    shown_places = epoch_ticks(plot.epochs) if not places else _some(plot.epochs)
    body = [
        _grid(plot, marks, as_percent),
        _places(plot, shown_places, at, axis or unit),
        *(_band(plot, line) for line in lines if line.intervals),
    ]
    body += [*(_curve(plot, line) for line in lines), _names(plot, lines)]
    if best:
        body += [_kept(plot, best, f"{unit} {at[best - 1]}, kept"), *(_dot(plot, line, best) for line in lines)]
    text = f"{title} by {unit}; at {'the kept' if best else 'the last'} {unit} {at[shown - 1]}: {said}"
    return svg(f'class="curves" viewBox="0 0 {WIDTH} {HEIGHT}"', text, "".join(body))


class _Plot(NamedTuple):
    epochs: int
    top: float

    def x(self, epoch: float) -> float:
        share = (epoch - 1) / (self.epochs - 1) if self.epochs > 1 else 0.5
        return LEFT + share * (RIGHT - LEFT)

    def y(self, value: float) -> float:
        return BOTTOM - value / self.top * (BOTTOM - TOP)


def _some(n: int) -> list[int]:
    """At most seven of the numbers 1..n, at equal steps from 1 on.

    >>> _some(6), _some(10)
    ([1, 2, 3, 4, 5, 6], [1, 3, 5, 7, 9])
    """
    return list(range(1, n + 1, math.ceil(n / 7)))


def _grid(plot: _Plot, marks: Sequence[float], as_percent: bool) -> str:
    out = []
    for mark in marks:
        y = short_number(plot.y(mark))
        label = f"{mark:.0%}".replace("%", " %") if as_percent else f"{mark:g}"
        out.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>')
        out.append(f'<text class="muted" x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{label}</text>')
    return "".join(out)


def _places(plot: _Plot, shown: Sequence[int], written: Sequence[str], title: str) -> str:
    """Tick labels and title of the horizontal axis."""
    out = [
        f'<text class="muted" x="{short_number(plot.x(place))}" y="{BOTTOM + 18}" text-anchor="middle">'
        f"{written[place - 1]}</text>"
        for place in shown
    ]
    middle = short_number((LEFT + RIGHT) / 2)
    return "".join(out) + f'<text class="muted" x="{middle}" y="{BOTTOM + 37}" text-anchor="middle">{title}</text>'


def _kept(plot: _Plot, best: int, label: str) -> str:
    x = short_number(plot.x(best))
    anchor = "end" if plot.x(best) > (LEFT + RIGHT) / 2 else "start"
    return (
        f'<line class="kept" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{BOTTOM}"/>'
        f'<text class="muted" x="{x}" y="{TOP - 14}" text-anchor="{anchor}">{label}</text>'
    )


def _curve(plot: _Plot, line: CurveLine) -> str:
    """The line of one curve, with gaps at values that are not finite."""
    out, pen = "", "M"
    for epoch, value in enumerate(line.values, start=1):
        if math.isfinite(value):
            out += f"{pen}{short_number(plot.x(epoch))} {short_number(plot.y(value))}"
        pen = "L" if math.isfinite(value) else "M"
    return f'<path class="line {line.name}" d="{out}"/>' if out else ""


def _band(plot: _Plot, line: CurveLine) -> str:
    """The band of a curve's intervals: a polygon along the upper ends and back along the lower ends."""
    lows, highs = zip(*line.intervals, strict=True)
    edge = [*enumerate(highs, start=1), *reversed([*enumerate(lows, start=1)])]
    points = " ".join(f"{short_number(plot.x(epoch))},{short_number(plot.y(value))}" for epoch, value in edge)
    return f'<polygon class="band {line.name}" points="{points}"/>'


def _dot(plot: _Plot, line: CurveLine, best: int) -> str:
    value = line.values[best - 1]
    if not math.isfinite(value):
        return ""
    return (
        f'<circle class="dot {line.name}" cx="{short_number(plot.x(best))}" cy="{short_number(plot.y(value))}" r="4"/>'
    )


def _names(plot: _Plot, lines: Sequence[CurveLine]) -> str:
    """The curves' names at their right ends, moved apart if they would overlap."""
    ends = sorted((plot.y(line.values[-1]), line.name) for line in lines if math.isfinite(line.values[-1]))
    if len(ends) == 2 and ends[1][0] - ends[0][0] < LABEL_GAP:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle - LABEL_GAP / 2, ends[0][1]), (middle + LABEL_GAP / 2, ends[1][1])]
    x = short_number(plot.x(plot.epochs) + 9)
    return "".join(f'<text class="name {name}" x="{x}" y="{short_number(y)}" dy="4">{name}</text>' for y, name in ends)


def _value(value: float, as_percent: bool) -> str:
    return percent(value) if as_percent else f"{value:.3f}"
