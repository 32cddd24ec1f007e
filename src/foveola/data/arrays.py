"""Data sets from NumPy arrays, as Keras's loaders return them, and from .npz files (read without pickle)."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from foveola.data.dataset import PARTS, Arrays, Dataset, fingerprint_of, natural_key, require_images
from foveola.errors import DataError, ResourceError
from foveola.text import count, joined, printable
from foveola.types import Images, Labels

Pair: TypeAlias = tuple[ArrayLike, ArrayLike]
"""Images and their labels."""


def from_arrays(
    images: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    test: Pair | None = None,
    val: Pair | None = None,
    name: str = "arrays",
) -> Dataset:
    """The data set of images and labels in memory; `test` and `val` become its official parts.

    >>> dataset = from_arrays(np.zeros((3, 8, 8), np.uint8), ["cat", "dog", "cat"])
    >>> dataset.class_names, dataset.labels.tolist(), dataset.ids[0], dataset.read(0).shape
    (('cat', 'dog'), [0, 1, 0], '00000', (8, 8, 3))

    images: uint8 (n, h, w, 3) RGB, or (n, h, w) or (n, h, w, 1) grey, which is repeated to three channels; 0..255.
    labels: integer (n,) or (n, 1), 0..K-1; or text (n,), whose distinct values in natural order become the classes.
    class_names: K names, "0", "1", ... when left out. The pixels are copied: the caller's array may change later.
    Raises DataError for anything else, for images of several sizes, and for no image at all.
    """
    pairs = {"train": (images, labels), "val": val, "test": test}
    given = {part: pair for part, pair in pairs.items() if pair is not None}
    # Without official parts there is no "train" to speak of, neither in ids nor in messages.
    words = {part: f"{part} " if len(given) > 1 else "" for part in given}
    stacks = {part: _stack(pair[0], f"{name}: the {words[part]}images") for part, pair in given.items()}
    columns = [_column(pair[1], f"{name}: the {words[part]}labels") for part, pair in given.items()]
    _require_fit(name, stacks, columns, words)
    names, numbers = _numbered(name, columns, class_names)
    require_images(name, numbers)
    pixels = _rgb(list(stacks.values()))
    index = [PARTS.index(part) for part in PARTS if part in stacks]
    parts = np.repeat(index, [len(stack) for stack in stacks.values()]).astype(np.int64) if len(given) > 1 else None
    ids = tuple(f"{words[part].strip()}/{i:05d}".lstrip("/") for part in stacks for i in range(len(stacks[part])))
    # The shape enters, or else the same bytes as 4 x 8 and as 8 x 4 pixels would count as the same images.
    contents = sha256(f"{pixels.shape}".encode())
    contents.update(pixels)
    return Dataset(
        name=name,
        class_names=names,
        ids=ids,
        labels=numbers,
        source=Arrays(pixels),
        fingerprint=fingerprint_of(ids, names, numbers, parts, contents.digest()),
        parts=parts,
        files_found=len(ids),
        notes=("grey repeated to three channels",) if any(stack.shape[-1] == 1 for stack in stacks.values()) else (),
    )


def _array(values: ArrayLike, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(f"{what} have different lengths or sizes: give all of them the same size") from None


def _stack(images: ArrayLike, what: str) -> Images:
    """The images as uint8 (n, h, w, 1 or 3)."""
    array = _array(images, what)
    if array.dtype != np.uint8:
        numbers = array.size > 0 and array.dtype.kind in "fiu"
        extent = f" from {array.min():g} to {array.max():g}" if numbers else ""
        share = numbers and array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1
        how = "here np.rint(images * 255).astype(np.uint8)" if share else "as they were before any scaling"
        raise DataError(f"{what} are {array.dtype}{extent}: give uint8 from 0 to 255, {how}")
    array = array[..., None] if array.ndim == 3 else array
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        turn = ", here np.moveaxis(images, 1, -1)" if array.ndim == 4 and array.shape[1] in (1, 3) else ""
        raise DataError(f"{what} have the shape {np.shape(images)}: give (n, h, w), (n, h, w, 1) or (n, h, w, 3){turn}")
    if array.size == 0:
        raise DataError(f"{what} have the shape {np.shape(images)} and no pixel: give an image of each class or more")
    return array


def _column(labels: ArrayLike, what: str) -> NDArray[Any]:
    """The labels of one part, (n,): int64, or text."""
    array = _array(labels, what)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim == 2:
        raise DataError(f"{what} have the shape {array.shape}, a column for each class: give np.argmax(labels, axis=1)")
    if array.ndim != 1:
        raise DataError(f"{what} have the shape {array.shape}: give one for each image, as (n,) or (n, 1)")
    if array.dtype.kind in "UOT" and all(isinstance(label, str) for label in array):
        return array.astype(np.str_)
    if array.dtype.kind not in "iu":
        raise DataError(f"{what} are {array.dtype}: give whole numbers from 0, or the names of the classes as text")
    if array.size and array.min() < 0:
        raise DataError(f"{what} go down to {array.min()}: number the classes from 0")
    return array.astype(np.int64)


def _require_fit(
    name: str, stacks: Mapping[str, Images], columns: Sequence[NDArray[Any]], words: Mapping[str, str]
) -> None:
    """All images of one size, a label for each, all labels of one kind. Raises DataError."""
    sizes = {part: f"{stack.shape[2]}x{stack.shape[1]}" for part, stack in stacks.items()}
    for (part, stack), column in zip(stacks.items(), columns, strict=True):
        if sizes[part] != sizes["train"]:
            found = f"the train images are {sizes['train']} (width x height) and the {part} images {sizes[part]}"
            raise DataError(f"{name}: {found}: make all images the same size")
        if len(stack) != len(column):
            found = f"{count(len(stack), f'{words[part]}image')} and {count(len(column), f'{words[part]}label')}"
            raise DataError(f"{name}: there are {found}: give one label for each image")
    if len({column.dtype.kind for column in columns}) > 1:
        raise DataError(f"{name}: some labels are numbers and some are text: give all as numbers or all as text")


def _numbered(
    name: str, columns: Sequence[NDArray[Any]], class_names: Sequence[str] | None
) -> tuple[tuple[str, ...], Labels]:
    """Class names, and the labels of all parts as int64 (n,)."""
    labels = np.concatenate(columns)
    distinct = np.unique(labels).tolist()
    text = labels.dtype.kind == "U"
    if class_names is None and not text and distinct[-1] >= len(distinct):
        first = next(k for k, label in enumerate(distinct) if label != k)
        found = f"the labels go up to {distinct[-1]:,} and none is {first}"
        raise DataError(f"{name}: {found}: number the {len(distinct):,} classes from 0 without gaps")
    usual = sorted(distinct, key=natural_key) if text else [str(label) for label in distinct]
    names = tuple(usual if class_names is None else class_names)
    if len(set(names)) < len(names):
        twice = next(k for i, k in enumerate(names) if k in names[:i])
        raise DataError(f"{name}: class_names has '{printable(twice)}' twice: give each class a different name")
    strange = [label for label in distinct if (label not in names if text else label >= len(names))]
    if strange:
        allowed = ", ".join(map(printable, names[:10])) if text else f"0 to {len(names) - 1}"
        what = f"label '{printable(strange[0])}'" if text else f"label {strange[0]:,}"
        given = f"{count(len(names), 'class name')} ({allowed})"
        raise DataError(f"{name}: {what} is beyond the {given}: add its class to class_names, or correct the label")
    number = {label: k for k, label in enumerate(names)}
    return names, np.array([number[label] for label in labels.tolist()], np.int64) if text else labels


def _rgb(stacks: Sequence[Images]) -> Images:
    """All images in one new array, uint8 (n, h, w, 3), not writable: their fingerprint must stay true."""
    pixels = np.empty((sum(map(len, stacks)), *stacks[0].shape[1:3], 3), np.uint8)
    np.concatenate([np.broadcast_to(stack, (*stack.shape[:3], 3)) for stack in stacks], out=pixels)
    pixels.setflags(write=False)
    return pixels


MAX_UNPACKED_BYTES = 8 * 2**30
"""What an .npz file may unpack to; all of it is held in memory."""


def open_npz(path: Path) -> Dataset:
    """The data set in an .npz file: x_train, y_train, and if there are x_val, y_val, x_test, y_test; or images, labels.

    Either may hold class_names too; the arrays are those of `from_arrays`. Nothing is unpickled. Raises DataError for
    a missing, damaged or foreign file, for missing keys, and before loading for more than 8 GiB of unpacked arrays;
    ResourceError when the memory is too small.
    """
    if not path.is_file():
        raise DataError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}: give the path of an .npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            found = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            keys = _keys(path, found.keys())
            _require_loadable(path, archive, {key: found[key] for key in keys})
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in keys}
    except DataError:
        raise
    except MemoryError:
        raise ResourceError(f"{path} does not fit into memory: save fewer or smaller images") from None
    except Exception as error:  # the readers of zip and npy raise almost anything on damaged bytes
        reason = printable(str(error))[:120].rstrip(".")
        raise DataError(f"{path} is damaged or not an .npz file ({reason}): save it again with np.savez") from None
    return _from_keys(path.stem, arrays)


def _from_keys(name: str, arrays: Mapping[str, NDArray[Any]]) -> Dataset:
    names = [str(text) for text in arrays["class_names"].ravel()] if "class_names" in arrays else None
    if "images" in arrays:
        return from_arrays(arrays["images"], arrays["labels"], names, name=name)
    pairs = {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in PARTS if f"x_{part}" in arrays}
    return from_arrays(*pairs["train"], names, test=pairs.get("test"), val=pairs.get("val"), name=name)


def _keys(path: Path, found: Collection[str]) -> list[str]:
    """The keys to load, in whole pairs. Raises DataError when one is missing."""
    wanted = ["images", "labels"] if "images" in found else ["x_train", "y_train"]
    for part in ("val", "test"):
        if "images" not in found and (f"x_{part}" in found or f"y_{part}" in found):
            wanted += [f"x_{part}", f"y_{part}"]
    missing = [key for key in wanted if key not in found]
    if missing:
        raise DataError(
            f"{path} has no {joined(missing)} (it contains {', '.join(map(printable, sorted(found))) or 'nothing'}): "
            "save x_train, y_train, x_test and y_test (and x_val, y_val if you have them), or images and labels, "
            "with or without class_names"
        )
    return [*wanted, "class_names"] if "class_names" in found else wanted


def _require_loadable(path: Path, archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> None:
    """Look at the headers only: no Python objects, no array larger than its file, not more than the limit in all."""
    total = 0
    for key, entry in entries.items():
        with archive.open(entry) as member:
            read = npy.read_array_header_1_0 if npy.read_magic(member) == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(member)
            held = entry.file_size - member.tell()
        if dtype.hasobject:
            raise DataError(
                f"{path}: {key} contains Python objects, which are never loaded: save it as numbers or text"
            )
        # numpy reserves memory by the header and not by the file, so a header must not claim what is not there.
        size = dtype.itemsize * math.prod(shape)
        if size != held:
            raise ValueError(f"the header of {key} says {size:,} bytes and {held:,} follow")
        total += size
    if total > MAX_UNPACKED_BYTES:
        raise DataError(
            f"{path} unpacks to {total:,} bytes, over the limit of {MAX_UNPACKED_BYTES:,}: "
            "make the images smaller, or save them as a folder of images"
        )
