"""CIFAR-10 from its official archives, or from the folders they unpack to: 60,000 images of 32x32 in 10 classes.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; https://www.cs.toronto.edu/~kriz/cifar.html
An archive is read as a stream and never unpacked to the disk. The Python version of CIFAR-10 consists of pickles. A pickle
is a program: normally each name in it is imported and called. Here nothing in it runs: a name that numpy writes becomes an
inert stand-in that keeps its arguments, and any other name is refused.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import pickletools
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np

from foveola.data.arrays import from_arrays
from foveola.data.dataset import Dataset
from foveola.errors import DataError
from foveola.text import printable
from foveola.types import Images, Labels, Tick, no_tick

_ROW_BYTES = 3 * 32 * 32

# numpy 2 renamed numpy.core to numpy._core; _frombuffer is what it writes in protocol 5, Python 3.14's usual one.
_NAMES = frozenset(
    [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")]
    + [(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")]
    + [(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")]
)


def unpickle_batch(data: bytes, where: str) -> tuple[Images, Labels]:
    """The data, uint8 (n, 3072), 0..255, and the labels, int64 (n,), of a pickled batch; `where` names it in errors.

    The pickle is a dict of "data" (an array) and "labels" (a list of numbers), its keys text, or bytes as Python 2
    wrote them. Raises DataError when it asks for anything else to be imported, is damaged, or contains something else.
    """
    try:
        _require_small_memo(data)
        found = _Unpickler(data, where).load()
        found = {_text(key): value for key, value in found.items()}
        rows = _array_of(found["data"])
        labels = np.array([int(label) for label in found["labels"]], np.int64)
        if len(labels) != len(rows):
            raise ValueError(f"{len(rows):,} images and {len(labels):,} labels")
    except DataError:
        raise
    except Exception as error:  # an unpickler raises almost anything on damaged bytes
        reason = printable(f"{type(error).__name__}: {error}")[:120]
        raise DataError(f"{where} is damaged or not a CIFAR-10 batch ({reason}): download it again") from None
    return rows, labels


class _StandIn:
    """What the pickle gets for a name, and for the result of calling it: it keeps what it was given and does nothing.

    `__setstate__` keeps the pickle from setting attributes; there is a new one for each name, so nothing is shared.
    """

    def __init__(self, name: str, args: tuple[Any, ...] = ()) -> None:
        self.name, self.args, self.state = name, args, None

    def __call__(self, *args: Any) -> _StandIn:
        return _StandIn(self.name, args)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, where: str) -> None:
        super().__init__(io.BytesIO(data), encoding="bytes")
        self._where = where

    def find_class(self, module: str, name: str) -> _StandIn:
        if (module, name) not in _NAMES:
            asked = printable(f"{module}.{name}")
            raise DataError(f"{self._where} asks for {asked}: refused, it is not CIFAR-10; download it again")
        return _StandIn(name)


def _require_small_memo(data: bytes) -> None:
    """Refuse memo numbers that no pickle of this length needs: the unpickler reserves memory for all below them."""
    for opcode, arg, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "LONG_BINPUT") and isinstance(arg, int) and arg > len(data):
            raise ValueError(f"a memo number of {arg:,}")


def _array_of(array: Any) -> Images:
    """The uint8 (n, 3072) array whose parts the stand-ins have kept."""
    if array.name == "_frombuffer":
        raw, dtype, shape, order = array.args[:4]
        by_columns = order != "C"
    else:
        _, shape, dtype, by_columns, raw = array.state
    kind = _text(dtype.args[0])
    if kind not in ("u1", "|u1", "uint8") or by_columns or len(shape) != 2 or shape[1] != _ROW_BYTES:
        raise ValueError(f"data is {kind} of the shape {shape} and not uint8 of (n, 3072) row by row")
    return np.frombuffer(_bytes(raw), np.uint8).reshape(shape)


def _bytes(value: Any) -> Any:
    """Python 3 writes bytes in protocols 0 to 2 as a call: _codecs.encode(text, "latin1")."""
    return value.args[0].encode("latin1") if isinstance(value, _StandIn) else value


def _text(value: Any) -> Any:
    value = _bytes(value)
    return value.decode() if isinstance(value, bytes) else value


CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_PIXEL_BYTES = 3 * 32 * 32
_MAX_MEMBER_BYTES = 100_000_000
"""A batch of 10,000 images has 31 MB."""
_MAX_UNPACKED_BYTES = 1_000_000_000

Batch: TypeAlias = tuple[Images, Labels]


@dataclass(frozen=True)
class _Form:
    """One of the two forms the data set is published in."""

    folder: str
    archive: str
    suffix: str
    read: Callable[[bytes, str], Batch]

    @property
    def batches(self) -> tuple[str, ...]:
        return (*(f"data_batch_{k}{self.suffix}" for k in range(1, 6)), f"test_batch{self.suffix}")


def open_cifar10(path: Path, *, tick: Tick = no_tick) -> Dataset:
    """CIFAR-10 with its official parts train and test.

    `path` is cifar-10-binary.tar.gz, cifar-10-python.tar.gz, an unpacked cifar-10-batches-bin or cifar-10-batches-py,
    or a folder that holds one of them. Images are uint8 (32, 32, 3); batches may hold any number of them. Raises
    DataError (not CIFAR-10, cut, damaged).
    """
    found = _find(path)
    if found is None:
        raise DataError(
            f"{path} {'is not CIFAR-10' if path.exists() else 'does not exist'}: give cifar-10-binary.tar.gz, "
            "cifar-10-python.tar.gz, the unpacked cifar-10-batches-bin or cifar-10-batches-py, or the folder around it"
        )
    place, form = found
    batches: dict[str, Batch] = {}
    for name, data in _from_folder(place, form) if place.is_dir() else _from_archive(place, form):
        batches[name] = form.read(data, f"{place}: {name}")
        tick("Reading CIFAR-10", len(batches), len(form.batches))
    missing = [name for name in form.batches if name not in batches]
    if missing:
        raise DataError(
            f"{place} has no {', '.join(missing)}: CIFAR-10 consists of {', '.join(form.batches)}; download it again"
        )
    images, labels = (np.concatenate([batches[name][k] for name in form.batches[:5]]) for k in (0, 1))
    return from_arrays(images, labels, CLASS_NAMES, test=batches[form.batches[5]], name="cifar10")


def cifar10_place(path: Path) -> bool:
    """Whether this existing path is one of the forms that `open_cifar10` reads; a folder of class folders is not."""
    return _find(path) is not None


def _find(path: Path) -> tuple[Path, _Form] | None:
    """The folder or archive to read, and its form."""
    for form in (_BINARY, _PYTHON):
        for folder in (path, path / form.folder):
            if _is_file(folder / form.batches[0]):
                return folder, form
    for form in (_BINARY, _PYTHON):
        # a browser names a second download "cifar-10-binary (1).tar.gz"
        pattern = re.escape(form.archive.removesuffix(".tar.gz")) + r".*\.(tar\.gz|tgz)"
        for file in (path, path / form.archive):
            if re.fullmatch(pattern, file.name) and _is_file(file):
                return file, form
    return None


def _from_folder(folder: Path, form: _Form) -> Iterator[tuple[str, bytes]]:
    for name in form.batches:
        file = folder / name
        if not _is_file(file):
            continue
        try:
            with file.open("rb") as opened:
                data = opened.read(_MAX_MEMBER_BYTES + 1)
        except OSError as error:
            raise _unreadable(file, error) from None
        _require_small(f"{folder}: {name}", len(data))
        yield name, data


def _from_archive(archive: Path, form: _Form) -> Iterator[tuple[str, bytes]]:
    """The expected members' bytes, one after the other; anything else in the archive, links too, is passed over."""
    wanted = {f"{form.folder}/{name}": name for name in form.batches}
    try:
        with gzip.open(archive) as raw, tarfile.open(fileobj=(stream := _Limited(raw, archive)), mode="r|") as tar:
            for member in tar:
                name = wanted.get(str(PurePosixPath(member.name)))
                if name is None or not member.isreg():
                    continue
                _require_small(f"{archive}: {name}", member.size)
                content = tar.extractfile(member)
                assert content is not None  # it is a regular file
                yield name, content.read()
            while stream.read(1 << 20):  # gzip compares its checksum at the very end only
                pass
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        if isinstance(error, OSError) and error.strerror:  # the disk's refusal; gzip's own errors have no number
            raise _unreadable(archive, error) from None
        reason = printable(str(error))[:120]
        raise DataError(f"{archive} is cut short or damaged ({reason}): delete it and download it again") from None


class _Limited(io.RawIOBase):
    """A stream that ends in a DataError instead of filling the memory; tarfile alone would believe any header."""

    def __init__(self, raw: gzip.GzipFile, archive: Path) -> None:
        self._raw, self._archive, self._total = raw, archive, 0

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._total += len(data)
        if self._total > _MAX_UNPACKED_BYTES:
            limit = f"over the limit of {_MAX_UNPACKED_BYTES:,}"
            raise DataError(f"{self._archive} unpacks to more bytes than CIFAR-10 has, {limit}: download it again")
        return data


def _require_small(where: str, size: int) -> None:
    if size > _MAX_MEMBER_BYTES:
        raise DataError(f"{where} has {size:,} bytes, over the limit of {_MAX_MEMBER_BYTES:,}: download it again")


def _unreadable(file: Path, error: OSError) -> DataError:
    return DataError(
        f"{file} can't be read ({(error.strerror or '').lower()}): change its permissions or copy it again"
    )


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - unlike Path.is_file, it says no where it may not look


def _read_binary(data: bytes, where: str) -> Batch:
    """Records of one label byte and 3,072 pixel bytes."""
    if len(data) % (1 + _PIXEL_BYTES):
        raise DataError(
            f"{where} has {len(data):,} bytes, which is not a multiple of 3,073 (a label byte and 3,072 pixel "
            f"bytes per image): "
            "download it again"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, 1 + _PIXEL_BYTES)
    return _batch(records[:, 1:], records[:, 0].astype(np.int64), where)


def _batch(rows: Images, labels: Labels, where: str) -> Batch:
    """Red, green and blue planes, uint8 (n, 3072), become uint8 (n, 32, 32, 3)."""
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if len(wrong):
        found = f"image {wrong[0]:,} has the label {labels[wrong[0]]}"
        raise DataError(f"{where}: {found}, and CIFAR-10 has 0 to 9: download it again")
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _read_python(data: bytes, where: str) -> Batch:
    return _batch(*unpickle_batch(data, where), where)


_BINARY = _Form("cifar-10-batches-bin", "cifar-10-binary.tar.gz", ".bin", _read_binary)
_PYTHON = _Form("cifar-10-batches-py", "cifar-10-python.tar.gz", "", _read_python)
