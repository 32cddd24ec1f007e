"""Recognise images that a run was trained or tested on, by the fingerprints that the run keeps."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.checks.derived_files import derived_groups
from foveola.checks.fingerprints import Fingerprints, copies_of, fingerprints
from foveola.data.dataset import PARTS
from foveola.data.prepare import Prepared
from foveola.data.split import Split
from foveola.storage import write_atomic
from foveola.types import Indices, Tick, no_tick

NAME = "fingerprints.npz"


@dataclass(frozen=True)
class SeenCounts:
    """For n images, the run's image that each one is a copy of.

    names: the names of the run's images, "" for an image that the run has not seen; parts: int64 (n,), the positions of
    their parts in PARTS, -1 for an image that the run has not seen.
    """

    names: tuple[str, ...]
    parts: Indices

    @property
    def trained_on(self) -> NDArray[np.bool_]:
        """bool (n,): whether the image, or a near-copy of it, is in the training or the validation set."""
        return np.asarray((self.parts == 0) | (self.parts == 1), np.bool_)

    @property
    def of_training(self) -> tuple[str, ...]:
        """The names, those of the test set left out."""
        return tuple(name if part in (0, 1) else "" for name, part in zip(self.names, self.parts.tolist(), strict=True))

    @property
    def tested_on(self) -> NDArray[np.bool_]:
        """bool (n,): whether it is in the test set."""
        return np.equal(self.parts, 2)


@dataclass(frozen=True)
class SeenImages:
    """The images of a run: n names, int64 (n,) parts as numbers of PARTS, fingerprints; those of the training set first."""

    ids: tuple[str, ...]
    parts: Indices
    prints: Fingerprints

    def among(self, asked: Fingerprints, *, tick: Tick = no_tick) -> SeenCounts:
        """Which of the images asked about are copies of these. Their grey versions must have this side."""
        return self._seen(copies_of(self.prints, asked, tick=tick))

    def in_data(self, prepared: Prepared, rows: Indices, *, tick: Tick = no_tick) -> SeenCounts:
        """Which of some images of prepared data (before any filter) are copies of these, or made of such by their names."""
        found = copies_of(self.prints, fingerprints(prepared, rows, self.prints.side, tick=tick), tick=tick)
        families = derived_groups(prepared.dataset)[rows]
        first = np.full(len(prepared.dataset), len(self.ids))
        np.minimum.at(first, families[found >= 0], found[found >= 0])
        found = np.where(found < 0, first[families], found)
        return self._seen(np.where(found < len(self.ids), found, -1))

    def _seen(self, found: Indices) -> SeenCounts:
        names = tuple(self.ids[i] if i >= 0 else "" for i in found.tolist())
        return SeenCounts(names, np.append(self.parts, -1)[found])  # -1 is the last

    @classmethod
    def load(cls, path: Path) -> SeenImages | None:
        """Read what `keep` wrote; None for a run from before it did."""
        if not path.exists():
            return None
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            ids, parts = json.loads(zlib.decompress(arrays["ids"].tobytes())), arrays["parts"].astype(np.int64)
            prints = Fingerprints.from_arrays(arrays)
        if not len(ids) == len(parts) == len(prints):
            raise ValueError(f"{len(ids)} ids, {len(parts)} parts and {len(prints)} fingerprints")
        order = np.argsort(parts, kind="stable")
        return cls(tuple(ids[i] for i in order), parts[order], prints.take(order))


def save_seen_images(path: Path, prints: Mapping[str, NDArray[Any]], ids: tuple[str, ...], split: Split) -> None:
    """Write the fingerprints of all images of a run (see `Fingerprints.to_arrays`), with their names and parts."""
    parts = np.full(len(ids), -1, np.int8)
    for part in PARTS:
        parts[getattr(split, part)] = PARTS.index(part)
    names = np.frombuffer(zlib.compress(json.dumps(ids).encode(), 1), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, ids=names, parts=parts, **prints)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())
