"""Whether probabilities mean what they say: one temperature, the reliability diagram, the expected calibration error.

Of a hundred answers given with 80 % about eighty should be right. Everything here is NumPy on logits and labels.

The calibration part of a run: honest answers to pictures that the network has not learned from, and what follows of them.

Val, answered once more in the way that new pictures are; or, where a head is fitted on val too, the answers of heads that
each left a tenth of train and val out.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from foveola.errors import UsageError, count
from foveola.evaluation import conformal
from foveola.evaluation.metrics import Evaluation, Floats, mean_loss, softmax, wilson
from foveola.storage import write_atomic
from foveola.types import Indices, Interval, Labels

BINS, LEAST_IN_A_BIN = 15, 10
"""Guo et al. (2017) take 15 bins; with few pictures there are fewer, so that each has ten or more."""

SPREAD = 0.25
"""How far log T strays from 0 before pictures have said anything, as the standard deviation of its normal prior: with
none T is 1, with 5,000 the prior is not felt. Measured in docs/why/confidence.md."""

_BOUNDS = (0.05, 20.0)
_DRAWS, _AT_ONCE = 1_000, 50


def fit_temperature(logits: NDArray[np.float32], labels: Labels, *, spread: float = SPREAD) -> float:
    """The T > 0 by which logits are divided so that the softmax of the quotient fits the labels best; 1 changes nothing.

    logits: float32 (n, K); labels: int64 (n,). Minimises the summed cross-entropy plus (log T)^2 / (2 spread^2), T within
    0.05 to 20, six digits. Without the second term (spread = inf) it is temperature scaling as C. Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599; the term is a prior that keeps few pictures from
    saying much: eight right answers alone would pull T to 0. The greatest logit stays the greatest.
    """
    if not len(labels):
        return 1.0
    # 0.4 s after torch: only at the end of a run.
    from scipy.optimize import minimize_scalar

    def misfit(log_t: float) -> float:
        loss = mean_loss(logits, labels, float(np.exp(log_t))) * len(labels)
        return loss + log_t**2 / (2 * spread**2)

    # A coarse look first: with the prior the misfit need not have one valley only.
    low, high = np.log(_BOUNDS)
    places = np.linspace(low, high, 25)
    best = int(np.argmin([misfit(place) for place in places]))
    valley = (places[max(0, best - 1)], places[min(len(places) - 1, best + 1)])
    found = minimize_scalar(misfit, bounds=valley, method="bounded", options={"xatol": 1e-7})
    return float(f"{np.exp(found.x):.6g}")


class Bin(NamedTuple):
    """Answers of like confidence: its range and mean, the share that is right with its 95 % interval, how many."""

    low: float
    high: float
    confidence: float
    accuracy: float
    interval: Interval
    n: int


class CalibrationError(NamedTuple):
    """The expected calibration error, 0..1, its 95 % interval, and what a perfect network would show by chance alone."""

    value: float
    interval: Interval
    by_chance: float


def bin_numbers(confidence: Floats, bins: int | None = None) -> Indices:
    """The bin of each answer, int64 (n,), 0 the least confident: bins of equal mass, as many answers in each.

    bins: 15, or fewer where that leaves a bin fewer than ten. Equal mass, for bins of equal width are nearly empty but
    for the last, and the error then mostly measures chance (J. Nixon et al., "Measuring Calibration in Deep Learning",
    arXiv:1904.01685; R. Roelofs et al., "Mitigating Bias in Calibration Error Estimation", AISTATS 2022, arXiv:2012.08668).
    """
    n = len(confidence)
    bins = bins or max(1, min(BINS, n // LEAST_IN_A_BIN))
    out = np.empty(n, np.int64)
    for number, some in enumerate(np.array_split(np.argsort(confidence, kind="stable"), bins)):
        out[some] = number
    return out


def reliability(confidence: Floats, correct: NDArray[np.bool_], bins: int | None = None) -> tuple[Bin, ...]:
    """The reliability diagram's bins, the least confident first (A. Niculescu-Mizil and R. Caruana, ICML 2005).

    confidence: float64 (n,), the probability of the answer, 0..1; correct: bool (n,).
    """
    numbers = bin_numbers(confidence, bins)
    out = []
    for number in range(int(numbers.max(initial=-1)) + 1):
        said, right = confidence[numbers == number], correct[numbers == number]
        interval = wilson(int(right.sum()), len(right))
        out.append(
            Bin(float(said.min()), float(said.max()), float(said.mean()), float(right.mean()), interval, len(right))
        )
    return tuple(out)


def calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], bins: int | None = None, *, level: float = 0.95
) -> CalibrationError:
    """The expected calibration error of the answers: the mean distance of confidence and accuracy over bins of equal mass.

    Source: M. Naeini, G. Cooper and M. Hauskrecht, AAAI 2015; bins: see `bin_numbers`. It is never below 0, and so too
    large by chance where bins are small: a network whose probabilities are all true has `by_chance` on average, over draws
    of right and wrong with the stated probabilities (J. Bröcker and L. Smith, "Increasing the Reliability of Reliability
    Diagrams", Weather and Forecasting 22, 2007). The interval is the basic (reverse percentile) bootstrap over pictures in
    the same bins: it takes the estimate's surplus off, where percentiles would add it once more (and held the truth in 0 of
    200 draws of 864 answers). It begins at 0 where a perfect network shows as much by chance, and ends at the estimate or
    above.
    """
    numbers = bin_numbers(confidence, bins)
    k, n = int(numbers.max()) + 1, len(numbers)
    gaps = confidence - correct
    value = float(_error(numbers, gaps[None], k)[0])
    rng = np.random.default_rng(0)
    resampled, perfect = np.empty(_DRAWS), np.empty(_DRAWS)
    for some in _blocks():
        rows = rng.integers(0, n, (some.stop - some.start, n))
        resampled[some] = _error(numbers[rows], gaps[rows], k)
        perfect[some] = _error(numbers, confidence - (rng.random(rows.shape) < confidence), k)
    tail = (1 - level) / 2
    low, high = (float(2 * value - found) for found in np.quantile(resampled, [1 - tail, tail]))
    low = 0.0 if value <= np.quantile(perfect, 1 - tail) else max(0.0, low)
    high = max(high, value)
    return CalibrationError(value, Interval(low, high, level), float(perfect.mean()))


def _error(numbers: Indices, gaps: Floats, k: int) -> Floats:
    """The error of each draw: gaps float64 (draws, n), numbers (n,) or (draws, n); gives float64 (draws,).

    n_b/n times the distance of two means is the distance of two sums over n.
    """
    draws, n = gaps.shape
    places = (numbers + k * np.arange(draws)[:, None]).ravel()
    sums = np.bincount(places, weights=gaps.ravel(), minlength=draws * k).reshape(draws, k)
    out: Floats = np.abs(sums).sum(axis=1) / n
    return out


def _blocks() -> Iterator[slice]:
    return (slice(k, min(_DRAWS, k + _AT_ONCE)) for k in range(0, _DRAWS, _AT_ONCE))


MOST = 5_000
"""Val pictures that are answered once more, at most. With so many the coverage at 0.1 is known to 0.8 points either way,
by Vovk's Beta interval."""

ENOUGH = 1_000
"""With so many val pictures a head is calibrated on them, before val is learned from too; with fewer by cross-fitting."""

FOLDS = 10
"""Each cross-fitted head learns from nine tenths, as the one did that val has chosen."""

ERRORS = (0.05, 0.1, 0.2)
"""The error rates whose abstentions a run's result tells of."""

How = Literal["val", "cross-fit"]


@dataclass(frozen=True)
class Calibration:
    """Held-out answers: logits float32 (n, K), labels int64 (n,); `how` they were held out; the temperature they ask for."""

    logits: NDArray[np.float32]
    labels: Labels
    how: How
    temperature: float

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, logits: NDArray[np.float32], labels: Labels, how: How) -> Calibration:
        """Held-out answers with the temperature fitted to them."""
        return cls(logits, labels, how, fit_temperature(logits, labels))

    @cached_property
    def scores(self) -> Floats:
        """1 - p(true class) of each picture, calibrated: float64 (n,)."""
        return conformal.nonconformity_scores(softmax(self.logits, self.temperature), self.labels)

    def limit(self, error: float) -> float:
        """The score up to which a class belongs to a picture's set at this error rate: see `conformal.threshold`.

        Raises UsageError for an error rate outside 0..1, or one that takes more pictures than there are.
        """
        require_rate(error)
        if len(self) < conformal.min_calibration_images(error):
            raise UsageError(
                f"abstain {error:g} takes {count(conformal.min_calibration_images(error), 'calibration picture')} "
                f"or more, and the run has {len(self):,}: give {conformal.min_error_rate(len(self)):g} or more, "
                "or train with more val pictures (split.val_fraction)"
            )
        return conformal.threshold(self.scores, error)

    def abstentions(self, evaluation: Evaluation) -> list[conformal.Abstention]:
        """What abstaining did on the evaluation's pictures, for those of ERRORS that there are pictures enough for."""
        possible = [error for error in ERRORS if len(self) >= conformal.min_calibration_images(error)]
        return [self.abstention(evaluation, error) for error in possible]

    def abstention(self, evaluation: Evaluation, error: float) -> conformal.Abstention:
        """What abstaining at this error rate did on the evaluation's pictures."""
        limit = self.limit(error)
        return conformal.abstention(evaluation.probabilities, evaluation.labels, error, limit)

    def save(self, path: Path) -> None:
        """Write it as an .npz file (arrays only)."""
        buffer = io.BytesIO()
        arrays: dict[str, NDArray[Any]] = {"logits": self.logits, "labels": self.labels}
        arrays |= {"how": np.frombuffer(self.how.encode(), np.uint8), "temperature": np.array(self.temperature)}
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Calibration | None:
        """Read what `save` wrote; None for a run from before this was kept. A damaged file raises ValueError and others."""
        if not path.exists():
            return None
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            how, temperature = arrays["how"].tobytes().decode(), float(arrays["temperature"])
            if how not in get_args(How) or not 0 < temperature < math.inf:
                raise ValueError(f"{how}, {temperature}")
            return cls(arrays["logits"], arrays["labels"], how, temperature)


def require_rate(error: float) -> None:
    """Raise UsageError unless the error rate lies between 0 and 1."""
    if not 0 < error < 1:
        raise UsageError(
            f"abstain {error:g} is no error rate: give a number above 0 and below 1, such as 0.05 for at most one wrong "
            "answer in 20 pictures"
        )


def sample_rows(rows: Indices, seed: int, most: int = MOST) -> Indices:
    """At most so many of the rows, drawn without regard to anything, sorted."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng([seed, 0xCA1B]).choice(rows, most, replace=False))


def assign_folds(units: Indices, labels: Labels, seed: int) -> Indices:
    """The fold of each row, int64 (n,), 0 to FOLDS - 1: whole units, dealt out class by class in a random order.

    What is answered across folds then serves as if it were a part of its own, for a head that learned from all of it: the
    cross-validated kin of the jackknife. No worst case is excluded, unlike with a part of its own; where leaving a tenth out
    changes answers little the rate is about the stated one (R. Barber et al., "Predictive inference with the jackknife+",
    Annals of Statistics 49, 2021, section 1). Measured in docs/why/confidence.md.
    """
    names, first, of = np.unique(units, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng([seed, 0xF01D]).permutation(len(names))
    by_class = shuffled[np.argsort(labels[first][shuffled], kind="stable")]
    fold = np.empty(len(names), np.int64)
    fold[by_class] = np.arange(len(names)) % min(FOLDS, len(names))
    return np.asarray(fold[of], np.int64)
