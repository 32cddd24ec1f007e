"""Multinomial logistic regression with an L2 penalty, for one set of rows or for all folds of a cross-fit at once.

The solver is Newton's method. Conjugate gradients find each step, more precisely near the minimum only (R. Dembo and T.
Steihaug, "Truncated-Newton algorithms for large-scale unconstrained optimization", Math. Programming 26, 190-212, 1983). They
use an approximate inverse of the Hessian matrix (`Inverse`), so that a step takes few products with all rows.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveola.compute.threads import Pace, one_thread_in_scipy
from foveola.types import Labels

Floats: TypeAlias = NDArray[np.float64]

Floats32: TypeAlias = NDArray[np.float32]

_STEPS = 100  # of Newton's method: 4 to 8 are usual

_PRODUCTS = 300  # products with the Hessian matrix in one step: 3 to 20 are usual

_LEFT = 0.2  # the share of the gradient that a step may leave

_HALVINGS = 30  # of a step that does not lower the objective

_SUFFICIENT = 1e-4  # the share of the decrease that the slope promises, for a step to be taken

_ROUNDING = 1e-12  # differences of the objective that mean nothing

_GRAM_ROWS = 4000  # rows that the curvature is estimated from: it steers the search and does not move the solution

_LEAST_CURVATURE = 1e-4  # of a row whose prediction is certain

_NEW_CURVATURE = 0.4  # the curvature is estimated again when it has fallen to this share

_FEW = 0.5  # rows for each feature, below which finding what they span takes less time than it saves


class LogisticRegression:
    """Multinomial logistic regression on standardised features: float64 (n, F).

    labels: 0..K-1; scale: float64 (F,), factors of the columns: the penalty acts on the weights of the scaled columns;
    learns: bool (n, J), the training rows of each of J folds. The folds are independent problems that are solved at once,
    because they share the products with the rows; without `learns` there is one fold of all rows; weights: float64 (n,), how
    much each row counts, all the same if left out. A solution is float64 (J * K, F + 1), the last column the bias.

    With far fewer rows than features the search is among the weights that the rows span, where the minimum lies.

    Products with the rows are float32, all else is float64. The logits of a step are added to those before it, so rounding
    errors shrink with the steps.
    """

    def __init__(
        self,
        values: Floats,
        labels: Labels,
        classes: int,
        scale: Floats | None = None,
        learns: NDArray[np.bool_] | None = None,
        weights: Floats | None = None,
    ) -> None:
        self.labels, self.classes, self.features = labels, classes, values.shape[1]
        scaled = values if scale is None else values * scale
        self.basis: Floats | None = None
        if len(values) < _FEW * self.features:
            self.basis = np.linalg.qr(scaled.T)[0]
            scaled = scaled @ self.basis
        self.rows = np.ones((len(scaled), scaled.shape[1] + 1), np.float32)  # the last column is for the bias
        self.rows[:, :-1] = scaled
        learns = np.ones((len(labels), 1), bool) if learns is None else learns
        counted = learns if weights is None else learns * weights[:, None]
        self.shares: Floats = counted / counted.sum(axis=0)
        self._curved: Curvature | None = None

    def start(self) -> Floats:
        """Zero weights, and biases that predict the frequency of each class.

        One more image of each class keeps the logarithm of an absent class finite.
        """
        out = np.zeros((self.classes, self.features + 1))
        out[:, -1] = np.log(np.bincount(self.labels, minlength=self.classes) + 1) - np.log(len(self.labels))
        return np.tile(out, (self.shares.shape[1], 1))

    def solve(self, strength: float, start: Floats, tolerance: float) -> Floats:
        """The minimum of mean cross-entropy plus strength/2 times the sum of squared weights, searched from `start`.

        tolerance: how far above the minimum the objective of a fold may be, as a share of it; slope and curvature tell how
        far it is.
        """
        penalty = np.append(np.full(self.rows.shape[1] - 1, strength), 0)
        weight = self._spanned(start).reshape(self.shares.shape[1], self.classes, -1)
        logits = self._logits(weight)
        inverse: Inverse | None = None
        with one_thread_in_scipy(), Pace() as pace:
            for _ in range(_STEPS):
                chances = _softmax(logits)
                gradient = self._gradient(chances) + penalty * weight
                curvature = self._curvature(chances)
                if (
                    self._curved is None
                    or not _NEW_CURVATURE < curvature.sum() / self._curved.total < 1 / _NEW_CURVATURE
                ):
                    self._curved, inverse = Curvature(self.rows, curvature), None
                inverse = inverse or Inverse(self._curved.near(curvature), penalty)
                enough = 2 * tolerance * self._value(weight, logits, penalty)
                if (_inner(gradient, inverse(gradient)) <= enough).all():
                    break
                step, change = self._step(gradient, chances, penalty, inverse, enough / 4, pace)
                length = self._length(weight, step, logits, change, penalty, _inner(gradient, step))
                if not length.any():
                    break
                weight = weight + length[:, None, None] * step
                logits = logits + length[:, None] * change
        return self._unspanned(weight.reshape(len(start), -1))

    def _step(
        self,
        gradient: Floats,
        chances: Floats,
        penalty: Floats,
        inverse: Inverse,
        enough: Floats,
        pace: Pace,
    ) -> tuple[Floats, Floats]:
        """A step of Newton's method by preconditioned conjugate gradients, each fold with its own; the change of the logits.

        enough: float64 (J,), the squared gradient, in units of the curvature, that a step may leave in any case.

        Source: J. Nocedal and S. Wright, "Numerical Optimization", 2nd edition, algorithms 5.3 and 7.1.
        """
        step, change, left = np.zeros_like(gradient), np.zeros_like(chances), -gradient
        along = inverse(left)
        direction, steep = along, _inner(left, along)
        enough = np.maximum(_LEFT**2 * steep, enough)
        for _ in range(_PRODUCTS):
            with pace.unit(1):
                moved = self._logits(direction)
                turned = self._turn(chances, moved) + penalty * direction
            far = _ratio(steep, _inner(direction, turned))
            step = step + far[:, None, None] * direction
            change = change + far[:, None] * moved
            left = left - far[:, None, None] * turned
            along = inverse(left)
            before, steep = steep, _inner(left, along)
            if (steep <= enough).all():
                break
            direction = along + _ratio(steep, before)[:, None, None] * direction
        return step, change

    def _length(
        self, weight: Floats, step: Floats, logits: Floats, change: Floats, penalty: Floats, slope: Floats
    ) -> Floats:
        """Shares of the steps that lower the objective as their slopes promise: float64 (J,), 0 if none is found."""
        length, now = np.ones(len(weight)), self._value(weight, logits, penalty)
        for _ in range(_HALVINGS):
            there = self._value(weight + length[:, None, None] * step, logits + length[:, None] * change, penalty)
            failed = there > now + _SUFFICIENT * length * slope + _ROUNDING
            if not failed.any():
                return length
            length[failed] /= 2
        length[failed] = 0
        return length

    def _value(self, weight: Floats, logits: Floats, penalty: Floats) -> Floats:
        """The objective of each fold: float64 (J,)."""
        peak = logits.max(axis=2)
        sums = np.exp(logits - peak[..., None]).sum(axis=2)
        loss = np.log(sums) + peak - logits[np.arange(len(logits)), :, self.labels]
        value: Floats = (loss * self.shares).sum(axis=0) + (np.square(weight) @ penalty).sum(axis=1) / 2
        return value

    def _gradient(self, chances: Floats) -> Floats:
        """The gradient of the mean cross-entropy: float64 (J, K, F + 1)."""
        wrong = chances * self.shares[..., None]
        wrong[np.arange(len(wrong)), :, self.labels] -= self.shares
        return self._gather(wrong)

    def _turn(self, chances: Floats, moved: Floats) -> Floats:
        """The product of the cross-entropy's Hessian matrix with a direction that moves the logits by `moved`."""
        mean = (chances * moved).sum(axis=2, keepdims=True)
        return self._gather(self.shares[..., None] * chances * (moved - mean))

    def _curvature(self, chances: Floats) -> Floats:
        """The curvature that each row adds along one logit, mean of folds and classes: float64 (n,)."""
        spread = (chances * (1 - chances)).mean(axis=2)
        curvature: Floats = ((spread + _LEAST_CURVATURE) * self.shares).mean(axis=1)
        return curvature

    def _logits(self, weight: Floats) -> Floats:
        """Logits: float64 (n, J, K)."""
        flat = self.rows @ weight.reshape(-1, weight.shape[2]).T.astype(np.float32)
        logits: Floats = flat.astype(np.float64).reshape(len(flat), -1, self.classes)
        return logits

    def _gather(self, of_rows: Floats) -> Floats:
        """Sums over rows of something for each logit, times the row: float64 (J, K, F + 1)."""
        flat = of_rows.reshape(len(of_rows), -1).T.astype(np.float32) @ self.rows
        sums: Floats = flat.astype(np.float64).reshape(-1, self.classes, flat.shape[1])
        return sums

    def _spanned(self, solution: Floats) -> Floats:
        """Of a solution's weights what the rows span, in coordinates of `basis`."""
        return solution if self.basis is None else np.column_stack([solution[:, :-1] @ self.basis, solution[:, -1]])

    def _unspanned(self, solution: Floats) -> Floats:
        return solution if self.basis is None else np.column_stack([solution[:, :-1] @ self.basis.T, solution[:, -1]])


class Curvature:
    """The matrix sum of curvature * row * row', which is near the Hessian matrix of the loss for the weights of one class.

    rows: float32 (n, F); curvature: float64 (n,), along one logit. Where most predictions are nearly certain, few rows have
    nearly all the curvature.
    """

    def __init__(self, rows: Floats32, curvature: Floats) -> None:
        self.total = float(curvature.sum())
        every = -(-len(rows) // _GRAM_ROWS)
        weighted = rows[::every] * np.sqrt(curvature[::every] * every).astype(np.float32)[:, None]
        self.matrix: Floats32 = weighted.T @ weighted

    def near(self, curvature: Floats) -> Floats32:
        """The matrix for another curvature, as if it had changed by the same factor in all rows."""
        return self.matrix * np.float32(curvature.sum() / self.total)


class Inverse:
    """The inverse of a curvature, float32 (F, F), plus penalties, float64 (F,): it makes conjugate gradients fast."""

    def __init__(self, curvature: Floats32, penalty: Floats) -> None:
        from scipy.linalg.lapack import spotrf, spotri

        # float32 may round an eigenvalue of nearly 0 to one below it, by less than this share of their sum
        curvature[np.diag_indices_from(curvature)] += (penalty + 1e-7 * float(curvature.trace())).astype(np.float32)
        lower = spotri(spotrf(curvature, lower=1)[0], lower=1)[0]
        self.matrix: Floats32 = np.tril(lower) + np.tril(lower, -1).T

    def __call__(self, gradient: Floats) -> Floats:
        """The product of the inverse with float64 (J, K, F)."""
        flat = gradient.reshape(-1, gradient.shape[2]).astype(np.float32) @ self.matrix
        product: Floats = flat.astype(np.float64).reshape(gradient.shape)
        return product


def _softmax(logits: Floats) -> Floats:
    out: Floats = np.exp(logits - logits.max(axis=2, keepdims=True))
    out /= out.sum(axis=2, keepdims=True)
    return out


def _inner(one: Floats, other: Floats) -> Floats:
    """The inner products of folds: float64 (J,)."""
    products: Floats = np.einsum("jkf,jkf->j", one, other)
    return products


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotients, 0 where nothing is left to divide by."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
