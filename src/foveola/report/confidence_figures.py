"""Figures on confidence as SVG text: the reliability diagram, and what became of the pictures when abstaining."""

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
    """Both axes run from `low` to 1, so that the diagonal is one."""

    low: float

    def x(self, share: float) -> str:
        return short_number(LEFT + (share - self.low) / (1 - self.low) * SIDE)

    def y(self, share: float) -> str:
        return short_number(TOP + (1 - max(share, self.low)) / (1 - self.low) * SIDE)


def reliability_diagram(bins: Sequence[Bin], before: Sequence[Bin]) -> Markup:
    """How often answers are right over how sure they are; intervals as bars; `before`, without temperature, as rings.

    The axes begin at a round share below the least one, so that the dots of a good network do not lie on one another.
    """
    square = _Square(axis_start([*bins, *before]))
    rings = [f'<circle class="ring" cx="{square.x(b.confidence)}" cy="{square.y(b.accuracy)}" r="4"/>' for b in before]
    body = [_axes(square), *rings, *(_dot(square, one) for one in bins)]
    said = "; ".join(f"said {percent(one.confidence)}, right {percent(one.accuracy)} of {one.n:,}" for one in bins)
    return svg(f'class="reliability" viewBox="0 0 {WIDTH} {HEIGHT}"', f"Reliability diagram: {said}", "".join(body))


def axis_start(bins: Sequence[Bin]) -> float:
    """Where both axes of the diagram begin, a share 0..0.8: a fifth's multiple below all dots."""
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
    """All pictures end to end: answered and right, answered and wrong, not answered."""
    n, wrong = one.answered.n, one.wrong.many
    parts = (("right", one.answered.many - wrong), ("wrong", wrong), ("none", n - one.answered.many))
    rects, x = [], 0
    for kind, many in parts:
        rects.append(f'<rect class="{kind}" x="{share_of_box(x / n)}" width="{share_of_box(many / n)}" height="10"/>')
        x += many
    text = f"{parts[0][1]:,} answered and right, {wrong:,} answered and wrong, {parts[2][1]:,} not answered"
    return svg('class="bar" width="100%" height="10"', text, "".join(rects))
