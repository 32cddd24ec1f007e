"""Cells of descriptors that lie near each other: k-means in two levels, and the cells nearest to a descriptor.

The directions of the descriptors are parted by spherical k-means (I. Dhillon and D. Modha, "Concept Decompositions for Large
Sparse Text Data Using Clustering", Machine Learning 42, 2001), first into groups and each group into cells, as in a
vocabulary tree (D. Nistér and H. Stewénius, "Scalable Recognition with a Vocabulary Tree", CVPR 2006): a descriptor
is compared with the centres of all groups, and with those of the cells in the nearest of them only.

Pairs of images that are alike where there are too many to compare all with all: only cells that lie near are compared.

The descriptors are parted into cells (`centres`). Each image, laid in each of the eight ways, is compared with the
images of the few cells whose centres are most like it, as an inverted file is searched (H. Jégou, M. Douze and C. Schmid,
"Product Quantization for Nearest Neighbor Search", IEEE PAMI 33(1), 2011). As i looks for j and j for i, a pair has two
chances. How much is found: docs/why/speed.md, "Copies among many images".
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from foveola.checks.descriptors import KEPT, VARIANTS, Floats, orient_descriptor
from foveola.types import Indices, Tick, no_tick

Ints: TypeAlias = NDArray[np.int32]
"""Rows and cells in half the memory of `Indices`: there are 16 times as many as images."""

PER_CELL = 512
"""Images a cell, on average. It does not grow with their number: an image is always compared with as many."""

LEAST_GROUPS = 2
"""Groups whose cells are looked at, or half as many as cells are wanted. Of k cells there are about the root of k groups."""

_NONE = -4.0
"""Less than any product of two descriptors of length 1."""

_SAMPLE, _ROUNDS = 40, 10
"""Descriptors a cell that the centres are found on, and how many times they move."""

_AT_ONCE = 4096


@dataclass(frozen=True)
class InvertedFile:
    """The centres, of length 1: of the groups float32 (g, 64), and of each group's cells float32 (k, 64), k at least 1.

    edges: int64 (g + 1,), the number of each group's first cell, and of all cells.
    """

    groups: Floats
    of_group: tuple[Floats, ...]
    edges: Indices

    def __len__(self) -> int:
        return int(self.edges[-1])

    def laid(self, variant: int) -> InvertedFile:
        """The same cells of images laid another way."""
        return InvertedFile(
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
        order, edges = group_by_cell(groups, len(self.groups))
        for group, centres in enumerate(self.of_group):
            some = order[edges[group] : edges[group + 1]]
            alike[rows[some], places[some], : len(centres)] = flat[rows[some]] @ centres.T
        rows, columns = _highest(alike.reshape(len(flat), -1), probes)
        cells = numbers[rows, columns // widest] + columns % widest
        return rows.astype(np.int32), cells.astype(np.int32)


def _laid(centres: Floats, variant: int) -> Floats:
    laid = orient_descriptor(centres.reshape(-1, KEPT, KEPT), np.full(len(centres), variant))
    return laid.reshape(-1, KEPT * KEPT)


def _highest(values: Floats, m: int) -> tuple[Indices, Indices]:
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


def group_by_cell(cells: NDArray[np.integer], k: int) -> tuple[Indices, Indices]:
    """Positions ordered by cell, and where each of the k cells begins among them: (m,) and (k + 1,)."""
    small = cells.astype(np.uint16) if k < 2**16 - 1 else cells  # numbers of 16 bits are sorted in linear time
    counts = np.bincount(cells, minlength=k)[:k]
    return np.argsort(small, kind="stable"), np.concatenate([[0], np.cumsum(counts)])


def find_cells(flat: Floats, threads: ThreadPoolExecutor) -> InvertedFile:
    """Cells of about PER_CELL descriptors each: float32 (n, 64), of length 1, n at least 1. The same for the same."""
    k = max(1, round(len(flat) / PER_CELL))
    rng = np.random.default_rng(0)
    sample = flat[rng.choice(len(flat), min(len(flat), k * _SAMPLE), replace=False)]
    g = math.isqrt(k)
    groups = _means(sample[: g * PER_CELL], g)
    order, edges = group_by_cell(_assigned(sample, groups), g)
    filled = np.flatnonzero(np.diff(edges))  # where many images are all alike, centres fall together
    parts = [sample[order[edges[group] : edges[group + 1]]] for group in filled]
    of_group = tuple(threads.map(lambda part: _means(part, max(1, round(len(part) * k / len(sample)))), parts))
    return InvertedFile(
        groups[filled], of_group, np.concatenate([[0], np.cumsum([len(centres) for centres in of_group])])
    )


def _means(sample: Floats, k: int) -> Floats:
    """At most k centres of the sample, which comes in random order: float32 (k, 64), each of length 1."""
    centres = sample[:k].copy()
    for _ in range(_ROUNDS if len(centres) > 1 else 0):
        order, edges = group_by_cell(_assigned(sample, centres), len(centres))
        filled = np.flatnonzero(np.diff(edges))
        sums = np.add.reduceat(sample[order], edges[filled], axis=0)
        centres[filled] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres


def _assigned(sample: Floats, centres: Floats) -> Indices:
    """The number of the centre most like each descriptor: int64 (n,)."""
    starts = range(0, len(sample), _AT_ONCE)
    return np.concatenate(
        [(sample[i : i + _AT_ONCE] @ centres.T).argmax(axis=1) for i in starts] or [np.zeros(0, np.int64)]
    )


UPRIGHT_PROBES, TURNED_PROBES = 16, 4
"""Cells that an image is compared with, as it is or mirrored, and laid in each other way, where only the closest count."""

INVERSE = (0, 1, 2, 3, 4, 6, 5, 7)
"""The way to lay j so that its product with i is that of j with i laid in each way: a quarter turn is undone by the other."""

_QUERIES_AT_ONCE = 512


@contextlib.contextmanager
def cpu_count() -> Iterator[ThreadPoolExecutor]:
    """A thread a core, with matrix products on one thread each.

    The products are about half of the work here, and what comes after them would leave the other cores idle.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as threads:
        yield threads


def nearest_pairs(described: Floats, upright: float, turned: float, *, tick: Tick = no_tick) -> tuple[Indices, Indices]:
    """Pairs of descriptors that are alike: two tables, int64 (2, m), i < j.

    described: float32 (n, 8, 8), of length 1 or 0. The first has the pairs with a product from `upright` on as they are or
    one of them mirrored, the second those from `turned` on in one of the other ways; a pair may be in both.
    """
    some = np.flatnonzero(described.any(axis=(1, 2)))  # an image of one tone is like none
    if len(some) < 2:
        return np.zeros((2, 0), np.int64), np.zeros((2, 0), np.int64)
    flat = described[some].reshape(-1, KEPT * KEPT)
    found: tuple[list[Indices], list[Indices]] = [np.zeros((2, 0), np.int64)], [np.zeros((2, 0), np.int64)]
    with cpu_count() as threads:
        cells = find_cells(flat, threads)
        members, edges = group_by_cell(cells.nearest(flat, 1, threads)[1], len(cells))
        some, flat = some[members], flat[members]  # those of a cell lie side by side, and those who ask it nearly so
        for variant in range(VARIANTS):
            turns = variant >= 2
            probes = min(TURNED_PROBES if turns else UPRIGHT_PROBES, len(cells))
            # Laying the centres and members the other way round costs less than laying all the images that ask.
            rows, nearest = cells.laid(INVERSE[variant]).nearest(flat, probes, threads)
            order, where = group_by_cell(nearest, len(cells))
            asked = rows[order]
            least = turned if turns else upright

            def of_cell(
                cell: int, variant: int = variant, asked: Ints = asked, where: Indices = where, least: float = least
            ) -> Indices:
                first, last = edges[cell], edges[cell + 1]
                theirs = orient_descriptor(
                    flat[first:last].reshape(-1, KEPT, KEPT), np.full(last - first, INVERSE[variant])
                )
                pairs = _alike(flat, asked[where[cell] : where[cell + 1]], theirs.reshape(-1, KEPT * KEPT), least)
                pairs[1] += first
                return pairs

            found[turns].extend(some[pairs] for pairs in threads.map(of_cell, range(len(cells))) if pairs.size)
            tick("Looking for copies", variant + 1, VARIANTS)
    return _distinct(found[0]), _distinct(found[1])


def _alike(flat: Floats, asked: Ints, theirs: Floats, least: float) -> Indices:
    """Pairs of the asked rows with those of `theirs` whose product reaches `least`: int64 (2, m)."""
    found, others = [np.zeros((2, 0), np.int64)], np.ascontiguousarray(theirs.T)
    for start in range(0, len(asked) if len(theirs) else 0, _QUERIES_AT_ONCE):
        rows = asked[start : start + _QUERIES_AT_ONCE]
        alike = flat[rows] @ others
        hit = np.flatnonzero(alike.max(axis=1) >= least)
        a, b = np.nonzero(alike[hit] >= least)
        found.append(np.stack([rows[hit[a]], b]))
    return np.concatenate(found, axis=1)


def _distinct(found: list[Indices]) -> Indices:
    """Each pair of two images once, i < j."""
    pairs = np.sort(np.concatenate(found, axis=1), axis=0)
    return np.unique(pairs[:, pairs[0] < pairs[1]], axis=1)
