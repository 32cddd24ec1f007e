"""Hash all files with SHA-256, and measure some images, with a cache so that a second run reads no unchanged file again.

A cached digest is used only for a file whose size, modification time and change time (which no program can set
back) are all as they were, and were at least two seconds old when the digest was made; git's index works by the same
rule. On Windows there is no change time; size and modification time decide.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.array_cache import cache_place, read_arrays, write_arrays
from foveola.data.dataset import Problem, read_file
from foveola.data.scan import FolderScan
from foveola.errors import ImageProblem
from foveola.imaging.decode import size_of, suppress_pillow_warnings
from foveola.storage import require_writable
from foveola.types import Indices, Tick, no_tick

_YOUNG_NS = 2_000_000_000
_CHUNK = 64

SLOW_S = 1e-4
"""Seconds per file from which threads pay: large files, or a slow disk. Small ones that the system has in its memory are read
by Python itself, and threads wait for its lock: 30,000 of 0.9 KB took 0.5 to 0.7 s here and 2.2 to 2.8 in six threads, 400
of 259 KB 0.11 and 0.09 (three rounds in turns, two cores). Not in its memory, 8,000 small ones took 1.2 and 1.3 s here and
0.7 in six threads (twice in turns): 20 us per file in memory and 150 not; 100 tells them apart where the cores are free."""


class FileHashes(NamedTuple):
    """What one read of each file gives, in the listing's order.

    digests: SHA-256, uint8 (n, 32), zero for files that can't be read, which are also problems; sizes: upright height and
    width, int32 (n, 2), zero for images that were not measured.
    """

    digests: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    problems: tuple[Problem, ...]


def hash_files(listing: FolderScan, *, measure: Indices | None = None, tick: Tick = no_tick) -> FileHashes:
    """Hash a listing's files, and measure the images in the rows `measure` while their bytes are in memory."""
    place = cache_place("digests", str(listing.root.absolute()))
    started = time.time_ns()
    n = len(listing.ids)
    out = FileHashes(np.zeros((n, 32), np.uint8), np.zeros((n, 2), np.int32), ())
    todo = _recall(place, listing, out)
    if len(todo):
        require_writable(place)  # before all files are read
    measured = frozenset(() if measure is None else measure.tolist())
    refused = _compute(listing, todo, measured, out, tick)
    if len(todo):
        _remember(place, listing, out, np.setdiff1d(np.arange(n), list(refused)), started)
    return out._replace(problems=tuple(Problem.of(listing.ids[i], error) for i, error in sorted(refused.items())))


def _recall(place: Path, listing: FolderScan, out: FileHashes) -> NDArray[np.int64]:
    """Fill in what is remembered and still true; return the positions that are left to read."""
    kept = read_arrays(place)
    if kept is None:
        return np.arange(len(listing.ids))
    names, stamps, made = kept["ids"].tobytes(), kept["stamps"], int(kept["made"])
    digests, sizes = kept["digests"], kept["sizes"]
    trusted = stamps[:, 1:].max(axis=1, initial=0) < made - _YOUNG_NS
    if names == _joined(listing.ids) and np.array_equal(stamps, listing.stamps):
        out.digests[trusted], out.sizes[trusted] = digests[trusted], sizes[trusted]
        return np.flatnonzero(~trusted)
    position = {name: i for i, name in enumerate(names.decode("utf-8", "surrogateescape").split("\0"))}
    todo = []
    for i, name in enumerate(listing.ids):
        j = position.get(name, -1)
        if j >= 0 and trusted[j] and (stamps[j] == listing.stamps[i]).all():
            out.digests[i], out.sizes[i] = digests[j], sizes[j]
        else:
            todo.append(i)
    return np.array(todo, np.int64)


def _compute(
    listing: FolderScan, todo: NDArray[np.int64], measured: frozenset[int], out: FileHashes, tick: Tick
) -> dict[int, ImageProblem]:
    refused: dict[int, ImageProblem] = {}

    def work(rows: NDArray[np.int64]) -> None:
        for i in rows.tolist():
            try:
                data = read_file(f"{listing.root}/{listing.ids[i]}")
            except ImageProblem as error:
                refused[i] = error
                continue
            out.digests[i] = np.frombuffer(sha256(data).digest(), np.uint8)
            if i in measured:
                with contextlib.suppress(ImageProblem):  # it will be listed when it is decoded
                    out.sizes[i] = size_of(data)

    chunks = [todo[k : k + _CHUNK] for k in range(0, len(todo), _CHUNK)]
    with suppress_pillow_warnings():
        in_parallel(work, chunks, lambda done: tick("Reading files", min(done * _CHUNK, len(todo)), len(todo)))
    return refused


def in_parallel(
    work: Callable[[NDArray[np.int64]], None], chunks: list[NDArray[np.int64]], done: Callable[[int], None]
) -> None:
    """Run `work` over the chunks, and say how many are done as they end, in order.

    The first two are done here; the others in threads where an item of the second took SLOW_S or more, else here too. The
    first one is not timed, because Pillow finds its plugins when it opens an image for the first time: 550 us per file of
    CIFAR-10, and 33 in the chunks after it (processor time).
    """
    taken = 0.0
    for number, chunk in enumerate(chunks[:2], start=1):
        started = time.perf_counter()
        work(chunk)
        taken = (time.perf_counter() - started) / len(chunk)
        done(number)
    slow = len(chunks) > 2 and taken >= SLOW_S
    with ThreadPoolExecutor() if slow else contextlib.nullcontext() as pool:
        others = pool.map(work, chunks[2:]) if pool else map(work, chunks[2:])
        for number, _ in enumerate(others, start=3):
            done(number)


def _remember(place: Path, listing: FolderScan, found: FileHashes, keep: NDArray[np.int64], started: int) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "ids": np.frombuffer(_joined(tuple(listing.ids[i] for i in keep)), np.uint8),
        "stamps": listing.stamps[keep],
        "digests": found.digests[keep],
        "sizes": found.sizes[keep],
        "made": np.array(started),
    }
    write_arrays(place, arrays)


def _joined(ids: tuple[str, ...]) -> bytes:
    return "\0".join(ids).encode("utf-8", "surrogateescape")
