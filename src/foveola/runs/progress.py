"""What the verbs report while they work, and the rows of training in words.

The terminal (`foveola.cli.progress`) and the notebook (`foveola.jupyter`) show the same words.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foveola.evaluation.headline import with_interval
from foveola.models.feature_sets import in_words
from foveola.models.registry import MODELS
from foveola.text import count, percent
from foveola.training.history import EpochLog, FoldLog, ProbeLog, Row

if TYPE_CHECKING:
    from foveola.recipes.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """What is about to be trained, reported before the first step.

    folds: the folds of a cross-validation in words, "" for one test set; parts: images of train, val and test (of the first
    fold); ready_features: whether the network begins with the features of a pre-trained
    one, so that its last layer is fitted first.
    """

    data: str
    recipe: Recipe
    seed: int
    parts: Mapping[str, int]
    parameters: int
    device: str
    precision: str
    folder: Path
    remarks: tuple[str, ...]
    ready_features: bool = False
    folds: str = ""

    def lines(self) -> Iterator[str]:
        """The plan in words, one statement per line."""
        name, parts = self.recipe.model.name, self.parts
        yield self.data
        split = f"{parts['train']:,} train, {parts['val']:,} val, {parts['test']:,} test"
        yield f"split: {f'{self.folds}, the first with ' if self.folds else ''}{split}, seed {self.seed}"
        yield (
            f"network: {name}, {self.parameters:,} parameters, images of {self.recipe.data.size}, on {self.device} in "
            f"{self.precision}"
        )
        yield f"training: {self._training()}"
        fit = self.recipe.fit
        if self.ready_features and not fit.epochs and fit.augment in ("photo", "flat", "text"):
            seen = "as they are and mirrored" if fit.flip else "as they are"
            yield f"note: the last layer sees images {seen}; --augment {fit.augment} has its full effect with --finetune"
        for remark in self.remarks:
            yield f"note: {remark}"

    def _training(self) -> str:
        epochs = count(int(self.recipe.fit.epochs), "epoch")
        if not self.ready_features:
            return epochs
        source = MODELS.entry(self.recipe.model.name).pretrained_on
        network = f"network pre-trained on {source}" if source else "pre-trained network"
        fitting = f"using features of a {network}; fitting the classifier (its last layer)"
        return f"{fitting}, then {epochs} of fine-tuning" if self.recipe.fit.epochs else fitting


class Progress:
    """What a verb reports while it works; every verb takes one as `progress=`.

    This class shows nothing. Override the methods that you need:

        class Bar(fv.Progress):
            def tick(self, stage, done, total):
                print(stage, done, "of", total)

        fv.train("photos", progress=Bar())
    """

    def tell(self, line: str) -> None:
        """A line about what happens now."""

    def note(self, line: str) -> None:
        """Something that the user should know about the result: a Python warning at the line that called the verb."""
        warn(line)

    def tick(self, stage: str, done: int, total: int) -> None:
        """How much of a stage ("Reading files") is done."""

    def plan(self, plan: Plan) -> None:
        """What is about to be trained, once before the first step."""

    def row(self, row: Row) -> None:
        """A row of training: a step, an epoch, a fit of the last layer, or the test of a fold."""

    def runs(self, done: int, total: int, seconds: float | None) -> None:
        """How many runs of a comparison are done; seconds: expected for the others, None if unknown."""


def warn(line: str) -> None:
    """Issue a Python warning at the line of the user's code that called foveola."""
    level, frame = 1, inspect.currentframe()
    ours = ("foveola", "contextlib")  # a verb may be wrapped in a context manager
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ours:
        level, frame = level + 1, frame.f_back
    warnings.warn(line, stacklevel=level)


def row_name(row: EpochLog | ProbeLog) -> str:
    """An epoch by its number, a fit of the last layer by its features and its regularisation.

    >>> row_name(ProbeLog(1, 9, 0.1, 0, 0, 0, 0, 0))
    'last layer, regularisation 0.1'
    >>> row_name(ProbeLog(1, 9, 0.1, 0, 0, 0, 0, 0, "top"))
    'last layer on features of the last stage, regularisation 0.1'
    """
    if isinstance(row, EpochLog):
        return f"epoch {row.epoch:3d}"
    return f"last layer{on_features(row.features)}, regularisation {row.strength:.2g}"


def on_features(name: str) -> str:
    """Words for the set of features that a last layer uses, after "last layer"; "" if there is only one set.

    >>> on_features("top + stage7 + stage5")
    ' on features of the last stage and two earlier ones'
    """
    return f" on features of {in_words(name)}" if name else ""


def row_sentence(row: EpochLog | ProbeLog, n_val: int, seconds: float) -> str:
    """A row as one line of text; seconds: of this row alone."""
    return (
        f"{row_name(row)}: train loss {row.train_loss:.3f}, accuracy {percent(row.train_accuracy)}; "
        f"val loss {row.val_loss:.3f}, accuracy {with_interval(row.val_accuracy, n_val)}; {seconds:.1f} s"
    )


def fold_sentence(row: FoldLog) -> str:
    """The test of a fold as one line of text.

    >>> fold_sentence(FoldLog(1, 1, 2, 5, 288, 32, 80, 74, 0, 0.1, None, 0.52))
    'fold 2 of 5: accuracy 92.5 % (84.6 to 96.5), n = 80; last layer with regularisation 0.1; 0.5 s'
    """
    repeat = f"repeat {row.repeat} of {row.repeats}, " if row.repeats > 1 else ""
    head = f"last layer{on_features(row.head_features or '')} with regularisation {row.head_penalty or 0.0:.2g}"
    kept = f"epoch {row.best_epoch}" if row.best_epoch else head
    accuracy = with_interval(row.right / row.n_test, row.n_test)
    return (
        f"{repeat}fold {row.fold} of {row.folds}: accuracy {accuracy}, n = {row.n_test:,}; {kept}; {row.seconds:.1f} s"
    )


def row_seconds(row: EpochLog | ProbeLog, before: EpochLog | ProbeLog | None) -> float:
    """The seconds of this row alone: fits of a last layer count theirs from the first fit's beginning.

    >>> first, second = ProbeLog(1, 2, 1.0, 0, 0, 0, 0, 0.5), ProbeLog(2, 2, 0.1, 0, 0, 0, 0, 1.25)
    >>> row_seconds(first, None), row_seconds(second, first)
    (0.5, 0.75)
    """
    return row.seconds - before.seconds if isinstance(row, ProbeLog) and isinstance(before, ProbeLog) else row.seconds
