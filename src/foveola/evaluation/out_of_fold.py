"""Which network of a cross-validation made each prediction, and which predictions belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveola.evaluation.intervals import clustered_wilson
from foveola.types import Indices, Interval


@dataclass(frozen=True)
class OutOfFold:
    """The origin of n out-of-fold predictions: each image has one in every repeat, by a network that never saw it.

    repeat, fold: int64 (n,), from 0; units: int64 (n,), equal for predictions that belong together (see `clustered_wilson`);
    temperatures: float64 (n,), each row's own, fitted to the other folds.
    """

    repeat: Indices
    fold: Indices
    units: Indices
    temperatures: NDArray[np.float64]

    @property
    def repeats(self) -> int:
        """The number of repeats."""
        return int(self.repeat.max()) + 1

    @property
    def folds(self) -> int:
        """The number of folds in a repeat."""
        return int(self.fold.max()) + 1

    def take(self, rows: Indices) -> OutOfFold:
        """The origin of these predictions only, in this order."""
        return OutOfFold(self.repeat[rows], self.fold[rows], self.units[rows], self.temperatures[rows])

    def interval(self, right: NDArray[np.bool_], rows: Indices) -> Interval:
        """The 95 % interval of the share of correct predictions, bool (n,), among some rows."""
        return clustered_wilson(right[rows], -(-len(rows) // self.repeats), self.units[rows])
