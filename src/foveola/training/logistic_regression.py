"""Multinomial logistic regression with an L2 penalty, for one set of rows or for all folds of a cross-fit at once.

The solver is L-BFGS (D. Liu and J. Nocedal, Math. Programming 45, 503-528, 1989), as SciPy has it, in coordinates in which
the loss curves about equally in all directions (`Coordinates`).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveola.compute.threads import Pace, one_thread_in_scipy
from foveola.types import Labels

Floats: TypeAlias = NDArray[np.float64]

_MEMORY = 20  # steps that L-BFGS remembers

_LEAST_CURVATURE = 1e-3  # where all predictions are certain

_GRAM_ROWS = 4000  # rows that the curvature is estimated from: it steers the search and does not move the solution


class LogisticRegression:
    """Multinomial logistic regression on standardised features: float64 (n, F).

    labels: 0..K-1; scale: float64 (F,), factors of the columns: the penalty acts on the weights of the scaled columns;
    learns: bool (n, J), the training rows of each of J folds. All folds are solved together, as the minimum of one sum whose
    terms share only the features; without `learns` there is one fold of all rows; weights: float64 (n,), how much each row
    counts, all the same if left out. A solution is float64 (J * K, F + 1), the
    last column the bias.

    With fewer rows than features the search is among the weights that the rows span, where the minimum lies.

    Products are float64: float32 is too coarse for the small gradients of weak penalties (3,600 rows needed 630 evaluations
    and not 402).
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
        self.values, self.labels, self.classes = values, labels, classes
        self.features = values.shape[1]
        self.scale = np.ones(self.features) if scale is None else scale
        self.basis: Floats | None = None
        if len(values) < self.features:
            scaled = values * self.scale
            self.basis = np.linalg.qr(scaled.T)[0]
            self.values, self.scale = scaled @ self.basis, np.ones(len(values))
        learns = np.ones((len(labels), 1), bool) if learns is None else learns
        counted = learns if weights is None else learns * weights[:, None]
        self.shares = counted / counted.sum(axis=0)
        self._gram: Floats | None = None

    def start(self) -> Floats:
        """Zero weights, and biases that predict the frequency of each class.

        One more image of each class keeps the logarithm of an absent class finite.
        """
        out = np.zeros((self.classes, self.features + 1))
        out[:, -1] = np.log(np.bincount(self.labels, minlength=self.classes) + 1) - np.log(len(self.labels))
        return np.tile(out, (self.shares.shape[1], 1))

    def solve(self, strength: float, start: Floats, steepest: float) -> Floats:
        """The minimum for this strength, found from `start`; no gradient there is above `steepest`."""
        # This takes 0.3 to 0.9 s, so it is imported only when a head is fitted.
        from scipy.optimize import minimize

        began = self._spanned(start)
        within = self._coordinates(strength, began)
        steepness = np.inf

        def objective(flat: Floats) -> tuple[float, Floats]:
            nonlocal steepness
            value, gradient = self._objective(within.leave(flat.reshape(began.shape)), strength)
            steepness = float(np.abs(gradient).max())
            return value, within.gradient(gradient).ravel()

        def stop_if_flat(_: Floats) -> None:
            if steepness <= steepest:
                raise StopIteration

        options = {"maxcor": _MEMORY, "gtol": 0.0, "ftol": 0.0, "maxiter": 1000, "maxfun": 1500}
        with one_thread_in_scipy(), Pace() as pace:
            found = minimize(
                pace.each(objective),
                within.enter(began).ravel(),
                method="L-BFGS-B",
                jac=True,
                options=options,
                callback=stop_if_flat,
            )
        return self._unspanned(within.leave(np.asarray(found.x, np.float64).reshape(began.shape)))

    def _spanned(self, solution: Floats) -> Floats:
        """Of a solution's weights what the rows span, in coordinates of `basis`."""
        return solution if self.basis is None else np.column_stack([solution[:, :-1] @ self.basis, solution[:, -1]])

    def _unspanned(self, solution: Floats) -> Floats:
        return solution if self.basis is None else np.column_stack([solution[:, :-1] @ self.basis.T, solution[:, -1]])

    def _objective(self, solution: Floats, strength: float) -> tuple[float, Floats]:
        """Sum over folds of mean cross-entropy plus penalty at a spanned solution, and the gradient, as large as it."""
        n = len(self.labels)
        logits = self._logits(solution)
        own = logits[np.arange(n), :, self.labels]
        exponentials = np.exp(logits, out=logits)
        sums = exponentials.sum(axis=2)
        weight = solution[:, :-1]
        value = float(((np.log(sums) - own) * self.shares).sum()) + strength / 2 * float(np.square(weight).sum())
        exponentials *= (self.shares / sums)[..., None]
        exponentials[np.arange(n), :, self.labels] -= self.shares
        gradient = np.empty_like(solution)
        gradient[:, :-1] = exponentials.reshape(n, -1).T @ self.values
        gradient[:, :-1] *= self.scale
        gradient[:, :-1] += strength * weight
        gradient[:, -1] = exponentials.sum(axis=0).ravel()
        return value, gradient

    def _logits(self, solution: Floats) -> Floats:
        """Logits less their row's largest: float64 (n, J, K)."""
        logits: Floats = self.values @ (solution[:, :-1] * self.scale).T
        logits += solution[:, -1]
        logits = logits.reshape(len(logits), -1, self.classes)
        logits -= logits.max(axis=2, keepdims=True)
        return logits

    def _coordinates(self, strength: float, start: Floats) -> Coordinates:
        """Coordinates for the curvature near `start`."""
        if self._gram is None:
            some = self.values[:: -(-len(self.values) // _GRAM_ROWS)]
            self._gram = some.T @ some / len(some) * self.scale[:, None] * self.scale
        chances = np.exp(self._logits(start))
        chances /= chances.sum(axis=2, keepdims=True)
        return Coordinates(self._gram, max(_LEAST_CURVATURE, float((chances * (1 - chances)).mean())), strength)


class Coordinates:
    """Coordinates in which the loss curves about equally in all directions, so that L-BFGS needs a fraction of the steps.

    The curvature along one class's weights is about c * gram + strength * I, where gram (F, F) is the mean product of the
    features and c the mean of p * (1 - p) over the predicted probabilities p. With its Cholesky factor L a solution W becomes
    W L (J. Nocedal and S. Wright, "Numerical Optimization", 2nd edition, section 5.1: preconditioning).
    """

    def __init__(self, gram: Floats, c: float, strength: float) -> None:
        from scipy.linalg.lapack import dtrtri

        curvature = gram * c
        curvature[np.diag_indices_from(curvature)] += strength
        self.factor = np.linalg.cholesky(curvature)
        self.inverse: Floats = dtrtri(self.factor, lower=1)[0]
        self.bias = np.sqrt(c)

    def enter(self, solution: Floats) -> Floats:
        """A solution in these coordinates."""
        return np.column_stack([solution[:, :-1] @ self.factor, solution[:, -1] * self.bias])

    def leave(self, point: Floats) -> Floats:
        """The solution at a point in these coordinates."""
        return np.column_stack([point[:, :-1] @ self.inverse, point[:, -1] / self.bias])

    def gradient(self, gradient: Floats) -> Floats:
        """A gradient in these coordinates."""
        return np.column_stack([gradient[:, :-1] @ self.inverse.T, gradient[:, -1] / self.bias])
