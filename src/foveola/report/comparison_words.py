"""What a comparison found, in words: each arm against the baseline, its mean, its cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from foveola.lab.against_baseline import Paired
from foveola.lab.comparison import Comparison
from foveola.report.comparison_figures import colour, signed
from foveola.report.words import duration
from foveola.types import Interval


@dataclass(frozen=True)
class Line:
    """One arm against the baseline in words: verdict (and its CSS class), difference, intervals, p, McNemar's count."""

    name: str
    colour: str
    said: str
    kind: str
    mean: str
    interval: str
    wide: str
    p: str
    mcnemar: str
    reaches: str


@dataclass(frozen=True)
class Mean:
    """One arm's accuracy over the seeds, in words."""

    name: str
    colour: str
    mean: str
    interval: str
    range: str


@dataclass(frozen=True)
class Cost:
    """What an arm's runs took."""

    name: str
    colour: str
    mean: str
    range: str
    ratio: str
    all: str
    memory: str
    parameters: int
    epochs: int


def line_of(one: Paired, k: int) -> Line:
    """The line of arm number k against the baseline."""
    p_values = np.array(one.mcnemar)
    return Line(
        name=one.arm,
        colour=colour(k),
        said=one.said,
        kind={"helps": "right", "hurts": "wrong"}.get(one.verdict, "muted"),
        mean=signed(one.difference.mean),
        interval=interval_text(one.difference.interval),
        wide=interval_text(one.with_pictures) if one.with_pictures else "–",
        p=p_value_text(one.corrected_p),
        mcnemar=f"{int((p_values < 0.05).sum())} of {len(p_values)}",
        reaches=_reaches(one),
    )


def _reaches(one: Paired) -> str:
    """How far the verdict reaches: to new test pictures, or only to these."""
    wide = one.with_pictures
    if one.verdict not in ("helps", "hurts") or wide is None:
        return ""
    shown = wide.low > 0 or wide.high < 0
    return (
        "The interval that counts the chance of the test pictures too lies beside 0 as well."
        if shown
        else "About these test pictures: the interval that counts their own chance too holds 0, so other pictures might say "
        "otherwise."
    )


def mean_of(found: Comparison, k: int) -> Mean:
    """The accuracy of arm number k."""
    row, interval = found.accuracy[k], found.intervals[k]
    return Mean(
        name=found.arms[k].name,
        colour=colour(k),
        mean=f"{100 * row.mean():.2f} %",
        interval=f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %",
        range=f"{100 * row.min():.2f} to {100 * row.max():.2f} %",
    )


def cost_of(found: Comparison, k: int) -> Cost:
    """The cost of arm number k; memory only where every run says it."""
    runs = found.runs[k]
    seconds = [float(run.result["seconds"]) for run in runs]
    memory = [run.result.get("peak_memory_mb") for run in runs]
    known = [float(mb) for mb in memory if mb]
    first = runs[0]
    return Cost(
        name=found.arms[k].name,
        colour=colour(k),
        mean=f"{found.seconds(k):.1f} s",
        range=f"{min(seconds):.1f} to {max(seconds):.1f} s",
        ratio=f"{found.seconds(k) / max(1e-9, found.seconds(0)):.2f}",
        all=duration(sum(seconds)),
        memory=f"{max(known):,.0f} MB" if len(known) == len(runs) else "–",
        parameters=first.network.parameters,
        epochs=len(first.history),
    )


def interval_text(interval: Interval) -> str:
    """An interval in points as it is written: "-1.07 to -0.70", "–" where there is none."""
    low, high, _ = interval
    return f"{signed(low)} to {signed(high)}" if math.isfinite(low) else "–"


def p_value_text(p: float) -> str:
    """A p value as it is written.

    >>> p_value_text(0.0371), p_value_text(0.00004), p_value_text(1.0)
    ('0.037', '< 0.001', '1.000')
    """
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"
