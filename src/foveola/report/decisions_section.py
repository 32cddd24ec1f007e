"""Report section on one class against the rest: ROC and precision-recall curve, the threshold and its rates, the areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from foveola.evaluation.calibration import Calibration, How
from foveola.evaluation.decisions import Rates, Threshold
from foveola.evaluation.headline import threshold as in_percent
from foveola.evaluation.intervals import Proportion, independent_images
from foveola.evaluation.metrics import Evaluation, Floats
from foveola.evaluation.roc import Band, Roc, main_class, one_against_rest, roc_curve
from foveola.evaluation.threshold_choice import CONFIDENCE, Goal, min_images
from foveola.report.results_section import with_interval
from foveola.report.svg import HEIGHT, LEFT, SIDE, TOP, WIDTH, Square, axes, svg
from foveola.text import percent

EXAMPLES = (0.95, 0.9, 0.8)
"""The sensitivities that the page suggests, the first one that the held-out images can guarantee."""

PLACES = np.linspace(0, 1, 201)
"""Where the bands are drawn: more would not be visible."""


@dataclass(frozen=True)
class AreaLine:
    """The areas of one class as text, with their 95 % intervals; "–" without images of the class."""

    name: str
    auc: str
    average_precision: str
    support: int


@dataclass(frozen=True)
class Curves:
    """The curves of one class and their areas as text.

    share: the share of the class among the test images, the precision of calling all images positive.
    """

    positive: str
    roc: Markup
    precision: Markup
    auc: str
    average_precision: str
    share: str
    n_positive: int
    n_negative: int


@dataclass(frozen=True)
class RateRow:
    """One rate of a threshold: its name, what it is the share of, its value with the interval, and the counts."""

    name: str
    of: str
    value: str
    counts: str


@dataclass(frozen=True)
class ThresholdSection:
    """The threshold and its measured rates, as text; part: see `Calibration.how`."""

    positive: str
    value: str
    goal: Goal
    rate: str
    confidence: str
    part: How
    n_positive: int
    n_negative: int
    rates: tuple[RateRow, ...]


@dataclass(frozen=True)
class Example:
    """A threshold that the run could have: its class and the least sensitivity, None if only costs are possible."""

    positive: str
    rate: float | None


@dataclass(frozen=True)
class DecisionsSection:
    """Values of the section. Curves are None for several classes without a threshold; areas are () for two classes.

    example: a threshold that the reader could choose; None if there is one, or if the run has no images to choose it on.
    """

    curves: Curves | None
    threshold: ThresholdSection | None
    areas: tuple[AreaLine, ...]
    example: Example | None


def decisions_section(evaluation: Evaluation, threshold: Threshold | None, held_out: Calibration) -> DecisionsSection:
    """Collect the section's values; held_out: the predictions that a threshold would be chosen on."""
    shown = main_class(evaluation, threshold.positive if threshold else None)
    rates = threshold.measure(evaluation) if threshold else None
    two = len(evaluation.class_names) == 2
    return DecisionsSection(
        curves=None if shown is None else _curves(roc_curve(evaluation, shown), rates),
        threshold=None if threshold is None or rates is None else _threshold(threshold, rates),
        areas=() if two and shown else _areas(evaluation),
        example=None if threshold else _example(evaluation, held_out, shown),
    )


def _example(evaluation: Evaluation, held_out: Calibration, shown: str | None) -> Example | None:
    """A threshold for the class of the curves, or for the rarest one, with a sensitivity that the run can guarantee."""
    positive = shown or evaluation.class_names[int(evaluation.counts.argmin())]
    is_positive, origin = held_out.labels == evaluation.class_names.index(positive), evaluation.out_of_fold
    if origin is None:
        images = int(is_positive.sum())
    else:
        outside = [origin.fold != fold for fold in range(origin.folds)]
        images = min(independent_images(is_positive[rows], origin.units[rows]) for rows in outside)
    if not images or is_positive.all():
        return None
    return Example(positive, next((rate for rate in EXAMPLES if images >= min_images(rate)), None))


def _areas(evaluation: Evaluation) -> tuple[AreaLine, ...]:
    rocs = zip(evaluation.class_names, evaluation.counts.tolist(), one_against_rest(evaluation), strict=True)
    return tuple(AreaLine(name, *(_areas_as_text(roc) if roc else ("–", "–")), n) for name, n, roc in rocs)


def _areas_as_text(roc: Roc) -> tuple[str, str]:
    intervals = ((roc.auc, roc.auc_interval), (roc.average_precision, roc.average_precision_interval))
    auc, precision = (f"{value:.3f} ({low:.3f} to {high:.3f})" for value, (low, high, _) in intervals)
    return auc, precision


def _curves(roc: Roc, rates: Rates | None) -> Curves:
    auc, precision = _areas_as_text(roc)
    share = roc.n_positive / (roc.n_positive + roc.n_negative)
    figures = roc_figure(roc, rates), precision_figure(roc, rates)
    return Curves(roc.positive, *figures, auc, precision, percent(share), roc.n_positive, roc.n_negative)


def _threshold(threshold: Threshold, rates: Rates) -> ThresholdSection:
    name = f"‘{threshold.positive}’"
    rows = (
        ("Sensitivity", f"images of {name} that are predicted as it", rates.sensitivity),
        ("Specificity", f"images of other classes that are not predicted as {name}", rates.specificity),
        ("Precision", f"images predicted as {name} that are of it", rates.precision),
        (
            "Negative predictive value",
            f"images not predicted as {name} that are of another class",
            rates.negative_predictive_value,
        ),
        ("Accuracy", "all images that get their true class", rates.accuracy),
    )
    return ThresholdSection(
        positive=threshold.positive,
        value=in_percent(threshold.value),
        goal=threshold.goal,
        rate=f"{100 * threshold.goal.rate:g} %",
        confidence=f"{100 * CONFIDENCE:g} %",
        part=threshold.part,
        n_positive=threshold.n_positive,
        n_negative=threshold.n_negative,
        rates=tuple(RateRow(name, of, with_interval(rate), _counts(rate)) for name, of, rate in rows),
    )


def _counts(rate: Proportion) -> str:
    return f"{rate.many:,} of {rate.n:,}"


def roc_figure(roc: Roc, rates: Rates | None) -> Markup:
    """The ROC curve with its 95 % band as SVG; rates: of the threshold that is marked."""
    curve = (roc.false_positive_rate, roc.true_positive_rate)
    mark = None if rates is None else (1 - rates.specificity.share, rates.sensitivity.share)
    text = f"ROC curve of {roc.positive} against the rest: area {roc.auc:.3f}"
    chance = f'<line class="diagonal" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{TOP + SIDE}" y2="{TOP}"/>'
    return _figure("false positive rate", curve, roc.roc_band(PLACES), chance, mark, text)


def precision_figure(roc: Roc, rates: Rates | None) -> Markup:
    """The precision-recall curve with its 95 % band as SVG; rates: of the threshold that is marked."""
    # a step: from one recall to the next the precision is that of the next, as the average precision counts it
    curve = (np.repeat(roc.true_positive_rate, 2)[1:-1], np.repeat(roc.precision[1:], 2))
    marked = rates is not None and rates.precision.n
    mark = (rates.sensitivity.share, rates.precision.share) if rates is not None and marked else None
    text = f"Precision-recall curve of {roc.positive} against the rest: average precision {roc.average_precision:.3f}"
    y = Square().y(roc.n_positive / (roc.n_positive + roc.n_negative))
    chance = f'<line class="diagonal" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{y}" y2="{y}"/>'
    return _figure("recall", curve, roc.precision_band(PLACES), chance, mark, text)


def _figure(
    title: str, curve: tuple[Floats, Floats], band: Band, chance: str, mark: tuple[float, float] | None, text: str
) -> Markup:
    square = Square()
    edge = [*zip(PLACES, band.high, strict=True), *reversed([*zip(PLACES, band.low, strict=True)])]
    body = (
        axes(square, title)
        + chance
        + f'<polygon class="band" points="{" ".join(f"{square.x(x)},{square.y(y)}" for x, y in edge)}"/>'
        + f'<path class="line" d="M{"L".join(_places(square, curve))}"/>'
    )
    if mark is not None:
        body += f'<circle class="dot" cx="{square.x(mark[0])}" cy="{square.y(mark[1])}" r="5"/>'
        text += f"; the threshold is at {percent(mark[0])} and {percent(mark[1])}"
    return svg(f'class="roc" viewBox="0 0 {WIDTH} {HEIGHT}"', text, body)


def _places(square: Square, curve: tuple[Floats, Floats]) -> Sequence[str]:
    """The curve's points, those that a reader could not tell apart once: a third of a pixel."""
    rounded = np.round(np.stack(curve, axis=1) * SIDE * 3).astype(np.int64)
    kept = np.append(True, (np.diff(rounded, axis=0) != 0).any(axis=1))
    return [f"{square.x(x)} {square.y(y)}" for x, y in np.stack(curve, axis=1)[kept]]
