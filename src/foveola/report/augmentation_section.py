"""Report section on augmentation: what training changed in the images, and a strip of images before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from foveola.report.formatting import Thumbnail, thumbnail
from foveola.runs.augmentation_preview import AugmentationPreview
from foveola.text import count, joined

STRIP_PX = 128
"""Longer side of an image of the strip."""

CHANGES: Mapping[str, tuple[str, ...]] = {
    "photo": ("cropped and scaled", "rotated by up to 10 degrees", "changed in brightness, contrast and colour"),
    "flat": ("rotated by quarter turns", "scaled", "changed in brightness"),
    "text": ("shifted and scaled", "rotated by up to 7 degrees", "changed in brightness"),
}
"""What each named set does, except mirroring."""


@dataclass(frozen=True)
class ChangedImage:
    """A training image without augmentation, and as the network saw it."""

    name: str
    plain: Thumbnail
    seen: Thumbnail


@dataclass(frozen=True)
class AugmentationSection:
    """Values of the section. name: the set, "" if none is named; changes: what it did, in words."""

    name: str
    changes: str
    images: tuple[ChangedImage, ...]


def augmentation_section(preview: AugmentationPreview, fit: Mapping[str, Any]) -> AugmentationSection | None:
    """Collect the section's values; None if training changed no image. fit: the table [fit] of the recipe."""
    changes = list(_changes(fit))
    if not preview.names or not changes:
        return None
    images = tuple(
        ChangedImage(name, thumbnail(plain, STRIP_PX), thumbnail(seen, STRIP_PX))
        for name, plain, seen in zip(preview.names, preview.plain, preview.seen, strict=True)
    )
    name = fit.get("augment", "auto")
    return AugmentationSection("" if name == "auto" else name, joined(changes), images)


def _changes(fit: Mapping[str, Any]) -> Iterator[str]:
    if fit["flip"]:
        yield "mirrored"
    yield from CHANGES.get(fit.get("augment", "auto"), ())
    if fit["translate_px"]:
        yield f"shifted by up to {count(fit['translate_px'], 'pixel')}"
    if fit["cutout_px"]:
        yield f"covered in one place by a square of {count(fit['cutout_px'], 'pixel')} per side"
