"""Near-duplicates: pairs of pictures that are copies of each other though not the same pixels; kept under the data's key."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.data.mapped import RowReader
from foveola.data.prepare import Prepared
from foveola.findings import alignment
from foveola.findings.candidates import candidates
from foveola.findings.descriptors import lay
from foveola.findings.looks import Looks, look, picture_of, squared
from foveola.store import cache_root, digest, write_atomic
from foveola.types import Rows, Tick, no_tick

VERSION = 3
"""Raise it with every change that changes what counts as a copy: old answers are then not found any more."""

SMALLEST_PX = 32
"""Pictures with a shorter side carry too little to tell a copy from a likeness: they are compared by content only."""

MOST_LOOKED_AT = 30_000
"""Pairs that are laid over each other, the likeliest first: 0.7 ms each on one core at 32 px, 1.2 ms at 64 px."""


def near_copies(prepared: Prepared, looks: Callable[[], Looks] | None = None, *, tick: Tick = no_tick) -> Rows:
    """Pairs that are copies but differ in pixels: int64 (m, 3), rows (i, j, variant), i < j, sorted.

    variant: how j has to be laid to be like i (see `descriptors.VARIANTS`; 0 is upright). Taken from the cache if it is
    there. looks: gives what `look` gives, if the caller needs it too.
    """
    place = cache_root() / "copies" / f"{digest(prepared.key, str(VERSION))[:32]}.npy"
    try:
        found: Rows = np.load(io.BytesIO(place.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        found = _search(prepared, (looks or (lambda: look(prepared, tick=tick)))().greys, tick)
        buffer = io.BytesIO()
        np.save(buffer, found)
        write_atomic(place, buffer.getvalue())
    return found


def compared(content: Rows, sizes: NDArray[np.int32]) -> Rows:
    """The pictures that are compared, int64 (m,): large enough, and of each content one: the others are copies of it."""
    large = np.flatnonzero(sizes.min(axis=1) >= SMALLEST_PX)
    return np.sort(large[np.unique(content[large], return_index=True)[1]])


def _search(prepared: Prepared, greys: NDArray[np.uint8], tick: Tick) -> Rows:
    rows = compared(prepared.content, prepared.sizes)
    greys = greys if len(rows) == len(greys) else greys[rows]  # a million are a gigabyte
    likely = candidates(greys, tick=tick)[:MOST_LOOKED_AT]
    pairs = np.stack([rows[likely[:, 0]], rows[likely[:, 1]], likely[:, 2]], axis=1)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]  # neighbours on the disk, one after the other
    kept = pairs[confirmed(pairs, _judge(prepared), tick)]
    return kept[np.lexsort(kept.T[::-1])]


def confirmed(pairs: Rows, judge: Callable[[Rows], list[bool]], tick: Tick = no_tick) -> NDArray[np.bool_]:
    """Which candidates, int64 (m, 3), are copies: bool (m,). judge: says it of some of them; called in threads."""
    good, step = np.zeros(len(pairs), bool), 512
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        starts = range(0, len(pairs), step)
        for start, some in zip(starts, threads.map(lambda k: judge(pairs[k : k + step]), starts), strict=True):
            good[start : start + step] = some
            tick("Comparing images", min(start + step, len(pairs)), len(pairs))
    return good


def _judge(prepared: Prepared) -> Callable[[Rows], list[bool]]:
    """A function that says of each of some pairs whether they are copies."""
    cut = picture_of(prepared)
    side = min(alignment.SIDE, *prepared.size)

    def grey(reader: RowReader, i: int) -> NDArray[np.uint8]:
        image = cut(i, reader.read(np.array([i]))[0])
        return squared(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8), side)

    def judge(pairs: Rows) -> list[bool]:
        reader = RowReader(prepared.pixels)  # one a thread: it counts what it has touched
        out = []
        for i, j, variant in pairs.tolist():
            ours = grey(reader, i).astype(np.float32)
            theirs = np.ascontiguousarray(lay(grey(reader, j), variant), np.float32)
            out.append(alignment.is_copy(ours, theirs))
        return out

    return judge
