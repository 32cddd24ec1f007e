"""Which network of a cross-validation made each prediction, and which predictions belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveola.evaluation.intervals import Proportion, clustered_wilson, effective_images
from foveola.types import Indices, Interval

SHARED = 1.5
"""Factor of the variance of a cross-validated accuracy, because the networks of the folds share training images.

The variance of independent images alone is too small (S. Bates, T. Hastie and R. Tibshirani, "Cross-validation: what does it
estimate and how well does it do it?", J. Amer. Stat. Assoc. 119, 2024, arXiv:2104.00673), and no estimate of it is unbiased
(Y. Bengio and Y. Grandvalet, J. Mach. Learn. Res. 5, 2004). In simulations (docs/results.md) it was up to 1.5 times as large,
and with this factor 95 % intervals contained the true accuracy of such networks in about 95 % of the data sets. The
correction of C. Nadeau and Y. Bengio (Machine Learning 52, 2003) would be 2.25 for 5 folds.
"""


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

    def independent(self, right: NDArray[np.bool_], rows: Indices) -> float:
        """The number of independent images for the interval of the share of `right`, bool (n,), among some rows."""
        images = -(-len(rows) // self.repeats)
        return effective_images(right[rows], images, self.units[rows]) / SHARED

    def interval(self, right: NDArray[np.bool_], rows: Indices) -> Interval:
        """The 95 % interval of the share of correct predictions, bool (n,), among some rows."""
        images = -(-len(rows) // self.repeats)
        return clustered_wilson(right[rows], images, self.units[rows], spread=SHARED)


def proportion(hits: NDArray[np.bool_], among: NDArray[np.bool_], origin: OutOfFold | None) -> Proportion:
    """The images with `hits` among some, both bool (n,), with the interval for these predictions.

    origin: of out-of-fold predictions; None if all images are independent.
    """
    rows = np.flatnonzero(among)
    independent = origin.independent(hits, rows) if origin is not None and len(rows) else None
    return Proportion(int(hits[rows].sum()), len(rows), independent)
