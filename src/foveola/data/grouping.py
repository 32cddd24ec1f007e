"""Groups of images that a split keeps together, and the stratified group split itself (used by `split`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foveola.data.dataset import Dataset
from foveola.errors import DataError
from foveola.text import count, printable
from foveola.types import Indices, Labels


def merge_groups(a: Indices, b: Indices) -> Indices:
    """Merge two groupings: rows that share a group in `a` or in `b` share one in the result (connected components).

    >>> merge_groups(np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7])).tolist()
    [0, 0, 0, 1]
    """
    if no_groups(b):
        return factorize(a.tolist())
    firsts, a_groups = np.unique(a, return_inverse=True)
    seconds, b_groups = np.unique(b, return_inverse=True)
    nodes = len(firsts) + len(seconds)  # a node per group of either grouping; each row links one to another
    return factorize(_connected(nodes, a_groups, b_groups + len(firsts))[a_groups].tolist())


def groups_of_pairs(n: int, pairs: Indices) -> Indices:
    """Groups of n images from pairs that belong together, numbered as by `merge_groups`: int64 (n,).

    >>> groups_of_pairs(5, np.array([[0, 3], [3, 4]])).tolist()
    [0, 1, 2, 0, 0]
    """
    return factorize(_connected(n, pairs[:, 0], pairs[:, 1]).tolist()) if len(pairs) else np.arange(n)


def _connected(nodes: int, starts: Indices, ends: Indices) -> Indices:
    """The number of each node's connected component: int (nodes,)."""
    from scipy.sparse import coo_array  # 0.2 s, and only data with copies or groups needs it
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(starts), np.int8), (starts, ends)), (nodes, nodes))
    return np.asarray(connected_components(links, directed=False)[1])


def members_of(group_ids: Indices) -> list[Indices]:
    """The rows of each group of two or more, the groups in order of their first row."""
    # Few rows: most images are alone in their group.
    rows = np.flatnonzero(np.bincount(group_ids, minlength=1)[group_ids] > 1)
    if not len(rows):
        return []
    order = rows[np.argsort(group_ids[rows], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(group_ids[order])) + 1)
    return sorted(groups, key=lambda rows: int(rows[0]))


def no_groups(group_ids: Indices) -> bool:
    """Whether every row is alone in its group."""
    return len(np.unique(group_ids)) == len(group_ids)


def factorize(keys: Sequence[object]) -> Indices:
    """Number the keys 0, 1, 2... in order of first appearance, as pandas' factorize does: int64 (n,)."""
    known = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    return np.array([known[key] for key in keys], np.int64)


def conflicting_labels(labels: Labels, content: Indices) -> NDArray[np.bool_]:
    """True for every image whose content has more than one label: bool (n,)."""
    if not len(labels):
        return np.zeros(0, bool)
    low = np.full(content.max() + 1, labels.max(), np.int64)
    high = np.zeros(content.max() + 1, np.int64)
    np.minimum.at(low, content, labels)
    np.maximum.at(high, content, labels)
    return np.not_equal(low, high)[content]


def leaking(group_ids: Indices, before: Indices, test: Indices) -> Indices:
    """The rows of `test` whose group has a member in `before`, the rows used for training or for choices."""
    return test[np.isin(group_ids[test], group_ids[before])]


class StratifiedGroupSplit:
    """Takes a stratified share of a pool of images; groups stay whole."""

    def __init__(self, dataset: Dataset, group_ids: Indices, fixed: NDArray[np.bool_], rng: Generator) -> None:
        self.dataset, self.group_ids, self.fixed, self.rng = dataset, group_ids, fixed, rng
        self.n_classes = len(dataset.class_names)

    def require(self, pool: Indices, carves: int) -> None:
        """Refuse classes that can't be in every part. Raises DataError."""
        if not carves:
            return
        groups_of = self._groups_of(pool)
        for k in np.flatnonzero(groups_of < carves + 1):
            name, images = printable(self.dataset.class_names[k]), int((self.dataset.labels[pool] == k).sum())
            what = "group" if self.dataset.groups is not None else "different one"
            apart = f", {count(int(groups_of[k]), what)}" if groups_of[k] != images else ""
            other = self._under_other_labels(pool, int(k))
            apart = f", all{other}" if other and not groups_of[k] else f"{apart}{f' (some{other})' if other else ''}"
            where = "training, validation and test" if carves == 2 else "training and the set that is split off"
            joined = (
                "; its name joins several labels, but foveola needs one label per image"
                if {"|", ";"} & set(name)
                else ""
            )
            raise DataError(
                f"class '{name}' has {count(images, 'image')}{apart}: at least "
                f"{carves + 1} are needed, one each for {where}; add images, or remove the class{joined}"
            )

    def _under_other_labels(self, pool: Indices, k: int) -> str:
        """A phrase for images of class k that stay in train because images of their group have another label too."""
        of_class = pool[self.dataset.labels[pool] == k]
        fixed = of_class[self.fixed[of_class]]
        others = np.unique(self.dataset.labels[np.isin(self.group_ids, self.group_ids[fixed])])
        names = [printable(self.dataset.class_names[other]) for other in others if other != k]
        if not len(fixed) or not names:
            return ""
        more = f" and {count(len(names) - 1, 'other class', 'other classes')}" if len(names) > 1 else ""
        return f" with the same pixels as images of '{names[0]}'{more}"

    def __call__(self, pool: Indices, fraction: float, part: str, *, still_to_come: int) -> Indices:
        labels = self.dataset.labels
        target = np.maximum(1, np.round(fraction * np.bincount(labels[pool], minlength=self.n_classes)))
        free = pool[~self.fixed[pool]]
        spare = (self._groups_of(pool) - (still_to_come + 1)).tolist()
        if no_groups(self.group_ids[free]):
            rows = self._singles(free, np.minimum(target, spare))
            self._check(pool, rows, part, still_to_come)
            return rows
        missing = [int(t) for t in target]
        members = self._members(free)
        order = self.rng.permutation(len(members))
        taken = [k for k in order if self._take(members[k], labels, missing, spare)]
        taken += self._rescue(members, taken, spare)
        rows = np.sort(np.concatenate([members[k] for k in taken])) if taken else np.zeros(0, np.int64)
        self._check(pool, rows, part, still_to_come)
        return rows

    def _singles(self, rows: Indices, wanted: NDArray[np.float64]) -> Indices:
        """The first `wanted` images of each class in a random order: the same result as for groups of one image, faster.

        A split of 50,000 images takes 0.16 s this way and 0.34 s through groups (medians of five).
        """
        by_group = rows[np.argsort(self.group_ids[rows], kind="stable")]
        shuffled = by_group[self.rng.permutation(len(by_group))]
        labels = self.dataset.labels[shuffled]
        by_class = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[by_class], labels[by_class])
        rank = np.arange(len(rows)) - starts
        return np.sort(shuffled[by_class[rank < wanted[labels[by_class]]]])

    def _groups_of(self, pool: Indices) -> Indices:
        """The number of groups of each class that may leave train: int64 (K,)."""
        free = pool[~self.fixed[pool]]
        pairs = np.unique(np.stack([self.group_ids[free], self.dataset.labels[free]]), axis=1)
        return np.bincount(pairs[1], minlength=self.n_classes).astype(np.int64)

    def _members(self, rows: Indices) -> list[Indices]:
        order = rows[np.argsort(self.group_ids[rows], kind="stable")]
        return np.split(order, np.flatnonzero(np.diff(self.group_ids[order])) + 1) if len(order) else []

    @staticmethod
    def _take(rows: Indices, labels: Labels, missing: list[int], spare: list[int]) -> bool:
        """Take the group if that brings the counts closer to their targets (sum of absolute differences).

        `spare` counts the groups of each class that may go, so that one is left for each part still to come.
        """
        if len(rows) == 1:  # nearly all groups are single images: this line is the whole speed
            k = int(labels[rows[0]])
            if missing[k] <= 0 or spare[k] <= 0:
                return False
            missing[k] -= 1
            spare[k] -= 1
            return True
        classes, counts = np.unique(labels[rows], return_counts=True)
        gain = sum(abs(missing[k]) - abs(missing[k] - int(c)) for k, c in zip(classes, counts, strict=True))
        if gain <= 0 or any(spare[k] <= 0 for k in classes):
            return False
        for k, c in zip(classes, counts, strict=True):
            missing[k] -= int(c)
            spare[k] -= 1
        return True

    def _rescue(self, members: list[Indices], taken: list[int], spare: list[int]) -> list[int]:
        """The smallest group of each class that has no image in the part yet, if other groups of the class remain."""
        labels, extra = self.dataset.labels, list[int]()
        got = np.zeros(self.n_classes, bool)
        got[labels[[row for m in taken for row in members[m]]]] = True
        for k in range(self.n_classes):
            if got[k] or spare[k] <= 0:
                continue
            of_class = [m for m, rows in enumerate(members) if (labels[rows] == k).any()]
            may_go = [m for m in of_class if all(spare[c] > 0 for c in np.unique(labels[members[m]]))]
            if may_go:
                smallest = min(may_go, key=lambda m: len(members[m]))
                extra.append(smallest)
                for c in np.unique(labels[members[smallest]]):
                    got[c], spare[c] = True, spare[c] - 1
        return extra

    def _check(self, pool: Indices, rows: Indices, part: str, still_to_come: int) -> None:
        labels = self.dataset.labels
        got = np.bincount(labels[rows], minlength=self.n_classes)
        left = np.bincount(labels[np.setdiff1d(pool, rows)], minlength=self.n_classes)
        had = np.bincount(labels[pool], minlength=self.n_classes)
        for k in np.flatnonzero((had > 0) & ((got == 0) | (left <= 0))):
            raise DataError(
                f"class '{printable(self.dataset.class_names[k])}' can't be split: its images belong to too few "
                f"groups to have some in {part} and keep some for the rest; use finer groups, or add images"
            )
