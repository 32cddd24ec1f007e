"""The images of a run, remembered by their fingerprints: which images of other data are copies of images it was trained on."""

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

from foveola.data.dataset import PARTS
from foveola.data.split import Split
from foveola.findings.fingerprints import Fingerprints, copies_of
from foveola.store import write_atomic
from foveola.types import Rows, Tick, no_tick

NAME = "fingerprints.npz"


@dataclass(frozen=True)
class Seen:
    """Of some images which a run has seen before.

    names: of each the name of the run's image that it is a copy of, "" where there is none; parts: int64 (n,), that image's
    part as a number of PARTS, -1 where there is none.
    """

    names: tuple[str, ...]
    parts: Rows

    @property
    def trained_on(self) -> NDArray[np.bool_]:
        """bool (n,): whether the image, or a near-copy of it, is in the training or the validation set."""
        return np.asarray((self.parts == 0) | (self.parts == 1), np.bool_)

    @property
    def tested_on(self) -> NDArray[np.bool_]:
        """bool (n,): whether it is in the test set."""
        return np.equal(self.parts, 2)


@dataclass(frozen=True)
class SeenImages:
    """The images of a run: n names, int64 (n,) parts as numbers of PARTS, fingerprints; those of the training set first."""

    ids: tuple[str, ...]
    parts: Rows
    prints: Fingerprints

    def among(self, asked: Fingerprints, *, tick: Tick = no_tick) -> Seen:
        """Which of the images asked about are copies of these. Their grey versions must have this side."""
        found = copies_of(self.prints, asked, tick=tick)
        names = tuple(self.ids[i] if i >= 0 else "" for i in found.tolist())
        return Seen(names, np.where(found >= 0, self.parts[found], -1) if len(self.ids) else np.full(len(found), -1))

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


def keep(path: Path, prints: Mapping[str, NDArray[Any]], ids: tuple[str, ...], split: Split) -> None:
    """Write the fingerprints of all images of a run (see `Fingerprints.to_arrays`), with their names and parts."""
    parts = np.full(len(ids), -1, np.int8)
    for part in PARTS:
        parts[getattr(split, part)] = PARTS.index(part)
    names = np.frombuffer(zlib.compress(json.dumps(ids).encode(), 1), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, ids=names, parts=parts, **prints)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())
