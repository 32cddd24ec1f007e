"""The page of a comparison: one file that says what was shown, how sure that is, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from foveola.lab.arms import Change
from foveola.lab.comparison import Comparison, Paired
from foveola.lab.flips import ClassDifference, Flip, class_differences, flips
from foveola.report.comparison_figures import (
    Against,
    Band,
    against_zero,
    banded,
    colour,
    paired_dots,
    signed,
    small_interval,
)
from foveola.report.pages import environment
from foveola.report.thumbnails import Thumbnail, thumbnail
from foveola.report.words import duration
from foveola.types import Image, Interval

Look = Callable[[int, str], Image]
"""Gives a picture as an arm (by its number) sees it, by its id: uint8 (h, w, 3)."""

SHOWN_FLIPS = 12
"""Each way and for each arm: they are the page's weight."""

SECTIONS = (
    ("answer", "The answer"),
    ("differs", "What differs"),
    ("seeds", "Seed by seed"),
    ("learning", "Learning"),
    ("classes", "Class by class"),
    ("flips", "Pictures that flip"),
    ("cost", "What it costs"),
    ("methods", "How it is computed"),
)


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
class ClassLine:
    """One class: its difference, interval and p in words, and the same as a figure."""

    name: str
    pictures: int
    mean: str
    interval: str
    p: str
    kind: str
    figure: Markup


@dataclass(frozen=True)
class ShownFlip:
    """A picture that flips, as the baseline sees it and as the arm does."""

    flip: Flip
    before: Thumbnail
    after: Thumbnail


@dataclass(frozen=True)
class ArmSection:
    """What one arm's own tables show: classes and flips; gained, lost: how many pictures in all; mean_flip: their balance."""

    name: str
    colour: str
    changes: tuple[Change, ...]
    classes: tuple[ClassLine, ...]
    gained: int
    lost: int
    asked: int
    shown_gained: tuple[ShownFlip, ...]
    shown_lost: tuple[ShownFlip, ...]


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


def render(found: Comparison, look: Look, *, command: str = "") -> str:
    """The page: HTML text that can be written as UTF-8, the same for the same runs. look: gives the pictures that flip."""
    run = found.runs[0][0]
    against = found.against_baseline()
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            found=found,
            run=run,
            card=run.card,
            sections=SECTIONS,
            title=f"{_listed([arm.name for arm in found.arms[1:]])} against {found.arms[0].name}",
            baseline=found.arms[0].name,
            against=against,
            lines=[_line(one, k + 1) for k, one in enumerate(against)],
            figure=_figure(found, against),
            dots=paired_dots([arm.name for arm in found.arms], found.accuracy.tolist()),
            table=_table(found),
            means=[_mean(found, k) for k in range(len(found.arms))],
            reach=_widest(found),
            curves=_curves(found),
            arms=[_arm_section(found, k, look) for k in range(1, len(found.arms))],
            costs=[_cost(found, k) for k in range(len(found.arms))],
            colours=[colour(k) for k in range(len(found.arms))],
            total=duration(sum(one.result["seconds"] for row in found.runs for one in row)),
            command=command,
            question=found.question,
        )
    )


def _figure(found: Comparison, against: list[Paired]) -> Markup:
    rows = [
        Against(
            one.arm,
            colour(k),
            [float(gap) for gap in 100 * (found.accuracy[k] - found.accuracy[0])],
            one.difference.mean,
            one.difference.interval.low,
            one.difference.interval.high,
            (one.with_pictures.low, one.with_pictures.high) if one.with_pictures else None,
        )
        for k, one in enumerate(against, start=1)
    ]
    return against_zero(rows, found.margin, found.arms[0].name)


def _line(one: Paired, k: int) -> Line:
    p_values = np.array(one.mcnemar)
    return Line(
        name=one.arm,
        colour=colour(k),
        said=one.said,
        kind={"helps": "right", "hurts": "wrong"}.get(one.verdict, "muted"),
        mean=signed(one.difference.mean),
        interval=_interval(one.difference.interval),
        wide=_interval(one.with_pictures) if one.with_pictures else "–",
        p=_p_value(one.corrected_p),
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


def _table(found: Comparison) -> list[tuple[int, list[str], list[str]]]:
    """One row a seed: accuracies of all arms, differences of all but the first."""
    gaps = 100 * (found.accuracy - found.accuracy[0])  # shown for up to three arms: more columns do not fit
    return [
        (seed, [f"{100 * a:.2f} %" for a in found.accuracy[:, s]], [signed(g) for g in gaps[1:, s]])
        for s, seed in enumerate(found.seeds)
    ]


def _mean(found: Comparison, k: int) -> Mean:
    row, interval = found.accuracy[k], found.intervals[k]
    return Mean(
        name=found.arms[k].name,
        colour=colour(k),
        mean=f"{100 * row.mean():.2f} %",
        interval=f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %",
        range=f"{100 * row.min():.2f} to {100 * row.max():.2f} %",
    )


def _widest(found: Comparison) -> str:
    """How far a single run's accuracy is known from its test pictures alone: the widest of all runs' intervals, in points."""
    intervals = (run.evaluation.interval for row in found.runs for run in row)
    return f"{100 * max((one.high - one.low) / 2 for one in intervals):.1f}"


def _curves(found: Comparison) -> tuple[Markup, Markup] | None:
    """Accuracy and loss on val by epoch; None where some arm has no epochs."""
    histories = [[run.history for run in row] for row in found.runs]
    if not all(history for row in histories for history in row):
        return None

    def bands(what: str) -> list[Band]:
        out = []
        for k, (arm, row) in enumerate(zip(found.arms, histories, strict=True)):
            shortest = min(len(history) for history in row)  # patience may have ended some runs sooner
            values = np.array([[getattr(one, what) for one in history[:shortest]] for history in row])
            out.append(
                Band(
                    colour(k),
                    arm.name,
                    values.mean(axis=0).tolist(),
                    values.min(axis=0).tolist(),
                    values.max(axis=0).tolist(),
                )
            )
        return out

    accuracy = banded("Accuracy on val", bands("val_accuracy"), as_percent=True)
    return accuracy, banded("Loss on val", bands("val_loss"))


def _arm_section(found: Comparison, k: int, look: Look) -> ArmSection:
    flipped = flips(found, k)
    classes = class_differences(found, k)
    ends = [abs(v) for one in classes for v in (*one.difference.interval[:2], one.difference.mean) if math.isfinite(v)]
    reach = max(ends, default=1.0) or 1.0

    def shown(some: tuple[Flip, ...]) -> tuple[ShownFlip, ...]:
        return tuple(
            ShownFlip(one, thumbnail(look(0, one.id)), thumbnail(look(k, one.id))) for one in some[:SHOWN_FLIPS]
        )

    return ArmSection(
        name=found.arms[k].name,
        colour=colour(k),
        changes=tuple(found.changes(k)),
        classes=tuple(_class_line(one, reach, found.level) for one in classes),
        gained=len(flipped.gained),
        lost=len(flipped.lost),
        asked=flipped.asked,
        shown_gained=shown(flipped.gained),
        shown_lost=shown(flipped.lost),
    )


def _class_line(one: ClassDifference, reach: float, level: float) -> ClassLine:
    low, high, _ = one.difference.interval
    holds = one.corrected_p <= 1 - level
    kind = "other" if not holds else "right" if one.difference.mean > 0 else "wrong"
    return ClassLine(
        name=one.name,
        pictures=one.pictures,
        mean=signed(one.difference.mean),
        interval=_interval(one.difference.interval),
        p=_p_value(one.corrected_p),
        kind=kind,
        figure=small_interval(one.difference.mean, low, high, reach, kind),
    )


def _cost(found: Comparison, k: int) -> Cost:
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


def _interval(interval: Interval) -> str:
    low, high, _ = interval
    return f"{signed(low)} to {signed(high)}" if math.isfinite(low) else "–"


def _p_value(p: float) -> str:
    """A p value as it is written.

    >>> _p_value(0.0371), _p_value(0.00004), _p_value(1.0)
    ('0.037', '< 0.001', '1.000')
    """
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _listed(names: list[str]) -> str:
    """Names in a row.

    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
