"""JPEG files: their quality setting, and the repair of files without an end marker.

Some cameras and optimizers leave the marker out, some write other bytes instead. Other programs show these
images whole; Pillow refuses them as truncated. With a marker added libjpeg decodes both kinds, and fills missing pixels
with grey. So foveola decodes several times, with different bytes before the marker. libjpeg reads those bytes only if pixels
are missing, and then the results differ.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

import numpy as np
from PIL import Image as pillow

from foveola.imaging.file_formats import check_limits

SOI, EOI, SOS, DHT, DQT, DRI, PROGRESSIVE = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xC2
"""Markers of ITU-T T.81, table B.1."""

_END = bytes([0xFF, EOI])
_FILLERS = tuple(
    bytes([first, second]) * 32 for first, second in ((0xA5, 0x5A), (0xFE, 0x01), (0x9C, 0x63), (0xD2, 0x2D))
)
"""Bits that say other things than zeros, which libjpeg puts where bits are missing. With several, for two codes may by
chance lead to the same pixels: of 4,500 cut files one filler let eight pass, these four none."""

_SEQUENTIAL = (0xC0, 0xC1, 0xC9)  # baseline, extended, and extended with arithmetic coding
_FRAMES = (*_SEQUENTIAL, PROGRESSIVE, 0xCA)
_KNOWN = {SOI, SOS, DHT, DQT, DRI, 0xCC, 0xDC, 0xFE, *_FRAMES, *range(0xE0, 0xF0)}  # DAC, DNL, COM, APP0 to APP15


_STANDARD_SUM = 3_689
"""Of the luminance table of the standard's example (ITU-T T.81, table K.1), which libjpeg takes at quality 50."""


def jpeg_quality(picture: pillow.Image) -> float:
    """Estimate the quality from 1 to 100 at which libjpeg has a luminance table of this mean; 0 for other formats.

    libjpeg scales the example table by 5000 / quality percent below 50, and by 200 - 2 * quality percent from there on.
    Other tables get the quality with the same mean. From the header; no pixel is decoded.
    """
    tables = getattr(picture, "quantization", None)
    if not tables:
        return 0.0
    percent = 100 * float(sum(tables[min(tables)])) / _STANDARD_SUM
    return round(max(1.0, 100 - percent / 2 if percent <= 100 else 5_000 / percent), 1)


def add_end_marker(data: bytes) -> bytes | None:
    """The JPEG file with an end marker if only the marker is missing; None for every other file.

    What follows the last scan is left out: it is the maker's own.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    found = list(takewhile(lambda segment: segment.marker in _KNOWN, _segments(data + _END)))
    again = next((k for k, segment in enumerate(found) if k and segment.marker == SOI), len(found))
    found = found[:again]  # another JPEG in the maker's bytes
    if not found or found[-1].marker != SOS or not _has_all_scans(found):
        return None
    stop = found[-1].stop
    if data[stop : stop + 2] == _END:  # it has its end: something else is wrong with it
        return None
    body = data[:stop].rstrip(b"\xff")  # half a marker
    try:
        shown = _pixels(body + _END)
        whole = all(_pixels(body + filler + _END) == shown for filler in _FILLERS)
    except Exception:  # decoders raise almost anything; the file is then refused for what was wrong at first
        return None
    return body + _END if whole else None


def _has_all_scans(found: list[Segment]) -> bool:
    """Whether the scans are all that the frame needs: a file may end after one scan of several."""
    frames = [segment for segment in found if segment.marker in _FRAMES]
    if len(frames) != 1 or len(frames[0].head) < 9:
        return False
    names = set(frames[0].head[6::3])
    scans = [segment.head for segment in found if segment.marker == SOS and _is_scan(segment.head)]
    if frames[0].marker in _SEQUENTIAL:
        return names <= {name for head in scans for name in _names(head)}
    return all(_codes_all([head for head in scans if name in _names(head)]) for name in names)


def _codes_all(heads: list[bytes]) -> bool:
    """Whether a component's scans, given by their heads, code every bit of all 64 coefficients.

    False where a header is not one that libjpeg accepts (T.81, G.1.1.1): libjpeg then refuses the file.
    """
    coded: set[int] = set()
    for head in heads:
        start, last, bits = head[-3:]
        before, low = bits >> 4, bits & 15
        if not start <= last <= 63 or low > 13 or (before and low != before - 1):
            return False
        if low == 0:
            coded.update(range(start, last + 1))
    return coded >= set(range(64))


def _is_scan(head: bytes) -> bool:
    return bool(head) and len(head) == 4 + 2 * head[0]


def _names(head: bytes) -> bytes:
    """The components that a scan is about."""
    return head[1 : 1 + 2 * head[0] : 2]


def _pixels(data: bytes) -> bytes:
    with pillow.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        check_limits(picture.height, picture.width)
        return picture.tobytes()


class Segment(NamedTuple):
    """A marker with everything up to the next one: `start` to `stop` in the file; `head` holds the parameters."""

    start: int
    stop: int
    marker: int
    head: bytes


def _segments(data: bytes) -> Iterator[Segment]:
    """The segments of a JPEG file up to its end marker; stops where the bytes do not follow the format."""
    numbers = np.frombuffer(data, np.uint8)
    after = numbers[1:]
    # In a scan's bits 0xFF is followed by 0, and by D0 to D7 where it starts again: neither ends it.
    ends = (after != 0) & (after != 0xFF) & ((after < 0xD0) | (after > 0xD7))
    markers = np.flatnonzero((numbers[:-1] == 0xFF) & ends)
    here = 0
    while here + 2 <= len(data) and data[here] == 0xFF:
        marker, start = data[here + 1], here
        here += 2
        head = b""
        if marker == EOI:
            yield Segment(start, here, marker, head)
            return
        if marker != SOI:
            length = int.from_bytes(data[here : here + 2], "big")
            head = data[here + 2 : here + length]
            if len(head) != length - 2:
                return
            here += length
        if marker == SOS:
            later = np.searchsorted(markers, here)
            if later == len(markers):
                return
            here = int(markers[later])
        yield Segment(start, here, marker, head)
