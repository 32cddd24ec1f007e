"""Cross-validate a recipe: train and test a network for each fold, then train the run's network on all images."""

from __future__ import annotations

import copy
import functools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from torch import nn

from foveola.data.folds import Folds
from foveola.data.split import Split
from foveola.evaluation.cross_validation import FoldPredictions, join_folds
from foveola.runs.progress import Plan
from foveola.runs.trained import Trained
from foveola.runs.trainer import Trainer
from foveola.storage import disk_errors_as_resource_error, write_atomic
from foveola.text import count
from foveola.training.features import has_features
from foveola.training.history import EpochLog, FoldLog, ProbeLog, Row, StepLog, best_head, is_better

R = TypeVar("R", EpochLog, ProbeLog)


@dataclass
class CrossValidation(Trainer):
    """Train a run with folds: iterate `rows`, then call `finish`, as for any `Trainer`; `split` is `folds.whole`.

    Each fold is tested by a network that a separate Trainer trained on the other folds. The run's network is trained on all
    images, with the penalty of the last layer or the number of epochs that was best on val on average over these networks:
    `rows` writes these averages to head.jsonl and history.jsonl. After fine-tuning it is the fine-tuned network or the last
    layer alone, whichever more of these networks kept. No image is left to test it, so the run's test numbers are
    those of the other networks.
    """

    folds: Folds = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._predictions: list[FoldPredictions] = []
        self._tested: list[FoldLog] = []
        self._learned: list[list[EpochLog | ProbeLog]] = []

    @property
    def networks(self) -> int:
        """The number of networks that are trained: one for each fold, and the run's own."""
        return sum(len(several) for several in self.folds.splits) + 1

    @property
    def tested(self) -> tuple[FoldLog, ...]:
        """The networks that have been tested so far."""
        return tuple(self._tested)

    def rows(self) -> Iterator[Row]:
        """Train and test a network for each fold, then train on all images; yield steps, and a FoldLog for each fold."""
        for repeat, several in enumerate(self.folds.splits):
            for fold, split in enumerate(several):
                yield from self._fold(repeat, fold, split)
        yield from self._on_all_images()

    def _fold(self, repeat: int, fold: int, split: Split) -> Iterator[Row]:
        started, place = time.monotonic(), self.folder / "folds" / f"repeat-{repeat + 1}-fold-{fold + 1}"
        with disk_errors_as_resource_error(place, 4096):
            place.mkdir(parents=True)
        seed = (self.seed + repeat) % 2**32  # the networks of a repeat begin with the same weights
        trainer = Trainer(self.prepared, split, self.recipe, seed, place, self.tick)
        learned: list[EpochLog | ProbeLog] = []
        for row in trainer.rows():
            if isinstance(row, StepLog):
                yield self._among_all(row)
            elif not isinstance(row, FoldLog):
                learned.append(row)
        trainer.take_best()
        logits = trainer.test_logits()
        right = int((logits.argmax(axis=1) == self.prepared.dataset.labels[split.test]).sum())
        self._predictions.append(FoldPredictions(repeat, fold, split.test, logits))
        self._learned.append(learned)
        head = best_head([one for one in learned if isinstance(one, ProbeLog)])
        row = FoldLog(
            repeat + 1,
            len(self.folds.splits),
            fold + 1,
            len(self.folds.splits[0]),
            len(split.train),
            len(split.val),
            len(split.test),
            right,
            getattr(trainer.best, "epoch", 0),
            head.strength if head else None,
            (head.features or None) if head else None,
            time.monotonic() - started,
        )
        self._tested.append(row)
        self._write_rows("folds.jsonl", self._tested)
        yield row

    def _among_all(self, row: StepLog) -> StepLog:
        """A step of one network, counted among those of all networks."""
        before = len(self._tested) * row.total_steps
        return row._replace(step=before + row.step, total_steps=self.networks * row.total_steps)

    def _write_rows(self, name: str, rows: Sequence[EpochLog | ProbeLog | FoldLog]) -> None:
        write_atomic(self.folder / name, "".join(json.dumps(row._asdict()) + "\n" for row in rows), overwrite=True)

    def _on_all_images(self) -> Iterator[Row]:
        """Train the run's network: with the penalty and for the epochs that were best on val on average."""
        heads = mean_heads([[one for one in rows if isinstance(one, ProbeLog)] for rows in self._learned])
        epochs = mean_rows([[one for one in rows if isinstance(one, EpochLog)] for rows in self._learned])
        self._rows = [*heads, *epochs]
        self.best = kept_row(heads, epochs, self._tested, finetune=self.recipe.fit.finetune)
        if heads:
            self._write_rows("head.jsonl", heads)
        self._write_rows("history.jsonl", epochs)
        model = self.ready()
        if has_features(model):
            chosen = best_head(heads)
            assert chosen is not None, "networks with features have a last layer for each penalty"
            self._ready_head(model).refit(chosen)
        if isinstance(self.best, EpochLog):
            yield from self._train_until(model, self.best.epoch)
        self._best_state = copy.deepcopy(model.state_dict())

    def _train_until(self, model: nn.Module, epoch: int) -> Iterator[Row]:
        """Train as the networks of the folds were trained, and stop after this epoch."""
        for row in self._epochs(model):
            if isinstance(row, StepLog):
                yield self._among_all(row)
            elif isinstance(row, EpochLog) and row.epoch == epoch:
                return

    def finish(self) -> Trained:
        """Take the network that was trained on all images, and write it with the results of the folds."""
        self.take_best()
        evaluation, calibration = join_folds(
            self.prepared.dataset, self._predictions, self.folds.units, self.split.leaked
        )
        return self.write(evaluation, calibration, replace(self.split, test=self.split.train))

    @property
    def plan(self) -> Plan:
        """What is about to be trained."""
        first = self.folds.splits[0]
        times = f", {count(len(self.folds.splits), 'time')}" if len(self.folds.splits) > 1 else ""
        parts = {"train": len(first[0].train), "val": len(first[0].val), "test": len(first[0].test)}
        return replace(super().plan, parts=parts, folds=f"{len(first)} folds{times}")


def kept_row(
    heads: Sequence[ProbeLog], epochs: Sequence[EpochLog], tested: Sequence[FoldLog], *, finetune: bool
) -> EpochLog | ProbeLog:
    """The mean row that decides how the run's network is trained: the best on val of the kind that most of them kept.

    heads, epochs: mean rows; tested: the networks of the folds, `best_epoch` 0 if one kept its last layer alone. So the
    accuracy of the folds is that of networks of the same kind. If both kinds were kept equally often, the better one wins
    (`is_better`, with `finetune`).
    """
    tuned = sum(row.best_epoch > 0 for row in tested)
    rows: Sequence[EpochLog | ProbeLog] = [*heads, *epochs]
    if 2 * tuned != len(tested):
        rows = epochs if 2 * tuned > len(tested) else heads
    return functools.reduce(lambda kept, row: row if is_better(row, kept, finetune=finetune) else kept, rows)


def mean_heads(heads: Sequence[Sequence[ProbeLog]]) -> list[ProbeLog]:
    """The mean fits of the last layer of several networks, for the features and penalties that all of them tried.

    A network stops trying weaker penalties when they have become clearly worse for it, so they can't be the best for all.
    """
    fits = [{(row.features, row.strength): row for row in rows} for rows in heads]
    shared = [key for key in fits[0] if all(key in one for one in fits)]
    return [_mean(fits[0][key], [one[key] for one in fits]) for key in shared]


def mean_rows(rows: Sequence[Sequence[R]]) -> list[R]:
    """The mean rows of several networks, as many as the longest training has.

    rows: for each network its epochs or the fits of its last layer. A training that stopped early had become worse: its last
    row stands for those that are missing.
    """
    longest = max(rows, key=len)
    return [_mean(row, [one[min(k, len(one) - 1)] for one in rows]) for k, row in enumerate(longest)]


_AVERAGED = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds")


def _mean(row: R, rows: Sequence[R]) -> R:
    means: dict[str, Any] = {name: float(np.mean([getattr(one, name) for one in rows])) for name in _AVERAGED}
    return row._replace(**means)
