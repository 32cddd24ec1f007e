"""Near-duplicate search: pairs of images that are copies of each other but differ in their pixels.

The search compares the descriptors of all pairs, and `is_copy` confirms or rejects each candidate. The result is cached under
the data's key. All pairs are n * n / 2 comparisons: 60,000 images of cifar10 take 9.7 s on two cores without AVX-512 (two
runs; 19.9 s before each core had separate rows), 20,000 take 1.5 s. More than ALL_WITH_ALL images need the library faiss
(`similarity.nearest_pairs`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from foveola.array_cache import MemmapReader, cache_place, read_arrays, write_arrays
from foveola.checks.image_quality import ImageStats, image_stats, to_square_grey, without_padding
from foveola.checks.similarity import (
    DETAIL_SIDE,
    KEPT,
    VARIANTS,
    Floats,
    describe,
    is_copy,
    load_faiss,
    nearest_pairs,
    ordered,
    orient,
    orient_descriptor,
    similarities,
    tangents,
)
from foveola.data.prepare import Prepared
from foveola.types import Indices, Tick, no_tick

UPRIGHT = 0.7
"""Similarity from which two images, one of them perhaps mirrored, are candidates. Of 500 images of each set with a
tenth cut off both sides, the median is 0.84 (flowers), 0.83 (signs) and 0.85 (cifar10)."""

TURNED = 0.9
"""The same for images that are turned or upside down, too: rarer, and eight chances to look alike by accident."""

MOST = 100
"""Candidates per image. Where all images are alike, as X-rays are, both limits rise until no more are expected: copies are
more alike still."""

MOST_IN_ALL = 6_000_000
"""Candidates of a data set: they take a quarter of a gigabyte, and MOST_LOOKED_AT of `copies` are looked at in the end."""

TANGENT = 0.87
"""Share of a descriptor that the other one and its small movements must explain. Of 10,052 pairs of cifar10 with 0.84 or more
`is_copy` calls 2,586 copies, and 2,415 of the 5,087 with 0.88 or more; of flowers 34 of 806 and 33 of 280."""

ALL_WITH_ALL = 65_536
"""Up to this many images each is compared with all others, in about 12 s on two cores. The time grows with the square of
the number, so more images need faiss."""

_BLOCK = (512, 512)
"""Images compared at a time: a megabyte of similarities, which stays near a core while it is looked through."""


def candidates(greys: NDArray[np.uint8], *, against: int | None = None, tick: Tick = no_tick) -> NDArray[np.int64]:
    """Pairs of images that may be copies: int64 (m, 3), rows (i, j, variant), i < j; image j in this orientation is like i.

    greys: uint8 (n, 32, 32); against: compare only the images before this position with those from it on. The most similar
    pairs come first. Three tests, each more exact and slower than the one before:

    1. With E and O the products over even and odd columns, the similarity is E + O upright and E - O mirrored, so one
       comparison of E + |O| finds both. For the other six ways an upper bound is compared: with the coefficients' absolute
       values, the two of (u, v) and (v, u) in order of size, a product can only grow (rearrangement inequality).
    2. The pairs above the bound are computed in these ways.
    3. The tangent distance (P. Simard, Y. LeCun and J. Denker, "Efficient Pattern Recognition Using a New Transformation
       Distance", NIPS 1992): how much of j's descriptor is explained by i's and its derivatives by shift, scale and shear.
    """
    if len(greys) < 2:
        return np.zeros((0, 3), np.int64)
    described = describe(greys)
    pairs = _alike(described, against, tick)
    explained = _explained(greys, described, pairs)
    order = np.argsort(-explained, kind="stable")
    return pairs[order[explained[order] >= TANGENT]]


def _alike(described: Floats, against: int | None = None, tick: Tick = no_tick) -> Indices:
    """The pairs that pass the first two tests; of more than ALL_WITH_ALL images those that faiss finds."""
    n = len(described)
    last = n if against is None else against
    halves = described[:, :, 0::2].reshape(n, -1), described[:, :, 1::2].reshape(n, -1)
    even, odd, bound = (np.ascontiguousarray(part) for part in (*halves, ordered(described)))
    limits = _limits(even, odd, bound)
    if against is None and n > ALL_WITH_ALL:
        del halves, even, odd, bound  # half a gigabyte of a million
        return _best_of(described, *nearest_pairs(described, limits[0], max(limits[1], TURNED), tick=tick), limits)
    some, starts = list[Indices](), range(0, last, _BLOCK[0])
    with _one_thread_per_core() as threads:
        parts = threads.map(lambda i: _of_rows(described, (even, odd, bound), limits, i, against), starts)
        for done, pairs in enumerate(parts, start=1):
            some.append(pairs)
            tick("Searching for duplicates", min(done * _BLOCK[0], last), last)
    return np.concatenate(some)


@contextlib.contextmanager
def _one_thread_per_core() -> Iterator[ThreadPoolExecutor]:
    """A thread per core, with matrix products on one thread each.

    The products are about half of the work, and what follows them would leave the other cores idle.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as threads:
        yield threads


def _of_rows(
    described: Floats, parts: tuple[Floats, Floats, Floats], limits: tuple[float, float], i: int, against: int | None
) -> Indices:
    """The pairs of _BLOCK[0] rows from `i` on with themselves and all that come after them, or with all from `against` on."""
    even, odd, bound = parts
    upright, turned = limits
    n, end = len(even), i + _BLOCK[0] if against is None else min(i + _BLOCK[0], against)
    rows = slice(i, end)
    uprights, turns = [], []
    for j in range(i if against is None else against, n, _BLOCK[1]):
        others = slice(j, j + _BLOCK[1])
        alike = odd[rows] @ odd[others].T
        np.abs(alike, out=alike)
        alike += even[rows] @ even[others].T
        uprights.append(_above(alike, upright, i, j))
        turns.append(_above(bound[rows] @ bound[others].T, turned, i, j))
    return _best_of(described, np.concatenate(uprights, axis=1), np.concatenate(turns, axis=1), limits)


def _best_of(described: Floats, uprights: Indices, turns: Indices, limits: tuple[float, float]) -> Indices:
    """The pairs that are alike in their best way, as they are or mirrored, and in the others."""
    upright, turned = limits[0], max(limits[1], TURNED)
    return np.concatenate(
        [_best(described, uprights, range(2), upright), _best(described, turns, range(2, VARIANTS), turned)]
    )


def _limits(even: Floats, odd: Floats, bound: Floats) -> tuple[float, float]:
    """UPRIGHT and TURNED, or what leaves MOST candidates per image and MOST_IN_ALL, from pairs drawn at random."""
    n = len(even)
    if n <= MOST:
        return UPRIGHT, TURNED
    most = min(MOST, MOST_IN_ALL / n)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, n, (2, max(100_000, int(10 * n / most))))  # at least ten of them are above the limit
    a, b = a[a != b], b[a != b]
    alike, highest = np.empty(len(a), np.float32), np.empty(len(a), np.float32)
    for some in np.array_split(np.arange(len(a)), len(a) // 65_536 + 1):
        ours, theirs = a[some], b[some]
        alike[some] = _products(even, ours, theirs) + np.abs(_products(odd, ours, theirs))
        highest[some] = _products(bound, ours, theirs)
    share = 1 - most / n
    return max(UPRIGHT, float(np.quantile(alike, share))), max(TURNED, float(np.quantile(highest, share)))


def _products(values: Floats, ours: Indices, theirs: Indices) -> Floats:
    """The product of each row of `ours` with that of `theirs`: float32 (m,)."""
    return np.asarray(np.einsum("nk,nk->n", values[ours], values[theirs]), np.float32)


def _above(values: Floats, least: float, i: int, j: int) -> Indices:
    """Positions of a block's values from `least` on, int64 (2, m), as rows of the whole, above the diagonal."""
    hit = np.flatnonzero(values.max(axis=1) >= least)  # most rows have none, and a maximum is found sooner than a mask
    a, b = np.nonzero(values[hit] >= least)
    a, b = hit[a] + i, b + j
    return np.stack([a, b])[:, a < b]


def _best(described: Floats, pairs: Indices, variants: range, least: float) -> Indices:
    """Those of the pairs, int64 (2, m), whose best way among `variants` reaches `least`, with that way: int64 (k, 3)."""
    kept = [np.zeros((0, 3), np.int64)]
    for start in range(0, pairs.shape[1], 16384):
        a, b = pairs[:, start : start + 16384]
        alike = similarities(described[a], described[b])[:, variants]
        which = alike.argmax(axis=1)
        good = alike[np.arange(len(a)), which] >= least
        kept.append(np.stack([a, b, which + variants.start], axis=1)[good])
    return np.concatenate(kept)


def _explained(greys: NDArray[np.uint8], described: Floats, pairs: Indices) -> Floats:
    """The share, 0..1, of each pair's second descriptor that the first one's tangent space explains."""
    out = np.zeros(len(pairs), np.float32)
    rows, where = np.unique(pairs[:, 0], return_inverse=True)
    order = np.argsort(where, kind="stable")
    edges = np.searchsorted(where[order], np.arange(0, len(rows) + 2048, 2048))
    for k, start in enumerate(range(0, len(rows), 2048)):
        spaces = tangents(greys[rows[start : start + 2048]])
        for some in np.array_split(order[edges[k] : edges[k + 1]], (edges[k + 1] - edges[k]) // 16384 + 1):
            laid = orient_descriptor(described[pairs[some, 1]], pairs[some, 2]).reshape(-1, KEPT * KEPT)
            parts = np.einsum("nfk,nf->nk", spaces[where[some] - start], laid)
            out[some] = np.square(parts).sum(axis=1)
    return out


VERSION = 3
"""Raise it with every change that changes what counts as a copy: results in the cache are then not used any more."""

SMALLEST_PX = 32
"""Smaller images have too few details to tell a copy from a similar image. They are compared by content only."""

MOST_LOOKED_AT = 30_000
"""Pairs that are aligned and compared, the most similar first: 0.7 ms each on one core at 32 px, 1.2 ms at 64 px."""


def near_duplicate_pairs(
    prepared: Prepared, get_stats: Callable[[], ImageStats] | None = None, *, tick: Tick = no_tick
) -> Indices | None:
    """Pairs that are copies but differ in pixels: int64 (m, 3), rows (i, j, variant), i < j, sorted.

    None if they can't be searched, because there are more than ALL_WITH_ALL images and faiss is not installed.

    variant: how j must be oriented to look like i (see `similarity.VARIANTS`; 0 is upright). Taken from the cache if it is
    there. get_stats: returns `image_stats`, if the caller needs them too.
    """
    place = cache_place("near-duplicates", prepared.key, str(VERSION))
    kept = read_arrays(place)
    if kept is None:
        rows = comparable_images(prepared.content, prepared.sizes)
        if len(rows) > ALL_WITH_ALL and load_faiss() is None:
            return None
        greys = (get_stats or (lambda: image_stats(prepared, tick=tick)))().greys
        kept = {"pairs": _search(prepared, rows, greys, tick)}
        write_arrays(place, kept)
    return kept["pairs"]


def comparable_images(content: Indices, sizes: NDArray[np.int32]) -> Indices:
    """The images that are compared, int64 (m,): large enough, and of each content one: the others are copies of it."""
    large = np.flatnonzero(sizes.min(axis=1) >= SMALLEST_PX)
    return np.sort(large[np.unique(content[large], return_index=True)[1]])


def _search(prepared: Prepared, rows: Indices, greys: NDArray[np.uint8], tick: Tick) -> Indices:
    """The near-duplicates among some rows; greys: of all images."""
    greys = greys if len(rows) == len(greys) else greys[rows]  # a million are a gigabyte
    likely = candidates(greys, tick=tick)[:MOST_LOOKED_AT]
    pairs = np.stack([rows[likely[:, 0]], rows[likely[:, 1]], likely[:, 2]], axis=1)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]  # neighbours on the disk, one after the other
    kept = pairs[confirm_pairs(pairs, _judge(prepared), tick)]
    return kept[np.lexsort(kept.T[::-1])]


def confirm_pairs(pairs: Indices, judge: Callable[[Indices], list[bool]], tick: Tick = no_tick) -> NDArray[np.bool_]:
    """Which candidates, int64 (m, 3), are copies: bool (m,). judge: says it of some of them; called in threads."""
    good, step = np.zeros(len(pairs), bool), 512
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        starts = range(0, len(pairs), step)
        for start, some in zip(starts, threads.map(lambda k: judge(pairs[k : k + step]), starts), strict=True):
            good[start : start + step] = some
            tick("Comparing images", min(start + step, len(pairs)), len(pairs))
    return good


def _judge(prepared: Prepared) -> Callable[[Indices], list[bool]]:
    """A function that says of each of some pairs whether they are copies."""
    cut = without_padding(prepared)
    side = min(DETAIL_SIDE, *prepared.size)

    def grey(reader: MemmapReader, i: int) -> NDArray[np.uint8]:
        image = cut(i, reader.read(np.array([i]))[0])
        return to_square_grey(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8), side)

    def judge(pairs: Indices) -> list[bool]:
        reader = MemmapReader(prepared.pixels)  # one per thread: it counts what it has touched
        out = []
        for i, j, variant in pairs.tolist():
            ours = grey(reader, i).astype(np.float32)
            theirs = np.ascontiguousarray(orient(grey(reader, j), variant), np.float32)
            out.append(is_copy(ours, theirs))
        return out

    return judge
