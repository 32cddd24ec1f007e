"""Report section on cross-validation: the accuracy of each fold, and which networks the numbers of the page are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from foveola.evaluation.headline import with_interval
from foveola.evaluation.metrics import Evaluation
from foveola.report.formatting import number
from foveola.report.svg import probability_bar
from foveola.text import percent
from foveola.training.history import FoldLog


@dataclass(frozen=True)
class FoldLine:
    """One tested network as text: its fold, its accuracy with the 95 % interval, and what its validation images chose."""

    name: str
    n_train: int
    n_val: int
    n_test: int
    accuracy: str
    bar: Markup
    kept: str


@dataclass(frozen=True)
class FoldsSection:
    """Values of the section.

    networks: how many were tested; units: the number of images or groups that are independent, 0 if all images are; lowest,
    highest: the accuracies of the folds; fine_tuned: how many of the tested networks have the weights of an epoch, not the
    last layer alone.
    """

    folds: int
    repeats: int
    networks: int
    images: int
    units: int
    lowest: str
    highest: str
    fine_tuned: int
    lines: tuple[FoldLine, ...]


def folds_section(tests: Sequence[FoldLog], evaluation: Evaluation) -> FoldsSection | None:
    """Collect the section's values; None for a run with one test set."""
    origin = evaluation.out_of_fold
    if not tests or origin is None:
        return None
    shares, units = [row.right / row.n_test for row in tests], len(np.unique(origin.units))
    return FoldsSection(
        folds=origin.folds,
        repeats=origin.repeats,
        networks=len(tests),
        images=evaluation.images,
        units=units if units < evaluation.images else 0,
        lowest=percent(min(shares)),
        highest=percent(max(shares)),
        fine_tuned=sum(row.best_epoch > 0 for row in tests),
        lines=tuple(map(_line, tests)),
    )


def _line(row: FoldLog) -> FoldLine:
    share = row.right / row.n_test
    repeat = f"repeat {row.repeat}, " if row.repeats > 1 else ""
    kept = f"epoch {row.best_epoch}" if row.best_epoch else f"penalty {number(row.head_penalty or 0.0)}"
    return FoldLine(
        f"{repeat}fold {row.fold}",
        row.n_train,
        row.n_val,
        row.n_test,
        with_interval(share, row.n_test),
        probability_bar(share, "right"),
        kept,
    )
