"""A few training images as they are and as the network saw them in training, kept for the report of a run."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveola.imaging.resize import shrink
from foveola.types import Images

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.data.loader import Batches

SHOWN, SHOWN_PX = 8, 160
"""Number of images, and their longest side in pixels."""


def _no_images() -> Images:
    return np.zeros((0, 1, 1, 3), np.uint8)


@dataclass(frozen=True)
class AugmentationPreview:
    """Training images before and after augmentation; none if training changed no image.

    names: their ids; plain: as they are, at the network's size; seen: as the first pass over the training images showed
    them. Both uint8 (m, h, w, 3), the longer side at most 160.
    """

    names: tuple[str, ...] = ()
    plain: Images = field(default_factory=_no_images)
    seen: Images = field(default_factory=_no_images)

    def save(self, path: Path) -> None:
        """Write it as an .npz file (arrays only)."""
        names = np.frombuffer(json.dumps(self.names).encode(), np.uint8)  # names may hold what is no text
        np.savez(path, names=names, plain=self.plain, seen=self.seen)

    @classmethod
    def load(cls, path: Path) -> AugmentationPreview:
        """Read what `save` wrote."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return cls(tuple(json.loads(arrays["names"].tobytes())), arrays["plain"], arrays["seen"])


def augmentation_preview(train: Batches, dataset: Dataset) -> AugmentationPreview:
    """Up to eight training images, evenly spread. dataset: whose rows `train` has."""
    if not train.changes_images:
        return AugmentationPreview()
    n = len(train.rows)
    places = np.unique(np.linspace(0, n - 1, min(n, SHOWN)).round().astype(np.int64))
    rows = train.rows[places]
    return AugmentationPreview(
        tuple(dataset.ids[row] for row in rows.tolist()),
        np.stack([shrink(np.asarray(train.pixels[row]), SHOWN_PX) for row in rows]),
        np.stack([shrink(image, SHOWN_PX) for image in train.first_pass(places)]),
    )
