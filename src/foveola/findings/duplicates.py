"""Findings about copies: the same content, near-duplicates, the same picture under two labels, copies across parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Dataset, printable
from foveola.data.units import join, leaking, number
from foveola.errors import count
from foveola.findings.candidates import ALL_WITH_ALL
from foveola.findings.copies import compared
from foveola.findings.finding import Finding, percent
from foveola.types import Rows

LEAK_ERROR = 0.01
"""Share of the test part from which a leak is an error: an accuracy is then wrong by a figure that is reported."""

JUDGES = {1: "val picture", 2: "test picture"}
"""The parts that judge, by their numbers in `Dataset.parts`."""


@dataclass(frozen=True)
class Relations:
    """Which pictures are of one picture.

    content: int64 (n,), equal where the pixels are equal; near: int64 (m, 3), pairs (i, j, variant) of near-duplicates;
    twins: int64 (n,), equal for files that are made of one another by their names; sizes: int32 (n, 2), pixels.
    """

    content: Rows
    near: Rows
    twins: Rows
    sizes: NDArray[np.int32]

    @cached_property
    def copies(self) -> Rows:
        """Units of copies, exact and near: int64 (n,)."""
        return join(self.content, paired(len(self.content), self.near[:, :2]))

    @cached_property
    def units(self) -> Rows:
        """What has to stay on one side of a split: copies and twins, int64 (n,)."""
        return join(self.copies, self.twins)


def paired(n: int, pairs: Rows) -> Rows:
    """Units of n pictures that hold each pair together, as in `split.join`: int64 (n,).

    >>> paired(5, np.array([[0, 3], [3, 4]])).tolist()
    [0, 1, 2, 0, 0]
    """
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs.tolist():
        parent[root(j)] = root(i)
    return number([root(i) for i in range(n)])


def members(units: Rows) -> list[Rows]:
    """The rows of each unit of two or more, the units in order of their first row."""
    rows = np.flatnonzero(np.bincount(units, minlength=1)[units] > 1)  # few: most pictures stand for themselves
    if not len(rows):
        return []
    order = rows[np.argsort(units[rows], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(units[order])) + 1)
    return sorted(groups, key=lambda rows: int(rows[0]))


def duplicate_findings(dataset: Dataset, relations: Relations) -> list[Finding]:
    """exact_duplicate, near_duplicate, label_conflict and split_leak."""
    found = [_exact(dataset, relations), _near(dataset, relations), _too_many(relations)]
    found += [_conflict(dataset, relations), _leak(dataset, relations), _leak_to_val(dataset, relations)]
    return [finding for finding in found if finding is not None]


def _named(dataset: Dataset, groups: list[Rows]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(dataset.ids[i] for i in rows) for rows in groups)


def _flat(groups: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(name for group in groups for name in group)


def _exact(dataset: Dataset, relations: Relations) -> Finding | None:
    groups = members(relations.content)
    if not groups:
        return None
    named, extra = _named(dataset, groups), sum(len(rows) - 1 for rows in groups)
    return Finding(
        "exact_duplicate",
        "warning",
        f"{count(sum(map(len, groups)), 'file')} hold {count(len(groups), 'picture')} between them, the same to the last "
        f"pixel: {count(extra, 'copy', 'copies')} too many",
        "keep one of each; where foveola splits the data, they stay on one side",
        _flat(named),
        named,
        leave_out=tuple(dataset.ids[i] for rows in groups for i in _spare(dataset, relations, rows)),
    )


def _near(dataset: Dataset, relations: Relations) -> Finding | None:
    if not len(relations.near):
        return None
    rows = np.unique(relations.near[:, :2])
    groups = [g for g in members(relations.copies) if np.isin(g, rows).any()]
    firsts = [_distinct(relations, group) for group in groups]
    named = _named(dataset, firsts)
    laid = int((relations.near[:, 2] > 0).sum())
    return Finding(
        "near_duplicate",
        "warning",
        f"{count(sum(map(len, firsts)), 'picture')} come down to {len(groups):,}: saved again, resized, slightly cropped, or "
        "in other tones" + (f"; {count(laid, 'pair')} mirrored or turned" if laid else ""),
        "look at them side by side and keep one of each; where foveola splits the data, they stay on one side",
        _flat(named),
        named,
        leave_out=tuple(dataset.ids[i] for group in firsts for i in _spare(dataset, relations, group)),
    )


def _too_many(relations: Relations) -> Finding | None:
    """How near-duplicates of many pictures are looked for; what is missed: docs/why/speed.md."""
    n = len(compared(relations.content, relations.sizes))
    if n <= ALL_WITH_ALL:
        return None
    return Finding(
        "near_duplicate",
        "note",
        f"{n:,} pictures are too many to compare all with all: near-duplicates were looked for among likely ones, and one "
        "pair in a hundred may have been missed",
        "nothing: copies that are the same to the last pixel are all found",
        about=n,
    )


def _distinct(relations: Relations, rows: Rows) -> Rows:
    """One row of each content."""
    return rows[np.sort(np.unique(relations.content[rows], return_index=True)[1])]


def _spare(dataset: Dataset, relations: Relations, rows: Rows) -> list[int]:
    """All of some copies but the one to keep: of the test part before val before train, then the one of most pixels."""
    parts = np.full(len(dataset), -1) if dataset.parts is None else dataset.parts
    pixels = relations.sizes[rows].astype(np.int64).prod(axis=1)
    kept = rows[np.lexsort((rows, -pixels, -parts[rows]))[0]]
    return [int(i) for i in rows if i != kept]


def _conflict(dataset: Dataset, relations: Relations) -> Finding | None:
    """Copies under two labels. Turned ones do not count: a turned 6 is a 9."""
    upright = relations.near[relations.near[:, 2] == 0, :2]
    units = join(relations.content, paired(len(dataset), upright))
    groups = [rows for rows in members(units) if len(set(dataset.labels[rows].tolist())) > 1]
    if not groups:
        return None
    named = _named(dataset, groups)
    ids = _flat(named)
    label = dict(zip(dataset.ids, dataset.labels.tolist(), strict=True))
    return Finding(
        "label_conflict",
        "error",
        f"{count(len(groups), 'picture')} lie under two labels or more, in {count(len(ids), 'file')}: nobody can be right "
        "about all of them",
        "decide which label is right and delete the other files, or leave all of them out",
        ids,
        named,
        tuple(printable(dataset.class_names[label[name]]) for name in ids),
        ids,
    )


def _leak(dataset: Dataset, relations: Relations) -> Finding | None:
    """Pictures of the data's own test part with a relative in its train or val part; twins count as much as copies."""
    return _between(
        dataset,
        relations,
        2,
        (0, 1),
        "train or val",
        "the accuracy is flattered by them",
        "leave the copies in train and val out, so that the test part stays what it was; or report the accuracy without "
        "these test pictures, too, as the report of a run does",
    )


def _leak_to_val(dataset: Dataset, relations: Relations) -> Finding | None:
    """The same of the data's own val part: it chooses the epoch, and what confidence and abstention state comes from it."""
    return _between(
        dataset,
        relations,
        1,
        (0,),
        "train",
        "val has seen too little that is new to choose by, and makes the network surer of itself than it should be",
        "leave the copies in train out, so that the val part stays what it was",
    )


def _between(
    dataset: Dataset, relations: Relations, judge: int, before: tuple[int, ...], where: str, so: str, advice: str
) -> Finding | None:
    """Pictures of the part `judge` with a relative in the parts `before`, which the data itself gives."""
    if dataset.parts is None:
        return None
    judged, seen = np.flatnonzero(dataset.parts == judge), np.flatnonzero(np.isin(dataset.parts, before))
    units = relations.units
    leaked = leaking(units, seen, judged)
    if not len(leaked):
        return None
    groups = [rows for rows in members(units) if np.isin(rows, leaked).any()]
    exact = len(leaking(relations.content, seen, judged))
    share = len(leaked) / len(judged)
    named = _named(dataset, [rows[np.argsort(-dataset.parts[rows], kind="stable")] for rows in groups])
    to_leave = np.concatenate([rows[np.isin(dataset.parts[rows], before)] for rows in groups])
    return Finding(
        "split_leak",
        "error" if judge == 2 and share >= LEAK_ERROR else "warning",
        f"{len(leaked):,} of {count(len(judged), JUDGES[judge])} ({percent(share)}) have a copy or twin in {where}, "
        f"{exact:,} of them the same to the last pixel: {so}",
        advice,
        _flat(named),
        named,
        leave_out=tuple(dataset.ids[i] for i in to_leave.tolist()),
    )
