"""Small data sets drawn from a large one: class-balanced subsets, and the images outside them to measure on.

A subset is a folder of class folders with links to the images, so that every program reads it as a user's folder.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png")

OUTSIDE = 1_000
"""The largest number of images outside a subset that networks are measured on."""

POOL = 1_500
"""The number of images from which these are taken if some of them may be in the subset."""

Files = Mapping[str, Sequence[Path]]
"""Class name -> its images."""


def files_of(folder: Path) -> Files:
    """The images of a folder of class folders."""
    found = {
        place.name: [path for path in sorted(place.iterdir()) if path.suffix.lower() in SUFFIXES]
        for place in sorted(folder.iterdir())
        if place.is_dir()
    }
    return {name: files for name, files in found.items() if files}


def draw(files: Files, images: int, seed: int) -> Files:
    """About `images` images, as many of each class, drawn at random with this seed.

    >>> {name: len(some) for name, some in draw({"a": list("abcdef"), "b": list("gh")}, 6, 0).items()}
    {'a': 3, 'b': 2}
    """
    rng, each = random.Random(f"{images} {seed}"), images // len(files)
    return {name: sorted(rng.sample(list(some), min(each, len(some)))) for name, some in files.items()}


def fixed_part(files: Files, most: int) -> Files:
    """Up to `most` images, as many of each class: the first ones in a random order that never changes."""
    found = {}
    for name, some in files.items():
        order = list(some)
        random.Random(name).shuffle(order)
        found[name] = order[: most // len(files)]
    return found


def others(files: Files, used: Files, most: int) -> Files:
    """Up to `most` images of `files` that are not in `used`, as many of each class, the first ones."""
    found = {}
    for name, some in files.items():
        taken = set(used.get(name, ()))
        found[name] = [path for path in some if path not in taken][: most // len(files)]
    return found


def link(files: Files, folder: Path) -> Path:
    """A folder of class folders with links to these images."""
    for name, some in files.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for path in some:
            place = folder / name / path.name
            if not place.exists():
                place.symlink_to(path.resolve())
    return folder


def write_table(rows: Iterable[tuple[str, str, str]], path: Path) -> None:
    """A CSV table of (file, class, part), from which other programs get the same images in the same parts."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "class", "part"))
        writer.writerows(rows)


@dataclass(frozen=True)
class Material:
    """A subset of a data set, as a folder, and the images outside it, which are in the folder `pool`."""

    seed: int
    subset: Path
    pool: Path
    outside: Files


def material(name: str, folder: Path, images: int, seed: int, work: Path) -> Material:
    """The subset of this size and seed, as links below `work`; `images` = 0 is the whole folder.

    If the folder contains train/ and test/, subsets are drawn from train/, and the images outside from test/. The images
    outside are nearly the same for all subsets, so that they can be prepared once.
    """
    apart = (folder / "train").is_dir() and (folder / "test").is_dir()
    whole = folder / "train" if apart else folder
    files = files_of(whole)
    used = draw(files, images, seed) if images else files
    subset = link(used, work / f"{name}-{images}-{seed}") if images else whole
    measurable = fixed_part(files_of(folder / "test"), OUTSIDE) if apart else fixed_part(files, POOL)
    pool = link(measurable, work / f"{name}-pool")
    return Material(seed, subset, pool, others(measurable, used, OUTSIDE))
