"""The comparison page: one HTML file with the verdict on each arm, its uncertainty and the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from foveola.comparison.arms import Change
from foveola.comparison.disagreements import (
    ChangedPrediction,
    ChangedPredictions,
    ClassDifference,
    changed_predictions,
    class_differences,
)
from foveola.comparison.result import Comparison, PairedResult
from foveola.report.comparison_figures import (
    DOTS_PX,
    AgainstZero,
    against_zero,
    colour,
    paired_dots,
    signed,
    small_interval,
)
from foveola.report.comparison_text import cost_of, interval_text, line_of, mean_of, p_value_text, steady
from foveola.report.curves import Band, banded
from foveola.report.formatting import Thumbnail, date, environment, thumbnail
from foveola.text import duration, joined
from foveola.types import Image

SECTIONS = (
    ("answer", "Result"),
    ("differs", "What differs"),
    ("seeds", "Results by seed"),
    ("learning", "Training"),
    ("classes", "Results by class"),
    ("flips", "Changed predictions"),
    ("cost", "Time and memory"),
    ("methods", "Methods"),
)

SHOWN_CHANGES = 12
"""Images shown of an arm, at most, gained and lost each: they take most of the page's bytes."""

EXACT_IMAGES = 1000
"""With this many test images of a class, differences have two decimals; with fewer, one."""

ImageOf = Callable[[int, str], Image]
"""(arm number, image id) to the image as that arm's network sees it: uint8 (h, w, 3)."""


def render(found: Comparison, image_of: ImageOf, *, command: str = "") -> str:
    """Render the page as HTML text; the same runs give the same text. image_of: gives an image as an arm sees it."""
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
            title=f"{joined(arm.name for arm in found.arms[1:])} against {found.arms[0].name}",
            baseline=found.arms[0].name,
            against=against,
            lines=[line_of(found, one, k + 1) for k, one in enumerate(against)],
            figure=_figure(found, against),
            dots=paired_dots([arm.name for arm in found.arms], found.accuracy.tolist()),
            table=_table(found),
            means=[mean_of(found, k) for k in range(len(found.arms))],
            reach=_widest(found),
            curves=_curves(found),
            arms=[arm_section(found, k, image_of) for k in range(1, len(found.arms))],
            costs=[cost_of(found, k) for k in range(len(found.arms))],
            colours=[colour(k) for k in range(len(found.arms))],
            total=duration(sum(one.result["seconds"] for row in found.runs for one in row)),
            command=command,
            steady=steady(found),
            made=date(max(one.environment["started"] for row in found.runs for one in row)),
            dots_px=DOTS_PX,
            question=found.question,
        )
    )


def _figure(found: Comparison, against: list[PairedResult]) -> Markup:
    rows = [
        AgainstZero(
            one.arm,
            colour(k),
            found.gaps[k].tolist(),
            one.difference.mean,
            one.difference.interval.low,
            one.difference.interval.high,
            (one.with_images.low, one.with_images.high) if one.with_images else None,
        )
        for k, one in enumerate(against, start=1)
    ]
    return against_zero(rows, found.margin, found.arms[0].name)


def _table(found: Comparison) -> list[tuple[int, list[str], list[str]]]:
    """One row for each seed: the accuracies of all arms, and their differences to the first."""
    return [
        (seed, [f"{100 * a:.2f} %" for a in found.accuracy[:, s]], [signed(gap) for gap in found.gaps[1:, s]])
        for s, seed in enumerate(found.seeds)
    ]


def _widest(found: Comparison) -> str:
    """Half the width of the widest 95 % interval of any run's accuracy, in percentage points."""
    intervals = (run.evaluation.interval for row in found.runs for run in row)
    return f"{100 * max((one.high - one.low) / 2 for one in intervals):.1f}"


def _curves(found: Comparison) -> tuple[Markup, Markup] | None:
    """Validation accuracy and loss by epoch; None if an arm has no epochs."""
    histories = [[run.history for run in row] for row in found.runs]
    if not all(history for row in histories for history in row):
        return None

    def bands(what: str) -> list[Band]:
        out = []
        for k, (arm, row) in enumerate(zip(found.arms, histories, strict=True)):
            shortest = min(len(history) for history in row)  # early stopping may have ended some runs sooner
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


@dataclass(frozen=True)
class ClassLine:
    """One class: difference, interval and p as text and as a figure; sign: "▲ more" or "▼ fewer" if significant."""

    name: str
    images: int
    mean: str
    interval: str
    p: str
    sign: str
    figure: Markup


@dataclass(frozen=True)
class ShownChange:
    """An image whose prediction changed, as the baseline's network sees it and as the arm's does."""

    prediction: ChangedPrediction
    before: Thumbnail
    after: Thumbnail


@dataclass(frozen=True)
class ArmSection:
    """Values of one arm's tables: its settings, its classes and the test images whose prediction changed.

    gained, lost: the number of such images among the `asked` ones; 0 if the seeds have different test images.
    """

    name: str
    colour: str
    changes: tuple[Change, ...]
    classes: tuple[ClassLine, ...]
    gained: int
    lost: int
    asked: int
    shown_gained: tuple[ShownChange, ...]
    shown_lost: tuple[ShownChange, ...]


def arm_section(found: Comparison, k: int, image_of: ImageOf) -> ArmSection:
    """Collect the values of arm number k. image_of: gives an image as an arm sees it."""
    # An image that only one seed tested says nothing about an arm.
    changed = changed_predictions(found, k) if found.one_test_part else ChangedPredictions((), (), 0)
    classes = class_differences(found, k)
    ends = [abs(v) for one in classes for v in (*_possible(one), one.difference.mean) if math.isfinite(v)]
    reach = max(ends, default=1.0) or 1.0

    def shown(some: tuple[ChangedPrediction, ...]) -> tuple[ShownChange, ...]:
        return tuple(
            ShownChange(one, thumbnail(image_of(0, one.id)), thumbnail(image_of(k, one.id)))
            for one in some[:SHOWN_CHANGES]
        )

    return ArmSection(
        name=found.arms[k].name,
        colour=colour(k),
        changes=tuple(found.changes(k)),
        classes=tuple(_class_line(one, reach, found.level, colour(k)) for one in classes),
        gained=len(changed.gained),
        lost=len(changed.lost),
        asked=changed.asked,
        shown_gained=shown(changed.gained),
        shown_lost=shown(changed.lost),
    )


def _possible(one: ClassDifference) -> tuple[float, float]:
    """The interval clipped to -100..100 points, the largest possible differences."""
    low, high, _ = one.difference.interval
    return (max(low, -100.0), min(high, 100.0)) if math.isfinite(low) else (low, high)


def _class_line(one: ClassDifference, reach: float, level: float, arm_colour: str) -> ClassLine:
    low, high = _possible(one)
    places = 2 if one.images >= EXACT_IMAGES else 1
    holds = one.corrected_p <= 1 - level
    sign = "" if not holds else "▲ more" if one.difference.mean > 0 else "▼ fewer"
    kind = f"{arm_colour} {'held' if holds else 'open'}"
    return ClassLine(
        name=one.name,
        images=one.images,
        mean=signed(one.difference.mean, places),
        interval=interval_text(one.difference.interval._replace(low=low, high=high), places),
        p=p_value_text(one.corrected_p),
        sign=sign,
        figure=small_interval(one.difference.mean, low, high, reach, kind),
    )
