"""Linear probe for transfer learning: multinomial logistic regression on frozen features.

    for row in fit_linear_probe(model.head, train, val):
        ...                                    # write it to the log, keep the best state of the head

The same data, machine and number of threads give exactly the same weights. Nothing is random.

Cross-fitting predicts every image with a probe that was not trained on it; all folds are solved at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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

BEGIN = 1.0
"""The first strength that is tried, if there is one as strong. Stronger ones follow only if it is the best of its path."""

WORSE = 1.05
"""Stop when the loss on val is more than this factor above its lowest value. On 20 splits of faces, flowers and hand signs
this found the same lowest loss as all 11 strengths, with 1.02 and 1.25, too."""

BEFORE = 2
"""How many strengths before the best of one set of features the path of the next set begins; it ends where the loss on val
rises. Sets are scaled so that one strength has about the same effect in all of them (see `FeatureSet.scale`)."""

FLOOR = 0.1
"""The smallest deviation of a feature, as a share of the root mean square of all. A feature that is zero in all but a few
training images can be far off in a new image (47 deviations on faces). Without this floor the test loss on 120 hand signs was
0.55 nats, with it 0.39. On faces and flowers the two were within 0.01 (means of 10 splits)."""


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
    tolerance: float = 5e-7,
) -> Iterator[ProbeLog]:
    """Fit `head` (F inputs, K outputs, with bias) once for each strength; a ProbeLog each, with that solution in `head`.

    A solution minimises the mean cross-entropy of train plus strength/2 times the sum of the squared weights, in
    features that are standardised by train's mean and deviation (see FLOOR); the bias is free. The standardisation is
    included in the head's weight and bias, so the head takes features as they are. A feature that is constant in train gets
    weight 0; a class that is absent from train gets a probability near 0.

    strengths: above 0, from strong to weak. The path begins at BEGIN and ends early when val's loss has become clearly worse
    than its lowest (see WORSE); each solution starts near those before it (see `extrapolated`; J. Friedman, T. Hastie and R.
    Tibshirani, "Regularization Paths for Generalized Linear Models via Coordinate Descent", J. Stat. Softw. 33(1), 2010).
    sets: each gets a path, all but the first a short one around the best strength of the set before (see BEFORE); features
    outside the set get weight 0; all features are one set if left out. tolerance: as in `LogisticRegression.solve`. Losses on
    val were within 0.0003 of exact ones.

    Raises DivergedError when a feature is not finite.
    """
    started = time.monotonic()
    for part, features in (("train", train), ("val", val)):
        _check(part, features)
    sets = sets or [FeatureSet("", (head.in_features,))]
    largest = max(sets, key=lambda one: one.columns)
    values, mean, deviation = standardise(train.values[:, : largest.columns], largest.blocks)
    number, total, worse = 0, len(sets) * len(strengths), WORSE
    place: int | None = next((k for k, strength in enumerate(strengths) if strength <= BEGIN), len(strengths) - 1)
    for one in sets:
        problem = LogisticRegression(
            values[:, : one.columns], train.labels, head.out_features, one.scale, weights=train.weights
        )
        losses: dict[int, float] = {}
        solutions: dict[int, Floats] = {}
        while place is not None:
            start = extrapolated(solutions, strengths, place) if solutions else problem.start()
            solutions[place] = problem.solve(strengths[place], start, tolerance)
            weight, bias = unstandardised(solutions[place], one.scale, mean, deviation)
            _set(head, weight, bias)
            measured = (*_measure(weight, bias, train), *_measure(weight, bias, val))
            number += 1
            yield ProbeLog(number, total, strengths[place], *measured, time.monotonic() - started, one.name)
            losses[place] = measured[2]
            place = next_place(losses, len(strengths), worse)
        place, worse = max(0, min(losses, key=losses.__getitem__) - BEFORE), 1.0


def extrapolated(solutions: Mapping[int, Floats], strengths: Sequence[float], place: int) -> Floats:
    """A start for the strength at a place: on the straight line, over the logarithm of the strength, through the nearest two.

    >>> extrapolated({0: np.array([1.0]), 1: np.array([3.0])}, [1, 0.1, 0.01], 2).round(3).tolist()
    [5.0]
    """
    near, *others = sorted(solutions, key=lambda other: abs(other - place))
    if not others:
        return solutions[near]
    steps = np.log([strengths[place] / strengths[near], strengths[near] / strengths[others[0]]])
    start: Floats = solutions[near] + steps[0] / steps[1] * (solutions[near] - solutions[others[0]])
    return start


def next_place(losses: Mapping[int, float], places: int, worse: float) -> int | None:
    """The place of the strength to try after those with these losses on val: 0 is the strongest; None ends the path.

    Weaker ones follow until a loss is more than `worse` times the lowest. If the strongest so far is the best, stronger ones
    follow until one is not.

    >>> next_place({2: 0.9, 3: 0.8}, 11, 1.0), next_place({2: 0.7, 3: 0.8}, 11, 1.0)
    (4, 1)
    >>> next_place({1: 0.8, 2: 0.7, 3: 0.8}, 11, 1.0) is None
    True
    """
    strongest, weakest, lowest = min(losses), max(losses), min(losses.values())
    if weakest + 1 < places and losses[weakest] <= worse * lowest:
        return weakest + 1
    return strongest - 1 if strongest and losses[strongest] == lowest else None


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
    tolerance: float = 5e-7,
) -> NDArray[np.float32]:
    """Logits float32 (n, K): each row's from a head that was fitted on the other folds, as `fit_linear_probe` does.

    learning: the features that heads are fitted on, one or more views of the n images, one view after the other; answering:
    the features that heads predict from; folds: int64 (n,), from 0; used: the features to use, all if left out. All rows
    standardise the features; this uses no label.

    All folds are solved at once. tolerance: as in `fit_linear_probe`.
    """
    used = used or FeatureSet("", (learning.values.shape[1],))
    values, mean, deviation = standardise(learning.values[:, : used.columns], used.blocks)
    views = len(learning.labels) // len(folds)
    out = np.empty((len(folds), classes), np.float32)
    every = np.arange(folds.max() + 1)
    for some in np.array_split(every, min(len(every), -(-len(every) * classes // _COLUMNS))):
        learns = np.tile(folds, views)[:, None] != some
        problem = LogisticRegression(values, learning.labels, classes, used.scale, learns, learning.weights)
        solved = problem.solve(strength, problem.start(), tolerance)
        for fold, solution in zip(some, np.split(solved, len(some)), strict=True):
            held = folds == fold
            out[held] = _logits(*unstandardised(solution, used.scale, mean, deviation), answering.values[held])
    return out
