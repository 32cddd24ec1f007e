"""What a comparison found, in words: each arm against the baseline, its mean, its cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foveola.comparison.result import Comparison, PairedResult
from foveola.comparison.statistics import plan_to_settle
from foveola.errors import count
from foveola.report.comparison_figures import colour, signed
from foveola.report.words import duration, shorten
from foveola.types import Interval


@dataclass(frozen=True)
class ResultLine:
    """One arm against the baseline in words: verdict (and its sign), difference, intervals, p, McNemar's count, advice."""

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
    """One arm's accuracy over the seeds, in words."""

    name: str
    colour: str
    mean: str
    interval: str
    range: str


@dataclass(frozen=True)
class ArmCost:
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


def line_of(found: Comparison, one: PairedResult, k: int) -> ResultLine:
    """The line of arm number k against the baseline."""
    p_values = np.array(one.mcnemar)
    return ResultLine(
        name=one.arm,
        colour=colour(k),
        said=one.said,
        sign={"helps": "▲", "hurts": "▼", "no_difference": "="}.get(one.verdict, "?"),
        mean=signed(one.difference.mean),
        interval=interval_text(one.difference.interval),
        wide=interval_text(one.with_pictures) if one.with_pictures else "–",
        p=p_value_text(one.corrected_p),
        mcnemar=f"{int((p_values < 0.05).sum())} of {len(p_values)}",
        reaches=_reaches(one),
        advice=advice_of(found, one, k),
    )


def _reaches(one: PairedResult) -> str:
    """How far the verdict reaches: to new test pictures, or only to these."""
    wide = one.with_pictures
    if one.verdict not in ("helps", "hurts") or wide is None:
        return ""
    shown = wide.low > 0 or wide.high < 0
    return (
        "The interval that also counts the chance in the test images leaves out 0 as well."
        if shown
        else "This is about these test images: the interval that also counts the chance in them contains 0, so other images "
        "might give another result."
    )


def mean_of(found: Comparison, k: int) -> ArmMean:
    """The accuracy of arm number k."""
    row, interval = found.accuracy[k], found.intervals[k]
    return ArmMean(
        name=found.arms[k].name,
        colour=colour(k),
        mean=f"{100 * row.mean():.2f} %",
        interval=f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %",
        range=f"{100 * row.min():.2f} to {100 * row.max():.2f} %",
    )


def cost_of(found: Comparison, k: int) -> ArmCost:
    """The cost of arm number k; memory only where every run says it."""
    runs = found.runs[k]
    seconds = [float(run.result["seconds"]) for run in runs]
    memory = [run.result.get("peak_memory_mb") for run in runs]
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


UNSTEADY = 1.25
"""Where a run of an arm takes so many times as long as another one, something else than the arm decides the time."""


def steady(found: Comparison) -> bool:
    """Whether the times of the runs can be compared: at least two seeds, alike within each arm, threads never changed."""
    for row in found.runs:
        seconds = [float(run.result["seconds"]) for run in row]
        if len(row) < 2 or max(seconds) > UNSTEADY * min(seconds):
            return False
        if any(len(run.result.get("threads", ())) > 1 for run in row):
            return False
    return True


def ratio_of(found: Comparison, k: int) -> str:
    """How many times as long as the baseline arm k takes, in two digits; "–" where the times can't be compared."""
    if k == 0 or not steady(found):
        return "–"
    one, other = ([float(run.result["seconds"]) for run in found.runs[j]] for j in (k, 0))
    if min(one) <= max(other) and min(other) <= max(one):
        return "no clear difference"
    return f"{found.seconds(k) / max(1e-9, found.seconds(0)):.2g} times"


def short_time(seconds: float) -> str:
    """A time with no more digits than it is worth.

    >>> short_time(4.237), short_time(17.62), short_time(83)
    ('4.2 s', '18 s', '1 min 23 s')
    """
    return f"{seconds:.1f} s" if seconds < 9.95 else duration(seconds)


def advice_of(found: Comparison, one: PairedResult, k: int) -> str:
    """What to do now about arm number k, in one or two sentences."""
    n, name, baseline = len(found.seeds), shorten(one.arm, 40), shorten(one.baseline, 40)
    if one.verdict == "helps":
        return f"Use {name}: it is better than {baseline} on this data."
    if one.verdict == "hurts":
        return f"Keep {baseline}: {name} is worse on this data."
    if one.verdict == "no_difference":
        return f"Choose the cheaper one: {name} and {baseline} differ by less than {found.margin:g} points."
    if n < 2:
        return "One seed can’t tell a difference from chance. Train at least 5 seeds."
    plan = plan_to_settle(found, k)
    if plan.overlap:
        return (
            f"More seeds won’t settle {name} against {baseline}: each seed splits the same images again, so the training "
            "sets overlap. More images would help, or an official test set."
        )
    if plan.seeds is None:
        return (
            f"More than 1,000 seeds would be needed to settle {name} against {baseline}. More test images would help."
        )
    more = max(plan.seeds - n, 1)
    again = seeds_option(found.seeds, n + more)
    return (
        f"About {count(more, 'more seed')} would settle {name} against {baseline}, if the difference stays at "
        f"{signed(one.difference.mean)} points and scatters as it did. Run the same command with {again}; it keeps the runs "
        "that are finished."
    )


def seeds_option(seeds: Sequence[int], n: int) -> str:
    """The option that asks for n seeds, those that are there among them.

    >>> seeds_option((0, 1, 2), 9), seeds_option((0, 5), 9)
    ('--seeds 0-8', '7 more seeds in --seeds')
    """
    first = seeds[0]
    if list(seeds) == list(range(first, first + len(seeds))):
        return f"--seeds {first}-{first + n - 1}"
    return f"{count(n - len(seeds), 'more seed')} in --seeds"


def interval_text(interval: Interval, places: int = 2) -> str:
    """An interval in points as it is written: "-1.07 to -0.70", "–" where there is none."""
    low, high, _ = interval
    return f"{signed(low, places)} to {signed(high, places)}" if math.isfinite(low) else "–"


def p_value_text(p: float) -> str:
    """A p value as it is written.

    >>> p_value_text(0.0371), p_value_text(0.00004), p_value_text(1.0)
    ('0.037', '< 0.001', '1.000')
    """
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"
