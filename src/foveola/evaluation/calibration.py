"""Calibration of probabilities: temperature scaling, reliability diagram, expected calibration error; abstaining.

Of a hundred predictions with a probability of 80 % about eighty should be right. Everything here is NumPy on logits and
labels.

The calibration set of a run is a set of predictions on images that the network was not trained on. It is the validation
set; or, if the last layer is trained on the validation set too, the out-of-fold predictions of 10-fold cross-validation
over train and val; or, in a run with folds, the out-of-fold predictions of all images.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from foveola.errors import UsageError
from foveola.evaluation import conformal
from foveola.evaluation.metrics import Evaluation, Floats, mean_loss, softmax
from foveola.evaluation.reliability import Bin, CalibrationError, calibration_error, reliability
from foveola.storage import write_atomic
from foveola.text import count
from foveola.types import Indices, Labels

SPREAD = 0.25
"""Standard deviation of the normal prior of log T around 0. Without images T is 1; with 5,000 the prior has no noticeable
effect. Measured in docs/why/confidence.md."""

_BOUNDS = (0.05, 20.0)


def fit_temperature(logits: NDArray[np.float32], labels: Labels, *, spread: float = SPREAD) -> float:
    """Temperature scaling: fit the T > 0 for which softmax(logits / T) fits the labels best; T = 1 changes nothing.

    logits: float32 (n, K); labels: int64 (n,). Minimises the summed cross-entropy plus (log T)^2 / (2 spread^2), T within
    0.05 to 20, six digits. Without the second term (spread = inf) this is the method of C. Guo et al., "On Calibration of
    Modern Neural Networks", ICML 2017, arXiv:1706.04599. The term is a prior that limits the effect of few images: without
    it, eight correct predictions alone would pull T to 0. The prediction does not change.
    """
    if not len(labels):
        return 1.0
    # 0.4 s after torch: only at the end of a run.
    from scipy.optimize import minimize_scalar

    def misfit(log_t: float) -> float:
        loss = mean_loss(logits, labels, float(np.exp(log_t))) * len(labels)
        return loss + log_t**2 / (2 * spread**2)

    # A coarse grid first: with the prior the misfit may have more than one minimum.
    low, high = np.log(_BOUNDS)
    places = np.linspace(low, high, 25)
    best = int(np.argmin([misfit(place) for place in places]))
    valley = (places[max(0, best - 1)], places[min(len(places) - 1, best + 1)])
    found = minimize_scalar(misfit, bounds=valley, method="bounded", options={"xatol": 1e-7})
    return float(f"{np.exp(found.x):.6g}")


MOST = 5_000
"""Largest number of calibration images. It gives a coverage at 0.1 within ±0.8 points, by Vovk's Beta interval."""

ENOUGH = 1_000
"""With this many validation images the last layer is calibrated on them, before it is trained on them too. With fewer,
it is calibrated by cross-validation."""

FOLDS = 10
"""Folds of the cross-validation: each last layer is trained on nine tenths of the images."""

ERRORS = (0.05, 0.1, 0.2)
"""The error rates for which a run's result includes abstentions."""

How = Literal["val", "cross-fit", "out-of-fold"]


@dataclass(frozen=True)
class Calibration:
    """Held-out predictions: logits float32 (n, K), labels int64 (n,), how they were held out, the fitted temperature."""

    logits: NDArray[np.float32]
    labels: Labels
    how: How
    temperature: float

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, logits: NDArray[np.float32], labels: Labels, how: How) -> Calibration:
        """Held-out predictions with the temperature fitted to them."""
        return cls(logits, labels, how, fit_temperature(logits, labels))

    @cached_property
    def accuracy(self) -> float:
        """The share of correct predictions, 0..1."""
        return float((self.logits.argmax(axis=1) == self.labels).mean())

    @cached_property
    def loss(self) -> float:
        """Mean cross-entropy of the calibrated probabilities, in nats per image."""
        return mean_loss(self.logits, self.labels, self.temperature)

    @cached_property
    def scores(self) -> Floats:
        """1 - p(true class) of each image, calibrated: float64 (n,)."""
        return conformal.nonconformity_scores(softmax(self.logits, self.temperature), self.labels)

    def limit(self, error: float) -> float:
        """The score up to which a class belongs to an image's prediction set at this error rate: see `conformal.threshold`.

        Raises UsageError for an error rate outside 0..1, or one that needs more calibration images than there are.
        """
        require_rate(error)
        if len(self) < conformal.min_calibration_images(error):
            raise UsageError(
                f"abstain {error:g} needs at least {count(conformal.min_calibration_images(error), 'calibration image')}, "
                f"but the run has {len(self):,}: give {conformal.min_error_rate(len(self)):g} or more, or train with more "
                "validation images (split.val_fraction)"
            )
        return conformal.threshold(self.scores, error)

    def abstentions(self, evaluation: Evaluation) -> list[conformal.Abstention]:
        """The results of abstaining on the evaluation's images, for each of ERRORS with enough calibration images."""
        possible = [error for error in ERRORS if len(self) >= conformal.min_calibration_images(error)]
        return [self.abstention(evaluation, error) for error in possible]

    def abstention(self, evaluation: Evaluation, error: float) -> conformal.Abstention:
        """The results of abstaining at this error rate on the evaluation's images.

        Those of a cross-validation are the calibration images, too: each fold then has the limit of the other folds.
        """
        limit: float | Floats = self.limit(error)
        evaluation = evaluation.once
        origin = evaluation.out_of_fold
        if origin is not None:
            scores = conformal.nonconformity_scores(evaluation.probabilities, evaluation.labels)
            limit = conformal.fold_thresholds(scores, origin.fold, error)
        return conformal.abstention(evaluation.probabilities, evaluation.labels, error, limit, origin)

    def save(self, path: Path) -> None:
        """Write it as an .npz file (arrays only)."""
        buffer = io.BytesIO()
        arrays: dict[str, NDArray[Any]] = {"logits": self.logits, "labels": self.labels}
        arrays |= {"how": np.frombuffer(self.how.encode(), np.uint8), "temperature": np.array(self.temperature)}
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read the file that `save` wrote. Raises OSError, ValueError or others for a missing or damaged file."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            how, temperature = arrays["how"].tobytes().decode(), float(arrays["temperature"])
            if how not in get_args(How) or not 0 < temperature < math.inf:
                raise ValueError(f"{how}, {temperature}")
            return cls(arrays["logits"], arrays["labels"], how, temperature)


def require_rate(error: float) -> None:
    """Raise UsageError unless the error rate is between 0 and 1."""
    if not 0 < error < 1:
        raise UsageError(
            f"abstain must be an error rate above 0 and below 1, not {error:g}: for example 0.05 for at most one wrong "
            "prediction in 20 images"
        )


def sample_rows(rows: Indices, seed: int, most: int = MOST) -> Indices:
    """A random sample of at most `most` rows, sorted."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng([seed, 0xCA1B]).choice(rows, most, replace=False))


def assign_folds(units: Indices, labels: Labels, seed: int) -> Indices:
    """Stratified group folds: the fold of each row, int64 (n,), 0 to FOLDS - 1; whole units, class by class, shuffled.

    The out-of-fold predictions are used as calibration data for a last layer that is trained on all of the data. Unlike a
    separate calibration set this gives no strict guarantee. If leaving out a tenth changes few predictions, the error rate is
    about the stated one (R. Barber et al., "Predictive inference with the jackknife+", Annals of Statistics 49, 2021,
    section 1). Measured in docs/why/confidence.md.
    """
    names, first, of = np.unique(units, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng([seed, 0xF01D]).permutation(len(names))
    by_class = shuffled[np.argsort(labels[first][shuffled], kind="stable")]
    fold = np.empty(len(names), np.int64)
    fold[by_class] = np.arange(len(names)) % min(FOLDS, len(names))
    return np.asarray(fold[of], np.int64)


class CalibrationReport:
    """Calibration of an evaluation's probabilities, with and without the temperature: one prediction of each image.

    calibration: the held-out predictions of the run.
    """

    def __init__(self, evaluation: Evaluation, calibration: Calibration) -> None:
        self.evaluation, self.calibration = evaluation.once, calibration
        self.uncalibrated = replace(self.evaluation, temperature=1.0, out_of_fold=None)

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
    def abstentions(self) -> list[conformal.Abstention]:
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
            "abstain": [conformal.abstention_numbers(one, n) for one in self.abstentions],
        }


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
