"""Report sections on the test results: metrics by class, confusion matrix, test images, worst mistakes, and confidence
(calibration of the probabilities, results of abstaining)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from foveola.evaluation.calibration import CalibrationReport
from foveola.evaluation.conformal import coverage_range
from foveola.evaluation.intervals import Proportion
from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.reliability import CalibrationError
from foveola.report.formatting import Thumbnail, thumbnail
from foveola.report.svg import (
    abstention_bar,
    axis_start,
    compact_matrix,
    probability_bar,
    reliability_diagram,
)
from foveola.runs.previews import STRIP, WORST, KeptImages, rows_of_grid
from foveola.text import percent
from foveola.types import Indices

NUMBERED_CLASSES, CONFUSIONS, BARS = 25, 20, 5
"""Up to 25 classes the confusion matrix shows counts; with more, the 20 most frequent confusions are listed. Bars: the
number of classes with a probability bar."""

FEW = 200
"""With fewer calibration images the section says that a prior keeps the temperature near 1."""


@dataclass(frozen=True)
class ClassLine:
    """Metrics of one class as text, the 95 % interval and bar of its recall, its number of test images; "–" if undefined."""

    name: str
    precision: str
    recall: str
    interval: str
    f1: str
    support: int
    bar: Markup


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix: count, share of its row (0..1), description and CSS class."""

    count: int
    share: float
    text: str
    kind: str


@dataclass(frozen=True)
class Confusion:
    """A kind of mistake: the images of class `true` that were predicted as `predicted`, and their share of that class."""

    true: str
    predicted: str
    count: int
    share: str


@dataclass(frozen=True)
class Bar:
    """The probability of one class; kind: right, wrong or other; sign: the same as text, for readers without colour."""

    name: str
    probability: str
    kind: str
    sign: str
    figure: Markup


@dataclass(frozen=True)
class ShownPrediction:
    """One test image as the network saw it, its prediction, and bars for the most probable classes."""

    image: Thumbnail
    name: str
    true: str
    predicted: str
    right: bool
    true_probability: str
    predicted_probability: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class PredictionsSection:
    """Values of these sections; either cells (few classes) or matrix and confusions (many classes)."""

    lines: tuple[ClassLine, ...]
    cells: tuple[tuple[Cell, ...], ...]
    matrix: Markup | None
    confusions: tuple[Confusion, ...]
    wrong: int
    grid: tuple[ShownPrediction, ...]
    strip: tuple[ShownPrediction, ...]
    worst: tuple[ShownPrediction, ...]


def predictions_section(evaluation: Evaluation, images: KeptImages) -> PredictionsSection:
    """Collect the sections' values. Images are shown with their prediction in the first repeat of a cross-validation."""
    few, once = len(evaluation.class_names) <= NUMBERED_CLASSES, evaluation.once
    shown = rows_of_grid(len(once))

    @cache  # the strip repeats images of the grid
    def prediction(row: int) -> ShownPrediction:
        return _shown_prediction(once, images, row)

    def predictions(rows: Indices) -> tuple[ShownPrediction, ...]:
        return tuple(prediction(int(row)) for row in rows)

    return PredictionsSection(
        lines=class_lines(evaluation),
        cells=confusion_cells(evaluation) if few else (),
        matrix=None if few else compact_matrix(evaluation.confusion_shares),
        confusions=() if few else frequent_confusions(evaluation),
        wrong=int((~once.correct).sum()),
        grid=predictions(shown),
        strip=predictions(shown[rows_of_grid(len(shown), STRIP)]),
        worst=predictions(once.worst(WORST)),
    )


def class_lines(evaluation: Evaluation) -> tuple[ClassLine, ...]:
    """Precision and recall of each class as percentages, and F1."""
    called = evaluation.confusion.sum(axis=0)
    out = []
    for row, n_called in zip(evaluation.per_class, called, strict=True):
        precision = percent(row.precision) if n_called else "–"
        recall = percent(row.recall) if row.support else "–"
        f1 = f"{row.f1:.3f}" if row.support or n_called else "–"
        interval = f"{100 * row.recall_low:.1f} to {100 * row.recall_high:.1f}" if row.support else "–"
        bar = probability_bar(row.recall, "right")
        out.append(ClassLine(row.name, precision, recall, interval, f1, row.support, bar))
    return tuple(out)


def confusion_cells(evaluation: Evaluation) -> tuple[tuple[Cell, ...], ...]:
    """The confusion matrix cell by cell, rows true, columns predicted."""
    names, counts = evaluation.class_names, evaluation.counts.tolist()
    confusion, shares = evaluation.confusion, evaluation.confusion_shares

    def cell(i: int, j: int) -> Cell:
        n, of, share = int(confusion[i, j]), counts[i], float(shares[i, j])
        text = f"true {names[i]}, predicted {names[j]}: {n:,} of {of:,}" + (f" ({percent(share)})" if of else "")
        return Cell(n, share, text, "none" if not n else "hit" if i == j else "miss")

    return tuple(tuple(cell(i, j) for j in range(len(names))) for i in range(len(names)))


def frequent_confusions(evaluation: Evaluation) -> tuple[Confusion, ...]:
    """The most frequent confusions; equally frequent ones in the order of the classes."""
    names, mistakes, shares = evaluation.class_names, evaluation.confusion.copy(), evaluation.confusion_shares
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [(i, j, int(mistakes[i, j])) for i, j in zip(*np.unravel_index(order, mistakes.shape), strict=True)]
    return tuple(Confusion(names[i], names[j], n, percent(float(shares[i, j]))) for i, j, n in pairs if n)


def _shown_prediction(evaluation: Evaluation, images: KeptImages, row: int) -> ShownPrediction:
    true, predicted = int(evaluation.labels[row]), int(evaluation.predicted[row])
    probabilities = evaluation.probabilities[row]
    return ShownPrediction(
        image=thumbnail(images.of(row)),
        name=evaluation.ids[row],
        true=evaluation.class_names[true],
        predicted=evaluation.class_names[predicted],
        right=true == predicted,
        true_probability=percent(probabilities[true]),
        predicted_probability=percent(probabilities[predicted]),
        bars=tuple(_bar(evaluation, row, k) for k in evaluation.likely_classes(row, BARS)),
    )


def _bar(evaluation: Evaluation, row: int, k: int) -> Bar:
    true, predicted = int(evaluation.labels[row]), int(evaluation.predicted[row])
    kind = "other" if k != predicted else "right" if k == true else "wrong"
    sign = {"right": "✓ true", "wrong": "✗ predicted", "other": "◂ true" if k == true else ""}[kind]
    share = float(evaluation.probabilities[row, k])
    return Bar(evaluation.class_names[k], percent(share), kind, sign, probability_bar(share, kind))


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
    calibration error on the test set; axis_from: the start of the diagram's axes, "" for 0; fewer: whether a larger allowed
    error rate gave fewer predictions.
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
    fewer: bool
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
        fewer=any(b.answered.many < a.answered.many for a, b in pairwise(confidence.abstentions)),
        example=rates[0] if rates else None,
    )


def _in_words(error: CalibrationError) -> ErrorText:
    return ErrorText(percent(error.value), _range(error.interval.low, error.interval.high))


def with_interval(share: Proportion) -> str:
    """A share with its 95 % interval, or "–" if there are no images."""
    low, high, _ = share.interval
    return "–" if math.isnan(share.share) else f"{percent(share.share)} ({_range(low, high)})"


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"
