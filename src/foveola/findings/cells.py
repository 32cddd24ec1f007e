"""Pairs of pictures that are alike where there are too many to compare all with all: only cells that lie near are compared.

The descriptors are parted into cells (`centres`). Each picture, laid in each of the eight ways, is compared with the
pictures of the few cells whose centres are most like it, as an inverted file is searched (H. Jégou, M. Douze and C. Schmid,
"Product Quantization for Nearest Neighbor Search", IEEE PAMI 33(1), 2011). As i looks for j and j for i, a pair has two
chances. How much is found: docs/why/speed.md, "Copies among many pictures".
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from foveola.findings.centres import Ints, by_cell, find_cells
from foveola.findings.descriptors import KEPT, VARIANTS, Floats, lay_described
from foveola.types import Rows, Tick, no_tick

UPRIGHT_PROBES, TURNED_PROBES = 16, 4
"""Cells that a picture is compared with, as it is or mirrored, and laid in each other way, where only the closest count."""

INVERSE = (0, 1, 2, 3, 4, 6, 5, 7)
"""The way to lay j so that its product with i is that of j with i laid in each way: a quarter turn is undone by the other."""

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
        cells = find_cells(flat, threads)
        members, edges = by_cell(cells.nearest(flat, 1, threads)[1], len(cells))
        some, flat = some[members], flat[members]  # those of a cell lie side by side, and those who ask it nearly so
        for variant in range(VARIANTS):
            turns = variant >= 2
            probes = min(TURNED_PROBES if turns else UPRIGHT_PROBES, len(cells))
            # Laying the centres and members the other way round costs less than laying all the pictures that ask.
            rows, nearest = cells.laid(INVERSE[variant]).nearest(flat, probes, threads)
            order, where = by_cell(nearest, len(cells))
            asked = rows[order]
            least = turned if turns else upright

            def of_cell(
                cell: int, variant: int = variant, asked: Ints = asked, where: Rows = where, least: float = least
            ) -> Rows:
                first, last = edges[cell], edges[cell + 1]
                theirs = lay_described(
                    flat[first:last].reshape(-1, KEPT, KEPT), np.full(last - first, INVERSE[variant])
                )
                pairs = _alike(flat, asked[where[cell] : where[cell + 1]], theirs.reshape(-1, KEPT * KEPT), least)
                pairs[1] += first
                return pairs

            found[turns].extend(some[pairs] for pairs in threads.map(of_cell, range(len(cells))) if pairs.size)
            tick("Looking for copies", variant + 1, VARIANTS)
    return _distinct(found[0]), _distinct(found[1])


def _alike(flat: Floats, asked: Ints, theirs: Floats, least: float) -> Rows:
    """Pairs of the asked rows with those of `theirs` whose product reaches `least`: int64 (2, m)."""
    found, others = [np.zeros((2, 0), np.int64)], np.ascontiguousarray(theirs.T)
    for start in range(0, len(asked) if len(theirs) else 0, _AT_ONCE):
        rows = asked[start : start + _AT_ONCE]
        alike = flat[rows] @ others
        hit = np.flatnonzero(alike.max(axis=1) >= least)
        a, b = np.nonzero(alike[hit] >= least)
        found.append(np.stack([rows[hit[a]], b]))
    return np.concatenate(found, axis=1)


def _distinct(found: list[Rows]) -> Rows:
    """Each pair of two pictures once, i < j."""
    pairs = np.sort(np.concatenate(found, axis=1), axis=0)
    return np.unique(pairs[:, pairs[0] < pairs[1]], axis=1)
