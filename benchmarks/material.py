"""The images of the benchmarks, from one folder: the same for every contestant, written once.

The folder holds cifar10/{train,test}/CLASS/ and faces/CLASS/. It is named by --data or by FOVEOLA_BENCH_DATA.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from foveola.data.dataset import PARTS
from foveola.data.folder import open_folder
from foveola.data.prepare import prepare
from foveola.errors import UsageError
from foveola.types import Size
from foveola.workflows import train

WORK = Path(__file__).resolve().parent / ".work"
QUICK_TRAIN, QUICK_TEST, QUICK_FILES = 512, 200, 12


@dataclass(frozen=True)
class Material:
    """Where the data lies; each is made when it is first asked for."""

    folder: str
    quick: bool

    @cached_property
    def cifar(self) -> Path:
        """CIFAR-10 as .npz: x_train, x_test uint8 (n, 32, 32, 3), y_train, y_test int64 (n,), class_names."""
        dataset = open_folder(self._part("cifar10"))
        target = WORK / f"cifar10-{dataset.fingerprint[:12]}{'-quick' * self.quick}.npz"
        if not target.is_file():
            prepared = prepare(dataset, Size(32, 32))
            parts = prepared.dataset.parts
            if parts is None:
                raise UsageError("the benchmarks want cifar10 with a train and a test folder: check the data folder")
            arrays = {}
            for part, most in (("train", QUICK_TRAIN), ("test", QUICK_TEST)):
                # The rows come class by class; a contestant that takes the first N must meet all classes.
                rows = np.random.default_rng(0).permutation(np.flatnonzero(parts == PARTS.index(part)))
                rows = rows[: most if self.quick else None]
                arrays[f"x_{part}"] = prepared.pixels[rows]
                arrays[f"y_{part}"] = prepared.dataset.labels[rows]
            _save(target, arrays | {"class_names": np.array(prepared.dataset.class_names)})
        return target

    @cached_property
    def cifar_files(self) -> Path:
        """The 60,000 small files themselves; of the quick one a few of each class."""
        return self._few("cifar10", "*/*/*")

    @cached_property
    def run(self) -> Path:
        """A run of foveola's on the photos, for commands that use one."""
        target = WORK / f"run{'-quick' * self.quick}"
        if not (target / "result.json").is_file():
            shutil.rmtree(target, ignore_errors=True)
            train(self.faces, model="transfer", out=target)
        return target

    @cached_property
    def faces(self) -> Path:
        """The folder of photos in two classes; of the quick one the smallest of each class."""
        return self._few("faces", "*/*")

    def _part(self, name: str) -> Path:
        given = self.folder or os.environ.get("FOVEOLA_BENCH_DATA", "")
        if not given:
            raise UsageError(
                "no data folder is named: give --data FOLDER or set FOVEOLA_BENCH_DATA to a folder that holds "
                "cifar10 and faces"
            )
        path = Path(given).expanduser().resolve() / name
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}: the benchmarks want cifar10 and faces in the data folder")
        return path

    def _few(self, name: str, pattern: str) -> Path:
        whole = self._part(name)
        if not self.quick:
            return whole
        target = WORK / f"{name}-quick"
        if not target.is_dir():
            by_class: dict[Path, list[Path]] = {}
            for path in sorted(whole.glob(pattern)):
                by_class.setdefault(path.parent, []).append(path)
            part = target.with_name(f"{target.name}.part")
            for folder, paths in by_class.items():
                place = part / folder.relative_to(whole)
                place.mkdir(parents=True, exist_ok=True)
                for path in sorted(paths, key=lambda entry: entry.stat().st_size)[:QUICK_FILES]:
                    shutil.copy2(path, place)
            part.rename(target)
        return target


def _save(target: Path, arrays: dict[str, np.ndarray]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    part.replace(target)
