"""Data sets: open what a user names, prepare its images, divide them into train, val and test."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from foveola.checks.run import find_duplicates
from foveola.config import checks_keywords
from foveola.data import prepare as preparing
from foveola.data import split as splitting
from foveola.data.arrays import open_npz
from foveola.data.builtin import DATASETS
from foveola.data.cifar10 import cifar10_place, open_cifar10
from foveola.data.dataset import Dataset, probe_sizes, read_named
from foveola.data.exclude import exclude as exclude_images
from foveola.data.exclude import read_list
from foveola.data.folder import open_folder
from foveola.data.scan import require_folder
from foveola.errors import UsageError
from foveola.evaluation.inputs import require_no_address
from foveola.imaging import decode as images
from foveola.imaging.resize import Resize
from foveola.jupyter import shown_in_notebooks
from foveola.recipes.defaults import choose_size, max_pixels
from foveola.recipes.recipe import DataSpec, Recipe, merge_tables, recipe_from_tables
from foveola.runs.progress import Progress
from foveola.types import Image, Size, SizeLike, Tick, no_tick

if TYPE_CHECKING:
    from foveola.data.prepare import Prepared
    from foveola.data.split import Split

Data: TypeAlias = "str | os.PathLike[str] | Dataset"
"""What a verb takes as data: a folder, a file, a data set's name, or a Dataset."""


ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
"""Suffixes of archives, which have to be unpacked first."""


def require_there(data: object) -> None:
    """Refuse data that is not on this computer or can't be a data set, before anything heavy is imported.

    Raises DataError for a path that does not exist, UsageError for an address, an archive or an object of another kind.
    """
    if isinstance(data, Dataset):
        return
    if not isinstance(data, str | os.PathLike):
        raise UsageError(
            f"data of the type {type(data).__name__} can't be used: give a folder, a file, a data set's name, or arrays as "
            "foveola.from_arrays(images, labels)"
        )
    source = os.fspath(data)
    require_no_address(source)
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - which leaves the names of no users as they are
    if path.is_file() and path.suffix.lower() in ARCHIVES:
        raise UsageError(f"{source} is an archive, and foveola reads folders: unpack it and give the folder")
    if not path.is_file() and (path.exists() or source not in DATASETS):
        require_folder(path)


def open_data(
    recipe: Recipe, tick: Tick = no_tick, *, for_training: bool = True, known: Collection[str] = ()
) -> Dataset:
    """Open the data set that a recipe names: a path, or else a name. Raises DataError or UsageError.

    for_training, known: see `open_folder`.
    """
    spec = recipe.data
    if not spec.source:
        raise UsageError(
            f"no data is given: name a folder of class folders, an .npz file, or one of {', '.join(sorted(DATASETS))}"
        )
    require_there(spec.source)
    path = Path(os.path.expanduser(spec.source))  # noqa: PTH111 - which leaves the names of no users as they are
    if not path.exists() and spec.source in DATASETS:
        require_plain(spec)
        return DATASETS[spec.source](tick)
    if cifar10_place(path):
        require_plain(spec)
        return open_cifar10(path, tick=tick)
    if path.is_file() and path.suffix.lower() == ".npz":
        require_plain(spec)
        return open_npz(path)
    return open_folder(
        path,
        labels=Path(spec.labels) if spec.labels else None,
        label_pattern=spec.label_pattern or None,
        group_by=spec.group_by or None,
        class_level=spec.class_level or None,
        for_training=for_training,
        known=known,
        tick=tick,
    )


def open_as(
    data: Data, settings: Mapping[str, object] | None, tick: Tick = no_tick, *, known: Collection[str] = ()
) -> Dataset:
    """Open the data set that a user names, with settings such as {"data.labels": "table.csv", "data.exclude": "list.txt"}.

    One class is enough, because nothing is trained on it. known: the classes of the network to measure.

    Raises DataError or UsageError.
    """
    require_there(data)
    source = os.fspath(data) if isinstance(data, str | os.PathLike) else None
    recipe = recipe_from_tables(merge_tables({}, {**(settings or {}), "data.source": source}), where="the settings")
    if isinstance(data, str | os.PathLike):
        return leave_out(open_data(recipe, tick, for_training=False, known=known), recipe, for_training=False)
    require_plain(recipe.data, data.name)
    return leave_out(data, recipe, for_training=False)


def require_plain(spec: DataSpec, name: str = "") -> None:
    """Refuse settings that only image folders support, so that nobody relies on groups that foveola does not see.

    name: the name of data without a source.
    """
    for key in ("labels", "label_pattern", "group_by", "class_level"):
        if getattr(spec, key):
            raise UsageError(
                f"data.{key} needs a folder of images, and {spec.source or name} is not a folder: leave it out, or give "
                "the images as a folder"
            )


def leave_out(dataset: Dataset, recipe: Recipe, *, for_training: bool = True) -> Dataset:
    """Remove the images of the recipe's exclude list; without a list return the same object."""
    listed = recipe.data.exclude
    if not listed:
        return dataset
    return exclude_images(dataset, read_list(Path(listed)), Path(listed).name, for_training=for_training)


def suggest_size(dataset: Dataset, model: str = "auto") -> Size:
    """The size for "auto": from the median of up to 500 images' longer sides, read from their headers."""
    return choose_size(*probe_sizes(dataset), max_pixels(model))


@checks_keywords()
@shown_in_notebooks
def open_dataset(
    data: Data,
    *,
    labels: str | os.PathLike[str] | None = None,
    label_pattern: str | None = None,
    class_level: int | str | None = None,
    group_by: str | None = None,
    exclude: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Open a data set: a folder of class folders, an .npz file, "cifar10", "digits" or another name of `DATASETS`.

    labels, label_pattern, class_level, group_by, exclude: how to read a folder, as for `train`.

    Raises DataError or UsageError.

        dataset = fv.open_dataset("photos")
        len(dataset), dataset.class_names, dataset.counts()
    """
    settings: dict[str, object] = {
        "data.labels": None if labels is None else os.fspath(labels),
        "data.label_pattern": label_pattern,
        "data.class_level": class_level,
        "data.group_by": group_by,
        "data.exclude": None if exclude is None else os.fspath(exclude),
    }
    return open_as(data, settings, (progress or Progress()).tick)


@checks_keywords()
@shown_in_notebooks
def prepare(
    data: Data, size: SizeLike | None = None, resize: Resize = "pad", *, progress: Progress | None = None
) -> Prepared:
    """Decode all images of a data set and bring them to one size, once: the result is kept in the cache.

    size: text "WIDTHxHEIGHT", the side of a square, or a pair (height, width); None: as `train` chooses it. resize: "pad",
    "crop" or "stretch". Files that can't be read are left out, and listed in the `problems` of the result's `dataset`.

        prepared = fv.prepare("photos", "64x64")
        prepared.pixels.shape, prepared.dataset.problems
    """
    tick = (progress or Progress()).tick
    dataset = open_as(data, None, tick)
    wanted = suggest_size(dataset) if size is None else Size.of(size)
    return preparing.prepare(dataset, wanted, resize, tick=tick)


@checks_keywords()
@shown_in_notebooks
def split(
    prepared: Prepared,
    *,
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Split:
    """Divide prepared images into train, val and test, as `train` does: duplicates and groups stay in one part.

    settings: options of the split, such as {"split.test_fraction": 0.3} (see `foveola list options`).

        parts = fv.split(fv.prepare("photos"), seed=0)
        len(parts.train), len(parts.val), len(parts.test), parts.rule
    """
    recipe = recipe_from_tables(merge_tables({}, settings or {}), where="the settings")
    duplicates = find_duplicates(prepared, tick=(progress or Progress()).tick)
    return splitting.split(prepared.dataset, prepared.content, recipe.split, seed, related=duplicates.groups)


def read_image(file: str | os.PathLike[str]) -> Image:
    """Read an image file: uint8 (height, width, 3), RGB, upright, at its full size. Raises ImageProblem with the reason."""
    with images.suppress_pillow_warnings():
        return images.decode(read_named(Path(file))).image
