"""Training curves of a comparison as SVG: the mean of each arm by epoch, with a band from the lowest to the highest seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from foveola.report.curves import epoch_ticks, ticks
from foveola.report.figures import short_number, svg
from foveola.report.words import percent

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 250, 48, 408, 14, 208


class Band(NamedTuple):
    """One arm's curve: mean, lowest and highest value of the seeds in each epoch."""

    colour: str
    name: str
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def banded(title: str, bands: Sequence[Band], *, as_percent: bool = False) -> Markup:
    """SVG of curves by epoch: the mean of the seeds as a line, the lowest to the highest seed as a band."""
    factor = 100.0 if as_percent else 1.0
    finite = [factor * v for band in bands for v in (*band.low, *band.high) if math.isfinite(v)]
    marks = ticks(min(finite, default=0.0), max(finite, default=1.0), 4)
    epochs = max(len(band.mean) for band in bands)

    def x(epoch: float) -> float:
        return LEFT + ((epoch - 1) / (epochs - 1) if epochs > 1 else 0.5) * (RIGHT - LEFT)

    def y(value: float) -> float:
        return BOTTOM - (factor * value - marks[0]) / ((marks[-1] - marks[0]) or 1) * (BOTTOM - TOP)

    body = []
    for mark in marks:
        at = short_number(y(mark / factor))
        label = f"{mark:g} %" if as_percent else f"{mark:g}"
        body.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at}" y2="{at}"/>')
        body.append(f'<text class="muted" x="{LEFT - 8}" y="{at}" dy="4" text-anchor="end">{label}</text>')
    for tick in epoch_ticks(epochs):
        body.append(
            f'<text class="muted" x="{short_number(x(tick))}" y="{BOTTOM + 18}" text-anchor="middle">{tick}</text>'
        )
    middle = short_number((LEFT + RIGHT) / 2)
    body.append(f'<text class="muted" x="{middle}" y="{BOTTOM + 37}" text-anchor="middle">epoch</text>')
    for band in bands:
        edge = [*enumerate(band.high, start=1), *reversed([*enumerate(band.low, start=1)])]
        shape = " ".join(f"{short_number(x(e))},{short_number(y(v))}" for e, v in edge if math.isfinite(v))
        body.append(f'<polygon class="band {band.colour}" points="{shape}"/>')
    for band in bands:
        points = [
            (short_number(x(e)), short_number(y(v))) for e, v in enumerate(band.mean, start=1) if math.isfinite(v)
        ]
        if points:
            path = "L".join(f"{left} {down}" for left, down in points)
            body.append(f'<path class="mean-line {band.colour}" d="M{path}"/>')
        if math.isfinite(band.mean[-1]):
            left, down = points[-1]
            body.append(f'<circle class="end {band.colour}" cx="{left}" cy="{down}" r="4"/>')
    last = ", ".join(f"{b.name} {percent(b.mean[-1]) if as_percent else f'{b.mean[-1]:.3f}'}" for b in bands)
    return svg(
        f'class="curves" viewBox="0 0 {WIDTH} {HEIGHT}"', f"{title} by epoch; in the last epoch: {last}", "".join(body)
    )
