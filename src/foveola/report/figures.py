"""Figures as SVG text: learning curves, the accuracy on its axis, bars, a compact confusion matrix. Values in, text out.

Colours come from the page's CSS variables by class, so that one figure serves light, dark and paper. Bars and the axis
have lengths in percent of their box: their letters keep their size at any width. The curves scale as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from foveola.data.dataset import printable
from foveola.report.words import percent, shorten

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 368, 30, 208
LABEL_GAP = 15  # between two labels at the curves' ends, in units of the figure: a line of its letters

LEVELS = 5
"""Shades of the compact matrix: one path each keeps 100 x 100 cells at a few kilobytes."""


class Line(NamedTuple):
    """One curve: its name (also its CSS class), a value an epoch, and the interval (low, high) of each where it has one."""

    name: str
    values: Sequence[float]
    intervals: Sequence[tuple[float, float]] = ()


def ticks(low: float, high: float, steps: int = 5) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, that enclose low..high in about `steps` steps.

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
    """Whole round numbers from 1 to `epochs`.

    >>> epoch_ticks(4), epoch_ticks(40)
    ([1, 2, 3, 4], [1, 10, 20, 30, 40])
    """
    inside = {int(tick) for tick in ticks(1, max(2, epochs), 7) if tick == int(tick) and 1 <= tick <= epochs}
    return sorted(inside | {1})


def curves(title: str, lines: Sequence[Line], best: int, *, as_percent: bool = False, unit: str = "epoch") -> Markup:
    """Curves over the epochs (or another unit) 1..n, named at their right ends; `best` is marked as kept, 0: none."""
    finite = [value for line in lines for value in line.values if math.isfinite(value)]
    marks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] if as_percent else ticks(0, max(finite, default=1.0) or 1.0)
    plot = _Plot(len(lines[0].values), marks[-1])
    shown = best or len(lines[0].values)
    said = ", ".join(f"{line.name} {_value(line.values[shown - 1], as_percent)}" for line in lines)
    body = [_grid(plot, marks, as_percent, unit), *(_band(plot, line) for line in lines if line.intervals)]
    body += [*(_curve(plot, line) for line in lines), _names(plot, lines)]
    if best:
        body += [_kept(plot, best, unit), *(_dot(plot, line, best) for line in lines)]
    text = f"{title} by {unit}; at {'the kept' if best else 'the last'} {unit} {shown}: {said}"
    return svg(f'class="curves" viewBox="0 0 {WIDTH} {HEIGHT}"', text, "".join(body))


def accuracy_axis(accuracy: float, low: float, high: float, baseline: float, baseline_name: str) -> Markup:
    """The accuracy with its interval, and the baseline, on one axis from 0 to 100 % (all given as shares 0..1)."""
    interval = f"{100 * low:.1f} to {percent(high)}"
    text = f"Accuracy {percent(accuracy)}, 95 % interval {interval}; {baseline_name}: {percent(baseline)}"
    at, base = share_of_box(accuracy), share_of_box(baseline)
    body = (
        f'<line class="axis" x1="0%" x2="100%" y1="74" y2="74"/>{"".join(_axis_tick(t) for t in range(0, 101, 20))}'
        f'<line class="baseline" x1="{base}" x2="{base}" y1="30" y2="74"/>'
        f'<text class="muted" x="{base}" y="62" {_beside(baseline)}>{escape(baseline_name)}: {percent(baseline)}</text>'
        f'<rect class="interval" x="{share_of_box(low)}" width="{share_of_box(high - low)}" y="30" height="12" rx="2"/>'
        f'<circle class="point" cx="{at}" cy="36" r="6"/>'
        f'<text class="strong" {_flush(accuracy, low, high)} y="17">{percent(accuracy)}'
        f'<tspan class="muted" dx="8">{interval}</tspan></text>'
    )
    return svg('class="accuracy" width="100%" height="98"', text, body)


def probability_bar(share: float, kind: str) -> Markup:
    """One bar of length `share` (0..1) in its track; kind, the CSS class, is right, wrong or other."""
    track = '<rect class="track" width="100%" height="6" rx="1"/>'
    bar = f'<rect class="{kind}" width="{share_of_box(share)}" height="6" rx="1"/>'
    return svg('class="bar" width="100%" height="6"', percent(share), track + bar)


def count_bar(counts: Sequence[tuple[str, int]], longest: int) -> Markup:
    """The parts (name, pictures) of one class end to end; a class with `longest` pictures fills the width."""
    scale, x, rects = 1 / max(1, longest), 0, []
    for name, n in counts:
        rects.append(
            f'<rect class="{name}" x="{share_of_box(x * scale)}" width="{share_of_box(n * scale)}" height="10"/>'
        )
        x += n
    text = ", ".join(f"{n:,} {name}" for name, n in counts)
    return svg('class="bar" width="100%" height="10"', text, "".join(rects))


def histogram(name: str, values: NDArray[np.int64], counts: NDArray[np.int64], top: int, bins: int = 30) -> Markup:
    """How many pictures have which side: values 0..top in pixels, `counts` of each, in so many bins of one width."""
    heights, edges = np.histogram(values, bins, (0, top), weights=counts)
    most = int(heights.argmax())
    width = share_of_box(0.9 / bins)
    rects = [
        f'<rect x="{share_of_box(k / bins)}" width="{width}" y="{64 - 40 * share:.1f}" height="{40 * share:.1f}"/>'
        for k, share in enumerate(heights / heights.max())
        if share
    ]
    fullest = f"{edges[most]:,.0f} to {edges[most + 1]:,.0f} px: {heights[most]:,.0f} pictures"
    body = (
        f'<text class="strong" x="0" y="14">{escape(name)}</text><text class="muted" x="100%" y="14" text-anchor="end">'
        f'{fullest}</text>{"".join(rects)}<line class="axis" x1="0%" x2="100%" y1="64.5" y2="64.5"/>'
        f'<text class="muted" x="0" y="80">0</text><text class="muted" x="100%" y="80" text-anchor="end">{top:,} px</text>'
    )
    return svg('class="histogram" width="100%" height="84"', f"{name} of the files; most have {fullest}", body)


def compact_matrix(confusion: NDArray[np.int64]) -> Markup:
    """The confusion matrix, int64 (K, K), without numbers: darker is a larger share of the row, the diagonal is right."""
    k = len(confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    levels = np.ceil(shares * LEVELS).astype(int)  # 0 only where nothing is, so that a single mistake is seen
    paths = []
    for kind, inside in (("hit", np.eye(k, dtype=bool)), ("miss", ~np.eye(k, dtype=bool))):
        for level in range(1, LEVELS + 1):
            cells = "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere((levels == level) & inside))
            paths += [f'<path class="{kind} level-{level}" d="{cells}"/>'] if cells else []
    frame = f'<rect class="frame" width="{k}" height="{k}"/>'
    text = f"Confusion matrix of {k} classes, rows true, columns predicted, darker where more"
    return svg(f'class="matrix" viewBox="0 0 {k} {k}"', text, "".join(paths) + frame)


class _Plot(NamedTuple):
    epochs: int
    top: float

    def x(self, epoch: float) -> float:
        share = (epoch - 1) / (self.epochs - 1) if self.epochs > 1 else 0.5
        return LEFT + share * (RIGHT - LEFT)

    def y(self, value: float) -> float:
        return BOTTOM - value / self.top * (BOTTOM - TOP)


def _grid(plot: _Plot, marks: Sequence[float], as_percent: bool, unit: str) -> str:
    out = []
    for mark in marks:
        y = short_number(plot.y(mark))
        label = f"{mark:.0%}".replace("%", " %") if as_percent else f"{mark:g}"
        out.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>')
        out.append(f'<text class="muted" x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{label}</text>')
    for tick in epoch_ticks(plot.epochs):
        out.append(
            f'<text class="muted" x="{short_number(plot.x(tick))}" y="{BOTTOM + 18}" text-anchor="middle">{tick}</text>'
        )
    middle = short_number((LEFT + RIGHT) / 2)
    return "".join(out) + f'<text class="muted" x="{middle}" y="{BOTTOM + 37}" text-anchor="middle">{unit}</text>'


def _kept(plot: _Plot, best: int, unit: str) -> str:
    x = short_number(plot.x(best))
    anchor = "end" if plot.x(best) > (LEFT + RIGHT) / 2 else "start"
    return (
        f'<line class="kept" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{BOTTOM}"/>'
        f'<text class="muted" x="{x}" y="{TOP - 14}" text-anchor="{anchor}">{unit} {best}, kept</text>'
    )


def _curve(plot: _Plot, line: Line) -> str:
    """The line; where a value is not finite it is broken."""
    out, pen = "", "M"
    for epoch, value in enumerate(line.values, start=1):
        if math.isfinite(value):
            out += f"{pen}{short_number(plot.x(epoch))} {short_number(plot.y(value))}"
        pen = "L" if math.isfinite(value) else "M"
    return f'<path class="line {line.name}" d="{out}"/>' if out else ""


def _band(plot: _Plot, line: Line) -> str:
    """The intervals of a line's values, from their upper ends to the right and back along the lower ones."""
    lows, highs = zip(*line.intervals, strict=True)
    edge = [*enumerate(highs, start=1), *reversed([*enumerate(lows, start=1)])]
    points = " ".join(f"{short_number(plot.x(epoch))},{short_number(plot.y(value))}" for epoch, value in edge)
    return f'<polygon class="band {line.name}" points="{points}"/>'


def _dot(plot: _Plot, line: Line, best: int) -> str:
    value = line.values[best - 1]
    if not math.isfinite(value):
        return ""
    return (
        f'<circle class="dot {line.name}" cx="{short_number(plot.x(best))}" cy="{short_number(plot.y(value))}" r="4"/>'
    )


def _names(plot: _Plot, lines: Sequence[Line]) -> str:
    """The curves' names at their ends, pushed apart where they would touch."""
    ends = sorted((plot.y(line.values[-1]), line.name) for line in lines if math.isfinite(line.values[-1]))
    if len(ends) == 2 and ends[1][0] - ends[0][0] < LABEL_GAP:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle - LABEL_GAP / 2, ends[0][1]), (middle + LABEL_GAP / 2, ends[1][1])]
    x = short_number(plot.x(plot.epochs) + 9)
    return "".join(f'<text class="name {name}" x="{x}" y="{short_number(y)}" dy="4">{name}</text>' for y, name in ends)


def _axis_tick(tick: int) -> str:
    anchor = {0: "start", 100: "end"}.get(tick, "middle")
    line = f'<line class="axis" x1="{tick}%" x2="{tick}%" y1="74" y2="79"/>'
    return f'{line}<text class="muted" x="{tick}%" y="94" text-anchor="{anchor}">{tick}{" %" * (tick == 100)}</text>'


def _flush(accuracy: float, low: float, high: float) -> str:
    """Where the label hangs so that it stays inside: flush with the interval's outer end, in the middle over the point."""
    if accuracy < 0.3:
        return f'text-anchor="start" x="{share_of_box(low)}"'
    if accuracy > 0.7:
        return f'text-anchor="end" x="{share_of_box(high)}"'
    return f'text-anchor="middle" x="{share_of_box(accuracy)}"'


def _beside(share: float) -> str:
    return 'text-anchor="start" dx="7"' if share < 0.5 else 'text-anchor="end" dx="-7"'


def svg(attributes: str, text: str, body: str) -> Markup:
    """An SVG element that says in words what it shows."""
    label = escape(printable(text))
    return Markup(f'<svg {attributes} role="img" aria-label="{label}"><title>{label}</title>{body}</svg>')


def _value(value: float, as_percent: bool) -> str:
    return percent(value) if as_percent else f"{value:.3f}"


def share_of_box(share: float) -> str:
    return f"{short_number(100 * share)}%"


def short_number(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def baseline_label(class_name: str) -> str:
    """How the baseline is called in the figure."""
    return f"always “{shorten(printable(class_name), 24)}”"
