"""Report section on problems with the data, and on the effect of duplicates between train and test on the accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foveola.evaluation.metrics import Evaluation, wilson
from foveola.report.words import percent
from foveola.runs.data_summary import DataSummary, FindingLine


@dataclass(frozen=True)
class CheckedWithoutFindings:
    """The accuracy on the test images without a duplicate or derived file in train or val, with its 95 % Wilson interval."""

    leaked: int
    n: int
    accuracy: str
    low: str
    high: str
    all: str


@dataclass(frozen=True)
class NaiveSplit:
    """A random split: the share of its test images with a duplicate in train or val, and the highest possible accuracy."""

    share: str
    claimed: str
    all: str


@dataclass(frozen=True)
class FindingsSection:
    """Values of the section; excluded: the number of files that an exclude list left out."""

    lines: tuple[FindingLine, ...]
    clean: CheckedWithoutFindings | None
    naive: NaiveSplit | None
    excluded: int


def findings_section(card: DataSummary, evaluation: Evaluation) -> FindingsSection:
    """Collect the section's values."""
    excluded = sum(problem.kind == "excluded" for problem in card.problems)
    return FindingsSection(card.findings, clean(card.leaked, evaluation), naive(card.naive_share, evaluation), excluded)


def clean(leaked: tuple[str, ...], evaluation: Evaluation) -> CheckedWithoutFindings | None:
    """The accuracy without the leaked test images; None if none or all of them leaked."""
    known = set(leaked)
    kept = np.array([name not in known for name in evaluation.ids], bool)
    if kept.all() or not kept.any():
        return None
    right, n = int(evaluation.correct[kept].sum()), int(kept.sum())
    low, high, _ = wilson(right, n)
    return CheckedWithoutFindings(
        len(kept) - n, n, percent(right / n), percent(low), percent(high), percent(evaluation.accuracy)
    )


def naive(share: float, evaluation: Evaluation) -> NaiveSplit | None:
    """Upper bound of the accuracy after a random split: 100 % on images with a duplicate in train or val, as here on others.

    None if it would be the same. A network can still misclassify an image although it was trained on a duplicate of it.
    """
    claimed = evaluation.accuracy * (1 - share) + share
    if percent(claimed) == percent(evaluation.accuracy):
        return None
    return NaiveSplit(percent(share), percent(claimed), percent(evaluation.accuracy))
