"""Report section on confidence: calibration of the probabilities, and results of abstaining."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from foveola.evaluation.calibration import Bin, CalibrationError, CalibrationReport
from foveola.evaluation.conformal import Abstention, CoverageShare, coverage_range
from foveola.report.svg import share_of_box, short_number, svg, ticks
from foveola.text import percent

FEW = 200
"""With fewer calibration images the section says that a prior keeps the temperature near 1."""

SIDE, LEFT, TOP = 300, 48, 14

WIDTH, HEIGHT = LEFT + SIDE + 16, TOP + SIDE + 44


@dataclass(frozen=True)
class RateLine:
    """One allowed error rate and the shares measured on the test set, each with its interval.

    kept: the share of images whose true class should not be ruled out; expected: the range of this share in 95 of 100 runs.
    """

    error: str
    kept: str
    answered: str
    wrong: str
    wrong_answers: str
    coverage: str
    expected: str
    bar: Markup


class ErrorText(NamedTuple):
    """A calibration error and its 95 % interval, as text."""

    value: str
    interval: str


@dataclass(frozen=True)
class ConfidenceSection:
    """Values of the section.

    how: how the calibration images were held out; worse: whether the temperature increases the
    calibration error on the test set; axis_from: the start of the diagram's axes, "" for 0.
    """

    how: str
    n: int
    few: bool
    temperature: str
    error: ErrorText
    error_before: ErrorText
    worse: bool
    by_chance: str
    loss: str
    loss_before: str
    bins: int
    figure: Markup
    axis_from: str
    rates: tuple[RateLine, ...]
    example: RateLine | None


def confidence_section(confidence: CalibrationReport) -> ConfidenceSection:
    """Collect the section's values."""
    calibration, error, before = confidence.calibration, confidence.error, confidence.error_before
    n, rings = len(calibration), confidence.bins_before
    rates = tuple(
        RateLine(
            error=f"{100 * one.error:g} %",
            kept=f"{100 * (1 - one.error):g} %",
            answered=with_interval(one.answered),
            wrong=with_interval(one.wrong),
            wrong_answers=with_interval(one.wrong_answers),
            coverage=with_interval(one.covered),
            expected=_range(*coverage_range(n, one.error)[:2]),
            bar=abstention_bar(one),
        )
        for one in confidence.abstentions
    )
    return ConfidenceSection(
        how=calibration.how,
        n=n,
        few=n < FEW,
        temperature=f"{confidence.evaluation.temperature:.2f}",
        error=_in_words(error),
        error_before=_in_words(before),
        worse=percent(error.value) != percent(before.value) and error.value > before.value,
        by_chance=percent(error.by_chance),
        loss=f"{confidence.evaluation.loss:.3f}",
        loss_before=f"{confidence.uncalibrated.loss:.3f}",
        bins=len(confidence.bins),
        figure=reliability_diagram(confidence.bins, rings),
        axis_from=f"{100 * low:.0f} %" if (low := axis_start([*confidence.bins, *rings])) else "",
        rates=rates,
        example=rates[0] if rates else None,
    )


def _in_words(error: CalibrationError) -> ErrorText:
    return ErrorText(percent(error.value), _range(error.interval.low, error.interval.high))


def with_interval(share: CoverageShare) -> str:
    """A share with its 95 % interval, or "–" if there are no images."""
    low, high, _ = share.interval
    return "–" if math.isnan(share.share) else f"{percent(share.share)} ({_range(low, high)})"


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"


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
