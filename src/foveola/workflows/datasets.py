"""Open the data that a user names, and count its files."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from foveola.errors import UsageError
from foveola.types import Size, Tick, no_tick

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.recipes.recipe import DataSpec, Recipe

Data: TypeAlias = "str | os.PathLike[str] | Dataset"
"""What a verb takes as data: a folder, a file, a data set's name, or a Dataset."""


ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
"""Suffixes of archives, which have to be unpacked first."""


def require_there(data: object) -> None:
    """Refuse data that is not on this computer or can't be a data set, before anything heavy is imported.

    Raises DataError for a path that does not exist, UsageError for an address, an archive or an object of another kind.
    """
    from foveola.data.builtin import DATASETS
    from foveola.data.dataset import Dataset
    from foveola.data.scan import require_folder
    from foveola.evaluation.inputs import require_no_address

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
    from foveola.data.arrays import open_npz
    from foveola.data.builtin import DATASETS
    from foveola.data.cifar10 import cifar10_place, open_cifar10
    from foveola.data.folder import open_folder

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
    from foveola.recipes.recipe import merge_tables, recipe_from_tables

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
    from foveola.data.exclude import exclude, read_list

    listed = recipe.data.exclude
    if not listed:
        return dataset
    return exclude(dataset, read_list(Path(listed)), Path(listed).name, for_training=for_training)


def suggest_size(dataset: Dataset, model: str = "auto") -> Size:
    """The size for "auto": from the median of up to 500 images' longer sides, read from their headers."""
    from foveola.data.dataset import probe_sizes
    from foveola.recipes.defaults import choose_size, max_pixels

    return choose_size(*probe_sizes(dataset), max_pixels(model))


def count_files(dataset: Dataset) -> dict[str, Any]:
    """Count the files of a data set, under the names that every JSON output uses."""
    return {
        "files_found": dataset.files_found,
        "files_used": len(dataset),
        "files_ignored": dataset.files_ignored,
        "problems": [{"file": p.file, "reason": p.reason} for p in dataset.problems],
    }


def printable(text: str) -> str:
    """Make a name safe to print: invalid bytes and control characters become escapes."""
    from foveola.data.dataset import printable as escaped

    return escaped(text)
