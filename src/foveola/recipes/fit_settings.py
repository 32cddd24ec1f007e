"""The training settings of a recipe: what the network recommends, what a named choice implies, and what the user gives.

A later one overrides an earlier one. The completed recipe holds all numbers, so it gives the same settings when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foveola.config import build, format_value
from foveola.data.augmentation import AUGMENTATIONS
from foveola.errors import UsageError
from foveola.models.registry import MODELS
from foveola.text import joined
from foveola.training.config import FitSpec


def fit_settings(model: str, options: Mapping[str, Any], given: Mapping[str, Any], *, where: str) -> FitSpec:
    """The settings that the table [fit] of a recipe gives, over those that the network recommends.

    model: the network's name, or "auto"; options: of the network. Fine-tuning has its own settings. A named augmentation
    set takes the place of the flips, shifts and cutout that a network recommends. Raises UsageError for unknown options,
    wrong values, settings that contradict the set, and fine-tuning of a network that is not pre-trained.
    """
    recommended: dict[str, object] = {}
    if model != "auto":
        recommended.update(MODELS.entry(model).fit)
        if given.get("finetune") is True:
            recommended.update(_fine_tuning(model, options, where))
    augment = given.get("augment", recommended.get("augment"))
    named = AUGMENTATIONS.get(augment) if isinstance(augment, str) else None
    implied = {"flip": named.mirrors, "translate_px": 0, "cutout_px": 0} if named else {}
    spec = build(FitSpec, {**recommended, **implied, **given}, where=f"{where}, [fit]")
    _require_agreement(spec, where)
    if spec.finetune and spec.epochs == 0:
        raise UsageError(
            f"{where}: fit.finetune = true trains the last stages for some epochs, but fit.epochs = 0 trains only the last "
            "layer: leave out one of the two"
        )
    if spec.optimizer == "muon" and spec.stage_lr_factor < 1:
        raise UsageError(
            f"{where}: fit.stage_lr_factor = {spec.stage_lr_factor:g} has no effect on the convolutions with fit.optimizer = "
            "muon: choose adamw, adam or sgd"
        )
    return spec


def _fine_tuning(model: str, options: Mapping[str, Any], where: str) -> Mapping[str, object]:
    """The settings of fine-tuning. Raises UsageError for a network that starts from random weights."""
    settings = MODELS.entry(model).finetune
    if not settings or options.get("pretrained") is False:
        others = joined([name for name, entry in MODELS.entries() if entry.finetune], "or")
        reason = "with model.pretrained = false is" if settings else "is"
        raise UsageError(
            f"{where}: fit.finetune = true trains a pre-trained network further, but {model} {reason} trained from scratch: "
            f"leave out fine-tuning, or choose another network ({others})"
        )
    return settings


def _require_agreement(spec: FitSpec, where: str) -> None:
    """Refuse changes of images that the named set excludes."""
    excluded = {"none": ("flip", "translate_px", "cutout_px"), "text": ("flip",)}.get(spec.augment, ())
    for name in excluded:
        if value := getattr(spec, name):
            what = "never mirrors images" if spec.augment == "text" else "leaves the training images as they are"
            raise UsageError(
                f"{where}: fit.augment = {spec.augment} {what}, but fit.{name} = {format_value(value)} changes them: "
                "leave out one of the two"
            )


def require_unmirrored(spec: FitSpec, average_flips: object, where: str) -> None:
    """Refuse predictions from mirrored images for a set that says that mirrored images are other images."""
    if spec.augment == "text" and average_flips is True:
        raise UsageError(
            f"{where}: fit.augment = text is for images that must not be mirrored, but model.average_flips = true predicts "
            "from mirrored images, too: leave out one of the two"
        )
