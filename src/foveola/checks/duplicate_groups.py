"""Which pictures of a data set are of one picture: the same pixels, nearly the same, or made of one another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Dataset
from foveola.data.grouping import factorize, merge_groups
from foveola.types import Indices


@dataclass(frozen=True)
class DuplicateGroups:
    """Which pictures are of one picture.

    content: int64 (n,), equal where the pixels are equal; near: int64 (m, 3), pairs (i, j, variant) of near-duplicates;
    twins: int64 (n,), equal for files that are made of one another by their names; sizes: int32 (n, 2), pixels.
    """

    content: Indices
    near: Indices
    twins: Indices
    sizes: NDArray[np.int32]

    @cached_property
    def copies(self) -> Indices:
        """Units of copies, exact and near: int64 (n,)."""
        return merge_groups(self.content, groups_of_pairs(len(self.content), self.near[:, :2]))

    @cached_property
    def units(self) -> Indices:
        """What has to stay on one side of a split: copies and twins, int64 (n,)."""
        return merge_groups(self.copies, self.twins)


def merged_groups(dataset: Dataset, relations: DuplicateGroups) -> Indices:
    """Units of images that are no independent evidence: copies of each other, or of one group (`--group-by`); int64 (n,)."""
    return relations.copies if dataset.groups is None else merge_groups(relations.copies, dataset.groups)


def groups_of_pairs(n: int, pairs: Indices) -> Indices:
    """Units of n pictures that hold each pair together, as in `units.join`: int64 (n,).

    >>> groups_of_pairs(5, np.array([[0, 3], [3, 4]])).tolist()
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
    return factorize([root(i) for i in range(n)])


def members_of(units: Indices) -> list[Indices]:
    """The rows of each unit of two or more, the units in order of their first row."""
    rows = np.flatnonzero(np.bincount(units, minlength=1)[units] > 1)  # few: most pictures stand for themselves
    if not len(rows):
        return []
    order = rows[np.argsort(units[rows], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(units[order])) + 1)
    return sorted(groups, key=lambda rows: int(rows[0]))


def mentioned_names(dataset: Dataset, groups: list[Indices]) -> tuple[tuple[str, ...], ...]:
    """The names of each group's pictures."""
    return tuple(tuple(dataset.ids[i] for i in rows) for rows in groups)


def flatten(groups: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """All names of some groups, one after the other."""
    return tuple(name for group in groups for name in group)
