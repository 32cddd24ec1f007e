"""Comparison page, part of one arm: its settings, its results by class and the images whose prediction changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from foveola.comparison.arms import Change
from foveola.comparison.disagreements import (
    ChangedPrediction,
    ChangedPredictions,
    ClassDifference,
    changed_predictions,
    class_differences,
)
from foveola.comparison.result import Comparison
from foveola.report.comparison_figures import colour, signed, small_interval
from foveola.report.comparison_words import interval_text, p_value_text
from foveola.report.thumbnails import Thumbnail, thumbnail
from foveola.types import Image

Look = Callable[[int, str], Image]
"""(arm number, image id) to the image as that arm's network sees it: uint8 (h, w, 3)."""

SHOWN_FLIPS = 12
"""Images shown of an arm, at most, gained and lost each: they take most of the page's bytes."""

EXACT_IMAGES = 1000
"""With this many test images of a class, differences have two decimals; with fewer, one."""


@dataclass(frozen=True)
class ClassLine:
    """One class: difference, interval and p as text and as a figure; sign: "▲ more" or "▼ fewer" if significant."""

    name: str
    pictures: int
    mean: str
    interval: str
    p: str
    sign: str
    figure: Markup


@dataclass(frozen=True)
class ShownFlip:
    """An image whose prediction changed, as the baseline's network sees it and as the arm's does."""

    flip: ChangedPrediction
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
    shown_gained: tuple[ShownFlip, ...]
    shown_lost: tuple[ShownFlip, ...]


def arm_section(found: Comparison, k: int, look: Look) -> ArmSection:
    """Collect the values of arm number k. look: gives an image as an arm sees it."""
    # An image that only one seed tested says nothing about an arm.
    flipped = changed_predictions(found, k) if found.one_test_part else ChangedPredictions((), (), 0)
    classes = class_differences(found, k)
    ends = [abs(v) for one in classes for v in (*_possible(one), one.difference.mean) if math.isfinite(v)]
    reach = max(ends, default=1.0) or 1.0

    def shown(some: tuple[ChangedPrediction, ...]) -> tuple[ShownFlip, ...]:
        return tuple(
            ShownFlip(one, thumbnail(look(0, one.id)), thumbnail(look(k, one.id))) for one in some[:SHOWN_FLIPS]
        )

    return ArmSection(
        name=found.arms[k].name,
        colour=colour(k),
        changes=tuple(found.changes(k)),
        classes=tuple(_class_line(one, reach, found.level, colour(k)) for one in classes),
        gained=len(flipped.gained),
        lost=len(flipped.lost),
        asked=flipped.asked,
        shown_gained=shown(flipped.gained),
        shown_lost=shown(flipped.lost),
    )


def _possible(one: ClassDifference) -> tuple[float, float]:
    """The interval clipped to -100..100 points, the largest possible differences."""
    low, high, _ = one.difference.interval
    return (max(low, -100.0), min(high, 100.0)) if math.isfinite(low) else (low, high)


def _class_line(one: ClassDifference, reach: float, level: float, arm_colour: str) -> ClassLine:
    low, high = _possible(one)
    places = 2 if one.pictures >= EXACT_IMAGES else 1
    holds = one.corrected_p <= 1 - level
    sign = "" if not holds else "▲ more" if one.difference.mean > 0 else "▼ fewer"
    kind = f"{arm_colour} {'held' if holds else 'open'}"
    return ClassLine(
        name=one.name,
        pictures=one.pictures,
        mean=signed(one.difference.mean, places),
        interval=interval_text(one.difference.interval._replace(low=low, high=high), places),
        p=p_value_text(one.corrected_p),
        sign=sign,
        figure=small_interval(one.difference.mean, low, high, reach, kind),
    )
