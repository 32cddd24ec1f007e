"""Pictures that belong together: units, numbered, joined and looked for on both sides of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveola.types import Labels, Rows


def join(a: Rows, b: Rows) -> Rows:
    """Units that hold together what `a` or `b` holds together: connected components of the two groupings.

    >>> join(np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7])).tolist()
    [0, 0, 0, 1]
    """
    parent = list(range(len(a)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for keys in (a.tolist(), b.tolist()):
        first: dict[int, int] = {}
        for i, key in enumerate(keys):
            parent[root(i)] = root(first.setdefault(key, i))
    return number([root(i) for i in range(len(a))])


def all_single(units: Rows) -> bool:
    """Whether no two rows belong together."""
    return len(np.unique(units)) == len(units)


def number(keys: Sequence[object]) -> Rows:
    """Keys as numbers 0.. in order of first appearance: int64 (n,)."""
    known = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    return np.array([known[key] for key in keys], np.int64)


def contradictory(labels: Labels, content: Rows) -> NDArray[np.bool_]:
    """True for every picture whose content lies under more than one label: bool (n,)."""
    if not len(labels):
        return np.zeros(0, bool)
    low = np.full(content.max() + 1, labels.max(), np.int64)
    high = np.zeros(content.max() + 1, np.int64)
    np.minimum.at(low, content, labels)
    np.maximum.at(high, content, labels)
    return np.not_equal(low, high)[content]


def leaking(units: Rows, before: Rows, test: Rows) -> Rows:
    """The rows of `test` whose unit has a member among the rows `before`, which training or choices have seen."""
    return test[np.isin(units[test], units[before])]
