"""Rows of the training log, as plain values without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias


class StepLog(NamedTuple):
    """One training step and the loss of its batch."""

    epoch: int
    step: int
    total_steps: int
    loss: float


class EpochLog(NamedTuple):
    """One epoch. Losses in nats per image, accuracies 0..1; train's are means over the epoch as it learned.

    seconds: of the whole epoch; val_seconds: the part of them in which val was measured; val_scale: the side of the val
    images, as a share of the whole: while a network learns from smaller images, it is measured on images of that size.
    """

    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float
    val_seconds: float = 0.0
    val_scale: float = 1.0


class ProbeLog(NamedTuple):
    """One solution of a linear head on fixed features, the `number`-th (from 1) of at most `total`.

    strength: of the l2 penalty; losses in nats per image, without the penalty; accuracies 0..1; seconds since the
    fitting began; features: the name of the set of features (`FeatureSet`) that the head uses, "" if there is only one.
    """

    number: int
    total: int
    strength: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    features: str = ""


class FoldLog(NamedTuple):
    """The test of one network of a cross-validation, on the images of a fold; repeat and fold from 1.

    right: the number of correct predictions; best_epoch: the epoch whose weights were tested, 0: the last layer alone;
    head_penalty, head_features: the strength of the last layer's l2 penalty and its set of features (see `ProbeLog`), None
    for networks without a pre-trained part.
    """

    repeat: int
    repeats: int
    fold: int
    folds: int
    n_train: int
    n_val: int
    n_test: int
    right: int
    best_epoch: int
    head_penalty: float | None
    head_features: str | None
    seconds: float


Row: TypeAlias = StepLog | EpochLog | ProbeLog | FoldLog


def best_head(rows: Sequence[ProbeLog]) -> ProbeLog | None:
    """The head with the lowest loss on val; None if there are no heads."""
    return min(rows, key=lambda row: row.val_loss, default=None)


def is_better(row: EpochLog | ProbeLog, than: EpochLog | ProbeLog, *, finetune: bool = False) -> bool:
    """Whether a network is better on val than the best so far: more correct predictions, or as many at a lower loss.

    An epoch that was measured on larger images counts for more, however many answers are right: the finished network takes
    whole images. Heads are compared by loss alone: where val is small, accuracies tie or differ by chance. Over 20 splits
    each of four sets with 64 or 96 val images, choice by loss gave 0.58 points more on test (29 better, 45 equal, 6 worse).
    finetune: an epoch must also have a lower loss than the head that it replaces.
    """
    if finetune and isinstance(row, EpochLog) and isinstance(than, ProbeLog) and row.val_loss >= than.val_loss:
        return False
    if isinstance(row, ProbeLog) and isinstance(than, ProbeLog):
        return row.val_loss < than.val_loss
    scales = [getattr(one, "val_scale", 1.0) for one in (row, than)]
    return (scales[0], row.val_accuracy, -row.val_loss) > (scales[1], than.val_accuracy, -than.val_loss)
