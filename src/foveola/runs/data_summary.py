"""Data card of a run: numbers and a few images of its data, so that the report needs no data set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.checks.finding import Finding
from foveola.data.dataset import PARTS, Part, Problem
from foveola.data.prepare import Prepared
from foveola.data.split import Split
from foveola.types import Indices

LISTED = 20
"""Number of ids that a card keeps of each finding."""


@dataclass(frozen=True)
class FindingLine:
    """A finding as the run stores it, with its first ids."""

    kind: str
    severity: str
    count: int
    message: str
    advice: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class DataSummary:
    """Summary of a run's data.

    counts: images of each class (in the order of class_names) by part; sizes: (height, width, how many), the most
    frequent first; formats and notes: how many images of each; remarks: what a reader should know;
    files_found = files_used + files_ignored + len(problems); findings: what was found wrong with the data; leaked: ids of
    test images that have a duplicate or derived file in train or val; naive_share: see `Split`.
    """

    name: str
    fingerprint: str
    class_names: tuple[str, ...]
    counts: dict[Part, tuple[int, ...]]
    size: str
    resize: str
    sizes: tuple[tuple[int, int, int], ...]
    formats: dict[str, int]
    notes: dict[str, int]
    remarks: tuple[str, ...]
    split_rule: str
    problems: tuple[Problem, ...]
    files_found: int
    files_used: int
    files_ignored: int
    findings: tuple[FindingLine, ...] = ()
    leaked: tuple[str, ...] = ()
    naive_share: float = 0.0

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> DataSummary:
        """Read a card from its JSON text."""
        raw: dict[str, Any] = json.loads(text)
        raw["problems"] = tuple(Problem(**problem) for problem in raw["problems"])
        raw["findings"] = tuple(FindingLine(**{**line, "ids": tuple(line["ids"])}) for line in raw["findings"])
        raw["leaked"] = tuple(raw["leaked"])
        raw["sizes"] = tuple((h, w, n) for h, w, n in raw["sizes"])
        raw["counts"] = {part: tuple(counts) for part, counts in raw["counts"].items()}
        return cls(**{**raw, "class_names": tuple(raw["class_names"]), "remarks": tuple(raw["remarks"])})


def summarise_data(prepared: Prepared, split: Split, findings: Sequence[Finding] = ()) -> DataSummary:
    """Make the card of prepared data, its split and findings."""
    dataset = prepared.dataset
    k = len(dataset.class_names)
    rows: dict[Part, Indices] = {"train": split.train, "val": split.val, "test": split.test}
    return DataSummary(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        class_names=dataset.class_names,
        counts={part: tuple(np.bincount(dataset.labels[rows[part]], minlength=k).tolist()) for part in PARTS},
        size=str(prepared.size),
        resize=prepared.how,
        sizes=_frequent(prepared.sizes),
        formats=dict(Counter(prepared.formats).most_common()),
        notes=dict(Counter(prepared.notes).most_common()),
        remarks=(*dataset.notes, *split.notes),
        split_rule=split.rule,
        problems=dataset.problems,
        files_found=dataset.files_found,
        files_used=len(dataset),
        files_ignored=dataset.files_ignored,
        findings=tuple(FindingLine(f.kind, f.severity, f.count, f.message, f.advice, f.ids[:LISTED]) for f in findings),
        leaked=tuple(dataset.ids[i] for i in split.leaked.tolist()),
        naive_share=split.naive_share,
    )


def _frequent(sizes: NDArray[np.int32]) -> tuple[tuple[int, int, int], ...]:
    """Distinct (height, width, how many) of int32 (n, 2), the most frequent first, of equals the smaller height first."""
    keys, counts = np.unique(sizes.astype(np.int64) @ np.array([1 << 20, 1]), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return tuple((int(keys[i] >> 20), int(keys[i] & 0xFFFFF), int(counts[i])) for i in order)
