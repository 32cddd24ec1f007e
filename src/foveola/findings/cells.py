"""Pairs of pictures that are alike where there are too many to compare all with all: only cells that lie near are compared.

The descriptors are parted into about the root of n cells (spherical k-means: I. Dhillon and D. Modha, "Concept Decompositions
for Large Sparse Text Data Using Clustering", Machine Learning 42, 2001). Each picture, laid in each of the eight ways,
is compared with the pictures of the few cells whose centres are most like it, as an inverted file is searched (H. Jégou,
M. Douze and C. Schmid, "Product Quantization for Nearest Neighbor Search", IEEE PAMI 33(1), 2011): n ** 1.5 comparisons in
place of n ** 2. As i looks for j and j for i, a pair has two chances. Of the 5,957 pairs that `candidates` finds in cifar10's
60,000 pictures, comparing all with all, 5,941 are found so and no others.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from foveola.findings.descriptors import KEPT, VARIANTS, Floats, lay_described
from foveola.types import Rows, Tick, no_tick

UPRIGHT_PROBES, TURNED_PROBES = 16, 4
"""Cells that a picture is compared with, as it is or mirrored, and laid in each other way, where only the closest count."""

_SAMPLE, _ROUNDS = 40, 10
"""Pictures a cell that the centres are found on, and how many times they move."""

_AT_ONCE = 512


@contextlib.contextmanager
def cores() -> Iterator[ThreadPoolExecutor]:
    """A thread a core, with matrix products on one thread each.

    The products are about half of the work here, and what comes after them would leave the other cores idle.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as threads:
        yield threads


def near(described: Floats, upright: float, turned: float, *, tick: Tick = no_tick) -> tuple[Rows, Rows]:
    """Pairs of descriptors that are alike: two tables, int64 (2, m), i < j.

    described: float32 (n, 8, 8), of length 1 or 0. The first has the pairs with a product from `upright` on as they are or
    one of them mirrored, the second those from `turned` on in one of the other ways; a pair may be in both.
    """
    some = np.flatnonzero(described.any(axis=(1, 2)))  # a picture of one tone is like none
    if len(some) < 2:
        return np.zeros((2, 0), np.int64), np.zeros((2, 0), np.int64)
    flat = described[some].reshape(-1, KEPT * KEPT)
    found: tuple[list[Rows], list[Rows]] = [np.zeros((2, 0), np.int64)], [np.zeros((2, 0), np.int64)]
    with cores() as threads:
        centres = _centres(flat, math.isqrt(len(some)), threads)
        members, edges = _sorted(_nearest(flat, centres, 1, threads), len(centres))
        for variant in range(VARIANTS):
            turns = variant >= 2
            laid = lay_described(described[some], np.full(len(some), variant)).reshape(flat.shape)
            probes = min(TURNED_PROBES if turns else UPRIGHT_PROBES, len(centres))
            asked, where = _sorted(_nearest(laid, centres, probes, threads), len(centres))
            asked //= probes
            least = turned if turns else upright

            def of_cell(
                cell: int, laid: Floats = laid, asked: Rows = asked, where: Rows = where, least: float = least
            ) -> Rows:
                ours, theirs = asked[where[cell] : where[cell + 1]], members[edges[cell] : edges[cell + 1]]
                return _alike(laid, ours, flat, theirs, least)

            found[turns].extend(some[pairs] for pairs in threads.map(of_cell, range(len(centres))))
            tick("Looking for copies", variant + 1, VARIANTS)
    return _distinct(found[0]), _distinct(found[1])


def _alike(laid: Floats, ours: Rows, flat: Floats, theirs: Rows, least: float) -> Rows:
    """The pairs of some laid descriptors with some of the others whose product reaches `least`: int64 (2, m)."""
    found, others = [np.zeros((2, 0), np.int64)], flat[theirs].T
    for start in range(0, len(ours) if len(theirs) else 0, _AT_ONCE):
        rows = ours[start : start + _AT_ONCE]
        alike = laid[rows] @ others
        hit = np.flatnonzero(alike.max(axis=1) >= least)
        a, b = np.nonzero(alike[hit] >= least)
        found.append(np.stack([rows[hit[a]], theirs[b]]))
    return np.concatenate(found, axis=1)


def _distinct(found: list[Rows]) -> Rows:
    """Each pair of two pictures once, i < j."""
    pairs = np.sort(np.concatenate(found, axis=1), axis=0)
    return np.unique(pairs[:, pairs[0] < pairs[1]], axis=1)


def _centres(flat: Floats, k: int, threads: ThreadPoolExecutor) -> Floats:
    """The centres of k cells, float32 (k, 64), each of length 1, from a sample drawn by a fixed seed."""
    rng = np.random.default_rng(0)
    sample = flat[rng.choice(len(flat), min(len(flat), k * _SAMPLE), replace=False)]
    centres = sample[:k].copy()
    for _ in range(_ROUNDS):
        order, edges = _sorted(_nearest(sample, centres, 1, threads), k)
        for cell in np.flatnonzero(np.diff(edges)):
            mean = sample[order[edges[cell] : edges[cell + 1]]].mean(axis=0)
            centres[cell] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return centres


def _nearest(flat: Floats, centres: Floats, probes: int, threads: ThreadPoolExecutor) -> NDArray[np.uint16]:
    """The numbers of the `probes` centres most like each descriptor, in no order, picture by picture: (n * probes,)."""

    def of_rows(start: int) -> NDArray[np.uint16]:
        alike = flat[start : start + 4096] @ centres.T
        best = alike.argmax(axis=1) if probes == 1 else np.argpartition(alike, -probes, axis=1)[:, -probes:]
        return np.asarray(best.ravel(), np.uint16)

    return np.concatenate(list(threads.map(of_rows, range(0, len(flat), 4096))))


def _sorted(cells: NDArray[np.uint16], k: int) -> tuple[Rows, Rows]:
    """Positions ordered by cell, and where each of the k cells begins among them: (m,) and (k + 1,)."""
    order = np.argsort(cells, kind="stable")  # numbers of 16 bits are sorted in linear time
    return order, np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=k))])
