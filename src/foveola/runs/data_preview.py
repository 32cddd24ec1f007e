"""Data preview for the report: images from file to network input, and the mean image of each class."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.data.prepare import Prepared
from foveola.data.split import Split
from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.imaging.resize import shrink
from foveola.types import Image, Images, Indices

CLASSES, EACH = 20, 200
"""Largest numbers of classes with a mean image, and of training images in each mean (evenly chosen)."""

SHOWN, SHOWN_PX = 6, 160
"""Number of images shown from file to network, and their longest side in pixels."""


@dataclass(frozen=True)
class DataPreview:
    """How the data looks.

    means: uint8 (k, h, w, 3), the mean of `counted` (int64 (k,)) training images of each of the first classes; names: ids
    of the training images that are shown; raw, sized, seen: each as its file has it, at the network's size, and after the
    chain, uint8 (h, w, 3), the longer side at most 160.
    """

    means: Images = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    counted: Indices = field(default_factory=lambda: np.zeros(0, np.int64))
    names: tuple[str, ...] = ()
    raw: tuple[Image, ...] = ()
    sized: tuple[Image, ...] = ()
    seen: tuple[Image, ...] = ()

    def save(self, path: Path) -> None:
        """Write it as an .npz file (arrays only)."""
        arrays: dict[str, NDArray[Any]] = {"means": self.means, "counted": self.counted}
        arrays["names"] = np.frombuffer(json.dumps(self.names).encode(), np.uint8)  # names may hold what is no text
        for kind in ("raw", "sized", "seen"):
            arrays |= {f"{kind}_{k}": image for k, image in enumerate(getattr(self, kind))}
        np.savez(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> DataPreview:
        """Read what `save` wrote."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            names = tuple(json.loads(arrays["names"].tobytes()))
            kinds = [tuple(arrays[f"{kind}_{k}"] for k in range(len(names))) for kind in ("raw", "sized", "seen")]
            return cls(arrays["means"], arrays["counted"], names, *kinds)


def make_preview(prepared: Prepared, split: Split) -> DataPreview:
    """How prepared data looks. Its pixels are after the chain: the few that are shown go all the way once more."""
    dataset, pixels = prepared.dataset, prepared.pixels
    of_class = [split.train[dataset.labels[split.train] == label] for label in range(len(dataset.class_names))]
    chosen = [_even(rows, EACH) for rows in of_class[:CLASSES]]
    means = [_mean(pixels[rows]) for rows in chosen]
    names, raw, sized, seen = [], [], [], []
    for row in [int(rows[0]) for rows in of_class if len(rows)][:SHOWN]:
        try:
            with images.suppress_pillow_warnings():
                whole = dataset.read(row)
                as_read = dataset.source.read(row, prepared.size, prepared.how).image
        except ImageProblem:  # it was fine a minute ago
            continue
        names.append(dataset.ids[row])
        raw.append(shrink(whole, SHOWN_PX))
        sized.append(shrink(as_read, SHOWN_PX))
        seen.append(shrink(np.asarray(pixels[row]), SHOWN_PX))
    counted = np.array([len(rows) for rows in chosen], np.int64)
    return DataPreview(np.stack(means), counted, tuple(names), tuple(raw), tuple(sized), tuple(seen))


def _even(rows: Indices, most: int) -> Indices:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(np.int64))]


def _mean(pixels: Images) -> Image:
    if not len(pixels):
        return np.zeros(pixels.shape[1:], np.uint8)
    return shrink(np.rint(pixels.mean(axis=0, dtype=np.float64)).astype(np.uint8), SHOWN_PX)
