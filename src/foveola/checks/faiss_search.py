"""Pairs of similar descriptors among too many images to compare each with all others, found by the library faiss.

faiss groups the descriptors into cells by k-means and compares each image, in each of the eight orientations, only with the
images of the few cells nearest to it: an inverted file (H. Jégou, M. Douze and C. Schmid, "Product Quantization for Nearest
Neighbor Search", IEEE PAMI 33(1), 2011). As i searches for j and j for i, a pair has two chances. The recall is on the
page docs/why/speed.md, "Near-duplicates among many images".
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np

from foveola.checks.similarity import KEPT, VARIANTS, Floats, orient_descriptor
from foveola.types import Indices, Tick, no_tick

EXTRA = 'pip install "foveola[large]"'
"""The command that installs faiss."""

PER_CELL = 512
"""Images per cell, on average. It does not grow with the number of images, so the time per image stays about the same."""

UPRIGHT_PROBES, TURNED_PROBES = 16, 4
"""Cells that an image is compared with: upright or mirrored, and in each other orientation, where the limit is higher."""

_PER_CELL_IN_TRAINING = 40
"""Descriptors per cell that k-means sees."""

_QUERIES_AT_ONCE = 16_384


@functools.cache
def load_faiss() -> ModuleType | None:
    """The library, or None where it is not installed. Importing it takes 0.7 s."""
    try:
        import faiss
    except ImportError:
        return None
    found: ModuleType = faiss
    return found


def nearest_pairs(described: Floats, upright: float, turned: float, *, tick: Tick = no_tick) -> tuple[Indices, Indices]:
    """Pairs of similar descriptors: two tables, int64 (2, m), i < j. `load_faiss` must give the library.

    described: float32 (n, 8, 8), of length 1 or 0. The first table has the pairs with a product of at least `upright`, as
    they are or with one of them mirrored. The second has those of at least `turned` in one of the other orientations. A
    pair may be in both.
    """
    rows = np.flatnonzero(described.any(axis=(1, 2)))  # an image of one tone is similar to none
    found: tuple[list[Indices], list[Indices]] = [np.zeros((2, 0), np.int64)], [np.zeros((2, 0), np.int64)]
    index = _cells(described[rows].reshape(-1, KEPT * KEPT)) if len(rows) > 1 else None
    for variant in range(VARIANTS if index is not None else 0):
        turns = variant >= 2
        index.nprobe = min(TURNED_PROBES if turns else UPRIGHT_PROBES, index.nlist)  # type: ignore[union-attr]
        for start in range(0, len(rows), _QUERIES_AT_ONCE):
            some = rows[start : start + _QUERIES_AT_ONCE]
            oriented = orient_descriptor(described[some], np.full(len(some), variant))
            found[turns].append(rows[_similar(index, oriented, turned if turns else upright, start)])
        tick("Searching for duplicates", variant + 1, VARIANTS)
    return _distinct(found[0]), _distinct(found[1])


def _cells(flat: Floats) -> Any:
    """faiss's index of descriptors float32 (n, 64), in cells of about PER_CELL."""
    faiss: Any = load_faiss()
    cells = max(1, round(len(flat) / PER_CELL))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(flat.shape[1]), flat.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1  # no warning on small sets
    index.cp.max_points_per_centroid = _PER_CELL_IN_TRAINING
    index.train(flat)
    index.add(flat)
    return index


def _similar(index: Any, oriented: Floats, least: float, start: int) -> Indices:
    """Pairs of the queries float32 (m, 8, 8), numbered from `start`, and indexed descriptors: int64 (2, k)."""
    flat = np.ascontiguousarray(oriented.reshape(len(oriented), -1))
    edges, _, others = index.range_search(flat, float(least))
    queries = np.repeat(np.arange(len(flat)), np.diff(edges.astype(np.int64))) + start
    return np.stack([queries, others])


def _distinct(found: list[Indices]) -> Indices:
    """Each pair of two different images once, i < j."""
    pairs = np.sort(np.concatenate(found, axis=1), axis=0)
    return np.unique(pairs[:, pairs[0] < pairs[1]], axis=1)
