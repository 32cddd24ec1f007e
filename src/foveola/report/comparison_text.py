"""Texts of the comparison page: verdict, mean accuracy, cost and advice for each arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foveola.comparison.result import Comparison, PairedResult
from foveola.comparison.statistics import plan_to_settle
from foveola.report.comparison_figures import colour, signed
from foveola.text import count, duration, shorten
from foveola.types import Interval

UNSTEADY = 1.25
"""Times of runs of one arm are not compared if the longest is more than this many times the shortest."""


@dataclass(frozen=True)
class ResultLine:
    """One arm against the baseline as text: verdict and its sign, difference, intervals, p, McNemar's count, advice."""

    name: str
    colour: str
    said: str
    sign: str
    mean: str
    interval: str
    wide: str
    p: str
    mcnemar: str
    reaches: str
    advice: str


@dataclass(frozen=True)
class ArmMean:
    """One arm's accuracy over the seeds, as text."""

    name: str
    colour: str
    mean: str
    interval: str
    range: str


@dataclass(frozen=True)
class ArmCost:
    """Time and memory of an arm's runs, as text."""

    name: str
    colour: str
    mean: str
    range: str
    ratio: str
    all: str
    memory: str
    parameters: int
    epochs: int


def line_of(found: Comparison, one: PairedResult, k: int) -> ResultLine:
    """The result of arm number k against the baseline, as text."""
    p_values = np.array(one.mcnemar)
    return ResultLine(
        name=one.arm,
        colour=colour(k),
        said=one.said,
        sign={"helps": "▲", "hurts": "▼", "no_difference": "="}.get(one.verdict, "?"),
        mean=signed(one.difference.mean),
        interval=interval_text(one.difference.interval),
        wide=interval_text(one.with_images) if one.with_images else "–",
        p=p_value_text(one.corrected_p),
        mcnemar=f"{int((p_values < 0.05).sum())} of {len(p_values)}",
        reaches=_reaches(one),
        advice=advice_of(found, one, k),
    )


def _reaches(one: PairedResult) -> str:
    """One sentence that says whether the verdict holds for new test images or only for these."""
    wide = one.with_images
    if one.verdict not in ("helps", "hurts") or wide is None:
        return ""
    shown = wide.low > 0 or wide.high < 0
    return (
        "The interval for new images does not contain 0 either."
        if shown
        else "This holds for these test images only. The interval for new images contains 0, so other images might give "
        "another result."
    )


def mean_of(found: Comparison, k: int) -> ArmMean:
    """The mean accuracy of arm number k, its interval and its range over the seeds."""
    row, interval = found.accuracy[k], found.intervals[k]
    return ArmMean(
        name=found.arms[k].name,
        colour=colour(k),
        mean=f"{100 * row.mean():.2f} %",
        interval=f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %",
        range=f"{100 * row.min():.2f} to {100 * row.max():.2f} %",
    )


def cost_of(found: Comparison, k: int) -> ArmCost:
    """Time, memory and parameters of arm number k; memory only if all its runs recorded it."""
    runs = found.runs[k]
    seconds = [float(run.result["seconds"]) for run in runs]
    memory = [run.result["peak_memory_mb"] for run in runs]
    known = [float(mb) for mb in memory if mb]
    first = runs[0]
    return ArmCost(
        name=found.arms[k].name,
        colour=colour(k),
        mean=short_time(found.seconds(k)),
        range=f"{short_time(min(seconds))} to {short_time(max(seconds))}",
        ratio=ratio_of(found, k),
        all=duration(sum(seconds)),
        memory=f"{max(known):,.0f} MB" if len(known) == len(runs) else "–",
        parameters=first.network.parameters,
        epochs=len(first.history),
    )


def steady(found: Comparison) -> bool:
    """Whether the times can be compared: two or more seeds, similar times within each arm, a constant number of threads."""
    for row in found.runs:
        seconds = [float(run.result["seconds"]) for run in row]
        if len(row) < 2 or max(seconds) > UNSTEADY * min(seconds):
            return False
        if any(len(run.result["threads"]) > 1 for run in row):
            return False
    return True


def ratio_of(found: Comparison, k: int) -> str:
    """The time of arm k divided by that of the baseline, with two digits; "–" if the times can't be compared."""
    if k == 0 or not steady(found):
        return "–"
    one, other = ([float(run.result["seconds"]) for run in found.runs[j]] for j in (k, 0))
    if min(one) <= max(other) and min(other) <= max(one):
        return "no clear difference"
    return f"{found.seconds(k) / max(1e-9, found.seconds(0)):.2g} times"


def short_time(seconds: float) -> str:
    """A time in seconds or minutes, with about two digits.

    >>> short_time(4.237), short_time(17.62), short_time(83)
    ('4.2 s', '18 s', '1 min 23 s')
    """
    return f"{seconds:.1f} s" if seconds < 9.95 else duration(seconds)


def advice_of(found: Comparison, one: PairedResult, k: int) -> str:
    """Advice on what to do next about arm number k, in one or two sentences."""
    n, name, baseline = len(found.seeds), shorten(one.arm, 40), shorten(one.baseline, 40)
    if one.verdict == "helps":
        return f"Use {name}: it is better than {baseline} on this data."
    if one.verdict == "hurts":
        return f"Keep {baseline}: {name} is worse on this data."
    if one.verdict == "no_difference":
        return f"Choose the cheaper one: {name} and {baseline} differ by less than {found.margin:g} points."
    if n < 2:
        return "One seed can’t show a difference. Train at least 5 seeds."
    plan = plan_to_settle(found, k)
    if plan.overlap:
        return (
            f"More seeds won’t decide between {name} and {baseline}, because each seed splits the same images again and the "
            "training sets overlap. Add images, or use an official test set."
        )
    if plan.seeds is None:
        return f"It would take more than 1,000 seeds to decide between {name} and {baseline}. Add test images."
    more = max(plan.seeds - n, 1)
    again = seeds_option(found.seeds, n + more)
    return (
        f"About {count(more, 'more seed')} would decide between {name} and {baseline}, if the difference stays at "
        f"{signed(one.difference.mean)} points and varies as much as now. Run the same command with {again}; it keeps the "
        "finished runs."
    )


def seeds_option(seeds: Sequence[int], n: int) -> str:
    """The option that extends the seeds to n of them.

    >>> seeds_option((0, 1, 2), 9), seeds_option((0, 5), 9)
    ('--seeds 0-8', '7 more seeds in --seeds')
    """
    first = seeds[0]
    if list(seeds) == list(range(first, first + len(seeds))):
        return f"--seeds {first}-{first + n - 1}"
    return f"{count(n - len(seeds), 'more seed')} in --seeds"


def interval_text(interval: Interval, places: int = 2) -> str:
    """An interval in points as text, e.g. "-1.07 to -0.70", or "–" if there is none."""
    low, high, _ = interval
    return f"{signed(low, places)} to {signed(high, places)}" if math.isfinite(low) else "–"


def p_value_text(p: float) -> str:
    """A p value as text.

    >>> p_value_text(0.0371), p_value_text(0.00004), p_value_text(1.0)
    ('0.037', '< 0.001', '1.000')
    """
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"
