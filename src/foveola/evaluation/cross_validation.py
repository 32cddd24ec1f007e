"""Join the predictions of the networks of a cross-validation into one evaluation and one calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Dataset
from foveola.evaluation.calibration import Calibration, fit_temperature
from foveola.evaluation.metrics import Evaluation, Floats
from foveola.evaluation.out_of_fold import OutOfFold
from foveola.types import Indices, Labels


class FoldPredictions(NamedTuple):
    """The predictions of one network: repeat and fold from 0, the tested rows int64 (m,), their logits float32 (m, K)."""

    repeat: int
    fold: int
    rows: Indices
    logits: NDArray[np.float32]


def join_folds(
    dataset: Dataset, folds: Sequence[FoldPredictions], units: Indices, leaked: Indices
) -> tuple[Evaluation, Calibration]:
    """The out-of-fold evaluation of a data set, repeat by repeat in the order of its images, and the calibration.

    units: int64 (n,), equal for images that belong together; leaked: the rows that have a copy outside their fold. The
    temperature of the evaluation's predictions is fitted to the other folds, so no image has a part in its own. That of the
    calibration, for new images, is fitted to all images.
    """
    rows = np.concatenate([one.rows for one in folds])
    repeat, fold = (np.repeat([one[k] for one in folds], [len(one.rows) for one in folds]) for k in (0, 1))
    order = np.lexsort((rows, repeat))
    rows, repeat, fold = rows[order], repeat[order], fold[order]
    logits, labels = np.concatenate([one.logits for one in folds])[order], dataset.labels[rows]
    origin = OutOfFold(repeat, fold, units[rows], fold_temperatures(logits, labels, repeat, fold))
    once = repeat == 0
    calibration = Calibration.of(logits[once], labels[once], "out-of-fold")
    ids, seen = tuple(dataset.ids[i] for i in rows), np.isin(rows, leaked)
    return (
        Evaluation(logits, labels, ids, dataset.class_names, "test", calibration.temperature, seen, origin),
        calibration,
    )


def fold_temperatures(logits: NDArray[np.float32], labels: Labels, repeat: Indices, fold: Indices) -> Floats:
    """The temperature of each out-of-fold prediction, float64 (n,), fitted to the other folds of its repeat."""
    out = np.empty(len(labels))
    for r, f in np.unique(np.stack([repeat, fold], axis=1), axis=0):
        others = (repeat == r) & (fold != f)
        out[(repeat == r) & (fold == f)] = fit_temperature(logits[others], labels[others])
    return out
