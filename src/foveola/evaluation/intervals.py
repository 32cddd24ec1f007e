"""Confidence intervals of a share of correct predictions: of independent images, and of images that belong together."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.types import Indices, Interval


def wilson(right: float, n: float, level: float = 0.95) -> Interval:
    """Wilson interval of a share (E. Wilson, J. Amer. Stat. Assoc. 22, 209-212, 1927).

    Computed by its formula, because SciPy's statistics take a second to import.

    >>> low, high, level = wilson(132, 160)
    >>> round(low, 3), round(high, 3)
    (0.759, 0.876)
    """
    z, p = NormalDist().inv_cdf((1 + level) / 2), right / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    # If none or all are right, one end is exactly 0 or 1, which rounding would miss.
    low = 0.0 if right == 0 else (middle - half) / whole
    high = 1.0 if right == n else (middle + half) / whole
    return Interval(low, high, level)


def clustered_wilson(
    right: NDArray[np.bool_], images: int, units: Indices, level: float = 0.95, *, spread: float = 1.0
) -> Interval:
    """Wilson interval of the share of correct predictions where some predictions belong together.

    right: bool (n,); images: the number of different images, below n if each image was predicted several times; units: int64
    (n,), equal for predictions that belong together: of one image, of its copies, of one group. Predictions of different
    units are independent. spread: a factor of the variance, above 1 if the predictions vary together in another way.

    The interval is Wilson's for the effective number of images p (1 - p) / v, where v is the variance of the share between
    units (J. Rao and A. Scott, "A Simple Method for the Analysis of Clustered Binary Data", Biometrics 48, 577-585, 1992).
    It is reduced by (z / t)^2, t the quantile of Student's distribution for the number of units less one (E. Korn and B.
    Graubard, Survey Methodology 24, 193-201, 1998), and never above `images`: predicting an image again adds no image. If
    all predictions are right, or all wrong, they don't show how similar the images of a unit are, and units are counted.

    >>> single, pairs = np.arange(8), np.repeat(np.arange(4), 2)
    >>> right = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool)
    >>> [round(end, 2) for end in clustered_wilson(right, 8, single)[:2]]
    [0.41, 0.93]
    >>> [round(end, 2) for end in clustered_wilson(right, 8, pairs)[:2]]
    [0.13, 0.98]
    """
    share, effective = float(right.mean()), effective_images(right, images, units, level) / spread
    return wilson(share * effective, effective, level)


def effective_images(right: NDArray[np.bool_], images: int, units: Indices, level: float = 0.95) -> float:
    """The number of independent images whose share of correct predictions varies as much as this one.

    See `clustered_wilson`.
    """
    _, of, sizes = np.unique(units, return_inverse=True, return_counts=True)
    n, many, share = len(right), len(sizes), float(right.mean())
    if many == n or share in (0.0, 1.0) or many == 1:
        return many
    variance = many / (many - 1) * float(np.square(np.bincount(of, right - share)).sum()) / n**2
    effective = min(images, share * (1 - share) / variance) if variance else images
    if many < images:
        effective *= (NormalDist().inv_cdf((1 + level) / 2) / _student(many - 1, (1 + level) / 2)) ** 2
    return effective


def _student(degrees: int, probability: float) -> float:
    """The quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def independent_images(among: NDArray[np.bool_], units: Indices | None) -> int:
    """The number of independent images among some, bool (n,), if images of one unit are alike: Kish's n^2 / sum of m^2.

    m: the sizes of the units. For units of equal size it is the number of units (L. Kish, "Survey Sampling", Wiley 1965,
    section 8.2). units: int64 (n,); None if all images are independent.

    >>> independent_images(np.ones(6, bool), np.array([0, 0, 1, 1, 2, 2])), independent_images(np.ones(6, bool), None)
    (3, 6)
    """
    n = int(among.sum())
    if units is None or not n:
        return n
    sizes = np.unique(units[among], return_counts=True)[1]
    return n * n // int(np.square(sizes).sum())


class Proportion(NamedTuple):
    """A number of images out of n, as a share 0..1 with its 95 % Wilson interval.

    independent: the number of independent images that the interval is for, see `clustered_wilson`; None for n.
    """

    many: int
    n: int
    independent: float | None = None

    @property
    def share(self) -> float:
        """many / n; NaN if n is 0."""
        return self.many / self.n if self.n else math.nan

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the share; 0 to 1 if n is 0."""
        if not self.n:
            return Interval(0.0, 1.0, 0.95)
        if self.independent is None:
            return wilson(self.many, self.n)
        return wilson(self.share * self.independent, self.independent)

    def numbers(self, name: str) -> dict[str, float | None]:
        """The share and its interval for JSON: `name`, `name`_low and `name`_high; a share of no images is null.

        >>> Proportion(0, 0).numbers("recall")
        {'recall': None, 'recall_low': 0.0, 'recall_high': 1.0}
        """
        low, high, _ = self.interval
        return {name: self.share if self.n else None, f"{name}_low": low, f"{name}_high": high}
