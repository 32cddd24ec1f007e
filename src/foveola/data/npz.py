"""The .npz files that arrays of pictures are kept in become a Dataset, without a pickle being read."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from foveola.data.arrays import from_arrays
from foveola.data.dataset import PARTS, Dataset, printable
from foveola.errors import DataError, ResourceError

MAX_UNPACKED_BYTES = 8 * 2**30
"""What an .npz file may unpack to; all of it is held in memory."""


def open_npz(path: Path) -> Dataset:
    """The data set in an .npz file: x_train, y_train, and if there are x_val, y_val, x_test, y_test; or images, labels.

    Either may hold class_names too; the arrays are those of `from_arrays`. Nothing is unpickled. Raises DataError for
    a missing, damaged or foreign file, for missing keys, and before loading for more than 8 GiB of unpacked arrays;
    ResourceError when the memory is too small.
    """
    if not path.is_file():
        raise DataError(f"{path} is {'a folder' if path.is_dir() else 'not there'}: give the path of an .npz file")
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
        raise ResourceError(f"{path} does not fit into memory: save fewer or smaller pictures") from None
    except Exception as error:  # the readers of zip and npy raise almost anything on damaged bytes
        reason = printable(str(error))[:120].rstrip(".")
        raise DataError(f"{path} is damaged or no .npz file ({reason}): save it again with np.savez") from None
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
            f"{path} lacks {' and '.join(missing)}, it holds {', '.join(map(printable, sorted(found))) or 'nothing'}: "
            "save x_train, y_train, x_test and y_test (and x_val, y_val if there are such), or images and labels, "
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
            raise DataError(f"{path}: {key} holds Python objects, which are never loaded: save it as numbers or text")
        # numpy reserves memory by the header and not by the file, so a header must not claim what is not there.
        size = dtype.itemsize * math.prod(shape)
        if size != held:
            raise ValueError(f"the header of {key} says {size:,} bytes and {held:,} follow")
        total += size
    if total > MAX_UNPACKED_BYTES:
        raise DataError(
            f"{path} unpacks to {total:,} bytes, over the limit of {MAX_UNPACKED_BYTES:,}: "
            "make the pictures smaller, or save them as a folder of images"
        )
