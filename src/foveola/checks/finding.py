"""Finding: one actual or possible problem of a data set, with the files that it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from foveola.text import printable

Kind: TypeAlias = Literal[
    "damaged", "exact_duplicate", "near_duplicate", "label_conflict", "split_leak", "twin", "shortcut", "imbalance",
    "quality", "format", "suspect_label",
]  # fmt: skip
Severity: TypeAlias = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""error: measured numbers would be wrong. warning: training would be worse than it needs to be. note: worth knowing."""


@dataclass(frozen=True)
class Finding:
    """One finding. message: the problem in one sentence; advice: what to do.

    ids: the files concerned, each once, the most important first, empty if the finding concerns all files; about: the number
    of classes or facts, for findings without ids; groups: ids that belong together, such as copies of each other; captions:
    a caption for each of `ids`, or none; leave_out: the ids to put on a list for `train --exclude`; topic: distinguishes
    findings of one kind in a heading, such as "file names"; facts: the file properties that a shortcut consists of.
    """

    kind: Kind
    severity: Severity
    message: str
    advice: str
    ids: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    captions: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    about: int = 0
    topic: str = ""
    facts: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The number of files, or of classes or facts for a finding without files."""
        return len(self.ids) or self.about

    def to_json(self) -> dict[str, Any]:
        """The finding under the names that `foveola check --json` prints."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "count": self.count,
            "ids": [printable(name) for name in self.ids],
            "message": self.message,
            "advice": self.advice,
        }


def sort_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then notes."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
