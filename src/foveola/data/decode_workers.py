"""Decode all images of a data set in parallel into the rows of one array, and find images with equal pixels.

Large files are decoded in threads (Pillow leaves Python's lock while it decodes). Many small files go to processes:
their cost is Python's own, and two threads took twice as long as one (5,000 CIFAR files: 2.15 s against 0.99 s, two
cores).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Source
from foveola.data.grouping import factorize, merge_groups
from foveola.errors import ImageProblem, PassingProblem
from foveola.imaging import decode as images
from foveola.imaging.colour import Note
from foveola.imaging.decode import Decoded
from foveola.imaging.resize import Resize, resize
from foveola.processes import call_apart
from foveola.types import Image, Images, Indices, Size, Tick

LARGE_BYTES = 30_000
FEW_FILES = 4_000
_CHUNK = {"threads": 4, "processes": 500, "here": 64}


@dataclass(frozen=True)
class DecodeResult:
    """The result of decoding one image into its row of the array.

    refusal: the error if it can't be decoded, else None; passing: whether another try may succeed.
    """

    row: int
    refusal: ImageProblem | None = None
    format: str = ""
    height_px: int = 0
    width_px: int = 0
    kind: int = 0
    notes: tuple[Note, ...] = ()
    content: bytes = b""
    mode: str = ""
    stored_bytes: int = 0
    levels: int = 0
    quality: float = 0.0

    @property
    def passing(self) -> bool:
        return isinstance(self.refusal, PassingProblem)


def decode_all(source: Source, target: Path, size: Size, how: Resize, tick: Tick) -> list[DecodeResult]:
    """Decode all images of `source` into the rows of the .npy file `target`; outcomes in order."""
    n = np.load(target, mmap_mode="r").shape[0]
    manner = "threads" if source.bytes_each > LARGE_BYTES else "processes" if n > FEW_FILES else "here"
    step = _CHUNK[manner]
    chunks = [np.arange(k, min(k + step, n)) for k in range(0, n, step)]
    outcomes: list[DecodeResult] = []
    with images.suppress_pillow_warnings():
        for part in _run(manner, source, chunks, target, size, how):
            outcomes.extend(part)
            tick("Decoding images", len(outcomes), n)
    return outcomes


def _run(
    manner: str, source: Source, chunks: list[Indices], target: Path, size: Size, how: Resize
) -> Iterable[list[DecodeResult]]:
    if manner == "processes":
        calls = ((source.take(rows), rows, target.absolute(), size, how) for rows in chunks)
        yield from call_apart(_decode_apart, calls, processes=os.cpu_count() or 1, idle_seconds=2)
        return
    pixels = np.load(target, mmap_mode="r+")

    def here(rows: Indices) -> list[DecodeResult]:
        return _decode_chunk(source.take(rows), rows, pixels, size, how)

    if manner == "threads":
        # As many as cores: with six on two cores, 400 photos took 1.27 and 1.33 s instead of 1.21 and 1.23.
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            yield from threads.map(here, chunks)
    else:
        yield from map(here, chunks)


def _decode_apart(source: Source, rows: Indices, target: Path, size: Size, how: Resize) -> list[DecodeResult]:
    """Decode a chunk in a separate process, which opens the array itself."""
    with images.suppress_pillow_warnings():
        return _decode_chunk(source, rows, np.load(target, mmap_mode="r+"), size, how)


def _decode_chunk(source: Source, rows: Indices, pixels: Images, size: Size, how: Resize) -> list[DecodeResult]:
    """Decode the images of `source` into these rows of the array."""
    outcomes = []
    for i, row in enumerate(rows.tolist()):
        try:
            decoded = source.read(i, size, how)
        except ImageProblem as problem:
            outcomes.append(DecodeResult(row, problem.with_traceback(None)))
            continue
        pixels[row] = decoded.image
        outcomes.append(_outcome(row, decoded))
    return outcomes


def _outcome(row: int, decoded: Decoded) -> DecodeResult:
    kind = decoded.orientation if decoded.reduced else 0
    size = (decoded.height_px, decoded.width_px)
    seen = (decoded.format, *size, kind, decoded.notes, decoded.content, decoded.mode, decoded.stored_bytes)
    return DecodeResult(row, None, *seen, decoded.levels, decoded.quality)


def content_ids(source: Source, outcomes: list[DecodeResult], pixels: Images) -> Indices:
    """Number the images by their decoded content: int64 (n,), equal where the whole upright images are equal.

    Two files decoded the same way are equal if what was decoded is equal. A JPEG that was decoded at reduced size and
    an image of the same dimensions that came another way (a PNG copy, a copy with another orientation tag) are
    decoded in full and compared, if their prepared pixels look alike; so nearly nothing is decoded twice.
    """
    found = factorize([(o.content, o.kind, o.height_px, o.width_px) for o in outcomes])
    whole: dict[int, bytes] = {}
    for i, j in _candidates(outcomes, pixels):
        for k in (i, j):
            if k not in whole:
                whole[k] = _whole_digest(source, outcomes[k])
    if not whole:
        return found
    return merge_groups(found, factorize([whole.get(i, i) for i in range(len(outcomes))]))


_FEW = 1_000_000
"""The number of comparisons that are made one by one: scipy's trees take 0.1 s to import."""


def _candidates(outcomes: list[DecodeResult], pixels: Images) -> Iterator[tuple[int, int]]:
    """Pairs of the same dimensions, decoded in different ways, whose prepared pixels are alike."""
    by_size: dict[tuple[int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, o in enumerate(outcomes):
        by_size[o.height_px, o.width_px][o.kind].append(i)
    for kinds in by_size.values():
        if len(kinds) < 2:
            continue
        coarse = {i: _coarse(pixels[i]) for members in kinds.values() for i in members}
        for kind, members in kinds.items():
            if not kind:
                continue
            others = [j for other, js in kinds.items() if other < kind for j in js]
            if not others:
                continue
            table, asked = np.stack([coarse[j] for j in others]), np.stack([coarse[i] for i in members])
            for i, one, likely in zip(members, asked, _likely(table, asked), strict=True):
                for near in likely[np.abs(table[likely] - one).max(axis=1, initial=0) <= 12]:
                    yield i, others[near]


def _likely(table: NDArray[np.int16], asked: NDArray[np.int16]) -> Iterator[Indices]:
    """For each row asked about rows of the table, in order, among which are all that differ from it by 12 at most."""
    if len(table) * len(asked) <= _FEW:
        yield from (np.arange(len(table)) for _ in asked)
        return
    from scipy.spatial import cKDTree

    # If two images differ by 12 at most, so do their means; and a tree finds neighbours among points of twelve numbers.
    tree = cKDTree(_quarters(table))
    for one in _quarters(asked):
        yield np.array(tree.query_ball_point(one, 12, p=np.inf, return_sorted=True), np.int64)


def _quarters(coarse: NDArray[np.int16]) -> NDArray[np.float64]:
    """Means of each quarter's channels: (n, 192) to (n, 12)."""
    means: NDArray[np.float64] = coarse.reshape(-1, 2, 4, 2, 4, 3).mean(axis=(2, 4))
    return means.reshape(len(coarse), 12)


def _coarse(image: Image) -> NDArray[np.int16]:
    return resize(image, Size(8, 8), "stretch").astype(np.int16).ravel()


def _whole_digest(source: Source, outcome: DecodeResult) -> bytes:
    try:
        with images.suppress_pillow_warnings():
            image = source.full(outcome.row).image
    except ImageProblem:  # it changed since it was decoded, or is too large in full: then it equals no other
        return outcome.row.to_bytes(8, "little")
    return sha256(repr(image.shape).encode() + image.tobytes()).digest()
