"""Linear probe for transfer learning: multinomial logistic regression on frozen features.

    for row in fit_linear_probe(model.head, train, val):
        ...                                    # write it to the log, keep the best state of the head

The same data, machine and number of threads give exactly the same weights. Nothing is random.

Cross-fitting predicts every image with a probe that was not trained on it; all folds are solved at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foveola.compute.threads import Pace, one_thread_in_scipy
from foveola.errors import DivergedError
from foveola.training.history import ProbeLog
from foveola.types import Indices, Labels

Floats: TypeAlias = NDArray[np.float64]

STRENGTHS: tuple[float, ...] = (10, 3.2, 1, 0.32, 0.1, 0.032, 0.01, 3.2e-3, 1e-3, 3.2e-4, 1e-4)
"""The strengths of the l2 penalty, half a power of ten from one to the next. The loss on val was lowest at 1 to 0.1 for 256
faces of 2 classes (18 of 20 splits) and for 384 flowers of 5 (20 of 20), at 0.03 to 0.003 for 384 hand signs of 10 (16 of
20)."""

WORSE = 1.05
"""Stop when the loss on val is more than this factor above its lowest value: on average after 6 of 11 strengths on faces and
flowers, after 9 on hand signs. On 20 splits of each this found the same lowest loss as all 11, with 1.02 and 1.25, too."""

FLOOR = 0.1
"""The smallest deviation of a feature, as a share of the root mean square of all. A feature that is zero in all but a few
training images can be far off in a new image (47 deviations on faces). Without this floor the test loss on 120 hand signs was
0.55 nats, with it 0.39. On faces and flowers the two were within 0.01 (means of 10 splits)."""

_MEMORY = 20  # steps that L-BFGS remembers

# The bias has no penalty, so its gradient must be small even if the penalty is strong. Without this limit
# probabilities differed from scikit-learn's by up to 0.002 at strength 1 (150 rows, 3 classes).
FIRM = 0.1


class Features(NamedTuple):
    """Features of a part of the data: values float32 (n, F), finite; labels int64 (n,), 0..K-1."""

    values: NDArray[np.float32]
    labels: Labels


def fit_linear_probe(
    head: nn.Linear,
    train: Features,
    val: Features,
    strengths: Sequence[float] = STRENGTHS,
    *,
    tolerance: float = 1e-3,
) -> Iterator[ProbeLog]:
    """Fit `head` (F inputs, K outputs, with bias) once for each strength; a ProbeLog each, with that solution in `head`.

    A solution minimises the mean cross-entropy of train plus strength/2 times the sum of the squared weights, in
    features that are standardised by train's mean and deviation (see FLOOR); the bias is free. The standardisation is
    included in the head's weight and bias, so the head takes features as they are. A feature that is constant in train gets
    weight 0; a class that is absent from train gets a probability near 0.

    strengths: above 0, from strong to weak: each solution starts from the one before (J. Friedman, T. Hastie and R.
    Tibshirani, "Regularization Paths for Generalized Linear Models via Coordinate Descent", J. Stat. Softw. 33(1), 2010).
    The path ends early when val's loss has become clearly worse than its lowest (see WORSE). tolerance: the
    largest gradient at a solution, in units of the strength (of 0.1 if the strength is above); a tenth of the default took
    734 evaluations and not 436, for val losses within 0.0001 (3,600 synthetic rows, the whole path). The solver is L-BFGS
    (D. Liu and J. Nocedal, Math. Programming 45, 503-528, 1989), as SciPy has it.

    Raises DivergedError when a feature is not finite.
    """
    started = time.monotonic()
    for part, features in (("train", train), ("val", val)):
        _check(part, features)
    values, mean, deviation = standardise(train.values)
    problem = LogisticRegression(values, train.labels, head.out_features)
    solution, lowest = problem.start(), np.inf
    for number, strength in enumerate(strengths, start=1):
        solution = problem.solve(strength, solution, tolerance * min(strength, FIRM))
        weight = solution[:, :-1] / deviation
        bias = solution[:, -1] - weight @ mean
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))
            head.bias.copy_(torch.from_numpy(bias))
        measured = (*_measure(weight, bias, train), *_measure(weight, bias, val))
        yield ProbeLog(number, len(strengths), strength, *measured, time.monotonic() - started)
        lowest = min(lowest, measured[2])
        if measured[2] > WORSE * lowest:
            return


class LogisticRegression:
    """Multinomial logistic regression on standardised features: float64 (n, F).

    A solution is float64 (K, F + 1), the last column the bias. Products are float64: 384 evaluations on 45,000 synthetic
    rows of 1,280 features and 10 classes took 69 s on one busy core. With float32 389 took 40 s, with the same losses in four
    digits. But float32 is too coarse for the small gradients of weak penalties: 3,600 rows needed 630 evaluations and not
    402. With 100 classes an evaluation on 45,000 rows takes 0.65 s.
    """

    def __init__(self, values: Floats, labels: Labels, classes: int) -> None:
        self.values, self.labels, self.classes = values, labels, classes

    def start(self) -> Floats:
        """Zero weights, and biases that predict the frequency of each class.

        One more image of each class keeps the logarithm of an absent class finite.
        """
        out = np.zeros((self.classes, self.values.shape[1] + 1))
        out[:, -1] = np.log(np.bincount(self.labels, minlength=self.classes) + 1) - np.log(len(self.labels))
        return out

    def solve(self, strength: float, start: Floats, steepest: float) -> Floats:
        """The minimum for this strength, found from `start`; no gradient there is above `steepest`."""
        return minimise(self.objective, start, strength, steepest, _MEMORY)

    def objective(self, flat: Floats, strength: float) -> tuple[float, Floats]:
        """Mean cross-entropy plus penalty at a flattened solution, and the gradient there: float64 (K * (F + 1),)."""
        solution = flat.reshape(self.classes, -1)
        weight, n = solution[:, :-1], len(self.labels)
        rows = np.arange(n)
        logits = self.values @ weight.T
        logits += solution[:, -1]
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[rows, self.labels]
        exponentials = np.exp(logits, out=logits)
        sums = exponentials.sum(axis=1)
        value = float((np.log(sums) - own).mean()) + strength / 2 * float(np.square(weight).sum())
        exponentials /= (sums * n)[:, None]
        exponentials[rows, self.labels] -= 1 / n
        gradient = np.empty_like(solution)
        gradient[:, :-1] = exponentials.T @ self.values
        gradient[:, :-1] += strength * weight
        gradient[:, -1] = exponentials.sum(axis=0)
        return value, gradient.ravel()


def minimise(
    objective: Callable[[Floats, float], tuple[float, Floats]],
    start: Floats,
    strength: float,
    steepest: float,
    memory: int,
) -> Floats:
    """The minimum of `objective`, found from `start` by L-BFGS; no gradient there is above `steepest`.

    objective: takes a flattened solution and the strength; returns the value and the gradient. memory: the number of steps
    that L-BFGS remembers.
    """
    # This takes 0.3 to 0.9 s, so it is imported only when a head is fitted.
    from scipy.optimize import minimize

    options = {"maxcor": memory, "gtol": steepest, "ftol": 0.0, "maxiter": 1000, "maxfun": 1500}
    with one_thread_in_scipy(), Pace() as pace:
        found = minimize(pace.each(objective), start.ravel(), (strength,), "L-BFGS-B", jac=True, options=options)
    return np.asarray(found.x, np.float64).reshape(start.shape)


def _check(part: str, features: Features) -> None:
    # A row's sum is finite exactly if all its numbers are: float32 numbers can't overflow float64.
    broken = int((~np.isfinite(features.values.sum(axis=1, dtype=np.float64))).sum())
    if broken:
        raise DivergedError(
            f"the features of {broken:,} of {len(features.values):,} {part} images are not finite numbers: "
            "the precision is the likely cause; try --set fit.precision=float32"
        )


def standardise(values: NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    """values minus mean by deviation, float64 (n, F); the mean and the (floored) deviation, float64 (F,)."""
    mean = values.mean(axis=0, dtype=np.float64)
    constant = values.min(axis=0) == values.max(axis=0)
    mean[constant] = values[0, constant]  # exactly, so that the column becomes 0
    out = np.subtract(values, mean)
    deviation = np.sqrt(np.einsum("nf,nf->f", out, out) / len(values))
    varying = deviation[~constant]
    floor = FLOOR * np.sqrt(np.square(varying).mean()) if len(varying) else 1.0
    deviation = np.maximum(deviation, floor)
    out /= deviation
    return out, mean, deviation


def _measure(weight: Floats, bias: Floats, features: Features) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy, with these weights in float32 as in the head."""
    logits = (features.values @ weight.T.astype(np.float32) + bias.astype(np.float32)).astype(np.float64)
    own = logits[np.arange(len(logits)), features.labels]
    peak = logits.max(axis=1)
    loss = np.log(np.exp(logits - peak[:, None]).sum(axis=1)) + peak - own
    return float(loss.mean()), float((logits.argmax(axis=1) == features.labels).mean())


_COLUMNS = 100  # folds x classes that are solved together: the logits of 10,000 rows then take 8 MB


def cross_fit(
    learning: Features, folds: Indices, answering: Features, strength: float, classes: int, *, tolerance: float = 3e-3
) -> NDArray[np.float32]:
    """Logits float32 (n, K): each row's from a head that was fitted on the other folds, as `fit_linear_probe` does.

    learning: the features that heads are fitted on, one or more views of the n images, one view after the other; answering:
    the features that heads predict from; folds: int64 (n,), from 0. All rows standardise the features; this uses no label.

    All folds are solved together, as the minimum of one sum whose terms share only the features. Ten folds of 3,445 flowers
    in two views take 63 evaluations of 0.06 s; one head after the other takes 503 of 0.03 s. tolerance: as in
    `fit_linear_probe`; a third of it gave the same temperature to 0.0001, three times as much 0.9010 and not 0.9024.
    """
    values, mean, deviation = standardise(learning.values)
    views = len(learning.labels) // len(folds)
    out = np.empty((len(folds), classes), np.float32)
    every = np.arange(folds.max() + 1)
    for some in np.array_split(every, min(len(every), -(-len(every) * classes // _COLUMNS))):
        learns = np.tile(folds, views)[:, None] != some
        solved = _Folds(values, learning.labels, classes, learns).solve(strength, tolerance)
        weight = solved[..., :-1] / deviation
        bias = solved[..., -1] - weight @ mean
        for fold, w, b in zip(some, weight, bias, strict=True):
            held = folds == fold
            out[held] = answering.values[held] @ w.T.astype(np.float32) + b.astype(np.float32)
    return out


class _Folds:
    """The sum of the objectives of `LogisticRegression` over folds; learns: bool (n, J), the training rows of each fold."""

    def __init__(self, values: Floats, labels: Labels, classes: int, learns: NDArray[np.bool_]) -> None:
        self.values, self.labels, self.classes = values, labels, classes
        self.shares = learns / learns.sum(axis=0)

    def solve(self, strength: float, tolerance: float) -> Floats:
        """The minimum: float64 (J, K, F + 1), the last column the bias."""
        start = LogisticRegression(self.values, self.labels, self.classes).start()
        starts = np.tile(start, (self.shares.shape[1], 1, 1))
        return minimise(self.objective, starts, strength, tolerance * min(strength, FIRM), memory=10)

    def objective(self, flat: Floats, strength: float) -> tuple[float, Floats]:
        """Sum over folds of mean cross-entropy plus penalty, and the gradient: float64 (J * K * (F + 1),)."""
        n, folds = self.shares.shape
        solution = flat.reshape(folds * self.classes, -1)
        weight = solution[:, :-1]
        logits = (self.values @ weight.T + solution[:, -1]).reshape(n, folds, self.classes)
        logits -= logits.max(axis=2, keepdims=True)
        own = logits[np.arange(n), :, self.labels]
        exponentials = np.exp(logits, out=logits)
        sums = exponentials.sum(axis=2)
        value = float(((np.log(sums) - own) * self.shares).sum()) + strength / 2 * float(np.square(weight).sum())
        exponentials *= (self.shares / sums)[..., None]
        exponentials[np.arange(n), :, self.labels] -= self.shares
        gradient = np.empty_like(solution)
        gradient[:, :-1] = exponentials.reshape(n, -1).T @ self.values
        gradient[:, :-1] += strength * weight
        gradient[:, -1] = exponentials.sum(axis=0).ravel()
        return value, gradient.ravel()
