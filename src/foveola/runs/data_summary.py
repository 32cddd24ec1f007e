"""Data card of a run: numbers and a few images of its data, so that the report needs no data set."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.checks.finding import Finding
from foveola.data.dataset import PARTS, Part, Problem
from foveola.data.prepare import Prepared
from foveola.data.split import Split
from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.imaging.resize import shrink
from foveola.types import Image, Images, Indices

SAMPLES_PER_CLASS = 6
SAMPLE_PX = 160


LISTED = 20
"""Number of ids that a card keeps of each finding."""


@dataclass(frozen=True)
class FindingLine:
    """A finding as the run stores it, with its first ids."""

    kind: str
    severity: str
    count: int
    message: str
    advice: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class DataSummary:
    """Summary of a run's data.

    counts: images of each class (in the order of class_names) by part; sizes: (height, width, how many), the most
    frequent first; formats and notes: how many images of each; remarks: what a reader should know;
    files_found = files_used + files_ignored + len(problems); findings: what was found wrong with the data; leaked: ids of
    test images that have a duplicate or derived file in train or val; naive_share: see `Split`.
    """

    name: str
    fingerprint: str
    class_names: tuple[str, ...]
    counts: dict[Part, tuple[int, ...]]
    size: str
    resize: str
    sizes: tuple[tuple[int, int, int], ...]
    formats: dict[str, int]
    notes: dict[str, int]
    remarks: tuple[str, ...]
    split_rule: str
    problems: tuple[Problem, ...]
    files_found: int
    files_used: int
    files_ignored: int
    findings: tuple[FindingLine, ...] = ()
    leaked: tuple[str, ...] = ()
    naive_share: float = 0.0

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> DataSummary:
        """Read a card from its JSON text."""
        raw: dict[str, Any] = json.loads(text)
        raw["problems"] = tuple(Problem(**problem) for problem in raw["problems"])
        raw["findings"] = tuple(FindingLine(**{**line, "ids": tuple(line["ids"])}) for line in raw["findings"])
        raw["leaked"] = tuple(raw["leaked"])
        raw["sizes"] = tuple((h, w, n) for h, w, n in raw["sizes"])
        raw["counts"] = {part: tuple(counts) for part, counts in raw["counts"].items()}
        return cls(**{**raw, "class_names": tuple(raw["class_names"]), "remarks": tuple(raw["remarks"])})


def summarise_data(prepared: Prepared, split: Split, findings: Sequence[Finding] = ()) -> DataSummary:
    """Make the card of prepared data, its split and findings."""
    dataset = prepared.dataset
    k = len(dataset.class_names)
    rows: dict[Part, Indices] = {"train": split.train, "val": split.val, "test": split.test}
    return DataSummary(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        class_names=dataset.class_names,
        counts={part: tuple(np.bincount(dataset.labels[rows[part]], minlength=k).tolist()) for part in PARTS},
        size=str(prepared.size),
        resize=prepared.how,
        sizes=_frequent(prepared.sizes),
        formats=dict(Counter(prepared.formats).most_common()),
        notes=dict(Counter(prepared.notes).most_common()),
        remarks=(*dataset.notes, *split.notes),
        split_rule=split.rule,
        problems=dataset.problems,
        files_found=dataset.files_found,
        files_used=len(dataset),
        files_ignored=dataset.files_ignored,
        findings=tuple(FindingLine(f.kind, f.severity, f.count, f.message, f.advice, f.ids[:LISTED]) for f in findings),
        leaked=tuple(dataset.ids[i] for i in split.leaked.tolist()),
        naive_share=split.naive_share,
    )


def _frequent(sizes: NDArray[np.int32]) -> tuple[tuple[int, int, int], ...]:
    """Distinct (height, width, how many) of int32 (n, 2), the most frequent first, of equals the smaller height first."""
    keys, counts = np.unique(sizes.astype(np.int64) @ np.array([1 << 20, 1]), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return tuple((int(keys[i] >> 20), int(keys[i] & 0xFFFFF), int(counts[i])) for i in order)


@dataclass(frozen=True)
class KeptImages:
    """Images kept for the report.

    samples: (class number, id, uint8 (h, w, 3) with true proportions, longer side at most 160); rows: int64 (m,),
    positions in the evaluation; prepared: uint8 (m, H, W, 3), those test images as the network saw them.
    """

    samples: tuple[tuple[int, str, Image], ...]
    rows: Indices
    prepared: Images

    def of(self, row: int) -> Image:
        """The test image at this position of the evaluation, as the network saw it."""
        return np.asarray(self.prepared[int(np.searchsorted(self.rows, row))])

    def save(self, path: Path) -> None:
        """Write them as an .npz file (arrays only)."""
        arrays: dict[str, NDArray[Any]] = {"rows": self.rows, "prepared": self.prepared}
        names = [[label, name] for label, name, _ in self.samples]
        arrays["names"] = np.frombuffer(json.dumps(names).encode(), np.uint8)
        arrays |= {f"sample_{i}": image for i, (_, _, image) in enumerate(self.samples)}
        np.savez(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> KeptImages:
        """Read what `save` wrote."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            names = json.loads(arrays["names"].tobytes())
            samples = tuple((label, name, arrays[f"sample_{i}"]) for i, (label, name) in enumerate(names))
            return cls(samples, arrays["rows"], arrays["prepared"])


def pick_samples(prepared: Prepared, split: Split) -> tuple[tuple[int, str, Image], ...]:
    """A few training images of each class, evenly spread, small, with their true proportions."""
    dataset, out = prepared.dataset, []
    each = SAMPLES_PER_CLASS if len(dataset.class_names) <= 20 else 3
    for label in range(len(dataset.class_names)):
        rows = split.train[dataset.labels[split.train] == label]
        for row in rows[:: max(1, len(rows) // each)][:each]:
            try:
                with images.suppress_pillow_warnings():
                    whole = dataset.read(int(row))
            except ImageProblem:  # it was fine a minute ago; the prepared one will do
                whole = prepared.pixels[row]
            out.append((label, dataset.ids[row], shrink(whole, SAMPLE_PX)))
    return tuple(out)


def keep_images(prepared: Prepared, split: Split, rows: Indices) -> KeptImages:
    """The images a report shows: samples of the classes, and these positions of the test part."""
    rows = np.unique(rows)
    return KeptImages(pick_samples(prepared, split), rows, np.array(prepared.pixels[split.test[rows]]))
