"""Medians, spreads, straight lines and the one extrapolation of the benchmarks; plain functions of plain numbers."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """What n measurements say together. The range and not a deviation: of three runs that is all there is."""

    n: int
    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Number, median, least and largest of the values; at least one.

    >>> spread([3, 1, 8])
    Spread(n=3, median=3, low=1, high=8)
    """
    known = sorted(values)
    return Spread(len(known), statistics.median(known), known[0], known[-1])


class Line(NamedTuple):
    """y = start + slope x; `worst` is the largest share by which a y lies off it."""

    start: float
    slope: float
    worst: float


def straight_line(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The line with the least squared relative errors; ys above 0, two different xs at least.

    Relative, since the sizes span a thousandfold: plain least squares would fit the largest and ignore all others.
    """
    # Minimising the sum of ((a + b x - y) / y)^2 is least squares with weights 1 / y^2.
    weights = [1 / y**2 for y in ys]
    total = sum(weights)
    x_mean = sum(w * x for w, x in zip(weights, xs, strict=True)) / total
    y_mean = sum(w * y for w, y in zip(weights, ys, strict=True)) / total
    above = sum(w * (x - x_mean) * (y - y_mean) for w, x, y in zip(weights, xs, ys, strict=True))
    slope = above / sum(w * (x - x_mean) ** 2 for w, x in zip(weights, xs, strict=True))
    start = y_mean - slope * x_mean
    worst = max(abs(start + slope * x - y) / y for x, y in zip(xs, ys, strict=True))
    return Line(start, slope, worst)


def total_of(seconds: Sequence[float], epochs: int) -> float:
    """Training seconds of `epochs` epochs, estimated from the time so far after each of at least two full ones.

    The first counts once, since it holds what is done once (tracing, compiling); the rest are taken to last as long as
    the mean of those after the first.

    >>> total_of([12.0, 22.0, 32.0], 14)
    142.0
    """
    if len(seconds) < 2:
        raise ValueError("an estimate takes at least two full epochs")
    later = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
    return seconds[0] + (epochs - 1) * later
