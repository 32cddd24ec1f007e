"""Apply a chain of filters to prepared images, in parallel, and cache the result on the disk.

The facts about the originals (content, sizes, formats) stay the same: images that were equal are equal still,
and the split sees the same groups with and without a chain.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from foveola.array_cache import cache_place, cached_entry, create_array
from foveola.data.prepare import Prepared
from foveola.errors import UsageError
from foveola.filters.chain import Chain
from foveola.storage import digest
from foveola.types import Images, Tick, no_tick

VERSION = 2
"""Raise it with every change that changes what a filter of ours gives."""

LARGE_BYTES = 20_000
"""Images from this size on are filtered in threads: OpenCV leaves Python's lock. Of smaller ones the calls cost more
than the work, and threads would wait for each other."""

_CHUNK_BYTES = 4_000_000


def apply_filters(prepared: Prepared, chain: Chain, *, tick: Tick = no_tick) -> Prepared:
    """The prepared images through the chain, from the cache if they are there; the same object when the chain is empty.

    Raises UsageError when the chain changes the images' size, or an image is too small for one of its kernels.
    """
    if not chain.steps:
        return prepared
    _require_same_size(prepared, chain)
    key = digest(prepared.key, str(chain), cv2.__version__, str(VERSION))
    entry = cached_entry(
        cache_place("filtered", key),
        prepared.pixels.nbytes,
        lambda folder: _make(folder, prepared, chain, tick),
        usable=lambda entry: entry.arrays["pixels"].shape == prepared.pixels.shape,
        sampled=["pixels"],
        reuse=chain.is_ours,
    )
    if not chain.is_ours:  # its text does not say what a user's filter does today
        key = digest(key, *entry.checks["pixels"])
    return replace(prepared, pixels=entry.arrays["pixels"], key=key)


def _require_same_size(prepared: Prepared, chain: Chain) -> None:
    size = prepared.size
    height, width = chain(np.zeros((*size, 3), np.uint8)).shape[:2]
    if (height, width) != tuple(size):
        raise UsageError(
            f"chain '{chain}' makes {width}x{height} of {size}: a network takes one size, so take the filter out and say "
            f"--size {width}x{height}"
        )


def _make(folder: Path, prepared: Prepared, chain: Chain, tick: Tick) -> dict[str, str]:
    target = create_array(folder, "pixels", prepared.pixels.shape, np.uint8)
    done, n = 0, len(prepared.pixels)
    for rows in _run(prepared.pixels, target, chain):
        done += rows
        tick("Filtering images", done, n)
    return {"chain": str(chain)}


def _run(pixels: Images, target: Path, chain: Chain) -> Iterator[int]:
    """Filter all rows into the file; after each chunk the number of its rows."""
    n, each = len(pixels), int(np.prod(pixels.shape[1:]))
    step = max(1, _CHUNK_BYTES // each)
    out = np.load(target, mmap_mode="r+")

    def some(start: int) -> int:
        end = min(start + step, n)
        out[start:end] = chain(np.asarray(pixels[start:end]))
        return end - start

    starts = range(0, n, step)
    if each < LARGE_BYTES:
        yield from map(some, starts)
    else:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            yield from threads.map(some, starts)
    out.flush()
