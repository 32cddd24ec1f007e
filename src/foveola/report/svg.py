"""Figures of the pages as SVG: accuracy axis, bars, histograms, a compact confusion matrix, the reliability diagram.

Colours come from the page's CSS variables by class, so that one figure works in light mode, dark mode and print. Lengths
of bars and axes are percentages of their box, so that the text keeps its size at any width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from foveola.text import count, percent, printable, shorten

if TYPE_CHECKING:
    from foveola.evaluation.conformal import Abstention
    from foveola.evaluation.reliability import Bin

LEVELS = 5
"""Shades of the compact matrix: with one path for each shade, 100 x 100 cells take a few kilobytes."""

SIDE, LEFT, TOP = 300, 48, 14

WIDTH, HEIGHT = LEFT + SIDE + 16, TOP + SIDE + 44
"""The square of the reliability diagram and of the ROC curve, its margins, and the whole figure, in pixels."""


def accuracy_axis(accuracy: float, low: float, high: float, baseline: float, baseline_name: str) -> Markup:
    """SVG of the accuracy with its interval and the baseline on one axis from 0 to 100 % (arguments are shares 0..1)."""
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
    """SVG of one bar of length `share` (0..1) on a track; kind, its CSS class, is right, wrong or other."""
    track = '<rect class="track" width="100%" height="6" rx="1"/>'
    bar = f'<rect class="{kind}" width="{share_of_box(share)}" height="6" rx="1"/>'
    return svg('class="bar" width="100%" height="6"', percent(share), track + bar)


def count_bar(counts: Sequence[tuple[str, int]], longest: int) -> Markup:
    """SVG of a stacked bar with the number of images of one class in each set; `longest` images fill the width."""
    scale, x, rects = 1 / max(1, longest), 0, []
    for name, n in counts:
        rects.append(
            f'<rect class="{name}" x="{share_of_box(x * scale)}" width="{share_of_box(n * scale)}" height="10"/>'
        )
        x += n
    text = ", ".join(f"{n:,} {name}" for name, n in counts)
    return svg('class="bar" width="100%" height="10"', text, "".join(rects))


def histogram(name: str, values: NDArray[np.int64], counts: NDArray[np.int64], top: int, bins: int = 30) -> Markup:
    """SVG histogram of side lengths: values 0..top in pixels, with `counts` images each, in `bins` bins of equal width."""
    heights, edges = np.histogram(values, bins, (0, top), weights=counts)
    most = int(heights.argmax())
    width = share_of_box(0.9 / bins)
    rects = [
        f'<rect x="{share_of_box(k / bins)}" width="{width}" y="{64 - 40 * share:.1f}" height="{40 * share:.1f}"/>'
        for k, share in enumerate(heights / heights.max())
        if share
    ]
    fullest = f"{edges[most]:,.0f} to {edges[most + 1]:,.0f} px: {count(int(heights[most]), 'image')}"
    body = (
        f'<text class="strong" x="0" y="14">{escape(name)}</text><text class="muted" x="100%" y="14" text-anchor="end">'
        f'{fullest}</text>{"".join(rects)}<line class="axis" x1="0%" x2="100%" y1="64.5" y2="64.5"/>'
        f'<text class="muted" x="0" y="80">0</text><text class="muted" x="100%" y="80" text-anchor="end">{top:,} px</text>'
    )
    return svg(
        'class="histogram" width="100%" height="84"', f"{name} of the images; the fullest bin is {fullest}", body
    )


def compact_matrix(shares: NDArray[np.float64]) -> Markup:
    """SVG of a confusion matrix without numbers: a darker cell is a larger share of its row. shares: (K, K), 0..1."""
    k = len(shares)
    levels = np.ceil(shares * LEVELS).astype(int)  # 0 only for empty cells, so that a single mistake is visible
    paths = []
    for kind, inside in (("hit", np.eye(k, dtype=bool)), ("miss", ~np.eye(k, dtype=bool))):
        for level in range(1, LEVELS + 1):
            cells = "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere((levels == level) & inside))
            paths += [f'<path class="{kind} level-{level}" d="{cells}"/>'] if cells else []
    frame = f'<rect class="frame" width="{k}" height="{k}"/>'
    text = (
        f"Confusion matrix of {k} classes; rows: true, columns: predicted; a darker cell is a larger share of its row"
    )
    return svg(f'class="matrix" viewBox="0 0 {k} {k}"', text, "".join(paths) + frame)


def _axis_tick(tick: int) -> str:
    anchor = {0: "start", 100: "end"}.get(tick, "middle")
    line = f'<line class="axis" x1="{tick}%" x2="{tick}%" y1="74" y2="79"/>'
    return f'{line}<text class="muted" x="{tick}%" y="94" text-anchor="{anchor}">{tick}{" %" * (tick == 100)}</text>'


def _flush(accuracy: float, low: float, high: float) -> str:
    """Attributes that keep the label inside the figure: aligned with the interval's outer end, or centred on the point."""
    if accuracy < 0.3:
        return f'text-anchor="start" x="{share_of_box(low)}"'
    if accuracy > 0.7:
        return f'text-anchor="end" x="{share_of_box(high)}"'
    return f'text-anchor="middle" x="{share_of_box(accuracy)}"'


def _beside(share: float) -> str:
    return 'text-anchor="start" dx="7"' if share < 0.5 else 'text-anchor="end" dx="-7"'


class Square(NamedTuple):
    """Two axes from `low` to 1 in one square."""

    low: float = 0.0

    def x(self, share: float) -> str:
        return short_number(LEFT + (share - self.low) / (1 - self.low) * SIDE)

    def y(self, share: float) -> str:
        return short_number(TOP + (1 - max(share, self.low)) / (1 - self.low) * SIDE)


def reliability_diagram(bins: Sequence[Bin], before: Sequence[Bin]) -> Markup:
    """Reliability diagram: accuracy by predicted probability with intervals; rings show `before`, the uncalibrated bins.

    The axes start at a round share below the lowest value, so that the dots of a good network do not overlap.
    """
    square = Square(axis_start([*bins, *before]))
    rings = [f'<circle class="ring" cx="{square.x(b.confidence)}" cy="{square.y(b.accuracy)}" r="4"/>' for b in before]
    diagonal = f'<line class="diagonal" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{TOP + SIDE}" y2="{TOP}"/>'
    body = [axes(square, "predicted probability"), diagonal, *rings, *(_dot(square, one) for one in bins)]
    said = "; ".join(
        f"probability {percent(one.confidence)}, right {percent(one.accuracy)} of {one.n:,}" for one in bins
    )
    return svg(f'class="reliability" viewBox="0 0 {WIDTH} {HEIGHT}"', f"Reliability diagram: {said}", "".join(body))


def axis_start(bins: Sequence[Bin]) -> float:
    """The start of both axes of the diagram: the largest multiple of 0.2 below all dots, at most 0.8."""
    return min(0.8, math.floor(5 * min(min(one.confidence, one.accuracy) for one in bins)) / 5)


def _dot(square: Square, one: Bin) -> str:
    x, low, high = square.x(one.confidence), square.y(one.interval.low), square.y(one.interval.high)
    return (
        f'<line class="whisker" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>'
        f'<circle class="dot" cx="{x}" cy="{square.y(one.accuracy)}" r="4.5"/>'
    )


def axes(square: Square, title: str) -> str:
    """The grid of a square, its tick labels, and the title of the horizontal axis."""
    out, right, bottom = [], LEFT + SIDE, TOP + SIDE
    for tick in ticks(square.low, 1):
        x, y, label = square.x(tick), square.y(tick), f"{100 * tick:.0f} %"
        out.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        out.append(f'<text class="muted" x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{label}</text>')
        out.append(f'<text class="muted" x="{x}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    middle = short_number(LEFT + SIDE / 2)
    out.append(f'<text class="muted" x="{middle}" y="{bottom + 38}" text-anchor="middle">{title}</text>')
    return "".join(out)


def abstention_bar(one: Abstention) -> Markup:
    """Stacked bar of all images: correct predictions, wrong predictions, abstentions."""
    n, wrong = one.answered.n, one.wrong.many
    parts = (("right", one.answered.many - wrong), ("wrong", wrong), ("none", n - one.answered.many))
    rects, x = [], 0
    for kind, many in parts:
        rects.append(f'<rect class="{kind}" x="{share_of_box(x / n)}" width="{share_of_box(many / n)}" height="10"/>')
        x += many
    text = f"{parts[0][1]:,} right, {wrong:,} wrong, {parts[2][1]:,} don’t know"
    return svg('class="bar" width="100%" height="10"', text, "".join(rects))


def svg(attributes: str, text: str, body: str) -> Markup:
    """An SVG element with a text alternative."""
    label = escape(printable(text))
    return Markup(f'<svg {attributes} role="img" aria-label="{label}"><title>{label}</title>{body}</svg>')


def share_of_box(share: float) -> str:
    return f"{short_number(100 * share)}%"


def short_number(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def baseline_label(class_name: str) -> str:
    """The baseline's label in the figure."""
    return f"always “{shorten(printable(class_name), 24)}”"


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
