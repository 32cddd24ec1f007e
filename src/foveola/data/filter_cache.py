"""Apply a chain of filters to prepared images, in parallel, and cache the result on the disk.

The facts about the originals (content, sizes, formats) stay the same: images that were equal are equal still,
and the split sees the same groups with and without a chain.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from foveola.data.prepare import Prepared, check_rows
from foveola.errors import DataError, UsageError
from foveola.filters.chain import Chain
from foveola.storage import cache_root, digest, folder_atomic, preallocate, write_atomic
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
    place = cache_root() / "filtered" / key[:32]
    pixels = _open(place, prepared) if chain.is_ours else None
    for _ in range(3):  # another process may put its own there in between, of another day's filter of the same name
        if pixels is not None:
            break
        shutil.rmtree(place, ignore_errors=True)
        made = _make(place, prepared, chain, tick)
        pixels = _open(place, prepared)
        if pixels is not None and check_rows(pixels) != made:
            pixels = None
    if pixels is None:
        raise DataError(f"the cache {place} can't be read back: delete it, or set FOVEOLA_CACHE to another folder")
    if not chain.is_ours:  # its text does not say what a user's filter does today
        key = digest(key, *check_rows(pixels).values())
    return replace(prepared, pixels=pixels, key=key)


def _require_same_size(prepared: Prepared, chain: Chain) -> None:
    size = prepared.size
    height, width = chain(np.zeros((*size, 3), np.uint8)).shape[:2]
    if (height, width) != tuple(size):
        raise UsageError(
            f"chain '{chain}' makes {width}x{height} of {size}: a network takes one size, so take the filter out and say "
            f"--size {width}x{height}"
        )


def _make(place: Path, prepared: Prepared, chain: Chain, tick: Tick) -> dict[str, str]:
    """Filter into the folder, which stays another's where that was faster; the spot checks of ours."""
    n = len(prepared.pixels)
    with folder_atomic(place, prepared.pixels.nbytes) as folder:
        target = folder / "pixels.npy"
        np.lib.format.open_memmap(target, "w+", np.uint8, prepared.pixels.shape).flush()
        preallocate(target)
        done = 0
        for rows in _run(prepared.pixels, target, chain):
            done += rows
            tick("Filtering images", done, n)
        checks = check_rows(np.load(target, mmap_mode="r"))
        write_atomic(folder / "facts.json", json.dumps({"chain": str(chain), "checks": checks}))
    return checks


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


def _open(place: Path, prepared: Prepared) -> Images | None:
    """The images under this key, or None when they are not there or not whole."""
    try:
        facts = json.loads((place / "facts.json").read_text("utf-8"))
        pixels: Images = np.load(place / "pixels.npy", mmap_mode="r", allow_pickle=False)
        fits = pixels.dtype == np.uint8 and pixels.shape == prepared.pixels.shape
        return pixels if fits and check_rows(pixels) == facts["checks"] else None
    except Exception:  # whatever is wrong with a cache, the answer is to make it again
        return None
