"""TIFF files whose last strip of pixels is said to be longer than the file: whether all pixels are there."""

from __future__ import annotations

import struct

_OFFSETS, _COUNTS, _COMPRESSION = 273, 279, 259  # tags of TIFF 6.0
_NOTICES_LACK = (5, 8, 32_773, 32_946)
"""LZW, Deflate, PackBits and the older Deflate: their decoders refuse a strip with too few bytes. JPEG's shows half of it."""

_FORMS = {3: "H", 4: "I"}


def with_true_count(data: bytes) -> bytes | None:
    """The file with the byte count of its last strip cut at the file's end; None where that is not what is wrong.

    Some programs write a count that is rounded up. libtiff reads no such strip, though all of its pixels may be there; with
    the true count it decodes them, or refuses the file if any is missing. Of a file with several pages the first counts.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return None
    try:
        tags = _tags(data, order)
        compression, *_ = _values(data, order, *tags[_COMPRESSION])
        offset = _values(data, order, *tags[_OFFSETS])[-1]
        count = _values(data, order, *tags[_COUNTS])[-1]
    except (KeyError, IndexError, struct.error, ValueError):
        return None
    if compression not in _NOTICES_LACK or not offset < len(data) < offset + count:
        return None
    form, n, where = tags[_COUNTS]
    at = where + (n - 1) * struct.calcsize(_FORMS[form])
    true = struct.pack(order + _FORMS[form], len(data) - offset)
    return data[:at] + true + data[at + len(true) :]


def _tags(data: bytes, order: str) -> dict[int, tuple[int, int, int]]:
    """Of each tag of the first page its type, how many values it has, and where in the file they are."""
    (start,) = struct.unpack_from(order + "I", data, 4)
    (n,) = struct.unpack_from(order + "H", data, start)
    found = {}
    for at in range(start + 2, start + 2 + 12 * n, 12):
        tag, form, values = struct.unpack_from(order + "HHI", data, at)
        if form in _FORMS:
            inside = values * struct.calcsize(_FORMS[form]) <= 4
            found[tag] = form, values, at + 8 if inside else struct.unpack_from(order + "I", data, at + 8)[0]
    return found


def _values(data: bytes, order: str, form: int, n: int, where: int) -> tuple[int, ...]:
    return struct.unpack_from(f"{order}{n}{_FORMS[form]}", data, where)
