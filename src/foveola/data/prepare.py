"""Decode, resize and filter all images of a data set into cached uint8 arrays on the disk.

The cache key is made of the data set's fingerprint (content, not path), the size, the resize rule and VERSION. The second
run maps the array and starts at once, after a check of some of its rows (`array_cache`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.array_cache import Entry, cache_place, cached_entry, create_array
from foveola.data.dataset import Arrays, Dataset, Problem, require_images
from foveola.data.decode_workers import content_ids, decode_all
from foveola.data.grouping import factorize
from foveola.errors import UsageError
from foveola.filters.chain import Chain
from foveola.imaging.colour import Note, few_levels_note
from foveola.imaging.resize import Resize
from foveola.storage import digest
from foveola.text import count
from foveola.types import Images, Indices, Size, Tick, no_tick

VERSION = 5
"""Increase this with every change that changes pixels, so that old caches are not used."""

FILTERED_VERSION = 2
"""Raise it with every change that changes what a filter of ours gives."""

LARGE_BYTES = 20_000
"""Images from this size on are filtered in threads: OpenCV leaves Python's lock. Of smaller ones the calls cost more
than the work, and threads would wait for each other."""

_CHUNK_BYTES = 4_000_000


class FileKind(NamedTuple):
    """What an image's file is: its format, the mode that Pillow finds in it, and what was done on decoding."""

    format: str
    mode: str
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class FileFacts:
    """What the images' files are.

    of: int64 (n,), each one's position in `kinds`; stored_bytes: int64 (n,); levels: int16 (n,), how many of 256 levels the
    image uses where its file has more than 8 bits, else 0; quality: float32 (n,), a JPEG's, 1 to 100, else 0.
    """

    kinds: tuple[FileKind, ...]
    of: Indices
    stored_bytes: NDArray[np.int64]
    levels: NDArray[np.int16]
    quality: NDArray[np.float32]


@dataclass(frozen=True)
class Prepared:
    """A data set's usable images at one size.

    dataset: the usable rows only, with every problem listed; pixels: uint8 (n, H, W, 3), mapped from the disk, not
    writable; content: int64 (n,), equal where the decoded images were equal, whatever their files; sizes: int32
    (n, 2), upright height and width of the originals; formats and notes: how many images of each; files: the same and
    more, image by image; key: identifies the pixels, for caches of results computed from them.
    """

    dataset: Dataset
    pixels: Images
    content: Indices
    sizes: NDArray[np.int32]
    formats: dict[str, int]
    notes: dict[str, int]
    size: Size
    how: Resize
    key: str
    files: FileFacts


def prepare(dataset: Dataset, size: Size, how: Resize = "pad", *, tick: Tick = no_tick) -> Prepared:
    """The data set's images at `size`, from the cache if they are there.

    Images that can't be decoded are dropped, listed in `dataset.problems`, and never stop the others. Raises
    DataError when a class has no usable image left, ResourceError when the disk is too small for the array.
    """
    if isinstance(dataset.source, Arrays) and dataset.source.pixels.shape[1:3] == tuple(size):
        return _in_memory(dataset, dataset.source.pixels, size, how)
    key = _key(dataset, size, how)

    def usable(entry: Entry) -> bool:
        """An array that lacks images for a temporary reason serves the run that made it; the next run makes it again."""
        kept, refused = len(entry.arrays["kept"]), len(entry.facts["refused"])
        fits = entry.arrays["pixels"].shape == (kept, *size, 3) and kept + refused == len(dataset)
        return fits and (entry.just_made or not entry.facts["passing"])

    entry = cached_entry(
        cache_place("prepared", key),
        int(np.prod((len(dataset), *size, 3))) * 2,
        lambda folder: _make(folder, dataset, size, how, tick),
        usable=usable,
        sampled=["pixels"],
    )
    prepared = _prepared(entry, dataset, size, how, digest(key, *entry.checks["pixels"]))
    require_images(dataset.name, prepared.dataset.labels, prepared.dataset.problems)
    return prepared


def _key(dataset: Dataset, size: Size, how: Resize) -> str:
    # The notes are kept by their texts, so an array with texts of another version has another key.
    return digest(dataset.fingerprint, repr(tuple(size)), how, str(VERSION), *Note)


def _in_memory(dataset: Dataset, pixels: Images, size: Size, how: Resize) -> Prepared:
    content = factorize([sha256(np.ascontiguousarray(row)).digest() for row in pixels])
    sizes = np.tile(np.array(size, np.int32), (len(pixels), 1))
    stored = np.full(len(pixels), int(np.prod(pixels.shape[1:])), np.int64)
    levels, quality = np.zeros(len(pixels), np.int16), np.zeros(len(pixels), np.float32)
    files = FileFacts((FileKind("array", "RGB", ()),), np.zeros(len(pixels), np.int64), stored, levels, quality)
    key = _key(dataset, size, how)
    return Prepared(dataset, pixels, content, sizes, {"array": len(pixels)}, {}, size, how, key, files)


def _make(folder: Path, dataset: Dataset, size: Size, how: Resize, tick: Tick) -> dict[str, Any]:
    """Decode all images into the folder, and return the facts that are no arrays."""
    target = create_array(folder, "pixels", (len(dataset), *size, 3), np.uint8)
    outcomes = decode_all(dataset.source, target, size, how, tick)
    # 0.05 s for 400 photos; without it a power cut could leave rows of zeros under the key.
    np.load(target, mmap_mode="r+").flush()
    good = [o for o in outcomes if o.refusal is None]
    kept = np.array([o.row for o in good], np.int64)
    if len(good) < len(outcomes):
        _compact(folder, kept)
    kinds = [FileKind(o.format, o.mode, o.notes) for o in good]
    arrays: dict[str, NDArray[Any]] = {
        "kept": kept,
        "sizes": np.array([(o.height_px, o.width_px) for o in good], np.int32).reshape(-1, 2),
        "content": content_ids(dataset.source, good, np.load(target, mmap_mode="r")),
        "kinds": factorize(kinds),
        "stored_bytes": np.array([o.stored_bytes for o in good], np.int64),
        "levels": np.array([o.levels for o in good], np.int16),
        "quality": np.array([o.quality for o in good], np.float32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {
        "refused": [[o.row, str(o.refusal), o.refusal.kind, o.refusal.cause] for o in outcomes if o.refusal],
        "formats": Counter(o.format for o in good),
        "notes": Counter(note for o in good for note in o.notes),
        "kinds": [[*kind[:2], list(kind.notes)] for kind in dict.fromkeys(kinds)],
        "passing": any(o.passing for o in outcomes),
    }


def _compact(folder: Path, kept: Indices) -> None:
    """Drop the rows of the images that could not be decoded."""
    path = folder / "pixels.npy"
    whole = np.load(path, mmap_mode="r")
    fewer = create_array(folder, "fewer", (len(kept), *whole.shape[1:]), np.uint8)
    out = np.load(fewer, mmap_mode="r+")
    for k in range(0, len(kept), 1024):
        out[k : k + 1024] = whole[kept[k : k + 1024]]
    out.flush()
    del whole, out
    fewer.replace(path)


def _prepared(entry: Entry, dataset: Dataset, size: Size, how: Resize, key: str) -> Prepared:
    facts, pixels = entry.facts, entry.arrays["pixels"]
    arrays = {name: np.array(array) for name, array in entry.arrays.items() if name != "pixels"}  # small, so no maps
    kinds = tuple(FileKind(form, mode, tuple(map(Note, notes))) for form, mode, notes in facts["kinds"])
    files = FileFacts(kinds, arrays["kinds"], arrays["stored_bytes"], arrays["levels"], arrays["quality"])
    problems = [
        Problem(dataset.ids[row], reason, kind=kind, cause=cause) for row, reason, kind, cause in facts["refused"]
    ]
    usable = dataset.take(arrays["kept"], problems) if problems else dataset
    if note := few_levels_note(files.levels):
        usable = replace(usable, notes=(*usable.notes, f"{note}; foveola check says what to do"))
    content, sizes = arrays["content"], arrays["sizes"]
    return Prepared(usable, pixels, content, sizes, facts["formats"], facts["notes"], size, how, key, files)


def apply_filters(prepared: Prepared, chain: Chain, *, tick: Tick = no_tick) -> Prepared:
    """The prepared images through the chain, from the cache if they are there; the same object when the chain is empty.

    Raises UsageError when the chain changes the images' size, or an image is too small for one of its kernels.
    """
    if not chain.steps:
        return prepared
    _require_same_size(prepared, chain)
    key = digest(prepared.key, str(chain), cv2.__version__, str(FILTERED_VERSION))
    entry = cached_entry(
        cache_place("filtered", key),
        prepared.pixels.nbytes,
        lambda folder: _make_filtered(folder, prepared, chain, tick),
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
            f"chain '{chain}' changes the size of the images from {size} to {width}x{height}: remove the filter that does "
            f"this, and use --size {width}x{height}"
        )


def _make_filtered(folder: Path, prepared: Prepared, chain: Chain, tick: Tick) -> dict[str, str]:
    target = create_array(folder, "pixels", prepared.pixels.shape, np.uint8)
    done, n = 0, len(prepared.pixels)
    for rows in _filter_rows(prepared.pixels, target, chain):
        done += rows
        tick("Filtering images", done, n)
    return {"chain": str(chain)}


def _filter_rows(pixels: Images, target: Path, chain: Chain) -> Iterator[int]:
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


def describe(prepared: Prepared) -> str:
    """One line for the screen: how many images, classes and problems.

    A run prints it before training: "400 images in 2 classes, 1 file could not be used".
    """
    dataset = prepared.dataset
    parts = [f"{count(len(dataset), 'image')} in {count(len(dataset.class_names), 'class', 'classes')}"]
    if dataset.problems:
        parts.append(f"{count(len(dataset.problems), 'file')} could not be used")
    if dataset.files_ignored:
        parts.append(
            f"{count(dataset.files_ignored, 'other file')} left out (side files, hidden files, or without a label)"
        )
    return ", ".join(parts)
