"""What training reports while it runs: the plan before the first step, a row for each epoch; and both in words.

The terminal (`foveola.cli.progress`) and the notebook (`foveola.jupyter`) show the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveola.errors import count
from foveola.evaluation.metrics import wilson
from foveola.models.registry import MODELS
from foveola.training.history import EpochLog, ProbeLog, Row
from foveola.types import Tell, Tick, no_tick, tell_nobody

if TYPE_CHECKING:
    from foveola.recipes.recipe import Recipe


def _nothing(_: Any) -> None:
    return None


@dataclass(frozen=True)
class Plan:
    """What is about to be trained, reported before the first step.

    parts: images of train, val and test; ready_features: whether the network begins with the features of a pre-trained
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

    def lines(self) -> Iterator[str]:
        """The plan in words, one statement a line."""
        name, parts = self.recipe.model.name, self.parts
        yield self.data
        yield f"split: {parts['train']:,} train, {parts['val']:,} val, {parts['test']:,} test, seed {self.seed}"
        yield (
            f"network: {name}, {self.parameters:,} parameters, images of {self.recipe.data.size}, on {self.device} in "
            f"{self.precision}"
        )
        yield f"training: {self._training()}"
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


@dataclass(frozen=True)
class Watch:
    """Callbacks for the progress of a run.

    tell: a line of text; tick: (stage, done, total) while data is read; plan: the Plan, once; row: each row of training.
    """

    tick: Tick = no_tick
    plan: Callable[[Plan], None] = _nothing
    row: Callable[[Row], None] = _nothing
    tell: Tell = tell_nobody


def row_name(row: EpochLog | ProbeLog) -> str:
    """An epoch by its number, a fit of the last layer by its regularisation.

    >>> row_name(ProbeLog(1, 9, 0.1, 0, 0, 0, 0, 0))
    'last layer, regularisation 0.1'
    """
    return f"epoch {row.epoch:3d}" if isinstance(row, EpochLog) else f"last layer, regularisation {row.strength:.2g}"


def row_sentence(row: EpochLog | ProbeLog, n_val: int, seconds: float) -> str:
    """A row as one line of text; seconds: of this row alone."""
    return (
        f"{row_name(row)}: train loss {row.train_loss:.3f}, accuracy {percent(row.train_accuracy)}; "
        f"val loss {row.val_loss:.3f}, accuracy {with_interval(row.val_accuracy, n_val)}; {seconds:.1f} s"
    )


def row_seconds(row: EpochLog | ProbeLog, before: EpochLog | ProbeLog | None) -> float:
    """The seconds of this row alone: fits of a last layer count theirs from the first fit's beginning.

    >>> first, second = ProbeLog(1, 2, 1.0, 0, 0, 0, 0, 0.5), ProbeLog(2, 2, 0.1, 0, 0, 0, 0, 1.25)
    >>> row_seconds(first, None), row_seconds(second, first)
    (0.5, 0.75)
    """
    return row.seconds - before.seconds if isinstance(row, ProbeLog) and isinstance(before, ProbeLog) else row.seconds


def with_interval(share: float, n: int) -> str:
    """A val accuracy with its 95 % interval. Train accuracy has none: it is of the very images that were learned from."""
    if not n:
        return percent(share)
    low, high, _ = wilson(round(share * n), n)
    return f"{percent(share)} ({100 * low:.1f} to {100 * high:.1f})"


def percent(share: float) -> str:
    """A share as a percentage.

    >>> percent(0.5)
    '50.0 %'
    """
    return f"{100 * share:.1f} %"
