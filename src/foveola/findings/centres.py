"""Cells of descriptors that lie near each other: k-means in two levels, and the cells nearest to a descriptor.

The directions of the descriptors are parted by spherical k-means (I. Dhillon and D. Modha, "Concept Decompositions for Large
Sparse Text Data Using Clustering", Machine Learning 42, 2001), first into groups and each group into cells, as in a
vocabulary tree (D. Nistér and H. Stewénius, "Scalable Recognition with a Vocabulary Tree", CVPR 2006): a descriptor
is compared with the centres of all groups, and with those of the cells in the nearest of them only.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveola.findings.descriptors import KEPT, Floats, lay_described
from foveola.types import Rows

Ints: TypeAlias = NDArray[np.int32]
"""Rows and cells in half the room of Rows: there are 16 times as many as pictures."""

PER_CELL = 512
"""Pictures a cell, on average. It does not grow with their number: a picture is always compared with as many."""

LEAST_GROUPS = 2
"""Groups whose cells are looked at, or half as many as cells are wanted. Of k cells there are about the root of k groups."""

_NONE = -4.0
"""Less than any product of two descriptors of length 1."""

_SAMPLE, _ROUNDS = 40, 10
"""Descriptors a cell that the centres are found on, and how many times they move."""

_AT_ONCE = 4096


@dataclass(frozen=True)
class Cells:
    """The centres, of length 1: of the groups float32 (g, 64), and of each group's cells float32 (k, 64), k at least 1.

    edges: int64 (g + 1,), the number of each group's first cell, and of all cells.
    """

    groups: Floats
    of_group: tuple[Floats, ...]
    edges: Rows

    def __len__(self) -> int:
        return int(self.edges[-1])

    def laid(self, variant: int) -> Cells:
        """The same cells of pictures laid another way."""
        return Cells(
            _laid(self.groups, variant), tuple(_laid(centres, variant) for centres in self.of_group), self.edges
        )

    def nearest(self, flat: Floats, probes: int, threads: ThreadPoolExecutor) -> tuple[Ints, Ints]:
        """For each descriptor the cells most like it: its row and their numbers, int32 (m,) each, row by row.

        flat: float32 (n, 64). They are `probes` a row, fewer where the groups that are looked at have no more cells.
        """
        starts = range(0, len(flat), _AT_ONCE)
        found = list(threads.map(lambda i: self._nearest(flat[i : i + _AT_ONCE], probes), starts))
        for start, (rows, _) in zip(starts, found, strict=True):
            rows += start
        return np.concatenate([rows for rows, _ in found]), np.concatenate([cells for _, cells in found])

    def _nearest(self, flat: Floats, probes: int) -> tuple[Ints, Ints]:
        looked_at = min(max(LEAST_GROUPS, probes // 2), len(self.groups))
        rows, groups = _highest(flat @ self.groups.T, looked_at)
        places = np.arange(len(rows)) - np.searchsorted(rows, rows)  # 0, 1, ... within a row
        widest = max(len(centres) for centres in self.of_group)
        alike = np.full((len(flat), looked_at, widest), _NONE, np.float32)
        numbers = np.zeros((len(flat), looked_at), np.int64)
        numbers[rows, places] = self.edges[groups]
        order, edges = by_cell(groups, len(self.groups))
        for group, centres in enumerate(self.of_group):
            some = order[edges[group] : edges[group + 1]]
            alike[rows[some], places[some], : len(centres)] = flat[rows[some]] @ centres.T
        rows, columns = _highest(alike.reshape(len(flat), -1), probes)
        cells = numbers[rows, columns // widest] + columns % widest
        return rows.astype(np.int32), cells.astype(np.int32)


def _laid(centres: Floats, variant: int) -> Floats:
    laid = lay_described(centres.reshape(-1, KEPT, KEPT), np.full(len(centres), variant))
    return laid.reshape(-1, KEPT * KEPT)


def _highest(values: Floats, m: int) -> tuple[Rows, Rows]:
    """Row and column of each row's m highest values above _NONE, in reading order.

    numpy orders values by vectors and their positions not: 4096 rows of 300 take 8 ms this way, by `argpartition` 21 ms.
    """
    m = min(m, values.shape[1])
    least = np.partition(values, -m, axis=1)[:, -m] if m > 1 else values.max(axis=1)
    flat = np.flatnonzero(values >= np.maximum(least, _NONE / 2)[:, None])
    rows, columns = np.divmod(flat, values.shape[1])
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    if (rank >= m).any():  # equal values: of those the first ones
        kept = np.sort(np.lexsort((columns, -values[rows, columns], rows))[rank < m])
        rows, columns = rows[kept], columns[kept]
    return rows, columns


def by_cell(cells: NDArray[np.integer], k: int) -> tuple[Rows, Rows]:
    """Positions ordered by cell, and where each of the k cells begins among them: (m,) and (k + 1,)."""
    small = cells.astype(np.uint16) if k < 2**16 - 1 else cells  # numbers of 16 bits are sorted in linear time
    counts = np.bincount(cells, minlength=k)[:k]
    return np.argsort(small, kind="stable"), np.concatenate([[0], np.cumsum(counts)])


def find_cells(flat: Floats, threads: ThreadPoolExecutor) -> Cells:
    """Cells of about PER_CELL descriptors each: float32 (n, 64), of length 1, n at least 1. The same for the same."""
    k = max(1, round(len(flat) / PER_CELL))
    rng = np.random.default_rng(0)
    sample = flat[rng.choice(len(flat), min(len(flat), k * _SAMPLE), replace=False)]
    g = math.isqrt(k)
    groups = _means(sample[: g * PER_CELL], g)
    order, edges = by_cell(_assigned(sample, groups), g)
    filled = np.flatnonzero(np.diff(edges))  # where many pictures are all alike, centres fall together
    parts = [sample[order[edges[group] : edges[group + 1]]] for group in filled]
    of_group = tuple(threads.map(lambda part: _means(part, max(1, round(len(part) * k / len(sample)))), parts))
    return Cells(groups[filled], of_group, np.concatenate([[0], np.cumsum([len(centres) for centres in of_group])]))


def _means(sample: Floats, k: int) -> Floats:
    """At most k centres of the sample, which comes in random order: float32 (k, 64), each of length 1."""
    centres = sample[:k].copy()
    for _ in range(_ROUNDS if len(centres) > 1 else 0):
        order, edges = by_cell(_assigned(sample, centres), len(centres))
        filled = np.flatnonzero(np.diff(edges))
        sums = np.add.reduceat(sample[order], edges[filled], axis=0)
        centres[filled] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres


def _assigned(sample: Floats, centres: Floats) -> Rows:
    """The number of the centre most like each descriptor: int64 (n,)."""
    starts = range(0, len(sample), _AT_ONCE)
    return np.concatenate(
        [(sample[i : i + _AT_ONCE] @ centres.T).argmax(axis=1) for i in starts] or [np.zeros(0, np.int64)]
    )
