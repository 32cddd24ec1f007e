"""The calibration part of a run: honest answers to pictures that the network has not learned from, and what follows of them.

Val, answered once more in the way that new pictures are; or, where a head is fitted on val too, the answers of heads that
each left a tenth of train and val out.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from foveola.errors import UsageError, count
from foveola.learning import conformal
from foveola.learning.calibration import fit_temperature
from foveola.learning.metrics import Evaluation, Floats, softmax
from foveola.store import write_atomic
from foveola.types import Labels, Rows

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
        return conformal.misfits(softmax(self.logits, self.temperature), self.labels)

    def limit(self, error: float) -> float:
        """The score up to which a class belongs to a picture's set at this error rate: see `conformal.threshold`.

        Raises UsageError for an error rate outside 0..1, or one that takes more pictures than there are.
        """
        require_rate(error)
        if len(self) < conformal.least_pictures(error):
            raise UsageError(
                f"abstain {error:g} takes {count(conformal.least_pictures(error), 'calibration picture')} or more, and the "
                f"run has {len(self):,}: give {conformal.least_error(len(self)):g} or more, or train with more val pictures "
                "(split.val_fraction)"
            )
        return conformal.threshold(self.scores, error)

    def abstentions(self, evaluation: Evaluation) -> list[conformal.Abstention]:
        """What abstaining did on the evaluation's pictures, for those of ERRORS that there are pictures enough for."""
        possible = [error for error in ERRORS if len(self) >= conformal.least_pictures(error)]
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


def some_of(rows: Rows, seed: int, most: int = MOST) -> Rows:
    """At most so many of the rows, drawn without regard to anything, sorted."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng([seed, 0xCA1B]).choice(rows, most, replace=False))


def folds_of(units: Rows, labels: Labels, seed: int) -> Rows:
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
