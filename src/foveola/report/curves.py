"""Learning curves as SVG: of one run, with intervals, and of a comparison, with a band over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from foveola.report.svg import short_number, svg, ticks
from foveola.text import percent

WIDTH, HEIGHT, LEFT, BOTTOM = 420, 250, 48, 208
LABEL_GAP = 15  # minimum distance of two labels at the curves' ends, in units of the figure: one line of text


class CurveLine(NamedTuple):
    """One curve: its name (also its CSS class), one value for each epoch, and optionally an interval (low, high) for each."""

    name: str
    values: Sequence[float]
    intervals: Sequence[tuple[float, float]] = ()


class Band(NamedTuple):
    """One arm's curve: mean, lowest and highest value of the seeds in each epoch; colour is a CSS class."""

    colour: str
    name: str
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


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
    marks = [0.0, 20.0, 40.0, 60.0, 80.0, 100.0] if as_percent else ticks(0, max(finite, default=1.0) or 1.0)
    plot = _Plot(len(lines[0].values), marks, as_percent, right=368, top=30)
    shown = best or plot.epochs
    said = ", ".join(f"{line.name} {_value(line.values[shown - 1], as_percent)}" for line in lines)
    labels = places or [str(place) for place in range(1, plot.epochs + 1)]
    labelled = _at_equal_steps(plot.epochs) if places else epoch_ticks(plot.epochs)
    body = [
        _grid(plot),
        _horizontal_axis(plot, {place: labels[place - 1] for place in labelled}, axis or unit),
        *(_band(plot, line.name, *zip(*line.intervals, strict=True)) for line in lines if line.intervals),
        *(_line(plot, f"line {line.name}", line.values) for line in lines),
        _names(plot, lines),
    ]
    if best:
        body.append(_kept(plot, best, f"{unit} {labels[best - 1]}, kept"))
        body += [_dot(plot, f"dot {line.name}", best, line.values[best - 1]) for line in lines]
    text = f"{title} by {unit}; at {'the kept' if best else 'the last'} {unit} {labels[shown - 1]}: {said}"
    return svg(f'class="curves" viewBox="0 0 {WIDTH} {HEIGHT}"', text, "".join(body))


def banded(title: str, bands: Sequence[Band], *, as_percent: bool = False) -> Markup:
    """SVG of curves by epoch: the mean of the seeds as a line, the lowest to the highest seed as a band."""
    factor = 100.0 if as_percent else 1.0
    finite = [factor * v for band in bands for v in (*band.low, *band.high) if math.isfinite(v)]
    marks = ticks(min(finite, default=0.0), max(finite, default=1.0), 4)
    plot = _Plot(max(len(band.mean) for band in bands), marks, as_percent, right=408, top=14)
    body = [
        _grid(plot),
        _horizontal_axis(plot, {epoch: str(epoch) for epoch in epoch_ticks(plot.epochs)}, "epoch"),
        *(_band(plot, band.colour, band.low, band.high) for band in bands),
    ]
    for band in bands:
        body.append(_line(plot, f"mean-line {band.colour}", band.mean))
        body.append(_dot(plot, f"end {band.colour}", len(band.mean), band.mean[-1]))
    last = ", ".join(f"{band.name} {_value(band.mean[-1], as_percent)}" for band in bands)
    text = f"{title} by epoch; in the last epoch: {last}"
    return svg(f'class="curves" viewBox="0 0 {WIDTH} {HEIGHT}"', text, "".join(body))


def epoch_ticks(epochs: int) -> list[int]:
    """Axis ticks at round epochs from 1 to `epochs`.

    >>> epoch_ticks(4), epoch_ticks(40)
    ([1, 2, 3, 4], [1, 10, 20, 30, 40])
    """
    inside = {int(tick) for tick in ticks(1, max(2, epochs), 7) if tick == int(tick) and 1 <= tick <= epochs}
    return sorted(inside | {1})


def _at_equal_steps(n: int) -> list[int]:
    """At most seven of the numbers 1..n, at equal steps from 1 on.

    >>> _at_equal_steps(6), _at_equal_steps(10)
    ([1, 2, 3, 4, 5, 6], [1, 3, 5, 7, 9])
    """
    return list(range(1, n + 1, math.ceil(n / 7)))


class _Plot(NamedTuple):
    """The scales: epochs 1..n from left to right, values from the first mark (bottom) to the last one (top).

    as_percent: values are shares 0..1, while marks are percentages.
    """

    epochs: int
    marks: Sequence[float]
    as_percent: bool
    right: int
    top: int

    def x(self, epoch: float) -> str:
        share = (epoch - 1) / (self.epochs - 1) if self.epochs > 1 else 0.5
        return short_number(LEFT + share * (self.right - LEFT))

    def height(self, value: float) -> float:
        """The distance of a value from the top of the figure."""
        scaled = 100 * value if self.as_percent else value
        return BOTTOM - (scaled - self.marks[0]) / ((self.marks[-1] - self.marks[0]) or 1) * (BOTTOM - self.top)

    def y(self, value: float) -> str:
        return short_number(self.height(value))


def _grid(plot: _Plot) -> str:
    out = []
    for mark in plot.marks:
        y = plot.y(mark / 100 if plot.as_percent else mark)
        label = f"{mark:g} %" if plot.as_percent else f"{mark:g}"
        out.append(f'<line class="grid" x1="{LEFT}" x2="{plot.right}" y1="{y}" y2="{y}"/>')
        out.append(f'<text class="muted" x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{label}</text>')
    return "".join(out)


def _horizontal_axis(plot: _Plot, labels: dict[int, str], title: str) -> str:
    """Tick labels by epoch, and the axis's title."""
    out = [
        f'<text class="muted" x="{plot.x(epoch)}" y="{BOTTOM + 18}" text-anchor="middle">{label}</text>'
        for epoch, label in labels.items()
    ]
    middle = short_number((LEFT + plot.right) / 2)
    return "".join(out) + f'<text class="muted" x="{middle}" y="{BOTTOM + 37}" text-anchor="middle">{title}</text>'


def _band(plot: _Plot, kind: str, lows: Sequence[float], highs: Sequence[float]) -> str:
    """A polygon along the upper ends and back along the lower ends."""
    edge = [*enumerate(highs, start=1), *reversed([*enumerate(lows, start=1)])]
    points = " ".join(f"{plot.x(epoch)},{plot.y(value)}" for epoch, value in edge if math.isfinite(value))
    return f'<polygon class="band {kind}" points="{points}"/>'


def _line(plot: _Plot, kind: str, values: Sequence[float]) -> str:
    """A line through the values, with gaps at values that are not finite."""
    out, pen = "", "M"
    for epoch, value in enumerate(values, start=1):
        if math.isfinite(value):
            out += f"{pen}{plot.x(epoch)} {plot.y(value)}"
        pen = "L" if math.isfinite(value) else "M"
    return f'<path class="{kind}" d="{out}"/>' if out else ""


def _dot(plot: _Plot, kind: str, epoch: int, value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f'<circle class="{kind}" cx="{plot.x(epoch)}" cy="{plot.y(value)}" r="4"/>'


def _kept(plot: _Plot, best: int, label: str) -> str:
    x = plot.x(best)
    anchor = "end" if 2 * (best - 1) > plot.epochs - 1 else "start"
    return (
        f'<line class="kept" x1="{x}" x2="{x}" y1="{plot.top - 8}" y2="{BOTTOM}"/>'
        f'<text class="muted" x="{x}" y="{plot.top - 14}" text-anchor="{anchor}">{label}</text>'
    )


def _names(plot: _Plot, lines: Sequence[CurveLine]) -> str:
    """The curves' names at their right ends, moved apart if they would overlap."""
    ends = sorted((plot.height(line.values[-1]), line.name) for line in lines if math.isfinite(line.values[-1]))
    if len(ends) == 2 and ends[1][0] - ends[0][0] < LABEL_GAP:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle - LABEL_GAP / 2, ends[0][1]), (middle + LABEL_GAP / 2, ends[1][1])]
    x = short_number(float(plot.x(plot.epochs)) + 9)
    return "".join(f'<text class="name {name}" x="{x}" y="{short_number(y)}" dy="4">{name}</text>' for y, name in ends)


def _value(value: float, as_percent: bool) -> str:
    return percent(value) if as_percent else f"{value:.3f}"
