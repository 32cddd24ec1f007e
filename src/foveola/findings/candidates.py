"""Pairs of pictures that may be copies of each other: a descriptor of 63 numbers, compared all with all.

The descriptor is the low-frequency corner of the discrete cosine transform of a small grey picture, as in perceptual
hashes (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), but kept as numbers, so that
a comparison is a matrix product: 60,000 pictures with each other take about 3 s on two cores. In this basis a mirrored
picture has every other column's sign turned, an upside-down one every other row's, and a transposed one is transposed,
so the eight ways to lay a picture cost nothing more to describe. What is found here is looked at closely by `alignment`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.types import Rows

Floats: TypeAlias = NDArray[np.float32]

SIDE = 32
"""Side of the grey pictures that are described, in pixels."""

KEPT = 8
"""Frequencies kept in each direction."""

UPRIGHT = 0.7
"""Similarity from which two pictures, one of them perhaps mirrored, are candidates. Of 500 pictures of each set with a
tenth cut off both sides, the median lies at 0.84 (flowers), 0.83 (signs) and 0.85 (cifar10)."""

TURNED = 0.9
"""The same for pictures that are turned or upside down, too: rarer, and eight chances to look alike by accident."""

MOST = 100
"""Candidates a picture. Where all pictures are alike, as X-rays are, both limits rise until no more are expected: copies are
more alike still."""

TANGENT = 0.87
"""Share of a descriptor that the other one and its small movements must explain. Of 10,052 pairs of cifar10 with 0.84 or more
`alignment` calls 2,586 copies, and 2,415 of the 5,087 with 0.88 or more; of flowers 34 of 806 and 33 of 280."""

_BLOCK = (512, 1024)

VARIANTS = 8
"""Ways to lay a picture: bit 0 mirrors left-right, bit 1 upside down, bit 2 transposes first."""


def lay(image: NDArray[np.generic], variant: int) -> NDArray[np.generic]:
    """A square picture (s, s) laid in one of the eight ways.

    >>> lay(np.array([[1, 2], [3, 4]]), 5).tolist()   # transposed, then mirrored: turned clockwise by 90 degrees
    [[3, 1], [4, 2]]
    """
    if variant & 4:
        image = image.T
    if variant & 2:
        image = image[::-1]
    if variant & 1:
        image = image[:, ::-1]
    return image


def describe(greys: NDArray[np.uint8]) -> Floats:
    """Descriptors, float32 (n, 8, 8), each of length 1 (0 for a picture of one tone), of grey pictures uint8 (n, 32, 32).

    Coefficient (u, v) of the cosine transform is weighted by the root of its frequency, for pictures have the less of a
    frequency the higher it is, and a sky is not to outweigh what stands before it. The constant is left out.
    """
    out = np.empty((len(greys), KEPT, KEPT), np.float32)
    for start in range(0, len(greys), 4096):
        out[start : start + 4096] = _transform(greys[start : start + 4096].astype(np.float32))
    length = np.linalg.norm(out, axis=(1, 2), keepdims=True)
    out /= np.where(length > 1, length, np.inf)
    return out


def _transform(greys: Floats) -> Floats:
    """The weighted low frequencies of float32 (n, s, s): float32 (n, 8, 8)."""
    basis = _cosines(greys.shape[1])
    frequency = np.arange(KEPT)
    weight = ((frequency[:, None] ** 2 + frequency[None] ** 2) ** 0.25).astype(np.float32)
    return np.asarray(basis @ greys @ basis.T * weight, np.float32)


def _cosines(n: int) -> Floats:
    """The lowest rows of the orthonormal DCT-II: float32 (8, n)."""
    angles = np.pi * np.arange(KEPT)[:, None] * (2 * np.arange(n) + 1) / (2 * n)
    rows = np.cos(angles) * np.sqrt(2 / n)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, np.float32)


def candidates(greys: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pairs of pictures that may be copies: int64 (m, 3), rows (i, j, variant), i < j; picture j laid so is like i.

    greys: uint8 (n, 32, 32). The likeliest come first. Three sieves, each finer and slower than the one before:

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
    found = [some for block in _blocks(described) for some in block]
    pairs = np.concatenate(found)
    explained = _explained(greys, described, pairs)
    order = np.argsort(-explained, kind="stable")
    return pairs[order[explained[order] >= TANGENT]]


def _blocks(described: Floats) -> Iterator[list[NDArray[np.int64]]]:
    n = len(described)
    even = np.ascontiguousarray(described[:, :, 0::2].reshape(n, -1))
    odd = np.ascontiguousarray(described[:, :, 1::2].reshape(n, -1))
    bound = _ordered(described)
    upright, turned = _limits(even, odd, bound)
    for i in range(0, n, _BLOCK[0]):
        for j in range(i - i % _BLOCK[1], n, _BLOCK[1]):
            rows, others = slice(i, i + _BLOCK[0]), slice(j, j + _BLOCK[1])
            alike = even[rows] @ even[others].T + np.abs(odd[rows] @ odd[others].T)
            a, b = _above(alike, upright, i, j)
            some = [_best(described, a, b, range(2), upright)]
            a, b = _above(bound[rows] @ bound[others].T, turned, i, j)
            some.append(_best(described, a, b, range(2, VARIANTS), max(turned, TURNED)))
            yield some


def _limits(even: Floats, odd: Floats, bound: Floats) -> tuple[float, float]:
    """UPRIGHT and TURNED, or what leaves MOST candidates a picture, from 100,000 pairs drawn at random."""
    n = len(even)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, n, (2, 100_000))
    a, b = a[a != b], b[a != b]
    if n <= MOST:
        return UPRIGHT, TURNED
    alike = np.einsum("nk,nk->n", even[a], even[b]) + np.abs(np.einsum("nk,nk->n", odd[a], odd[b]))
    highest = np.einsum("nk,nk->n", bound[a], bound[b])
    share = 1 - MOST / n
    return max(UPRIGHT, float(np.quantile(alike, share))), max(TURNED, float(np.quantile(highest, share)))


def _above(values: Floats, least: float, i: int, j: int) -> tuple[Rows, Rows]:
    """Positions of a block's values from `least` on, as rows of the whole, above the diagonal."""
    a, b = np.divmod(np.flatnonzero(values >= least), values.shape[1])
    a, b = a + i, b + j
    upper = a < b
    return a[upper], b[upper]


def _best(described: Floats, a: Rows, b: Rows, variants: range, least: float) -> Rows:
    """The pairs whose best way among `variants` reaches `least`, with that way."""
    best, which = np.full(len(a), least, np.float32), np.full(len(a), -1)
    for start in range(0, len(a), 65536):
        part = slice(start, start + 65536)
        ours, theirs = described[a[part]], described[b[part]]
        for variant in variants:
            laid = _lay_described(theirs, np.full(len(theirs), variant))
            alike = np.einsum("nuv,nuv->n", ours, laid)
            better = alike >= best[part]
            best[part][better] = alike[better]
            which[part][better] = variant
    kept = which >= 0
    return np.stack([a[kept], b[kept], which[kept]], axis=1)


def _lay_described(described: Floats, variants: Rows) -> Floats:
    """The descriptors of pictures laid another way: float32 (n, 8, 8)."""
    signs = np.where(np.arange(KEPT) % 2, -1, 1).astype(np.float32)
    bits = variants[:, None, None]
    out = np.where(bits & 4, described.transpose(0, 2, 1), described)
    out = out * np.where(bits & 2, signs[:, None], np.float32(1))
    return np.asarray(out * np.where(bits & 1, signs, np.float32(1)), np.float32)


def _explained(greys: NDArray[np.uint8], described: Floats, pairs: Rows) -> Floats:
    """The share, 0..1, of each pair's second descriptor that the first one's tangent space explains."""
    out = np.zeros(len(pairs), np.float32)
    rows, where = np.unique(pairs[:, 0], return_inverse=True)
    order = np.argsort(where, kind="stable")
    edges = np.searchsorted(where[order], np.arange(0, len(rows) + 2048, 2048))
    for k, start in enumerate(range(0, len(rows), 2048)):
        spaces = _tangents(greys[rows[start : start + 2048]])
        for some in np.array_split(order[edges[k] : edges[k + 1]], (edges[k + 1] - edges[k]) // 16384 + 1):
            laid = _lay_described(described[pairs[some, 1]], pairs[some, 2]).reshape(-1, KEPT * KEPT)
            parts = np.einsum("nfk,nf->nk", spaces[where[some] - start], laid)
            out[some] = np.square(parts).sum(axis=1)
    return out


def _tangents(greys: NDArray[np.uint8]) -> Floats:
    """Orthonormal bases, float32 (n, 64, 7), of a descriptor and its derivatives by shift, scale, shear and turn."""
    smooth = np.stack([cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0) for grey in greys])
    dy, dx = np.gradient(smooth, axis=(1, 2))
    x = np.linspace(-1, 1, greys.shape[2], dtype=np.float32)
    y = np.linspace(-1, 1, greys.shape[1], dtype=np.float32)[:, None]
    moves = np.stack([_transform(field) for field in (smooth, dx, dy, x * dx, y * dx, x * dy, y * dy)], axis=-1)
    flat = moves.reshape(len(greys), KEPT * KEPT, -1)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3)
    return np.asarray(np.linalg.qr(flat)[0], np.float32)


def _ordered(described: Floats) -> Floats:
    """Absolute values, of each (u, v) and (v, u) the larger first: float32 (n, 64)."""
    values = np.abs(described)
    turned = values.transpose(0, 2, 1)
    upper, strictly = np.triu_indices(KEPT), np.triu_indices(KEPT, 1)
    larger, smaller = np.maximum(values, turned), np.minimum(values, turned)
    return np.concatenate([larger[:, upper[0], upper[1]], smaller[:, strictly[0], strictly[1]]], axis=1)
