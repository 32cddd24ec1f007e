"""Arrays in the cache folder: read back under their key and checked, or made again.

There are two kinds of entries: a file of small arrays that are read whole (`read_arrays`, `write_arrays`), and a folder of
large arrays that are mapped from the disk, with facts about them (`cached_entry`). Both appear under their final name only
when they are complete, so that several processes may make the same entry. A damaged entry is made again. `MemmapReader` reads
rows of a mapped array.
"""

from __future__ import annotations

import json
import mmap
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from foveola.errors import DataError
from foveola.storage import cache_root, digest, folder_atomic, preallocate, write_atomic
from foveola.types import Images, Indices

Array: TypeAlias = NDArray[Any]

SAMPLED_ROWS = 64
"""Rows of a sampled array that are checked, evenly spread, the first and the last too: enough to see that a file was cut or
exchanged."""

_TRIES = 3
_BLOCK_BYTES = 1 << 20
_DIGEST_BYTES = 32


def cache_place(kind: str, *key: str) -> Path:
    """Where the cache keeps an entry of this kind; `key` is all that decides its content."""
    return cache_root() / kind / digest(*key)[:32]


def read_arrays(place: Path) -> dict[str, Array] | None:
    """The arrays in a file that `write_arrays` wrote; None if there is no such file or it is damaged."""
    try:
        stored = place.read_bytes()
        check, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        if sha256(content).digest() != check:
            return None
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception:  # whatever is wrong with a cache, it is made again
        return None


def write_arrays(place: Path, arrays: Mapping[str, Array]) -> None:
    """Keep arrays in one file, with the SHA-256 of its content in front. Raises ResourceError if the disk refuses."""
    buffer = BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    write_atomic(place, sha256(content).digest() + content)


@dataclass(frozen=True)
class Entry:
    """A folder of arrays with facts about them.

    arrays: mapped from the disk, not writable; facts: values that JSON can hold; checks: of each array its data type, its
    shape and its digests; just_made: whether this call made it.
    """

    arrays: dict[str, Array]
    facts: dict[str, Any]
    checks: dict[str, list[str]]
    just_made: bool = False


def cached_entry(
    place: Path,
    bytes_needed: int,
    fill: Callable[[Path], Mapping[str, Any]],
    *,
    usable: Callable[[Entry], bool] = lambda entry: True,
    sampled: Collection[str] = (),
    reuse: bool = True,
) -> Entry:
    """The entry at `place`, made by `fill` if it is missing or damaged.

    fill: writes arrays into the folder that it is given, as .npy files, and returns facts; usable: whether a whole entry is
    what the caller expects; sampled: names of large arrays of which only some rows are checked, the others are checked
    whole; reuse: if False, the entry is made in any case, and none is taken that another process made meanwhile.

    Raises ResourceError when the disk is full or refuses, and DataError when the entry can't be read back.
    """
    entry = read_entry(place) if reuse else None
    if entry is not None and usable(entry):
        return entry
    for _ in range(_TRIES):  # another process may remove in between what it, too, found to be damaged
        shutil.rmtree(place, ignore_errors=True)
        with folder_atomic(place, bytes_needed) as folder:
            checks = _seal(folder, fill(folder), sampled)
        entry = read_entry(place)
        if entry is not None and (reuse or entry.checks == checks):
            entry = replace(entry, just_made=True)
            if usable(entry):
                return entry
    raise DataError(f"the cache {place} can't be read back: delete it, or set FOVEOLA_CACHE to another folder")


def create_array(folder: Path, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Path:
    """Make the file of a large array, to be written through a memory map; its place on the disk is reserved."""
    path = folder / f"{name}.npy"
    np.lib.format.open_memmap(path, "w+", dtype, shape).flush()
    preallocate(path)
    return path


def read_entry(place: Path) -> Entry | None:
    """The entry at this place; None if there is none or it is damaged."""
    try:
        sealed = json.loads((place / "facts.json").read_text("utf-8"))
        if sealed.pop("digest") != _digest_of(sealed):
            return None
        names, sampled = sealed["checks"], sealed["sampled"]
        arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
        checks = {name: _checks(array, sampled=name in sampled) for name, array in arrays.items()}
    except Exception:  # whatever is wrong with a cache, it is made again
        return None
    return Entry(arrays, sealed["facts"], checks) if checks == names else None


def _seal(folder: Path, facts: Mapping[str, Any], sampled: Collection[str]) -> dict[str, list[str]]:
    """Write the facts with the checks of all arrays, which make the entry whole."""
    checks = {
        path.stem: _checks(np.load(path, mmap_mode="r"), sampled=path.stem in sampled)
        for path in sorted(folder.glob("*.npy"))
    }
    sealed = {"facts": facts, "checks": checks, "sampled": sorted(sampled)}
    write_atomic(folder / "facts.json", json.dumps({**sealed, "digest": _digest_of(sealed)}))
    return checks


def _checks(array: Array, *, sampled: bool) -> list[str]:
    """What an array must still have when it is read back: data type, shape, and digests of some rows or of all."""
    n = len(array)
    if sampled:
        rows = np.unique(np.linspace(0, n - 1, min(SAMPLED_ROWS, n)).astype(np.int64))
        return [array.dtype.str, str(array.shape), *(sha256(np.ascontiguousarray(array[i])).hexdigest() for i in rows)]
    whole, step = sha256(), max(1, _BLOCK_BYTES * n // max(1, array.nbytes))
    for start in range(0, n, step):
        whole.update(np.ascontiguousarray(array[start : start + step]))
    return [array.dtype.str, str(array.shape), whole.hexdigest()]


def _digest_of(sealed: Mapping[str, Any]) -> str:
    return digest(json.dumps(sealed, sort_keys=True))


AROUND_BYTES = 1 << 16
"""What the system maps around a row that is touched (Linux: 16 pages of what it holds of the file anyway)."""

MOST_MAPPED_BYTES = 1 << 28
"""Bytes after which pages are given back; a smaller file stays mapped. CIFAR-10 (184 MB) was mapped again 22
times in two epochs of `fast`, 0.42 s of 20; kept, reading its batches takes 0.03 s."""

RANDOM_FROM_BYTES = 1 << 32
"""From this size on foveola tells the system that rows come in no order. Of smaller files it soon needs what the system reads
ahead."""


class MemmapReader:
    """Reads rows of an array (n, ...) into memory; of a mapped file no more than MOST_MAPPED_BYTES stay mapped.

    Pages of a mapped file count as the process's memory until it gives them back, and a run over a 20 GB file would seem
    to need 20 GB. Given back, they stay in the system's own cache as long as there is room.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        small = array.flags.writeable or array.nbytes <= MOST_MAPPED_BYTES
        self._map = None if small else find_memmap(array)
        self._touched = 0
        if self._map is not None and array.nbytes >= RANDOM_FROM_BYTES:
            _advise(self._map, "MADV_RANDOM")

    def read(self, rows: Indices) -> Images:
        """A copy of these rows, contiguous."""
        out = np.ascontiguousarray(self.array[rows])
        if self._map is not None:
            self._touched += out.nbytes + len(rows) * AROUND_BYTES
            if self._touched > MOST_MAPPED_BYTES:
                self._touched = 0
                _advise(self._map, "MADV_DONTNEED")
        return out


def find_memmap(array: object) -> mmap.mmap | None:
    """The map that holds an array, or the array that it is a view of; None if it is in memory."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array


def _advise(found: mmap.mmap, advice: str) -> None:
    # Windows has no such call, and takes pages back by itself.
    if hasattr(mmap, advice) and hasattr(found, "madvise"):
        found.madvise(getattr(mmap, advice))
