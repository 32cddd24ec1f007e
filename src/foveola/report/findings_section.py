"""The report's words on what was found wrong with the data, and on what leaks between the parts do to the accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foveola.data.exclude import LEFT_OUT
from foveola.evaluation.metrics import Evaluation, wilson
from foveola.report.words import percent
from foveola.runs.data_summary import DataSummary, FindingLine


@dataclass(frozen=True)
class CheckedWithoutFindings:
    """The accuracy on the test pictures that have no copy or twin in train or val, with its 95 % Wilson interval."""

    leaked: int
    n: int
    accuracy: str
    low: str
    high: str
    all: str


@dataclass(frozen=True)
class NaiveSplit:
    """What a split picture by picture would have given away: the share of its test part, and the accuracy up to which."""

    share: str
    claimed: str
    all: str


@dataclass(frozen=True)
class FindingsSection:
    """What the section shows; excluded: how many files an exclude list left out."""

    lines: tuple[FindingLine, ...]
    clean: CheckedWithoutFindings | None
    naive: NaiveSplit | None
    excluded: int


def findings_section(card: DataSummary, evaluation: Evaluation) -> FindingsSection:
    """Collect the section's values."""
    excluded = sum(problem.reason.startswith(LEFT_OUT) for problem in card.problems)
    return FindingsSection(card.findings, clean(card.leaked, evaluation), naive(card.naive_share, evaluation), excluded)


def clean(leaked: tuple[str, ...], evaluation: Evaluation) -> CheckedWithoutFindings | None:
    """The accuracy without the leaked test pictures; None when none has leaked, or all."""
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
    """The accuracy that a naive split could have claimed: as here, and 100 % on the pictures whose copies were seen.

    None where it would be the same. It is a bound and no measurement: a network may miss a picture whose copy it has seen.
    """
    claimed = evaluation.accuracy * (1 - share) + share
    if percent(claimed) == percent(evaluation.accuracy):
        return None
    return NaiveSplit(percent(share), percent(claimed), percent(evaluation.accuracy))
