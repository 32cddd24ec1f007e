"""Image fingerprints: recognise copies of a run's images later, without the images themselves.

A run keeps the fingerprints of its images. Data that it is evaluated on can then be compared with them by the rules of the
duplicate check: equal bytes, equal pixels, or near-duplicates confirmed by `similarity.is_copy`.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.array_cache import MemmapReader, cache_place, read_arrays, write_arrays
from foveola.checks.derived_files import derived_groups
from foveola.checks.image_quality import to_square_grey, without_padding
from foveola.checks.near_duplicates import MOST_LOOKED_AT, SMALLEST_PX, candidates, confirm_pairs
from foveola.checks.similarity import DETAIL_SIDE, SIDE, is_copy, orient
from foveola.data.dataset import PARTS, Files
from foveola.data.prepare import Prepared
from foveola.data.split import Split
from foveola.imaging.resize import Resize, padded_box
from foveola.storage import write_atomic
from foveola.types import Image, Indices, Size, Tick, no_tick

VERSION = 1
"""Raise it with every change of what is kept: old cache files are then not found any more."""

FEW, MANY = 10_000, 100_000
"""Up to FEW images have grey versions of `DETAIL_SIDE`, more have them of 32 px, and more than MANY have none: only equal
bytes and equal pixels are then recognised. So a file takes at most 6 MB, 20 MB and 16 bytes per image."""

QUALITY = 50
"""JPEG quality of the grey versions.

Of 150 images each of flowers, signs and cifar10, saved as JPEG of quality 50, resized, mirrored, brightened or with a
twentieth cut off, as many were recognised by versions of 64 px as by the images themselves (98 to 100 %), by versions of
32 px 97 to 100 % (cifar10: 93 to 99 %). Of the pairs of flowers and signs that are candidates (3,602) the same
11 were called copies as by the images themselves.
"""

Eights: TypeAlias = NDArray[np.uint64]
"""The first eight bytes of SHA-256 digests; 0 where there is none."""


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of n images, prepared at one size.

    files: uint64 (n,), digests of the files' bytes; pixels: uint64 (n,), of the prepared pixels; large: bool (n,), whether
    an image is large enough to tell a near-duplicate from a similar image; greys: uint8 (n, s, s), square grey versions, or
    (0, s, s) where none are kept.
    """

    files: Eights
    pixels: Eights
    large: NDArray[np.bool_]
    greys: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def side(self) -> int:
        """Side of the grey versions, in pixels."""
        return int(self.greys.shape[1])

    @property
    def has_greys(self) -> bool:
        """Whether near-duplicates can be recognised, not only equal bytes and pixels."""
        return len(self.greys) == len(self)

    def take(self, rows: Indices) -> Fingerprints:
        """The fingerprints of these images only, in this order."""
        greys = self.greys[rows] if self.has_greys else self.greys
        return Fingerprints(self.files[rows], self.pixels[rows], self.large[rows], greys)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What a file keeps of them: digests, and the grey versions as one JPEG."""
        mosaic = _mosaic(self.greys) if self.has_greys and len(self) else np.zeros(0, np.uint8)
        return {
            "files": self.files, "pixels": self.pixels, "large": self.large, "side": np.array(self.side), "mosaic": mosaic
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Any) -> Fingerprints:
        """Read what `to_arrays` gave."""
        large, side, mosaic = arrays["large"], int(arrays["side"]), arrays["mosaic"]
        greys = _tiles(mosaic, side, len(large)) if len(mosaic) else np.zeros((0, side, side), np.uint8)
        return cls(arrays["files"], arrays["pixels"], large, greys)


def side_of(size: Size, n: int) -> int:
    """The side of the grey versions of n images of this size: a multiple of 8, so that JPEG's blocks hold one image each."""
    return max(8, min(DETAIL_SIDE if n <= FEW else SIDE, *size) // 8 * 8)


def fingerprints(prepared: Prepared, rows: Indices, side: int, *, tick: Tick = no_tick) -> Fingerprints:
    """The fingerprints of some prepared images (before any filter), with grey versions of `side` px."""
    source, reader, cut = prepared.dataset.source, MemmapReader(prepared.pixels), without_padding(prepared)
    pixels, greys = np.empty(len(rows), np.uint64), np.empty((len(rows), side, side), np.uint8)
    step = max(1, 16_000_000 // int(np.prod(prepared.pixels.shape[1:])))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        for k, (i, padded) in enumerate(zip(some.tolist(), reader.read(some), strict=True), start):
            pixels[k] = eight(padded)
            greys[k] = to_square_grey(np.asarray(cv2.cvtColor(cut(i, padded), cv2.COLOR_RGB2GRAY), np.uint8), side)
        tick("Computing fingerprints", start + len(some), len(rows))
    files = np.zeros(len(rows), np.uint64)
    if isinstance(source, Files):
        files = np.ascontiguousarray(source.digests[rows, :8]).view("<u8").ravel()
    return Fingerprints(files, pixels, prepared.sizes[rows].min(axis=1) >= SMALLEST_PX, greys)


def fingerprint(image: Image, original: Size, data: bytes, how: Resize, side: int) -> Fingerprints:
    """The fingerprint of one prepared image, uint8 (H, W, 3); original: the size it had; data: its file's bytes, or b""."""
    size = Size(*image.shape[:2])
    shown = image
    if how == "pad" and original != size:
        top, left, height, width = padded_box(*original, size)
        shown = np.ascontiguousarray(image[top : top + height, left : left + width])
    grey = to_square_grey(np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY), np.uint8), side)
    file, pixels = (np.array([eight(part) if len(part) else 0], np.uint64) for part in (data, image))
    return Fingerprints(file, pixels, np.array([min(original) >= SMALLEST_PX]), grey[None])


def joined(some: Sequence[Fingerprints]) -> Fingerprints:
    """The fingerprints of all images of several, at least one, in their order."""
    arrays = zip(*((one.files, one.pixels, one.large, one.greys) for one in some), strict=True)
    return Fingerprints(*(np.concatenate(parts) for parts in arrays))


def kept_fingerprints(prepared: Prepared, *, tick: Tick = no_tick) -> dict[str, NDArray[Any]]:
    """What a run keeps of all its images: see `Fingerprints.to_arrays`. From the cache if they are there."""
    place = cache_place("fingerprints", prepared.key, str(VERSION))
    if (kept := read_arrays(place)) is not None:
        return kept
    n = len(prepared.pixels)
    found = fingerprints(prepared, np.arange(n), side_of(prepared.size, n), tick=tick)
    if n > MANY or not found.large.any():
        found = Fingerprints(found.files, found.pixels, found.large, found.greys[:0])
    kept = found.to_arrays()
    write_arrays(place, kept)
    return kept


def copies_of(known: Fingerprints, asked: Fingerprints, *, tick: Tick = no_tick) -> Indices:
    """For each image asked about the first known image that it is a copy of, -1 where there is none: int64 (m,).

    Both must have been prepared at one size, with grey versions of one side.
    """
    found = _first(_equal(known.files, asked.files), _equal(known.pixels, asked.pixels))
    mine, theirs = np.flatnonzero((found < 0) & asked.large), np.flatnonzero(known.large)
    if known.has_greys and len(mine) and len(theirs):
        pairs = _near(asked.greys[mine], known.greys[theirs], tick)
        np.minimum.at(
            found.view(np.uint64), mine[pairs[:, 0]], theirs[pairs[:, 1]].astype(np.uint64)
        )  # -1 is the largest
    return found


def _near(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], tick: Tick) -> Indices:
    """Pairs of one of our grey versions and one of theirs that are copies: int64 (k, 2)."""
    small = np.stack([to_square_grey(grey, SIDE) for greys in (ours, theirs) for grey in greys])
    pairs = candidates(small, against=len(ours), tick=tick)
    order = np.argsort(pairs[:, 0], kind="stable")
    ranks = np.empty(len(pairs), np.int64)
    ranks[order] = np.arange(len(pairs)) - np.searchsorted(pairs[order, 0], pairs[order, 0])
    # The most similar image of each one first: all of them may be copies.
    likely = np.argsort(ranks, kind="stable")[: max(MOST_LOOKED_AT, len(ours))]
    pairs = pairs[likely] - np.array([0, len(ours), 0])

    def judge(some: Indices) -> list[bool]:
        return [
            is_copy(ours[i].astype(np.float32), np.ascontiguousarray(orient(theirs[j], variant), np.float32))
            for i, j, variant in some.tolist()
        ]

    return np.asarray(pairs[confirm_pairs(pairs, judge, tick), :2], np.int64)


def _equal(known: Eights, asked: Eights) -> Indices:
    """The first known digest equal to each one asked about, -1 where there is none."""
    if not len(known):
        return np.full(len(asked), -1)
    order = np.argsort(known, kind="stable")
    where: Indices = order[np.minimum(np.searchsorted(known[order], asked), len(known) - 1)]
    where[(known[where] != asked) | (asked == 0)] = -1
    return where


def _first(a: Indices, b: Indices) -> Indices:
    return np.asarray(np.minimum(a.astype(np.uint64), b.astype(np.uint64)), np.int64)  # -1 is the largest


def eight(data: Any) -> int:
    """The first eight bytes of the SHA-256 of bytes or of an array, as a number."""
    return int.from_bytes(
        sha256(np.ascontiguousarray(data) if isinstance(data, np.ndarray) else data).digest()[:8], "little"
    )


def _mosaic(greys: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images in the fewest rows that make a square, as one JPEG."""
    n, side, _ = greys.shape
    across = int(np.ceil(np.sqrt(n)))
    down = -(-n // across)
    tiles = np.zeros((down * across, side, side), np.uint8)
    tiles[:n] = greys
    whole = tiles.reshape(down, across, side, side).transpose(0, 2, 1, 3).reshape(down * side, across * side)
    how = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    return np.asarray(cv2.imencode(".jpg", whole, how)[1], np.uint8).ravel()


def _tiles(mosaic: NDArray[np.uint8], side: int, n: int) -> NDArray[np.uint8]:
    """The n images of a mosaic: uint8 (n, side, side). Raises ValueError when it is none of them."""
    whole = cv2.imdecode(mosaic, cv2.IMREAD_GRAYSCALE)
    if whole is None or whole.shape[0] % side or whole.shape[1] % side:
        raise ValueError("no mosaic of grey versions")
    down, across = whole.shape[0] // side, whole.shape[1] // side
    tiles = whole.reshape(down, side, across, side).transpose(0, 2, 1, 3).reshape(-1, side, side)
    if len(tiles) < n:
        raise ValueError(f"{len(tiles)} grey versions of {n} images")
    return np.ascontiguousarray(tiles[:n], np.uint8)


NAME = "fingerprints.npz"


@dataclass(frozen=True)
class SeenCounts:
    """For n images, the run's image that each one is a copy of.

    names: the names of the run's images, "" for an image that the run has not seen; parts: int64 (n,), the positions of
    their parts in PARTS, -1 for an image that the run has not seen.
    """

    names: tuple[str, ...]
    parts: Indices

    @property
    def trained_on(self) -> NDArray[np.bool_]:
        """bool (n,): whether the image, or a near-duplicate of it, is in the training or the validation set."""
        return np.asarray((self.parts == 0) | (self.parts == 1), np.bool_)

    @property
    def of_training(self) -> tuple[str, ...]:
        """The names, those of the test set left out."""
        return tuple(name if part in (0, 1) else "" for name, part in zip(self.names, self.parts.tolist(), strict=True))

    @property
    def tested_on(self) -> NDArray[np.bool_]:
        """bool (n,): whether it is in the test set."""
        return np.equal(self.parts, 2)


@dataclass(frozen=True)
class SeenImages:
    """The images of a run: n names, int64 (n,) parts as numbers of PARTS, fingerprints; those of the training set first."""

    ids: tuple[str, ...]
    parts: Indices
    prints: Fingerprints

    def among(self, asked: Fingerprints, *, tick: Tick = no_tick) -> SeenCounts:
        """Which of the images asked about are copies of these. Their grey versions must have this side."""
        return self._seen(copies_of(self.prints, asked, tick=tick))

    def in_data(self, prepared: Prepared, rows: Indices, *, tick: Tick = no_tick) -> SeenCounts:
        """Which of some images of prepared data (before any filter) are copies of these, or made of such by their names."""
        found = copies_of(self.prints, fingerprints(prepared, rows, self.prints.side, tick=tick), tick=tick)
        families = derived_groups(prepared.dataset)[rows]
        first = np.full(len(prepared.dataset), len(self.ids))
        np.minimum.at(first, families[found >= 0], found[found >= 0])
        found = np.where(found < 0, first[families], found)
        return self._seen(np.where(found < len(self.ids), found, -1))

    def _seen(self, found: Indices) -> SeenCounts:
        names = tuple(self.ids[i] if i >= 0 else "" for i in found.tolist())
        return SeenCounts(names, np.append(self.parts, -1)[found])  # -1 is the last

    @classmethod
    def load(cls, path: Path) -> SeenImages:
        """Read what `save_seen_images` wrote. Raises ValueError for damaged arrays."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            ids, parts = json.loads(zlib.decompress(arrays["ids"].tobytes())), arrays["parts"].astype(np.int64)
            prints = Fingerprints.from_arrays(arrays)
        if not len(ids) == len(parts) == len(prints):
            raise ValueError(f"{len(ids)} ids, {len(parts)} parts and {len(prints)} fingerprints")
        order = np.argsort(parts, kind="stable")
        return cls(tuple(ids[i] for i in order), parts[order], prints.take(order))


def save_seen_images(path: Path, prints: Mapping[str, NDArray[Any]], ids: tuple[str, ...], split: Split) -> None:
    """Write the fingerprints of all images of a run (see `Fingerprints.to_arrays`), with their names and parts."""
    parts = np.full(len(ids), -1, np.int8)
    for part in PARTS:
        parts[getattr(split, part)] = PARTS.index(part)
    names = np.frombuffer(zlib.compress(json.dumps(ids).encode(), 1), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, ids=names, parts=parts, **prints)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())
