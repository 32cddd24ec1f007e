"""The array and the labels in a pickled batch of CIFAR-10's python form; nothing that the pickle asks for is ever run.

A pickle is a program: each name in it would normally be imported and called. Here every name is either one of those
that numpy writes, and becomes an inert stand-in that keeps what it was given, or is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np

from foveola.data.dataset import printable
from foveola.errors import DataError
from foveola.types import Images, Labels

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
    wrote them. Raises DataError when it asks for anything else to be imported, is damaged, or holds something else.
    """
    try:
        _require_small_memo(data)
        found = _Unpickler(data, where).load()
        found = {_text(key): value for key, value in found.items()}
        rows = _array_of(found["data"])
        labels = np.array([int(label) for label in found["labels"]], np.int64)
        if len(labels) != len(rows):
            raise ValueError(f"{len(rows):,} pictures and {len(labels):,} labels")
    except DataError:
        raise
    except Exception as error:  # an unpickler raises almost anything on damaged bytes
        reason = printable(f"{type(error).__name__}: {error}")[:120]
        raise DataError(f"{where} is damaged or no batch of CIFAR-10 ({reason}): download it again") from None
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
