"""Linear probe for transfer learning: multinomial logistic regression on frozen features.

    for row in fit_linear_probe(model.head, train, val):
        ...                                    # write it to the log, keep the best state of the head

The same data, machine and number of threads give exactly the same weights. Nothing is random.

Cross-fitting predicts every image with a probe that was not trained on it; all folds are solved at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foveola.errors import DivergedError
from foveola.models.feature_sets import FeatureSet
from foveola.training.history import ProbeLog
from foveola.training.logistic_regression import Floats, LogisticRegression
from foveola.types import Indices, Labels

STRENGTHS: tuple[float, ...] = (10, 3.2, 1, 0.32, 0.1, 0.032, 0.01, 3.2e-3, 1e-3, 3.2e-4, 1e-4)
"""The strengths of the l2 penalty, half a power of ten from one to the next. The loss on val was lowest at 1 to 0.1 for 256
faces of 2 classes (18 of 20 splits) and for 384 flowers of 5 (20 of 20), at 0.03 to 0.003 for 384 hand signs of 10 (16 of
20)."""

WORSE = 1.05
"""Stop when the loss on val is more than this factor above its lowest value: on average after 6 of 11 strengths on faces and
flowers, after 9 on hand signs. On 20 splits of each this found the same lowest loss as all 11, with 1.02 and 1.25, too."""

BEFORE = 2
"""How many strengths before the best of one set of features the path of the next set begins; it ends where the loss on val
rises. Sets are scaled so that one strength has about the same effect in all of them (see `FeatureSet.scale`)."""

FLOOR = 0.1
"""The smallest deviation of a feature, as a share of the root mean square of all. A feature that is zero in all but a few
training images can be far off in a new image (47 deviations on faces). Without this floor the test loss on 120 hand signs was
0.55 nats, with it 0.39. On faces and flowers the two were within 0.01 (means of 10 splits)."""

# The bias has no penalty, so its gradient must be small even if the penalty is strong. Without this limit
# probabilities differed from scikit-learn's by up to 0.002 at strength 1 (150 rows, 3 classes).
FIRM = 0.1


class Features(NamedTuple):
    """Features of a part of the data: values float32 (n, F), finite; labels int64 (n,), 0..K-1; weights float64 (n,): how
    much each row counts in losses and accuracies, all the same if None."""

    values: NDArray[np.float32]
    labels: Labels
    weights: Floats | None = None


def fit_linear_probe(
    head: nn.Linear,
    train: Features,
    val: Features,
    strengths: Sequence[float] = STRENGTHS,
    *,
    sets: Sequence[FeatureSet] = (),
    tolerance: float = 1e-3,
) -> Iterator[ProbeLog]:
    """Fit `head` (F inputs, K outputs, with bias) once for each strength; a ProbeLog each, with that solution in `head`.

    A solution minimises the mean cross-entropy of train plus strength/2 times the sum of the squared weights, in
    features that are standardised by train's mean and deviation (see FLOOR); the bias is free. The standardisation is
    included in the head's weight and bias, so the head takes features as they are. A feature that is constant in train gets
    weight 0; a class that is absent from train gets a probability near 0.

    strengths: above 0, from strong to weak: each solution starts from the one before (J. Friedman, T. Hastie and R.
    Tibshirani, "Regularization Paths for Generalized Linear Models via Coordinate Descent", J. Stat. Softw. 33(1), 2010).
    The path ends early when val's loss has become clearly worse than its lowest (see WORSE). sets: each gets a path, all but
    the first a short one around the best strength of the set before (see BEFORE); features outside the set get weight 0; all
    features are one set if left out. tolerance: the largest gradient at a solution, in
    units of the strength (of 0.1 if the strength is above).

    Raises DivergedError when a feature is not finite.
    """
    started = time.monotonic()
    for part, features in (("train", train), ("val", val)):
        _check(part, features)
    sets = sets or [FeatureSet("", (head.in_features,))]
    largest = max(sets, key=lambda one: one.columns)
    values, mean, deviation = standardise(train.values[:, : largest.columns], largest.blocks)
    number, total, best = 0, len(sets) * len(strengths), 0
    for one in sets:
        worse = 1.0 if number else WORSE
        problem = LogisticRegression(
            values[:, : one.columns], train.labels, head.out_features, one.scale, weights=train.weights
        )
        solution, lowest, first = problem.start(), np.inf, max(0, best - BEFORE)
        for place, strength in enumerate(strengths[first:], start=first):
            solution = problem.solve(strength, solution, tolerance * min(strength, FIRM))
            weight, bias = unstandardised(solution, one.scale, mean, deviation)
            _set(head, weight, bias)
            measured = (*_measure(weight, bias, train), *_measure(weight, bias, val))
            number += 1
            yield ProbeLog(number, total, strength, *measured, time.monotonic() - started, one.name)
            if measured[2] < lowest:
                lowest, best = measured[2], place
            elif measured[2] > worse * lowest:
                break


def unstandardised(solution: Floats, scale: Floats, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Weight (K, c) and bias (K,) for features as they are, of a solution for standardised ones: (K, c + 1)."""
    columns = len(scale)
    weight = solution[:, :-1] * scale / deviation[:columns]
    return weight, solution[:, -1] - weight @ mean[:columns]


def _set(head: nn.Linear, weight: Floats, bias: Floats) -> None:
    with torch.no_grad():
        head.weight.zero_()
        head.weight[:, : weight.shape[1]] = torch.from_numpy(weight)
        head.bias.copy_(torch.from_numpy(bias))


def _check(part: str, features: Features) -> None:
    # A row's sum is finite exactly if all its numbers are: float32 numbers can't overflow float64.
    broken = int((~np.isfinite(features.values.sum(axis=1, dtype=np.float64))).sum())
    if broken:
        raise DivergedError(
            f"the features of {broken:,} of {len(features.values):,} {part} images are not finite numbers: "
            "the precision is the likely cause; try --set fit.precision=float32"
        )


def standardise(values: NDArray[np.float32], blocks: Sequence[int] = ()) -> tuple[Floats, Floats, Floats]:
    """values minus mean by deviation, float64 (n, F); the mean and the deviation, float64 (F,), floored in each block.

    blocks: numbers of columns that add up to F; all are one block if left out.
    """
    mean = values.mean(axis=0, dtype=np.float64)
    constant = values.min(axis=0) == values.max(axis=0)
    mean[constant] = values[0, constant]  # exactly, so that the column becomes 0
    out = np.subtract(values, mean)
    deviation = np.sqrt(np.einsum("nf,nf->f", out, out) / len(values))
    ends = np.cumsum(blocks or [values.shape[1]])
    for block in (slice(end - width, end) for end, width in zip(ends, blocks or ends, strict=True)):
        varying = deviation[block][~constant[block]]
        floor = FLOOR * np.sqrt(np.square(varying).mean()) if len(varying) else 1.0
        deviation[block] = np.maximum(deviation[block], floor)
    out /= deviation
    return out, mean, deviation


def _measure(weight: Floats, bias: Floats, features: Features) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy, with this weight and bias in float32 as in the head."""
    logits = _logits(weight, bias, features.values).astype(np.float64)
    own = logits[np.arange(len(logits)), features.labels]
    peak = logits.max(axis=1)
    loss = np.log(np.exp(logits - peak[:, None]).sum(axis=1)) + peak - own
    right = logits.argmax(axis=1) == features.labels
    if features.weights is None:
        return float(loss.mean()), float(right.mean())
    shares = features.weights / features.weights.sum()
    return float(loss @ shares), float(right @ shares)


def _logits(weight: Floats, bias: Floats, values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values[:, : weight.shape[1]] @ weight.T.astype(np.float32) + bias.astype(np.float32)


_COLUMNS = 100  # folds x classes that are solved together: the logits of 10,000 rows then take 8 MB


def cross_fit(
    learning: Features,
    folds: Indices,
    answering: Features,
    strength: float,
    classes: int,
    *,
    used: FeatureSet | None = None,
    tolerance: float = 3e-3,
) -> NDArray[np.float32]:
    """Logits float32 (n, K): each row's from a head that was fitted on the other folds, as `fit_linear_probe` does.

    learning: the features that heads are fitted on, one or more views of the n images, one view after the other; answering:
    the features that heads predict from; folds: int64 (n,), from 0; used: the features to use, all if left out. All rows
    standardise the features; this uses no label.

    All folds are solved together, as the minimum of one sum whose terms share only the features. tolerance: as in
    `fit_linear_probe`; a third of it gave the same temperature to 0.0001, three times as much 0.9010 and not 0.9024.
    """
    used = used or FeatureSet("", (learning.values.shape[1],))
    values, mean, deviation = standardise(learning.values[:, : used.columns], used.blocks)
    views = len(learning.labels) // len(folds)
    out = np.empty((len(folds), classes), np.float32)
    every = np.arange(folds.max() + 1)
    for some in np.array_split(every, min(len(every), -(-len(every) * classes // _COLUMNS))):
        learns = np.tile(folds, views)[:, None] != some
        problem = LogisticRegression(values, learning.labels, classes, used.scale, learns, learning.weights)
        solved = problem.solve(strength, problem.start(), tolerance * min(strength, FIRM))
        for fold, solution in zip(some, np.split(solved, len(some)), strict=True):
            held = folds == fold
            out[held] = _logits(*unstandardised(solution, used.scale, mean, deviation), answering.values[held])
    return out
