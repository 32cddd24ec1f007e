"""Figures on confidence as SVG: the reliability diagram, and the bars of right, wrong and abstained predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from foveola.evaluation.calibration import Bin
from foveola.evaluation.conformal import Abstention
from foveola.report.curves import ticks
from foveola.report.figures import share_of_box, short_number, svg
from foveola.report.words import percent

SIDE, LEFT, TOP = 300, 48, 14
WIDTH, HEIGHT = LEFT + SIDE + 16, TOP + SIDE + 44


class _Square(NamedTuple):
    """Two axes from `low` to 1 in one square."""

    low: float

    def x(self, share: float) -> str:
        return short_number(LEFT + (share - self.low) / (1 - self.low) * SIDE)

    def y(self, share: float) -> str:
        return short_number(TOP + (1 - max(share, self.low)) / (1 - self.low) * SIDE)


def reliability_diagram(bins: Sequence[Bin], before: Sequence[Bin]) -> Markup:
    """Reliability diagram: accuracy by predicted probability with intervals; rings show `before`, the uncalibrated bins.

    The axes start at a round share below the lowest value, so that the dots of a good network do not overlap.
    """
    square = _Square(axis_start([*bins, *before]))
    rings = [f'<circle class="ring" cx="{square.x(b.confidence)}" cy="{square.y(b.accuracy)}" r="4"/>' for b in before]
    body = [_axes(square), *rings, *(_dot(square, one) for one in bins)]
    said = "; ".join(
        f"probability {percent(one.confidence)}, right {percent(one.accuracy)} of {one.n:,}" for one in bins
    )
    return svg(f'class="reliability" viewBox="0 0 {WIDTH} {HEIGHT}"', f"Reliability diagram: {said}", "".join(body))


def axis_start(bins: Sequence[Bin]) -> float:
    """The start of both axes of the diagram: the largest multiple of 0.2 below all dots, at most 0.8."""
    return min(0.8, math.floor(5 * min(min(one.confidence, one.accuracy) for one in bins)) / 5)


def _dot(square: _Square, one: Bin) -> str:
    x, low, high = square.x(one.confidence), square.y(one.interval.low), square.y(one.interval.high)
    return (
        f'<line class="whisker" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>'
        f'<circle class="dot" cx="{x}" cy="{square.y(one.accuracy)}" r="4.5"/>'
    )


def _axes(square: _Square) -> str:
    out, right, bottom = [], LEFT + SIDE, TOP + SIDE
    for tick in ticks(square.low, 1):
        x, y, label = square.x(tick), square.y(tick), f"{100 * tick:.0f} %"
        out.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        out.append(f'<text class="muted" x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{label}</text>')
        out.append(f'<text class="muted" x="{x}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    middle = short_number(LEFT + SIDE / 2)
    out.append(f'<line class="diagonal" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{TOP}"/>')
    out.append(f'<text class="muted" x="{middle}" y="{bottom + 38}" text-anchor="middle">predicted probability</text>')
    return "".join(out)


def abstention_bar(one: Abstention) -> Markup:
    """Stacked bar of all images: right predictions, wrong predictions, abstentions."""
    n, wrong = one.answered.n, one.wrong.many
    parts = (("right", one.answered.many - wrong), ("wrong", wrong), ("none", n - one.answered.many))
    rects, x = [], 0
    for kind, many in parts:
        rects.append(f'<rect class="{kind}" x="{share_of_box(x / n)}" width="{share_of_box(many / n)}" height="10"/>')
        x += many
    text = f"{parts[0][1]:,} right, {wrong:,} wrong, {parts[2][1]:,} don’t know"
    return svg('class="bar" width="100%" height="10"', text, "".join(rects))
