"""Image quality: brightness, contrast, sharpness and size of each image, and findings about the unusual ones.

Unusual images are blank, dark, bright, blurred, small, or have an extreme aspect ratio. All numbers come from one pass over
the prepared array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.array_cache import MemmapReader
from foveola.checks.finding import Finding, Severity
from foveola.checks.similarity import SIDE
from foveola.data.dataset import Dataset
from foveola.data.prepare import Prepared
from foveola.imaging.resize import padded_box
from foveola.text import count
from foveola.types import Image, Tick, no_tick

_CHUNK_BYTES = 16_000_000


@dataclass(frozen=True)
class ImageStats:
    """Statistics of each prepared image, without the padding around it.

    greys: uint8 (n, 32, 32), the image in grey, stretched to a square; colours: float32 (n, 3), mean red, green and
    blue, 0..255; contrast: float32 (n,), deviation of its grey; sharpness: float32 (n,), deviation of its Laplacian.
    """

    greys: NDArray[np.uint8]
    colours: NDArray[np.float32]
    contrast: NDArray[np.float32]
    sharpness: NDArray[np.float32]


def image_stats(prepared: Prepared, *, tick: Tick = no_tick) -> ImageStats:
    """The statistics of all images. On one core 30 us each at 32x32, 0.25 ms at 224x224; threads of ours are of no use below
    that size, where they wait for each other's calls (43 to 49 us instead of 18 to 28, the reading not counted)."""
    n = len(prepared.pixels)
    out = ImageStats(np.empty((n, SIDE, SIDE), np.uint8), *(np.empty(shape, np.float32) for shape in ((n, 3), n, n)))
    picture, reader = without_padding(prepared), MemmapReader(prepared.pixels)
    step = max(1, _CHUNK_BYTES // int(np.prod(prepared.pixels.shape[1:])))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        for i, padded in zip(rows.tolist(), reader.read(rows), strict=True):
            image = picture(i, padded)
            grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
            out.greys[i] = to_square_grey(grey, SIDE)
            out.colours[i] = cv2.mean(image)[:3]
            out.contrast[i] = _deviation(grey)
            out.sharpness[i] = _deviation(cv2.Laplacian(grey, cv2.CV_32F))
        tick("Measuring images", int(rows[-1]) + 1, n)
    return out


def _deviation(values: cv2.typing.MatLike) -> float:
    """Standard deviation of all values. numpy's `std` makes arrays on the way: with it 75 to 81 us per image of 32x32."""
    return float(cv2.meanStdDev(values)[1][0, 0])


def without_padding(prepared: Prepared) -> Callable[[int, Image], Image]:
    """A function (row, prepared image) that cuts off the padding which `prepare` added."""

    whole = np.all(prepared.sizes == prepared.size, axis=1) | (prepared.how != "pad")

    def cut(i: int, padded: Image) -> Image:
        if whole[i]:
            return padded
        top, left, height, width = padded_box(int(prepared.sizes[i, 0]), int(prepared.sizes[i, 1]), prepared.size)
        return np.ascontiguousarray(padded[top : top + height, left : left + width])

    return cut


def to_square_grey(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A grey image stretched to side x side, antialiased when it shrinks."""
    if grey.shape == (side, side):
        return grey
    smaller = min(grey.shape) >= side
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (side, side), interpolation=how), np.uint8)


BLANK = 2.0
"""Standard deviation of the grey values, in levels 0..255, below which an image is blank."""

DARK, BRIGHT = 20.0, 240.0
"""Mean grey below and above which an image is unusual enough to be shown."""

BLURRED = 0.15
"""Sharpness against the median of the set below which an image is blurred, if its contrast is at least half the median."""

SMALL, LONG = 4.0, 3.0
"""Times fewer pixels per side than the median, and times longer than wide, from which size and shape are odd."""

COMMON = 0.05
"""A property that a larger share of the images has is typical of the data, not a fault: bright drawings, dark skies."""


def quality_findings(dataset: Dataset, stats: ImageStats, sizes: NDArray[np.int32]) -> list[Finding]:
    """The findings `quality`; sizes: int32 (n, 2), upright height and width of the originals."""
    grey = stats.colours @ np.array([0.299, 0.587, 0.114], np.float32)
    blank = stats.contrast < BLANK
    contrasty = stats.contrast >= np.median(stats.contrast) / 2
    blurred = ~blank & contrasty & (stats.sharpness < BLURRED * np.median(stats.sharpness))
    side = np.sqrt(sizes.astype(np.float64).prod(axis=1))
    shape = sizes.max(axis=1) / np.maximum(sizes.min(axis=1), 1)
    found = [
        _finding(dataset, blank, side, "warning", "blank: a single colour", "leave blank images out", drop=True),
        _finding(dataset, ~blank & (grey < DARK), grey, "note", "very dark", _LOOK),
        _finding(dataset, ~blank & (grey > BRIGHT), -grey, "note", "very bright", _LOOK),
        _finding(dataset, blurred, stats.sharpness, "note", "blurred compared with the others", _LOOK),
        _finding(dataset, side < np.median(side) / SMALL, side, "note", "much smaller than the others", _SMALL),
        _finding(dataset, shape >= LONG * np.median(shape), -shape, "note", "with an extreme aspect ratio", _LONG),
    ]
    return [finding for finding in found if finding is not None]


_LOOK = "check by eye: a network can't learn from images in which you recognise nothing"
_SMALL = "check by eye: small images among photos are often previews, icons or failed downloads"
_LONG = "check by eye: in banners and strips the subject has only a few pixels"


def _finding(
    dataset: Dataset,
    which: NDArray[np.bool_],
    order: NDArray[np.floating],
    severity: Severity,
    what: str,
    advice: str,
    *,
    drop: bool = False,
) -> Finding | None:
    rows = np.flatnonzero(which)
    if not len(rows) or (len(rows) > COMMON * len(dataset) and not drop):
        return None
    ids = tuple(dataset.ids[i] for i in rows[np.argsort(order[rows], kind="stable")])
    return Finding(
        "quality", severity, f"{count(len(ids), 'image')} {what}", advice, ids,
        leave_out=ids if drop else (), topic=what,
    )  # fmt: skip
