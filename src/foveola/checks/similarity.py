"""How alike images are: descriptors to compare many images, a search among too many to compare all, a close look at two.

A descriptor is the low-frequency corner of the discrete cosine transform of a small grey image, as in perceptual hashes (C.
Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), but kept as numbers, so that a comparison
is a matrix product. In this basis a mirrored image has the sign of every other column changed, an upside-down one that of
every other row, and a transposed one is transposed. So the eight orientations of an image need no further descriptors.

The library faiss searches more images than can be compared each with all others. It groups the descriptors into cells by
k-means and compares each image, in each of the eight orientations, only with the images of the few cells nearest to it: an
inverted file (H. Jégou, M. Douze and C. Schmid, "Product Quantization for Nearest Neighbor Search", IEEE PAMI 33(1), 2011).
As i searches for j and j for i, a pair has two chances. The recall is on the page docs/why/speed.md, "Near-duplicates among
many images".

Two images of sky look alike, and so do two hands in front of one wall, because their coarse structure is the same. A copy
also shares the fine details. So `is_copy` moves, scales and shears the second image until it fits the first (ECC: G.
Evangelidis and E. Psarakis, "Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization", IEEE PAMI
30(10), 2008, in OpenCV's implementation). Then the correlation of the details decides: of each image minus a blurred version
of itself.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.types import Indices, Tick, no_tick

Floats: TypeAlias = NDArray[np.float32]

SIDE = 32
"""Side of the grey images that are described, in pixels."""

KEPT = 8
"""Frequencies kept in each direction."""

VARIANTS = 8
"""Orientations of an image: bit 0 mirrors it left-right, bit 1 turns it upside down, bit 2 transposes it first."""


def orient(image: NDArray[np.generic], variant: int) -> NDArray[np.generic]:
    """A square image (s, s) in one of the eight orientations.

    >>> orient(np.array([[1, 2], [3, 4]]), 5).tolist()   # transposed, then mirrored: turned clockwise by 90 degrees
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
    """Descriptors, float32 (n, 8, 8), each of length 1 (0 for an image of one tone), of grey images uint8 (n, 32, 32).

    Coefficient (u, v) of the cosine transform is weighted by the root of its frequency, because images have less of the
    high frequencies, and a sky should not outweigh the object in front of it. The constant is left out.
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


def orient_descriptor(described: Floats, variants: Indices) -> Floats:
    """The descriptors of images in other orientations: float32 (n, 8, 8)."""
    signs = np.where(np.arange(KEPT) % 2, -1, 1).astype(np.float32)
    bits = variants[:, None, None]
    out = np.where(bits & 4, described.transpose(0, 2, 1), described)
    out = out * np.where(bits & 2, signs[:, None], np.float32(1))
    return np.asarray(out * np.where(bits & 1, signs, np.float32(1)), np.float32)


_SIGNS = np.array(
    [[(-1) ** (way // 2 * u + way % 2 * v) for u in (0, 1) for v in (0, 1)] for way in range(4)], np.float32
)
"""What the four untransposed ways do to coefficients (u, v): rows are ways, columns u and v even or odd."""


def similarities(ours: Floats, theirs: Floats) -> Floats:
    """Products of pairs of descriptors, float32 (n, 8, 8), the second one in each of the eight orientations: float32 (n, 8).

    A way turns the signs of odd rows or columns, so four sums by parity, and four with the transposed one, give all eight.
    """
    one = _by_parity(ours)
    sums = (np.einsum("npk,npk->np", one, _by_parity(other)) for other in (theirs, theirs.transpose(0, 2, 1)))
    return np.concatenate([some @ _SIGNS.T for some in sums], axis=1)


def _by_parity(described: Floats) -> Floats:
    """Coefficients by whether u and v are even or odd: float32 (n, 4, 16)."""
    half = KEPT // 2
    return described.reshape(-1, half, 2, half, 2).transpose(0, 2, 4, 1, 3).reshape(-1, 4, half * half)


def ordered(described: Floats) -> Floats:
    """Absolute values, of each (u, v) and (v, u) the larger first: float32 (n, 64)."""
    upper, strictly = np.triu_indices(KEPT), np.triu_indices(KEPT, 1)
    cut = len(upper[0])
    out = np.empty((len(described), KEPT * KEPT), np.float32)
    for start in range(0, len(described), 4096):
        values = np.abs(described[start : start + 4096])
        turned = values.transpose(0, 2, 1)
        out[start : start + 4096, :cut] = np.maximum(values, turned)[:, upper[0], upper[1]]
        out[start : start + 4096, cut:] = np.minimum(values, turned)[:, strictly[0], strictly[1]]
    return out


def tangents(greys: NDArray[np.uint8]) -> Floats:
    """Orthonormal bases, float32 (n, 64, 7), of a descriptor and its derivatives by shift, scale, shear and turn."""
    smooth = np.stack([cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0) for grey in greys])
    dy, dx = np.gradient(smooth, axis=(1, 2))
    x = np.linspace(-1, 1, greys.shape[2], dtype=np.float32)
    y = np.linspace(-1, 1, greys.shape[1], dtype=np.float32)[:, None]
    moves = np.stack([_transform(field) for field in (smooth, dx, dy, x * dx, y * dx, x * dy, y * dy)], axis=-1)
    flat = moves.reshape(len(greys), KEPT * KEPT, -1)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3)
    return np.asarray(np.linalg.qr(flat)[0], np.float32)


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
    return _distinct_pairs(found[0]), _distinct_pairs(found[1])


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


def _distinct_pairs(found: list[Indices]) -> Indices:
    """Each pair of two different images once, i < j."""
    pairs = np.sort(np.concatenate(found, axis=1), axis=0)
    return np.unique(pairs[:, pairs[0] < pairs[1]], axis=1)


DETAIL_SIDE = 64
"""Side at which two images are aligned, in pixels; less where they are smaller."""

AGREEMENT = 0.95
"""Correlation of the details from which two images are copies.

Of 300 images each of flowers and signs against themselves, saved as JPEG of quality 50, at 0.6 of the size, mirrored,
turned, with a twentieth cut off, 95 % lie above 0.985; with a tenth cut off above 0.975; of cifar10 above 0.93. Among all
pairs of 2,062 hand signs, mostly the same poses in front of the same wall, none reaches it. The pairs found in
flowers (but two of 33) and a random 40 of cifar10 were looked at and are copies; between 0.88 and 0.93 the first
pairs that are only similar appear. No pair of cifar10 has two labels, although labels are not used here.
"""

TEXTURE = 4.0
"""Deviation of the details, in grey levels 0..255, below which an image is too smooth to be compared with another."""

OVERLAP, SCALE, SHEAR = 0.6, 1.5, 0.1
"""Limits of a slight crop: the least common share of the image, the largest ratio of the sides, and the largest turn or
shear (0.1: 6 degrees). With more freedom one silhouette can be bent into another."""

_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)


def is_copy(a: Floats, b: Floats) -> bool:
    """Whether grey images a and b, float32 (s, s), 0..255, show the same but for a small crop, tones and noise."""
    a, b = (np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), np.float32) for image in (a, b))
    details_a, details_b = _details(a), _details(b)
    if min(details_a.std(), details_b.std()) < TEXTURE:
        return False
    try:
        # None is "no mask", which the stubs of this overload forget.
        found = cv2.findTransformECC(a, b, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, _STEPS, None, 1)  # type: ignore[call-overload]
    except cv2.error:  # the iteration found no alignment
        return False
    move = np.asarray(found[1], np.float32)
    if not _is_slight(move):
        return False
    common = cv2.erode(_moved(np.ones_like(b), move), np.ones((3, 3), np.uint8)) > 0.99
    if common.mean() < OVERLAP:
        return False
    return agreement(details_a[common], _moved(details_b, move)[common]) >= AGREEMENT


def agreement(a: Floats, b: Floats) -> float:
    """Pearson's correlation of the values, float32 (n,); 0 where one of them varies by less than TEXTURE."""
    a, b = a - a.mean(), b - b.mean()
    spread = float(a.std()), float(b.std())
    if min(spread) < TEXTURE:
        return 0.0
    return float((a * b).mean()) / (spread[0] * spread[1])


def _details(image: Floats) -> Floats:
    return np.asarray(image - cv2.GaussianBlur(image, (0, 0), image.shape[0] / 16), np.float32)


def _moved(image: Floats, move: Floats) -> Floats:
    height, width = image.shape
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, move, (width, height), flags=how), np.float32)


def _is_slight(move: Floats) -> bool:
    scales = np.abs(np.log(np.maximum(move[[0, 1], [0, 1]], 1e-3)))
    return bool(scales.max() <= np.log(SCALE) and np.abs(move[[0, 1], [1, 0]]).max() <= SHEAR)
