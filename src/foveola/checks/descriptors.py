"""Image descriptors for near-duplicate search: 63 DCT coefficients, and their change when the image is moved or turned.

The descriptor is the low-frequency corner of the discrete cosine transform of a small grey image, as in perceptual
hashes (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), but kept as numbers, so that
a comparison is a matrix product. In this basis a mirrored image has every other column's sign turned, an upside-down one
every other row's, and a transposed one is transposed, so the eight ways to lay an image cost nothing more to describe.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.types import Indices

Floats: TypeAlias = NDArray[np.float32]

SIDE = 32
"""Side of the grey images that are described, in pixels."""

KEPT = 8
"""Frequencies kept in each direction."""

VARIANTS = 8
"""Ways to lay an image: bit 0 mirrors left-right, bit 1 upside down, bit 2 transposes first."""


def orient(image: NDArray[np.generic], variant: int) -> NDArray[np.generic]:
    """A square image (s, s) laid in one of the eight ways.

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

    Coefficient (u, v) of the cosine transform is weighted by the root of its frequency, for images have the less of a
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


def orient_descriptor(described: Floats, variants: Indices) -> Floats:
    """The descriptors of images laid another way: float32 (n, 8, 8)."""
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
    """Products of pairs of descriptors, float32 (n, 8, 8), the second one laid in each of the eight ways: float32 (n, 8).

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
