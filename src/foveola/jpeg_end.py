"""JPEG files that lack their end marker: whether all pixels are there, and the file with the marker.

Some cameras, web cams and optimizers leave the marker out, some put bytes of their own in its place; other programs show
these images whole. Pillow refuses them like files that are cut short. With a marker added libjpeg shows both kinds, and fills
what is missing with grey. So foveola decodes several times, with other bytes before the marker: only where something is
missing does libjpeg look at them, and the results differ.
"""

from __future__ import annotations

import io
from itertools import takewhile

from PIL import Image as pillow

from foveola.opening import check_limits
from foveola.progressive import DHT, DQT, DRI, EOI, PROGRESSIVE, SOI, SOS, Segment, codes_all, segments

_END = bytes([0xFF, EOI])
_FILLERS = tuple(
    bytes([first, second]) * 32 for first, second in ((0xA5, 0x5A), (0xFE, 0x01), (0x9C, 0x63), (0xD2, 0x2D))
)
"""Bits that say other things than zeros, which libjpeg puts where bits are missing. With several, for two codes may by
chance lead to the same pixels: of 4,500 cut files one filler let eight pass, these four none."""

_SEQUENTIAL = (0xC0, 0xC1, 0xC9)  # baseline, extended, and extended with arithmetic coding
_FRAMES = (*_SEQUENTIAL, PROGRESSIVE, 0xCA)
_KNOWN = {SOI, SOS, DHT, DQT, DRI, 0xCC, 0xDC, 0xFE, *_FRAMES, *range(0xE0, 0xF0)}  # DAC, DNL, COM, APP0 to APP15


def with_end(data: bytes) -> bytes | None:
    """The JPEG file with an end marker where nothing but the marker is missing; None for every other file.

    What follows the last scan is left out: it is the maker's own.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    found = list(takewhile(lambda segment: segment.marker in _KNOWN, segments(data + _END)))
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
    return all(codes_all([head for head in scans if name in _names(head)]) for name in names)


def _is_scan(head: bytes) -> bool:
    return bool(head) and len(head) == 4 + 2 * head[0]


def _names(head: bytes) -> bytes:
    """The components that a scan is about."""
    return head[1 : 1 + 2 * head[0] : 2]


def _pixels(data: bytes) -> bytes:
    with pillow.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        check_limits(picture.height, picture.width)
        return picture.tobytes()
