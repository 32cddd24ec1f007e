"""Calibration and abstention results of a run, as numbers under the names of docs/reference/json.md."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

from foveola.evaluation.calibration import Bin, Calibration, CalibrationError, calibration_error, reliability
from foveola.evaluation.conformal import Abstention, coverage_range
from foveola.evaluation.metrics import Evaluation


class CalibrationReport:
    """Calibration of an evaluation's probabilities, with and without the temperature.

    calibration: the held-out predictions of the run.
    """

    def __init__(self, evaluation: Evaluation, calibration: Calibration) -> None:
        self.evaluation, self.calibration = evaluation, calibration
        self.uncalibrated = replace(evaluation, temperature=1.0)

    @cached_property
    def error(self) -> CalibrationError:
        """The expected calibration error of the calibrated probabilities."""
        return calibration_error(self.evaluation.confidence, self.evaluation.correct)

    @cached_property
    def error_before(self) -> CalibrationError:
        """The same without the temperature."""
        return calibration_error(self.uncalibrated.confidence, self.evaluation.correct)

    @cached_property
    def bins(self) -> tuple[Bin, ...]:
        """The reliability diagram."""
        return reliability(self.evaluation.confidence, self.evaluation.correct)

    @cached_property
    def bins_before(self) -> tuple[Bin, ...]:
        """The same without the temperature."""
        return reliability(self.uncalibrated.confidence, self.evaluation.correct)

    @cached_property
    def abstentions(self) -> list[Abstention]:
        """The results of abstaining, for each error rate with enough calibration images."""
        return self.calibration.abstentions(self.evaluation)

    def numbers(self) -> dict[str, Any]:
        """All results for JSON."""
        n = len(self.calibration)
        return {
            "temperature": self.evaluation.temperature,
            "n_calibration": n,
            "calibration_part": self.calibration.how,
            "test_loss_uncalibrated": self.uncalibrated.loss,
            "ece": self.error.value,
            "ece_low": self.error.interval.low,
            "ece_high": self.error.interval.high,
            "ece_by_chance": self.error.by_chance,
            "ece_uncalibrated": self.error_before.value,
            "ece_uncalibrated_low": self.error_before.interval.low,
            "ece_uncalibrated_high": self.error_before.interval.high,
            "reliability": [_bin(one) for one in self.bins],
            "abstain": [abstention_numbers(one, n) for one in self.abstentions],
        }


def abstention_numbers(one: Abstention, n_calibration: int) -> dict[str, Any]:
    """The results of abstaining, for JSON; a share of no images is null, and its interval 0 to 1."""
    out: dict[str, Any] = {"error": one.error}
    shares = {
        "coverage": one.covered,
        "answered": one.answered,
        "wrong": one.wrong,
        "wrong_of_answered": one.wrong_answers,
    }
    for name, share in shares.items():
        low, high, _ = share.interval
        value = None if math.isnan(share.share) else share.share
        out |= {name: value, f"{name}_low": low, f"{name}_high": high}
    expected = coverage_range(n_calibration, one.error)
    return {**out, "coverage_expected_low": expected.low, "coverage_expected_high": expected.high}


def _bin(one: Bin) -> dict[str, Any]:
    return {
        "low": one.low,
        "high": one.high,
        "confidence": one.confidence,
        "accuracy": one.accuracy,
        "accuracy_low": one.interval.low,
        "accuracy_high": one.interval.high,
        "n": one.n,
    }
