"""Groups of images that are exact duplicates, near-duplicates, or derived from one another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Dataset
from foveola.data.grouping import groups_of_pairs, merge_groups
from foveola.types import Indices


@dataclass(frozen=True)
class DuplicateGroups:
    """Exact duplicates, near-duplicates and derived files of a data set of n images.

    content: int64 (n,), equal for images with equal pixels; near: int64 (m, 3), pairs (i, j, variant) of near-duplicates;
    derived: int64 (n,), equal for files that were made from one another, by their names; sizes: int32 (n, 2), pixels;
    near_searched: False where there are too many images to look for near-duplicates without faiss.
    """

    content: Indices
    near: Indices
    derived: Indices
    sizes: NDArray[np.int32]
    near_searched: bool = True

    @cached_property
    def copies(self) -> Indices:
        """Groups of copies, exact and near: int64 (n,)."""
        return merge_groups(self.content, groups_of_pairs(len(self.content), self.near[:, :2]))

    @cached_property
    def groups(self) -> Indices:
        """Groups that a split must keep in one part, copies and derived files: int64 (n,)."""
        return merge_groups(self.copies, self.derived)


def merged_groups(dataset: Dataset, relations: DuplicateGroups) -> Indices:
    """Groups of images that count as one: copies of each other, or members of one group (`--group-by`); int64 (n,)."""
    return relations.copies if dataset.groups is None else merge_groups(relations.copies, dataset.groups)


def members_of(group_ids: Indices) -> list[Indices]:
    """The rows of each group of two or more, the groups in order of their first row."""
    rows = np.flatnonzero(
        np.bincount(group_ids, minlength=1)[group_ids] > 1
    )  # few: most images are alone in their group
    if not len(rows):
        return []
    order = rows[np.argsort(group_ids[rows], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(group_ids[order])) + 1)
    return sorted(groups, key=lambda rows: int(rows[0]))


def mentioned_names(dataset: Dataset, groups: list[Indices]) -> tuple[tuple[str, ...], ...]:
    """The names of each group's images."""
    return tuple(tuple(dataset.ids[i] for i in rows) for rows in groups)


def flatten(groups: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """All names of some groups, one after the other."""
    return tuple(name for group in groups for name in group)
