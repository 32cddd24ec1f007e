"""Report section on confidence: calibration of the probabilities, and results of abstaining."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from foveola.evaluation.calibration import CalibrationError
from foveola.evaluation.calibration_report import CalibrationReport
from foveola.evaluation.conformal import CoverageShare, coverage_range
from foveola.report.confidence_figures import abstention_bar, axis_start, reliability_diagram
from foveola.report.words import percent

FEW = 200
"""With fewer calibration images the section says that a prior keeps the temperature near 1."""


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

    how: how the calibration images were held out, "" if the run has none; worse: whether the temperature increases the
    calibration error on the test set; axis_from: the start of the diagram's axes, "" for 0.
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
    example: RateLine | None


def confidence_section(confidence: CalibrationReport) -> ConfidenceSection:
    """Collect the section's values."""
    calibration, error, before = confidence.calibration, confidence.error, confidence.error_before
    n = 0 if calibration is None else len(calibration)
    rings = () if calibration is None else confidence.bins_before
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
        how="" if calibration is None else calibration.how,
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
        example=rates[0] if rates else None,
    )


def _in_words(error: CalibrationError) -> ErrorText:
    return ErrorText(percent(error.value), _range(error.interval.low, error.interval.high))


def with_interval(share: CoverageShare) -> str:
    """A share with its 95 % interval, or "–" if there are no images."""
    low, high, _ = share.interval
    return "–" if math.isnan(share.share) else f"{percent(share.share)} ({_range(low, high)})"


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"
