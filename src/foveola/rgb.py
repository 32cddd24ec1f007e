"""What a decoded picture of any mode becomes: RGB of 8 bits, upright."""

from __future__ import annotations

import numpy as np
from PIL import Image as pillow

from foveola.errors import ImageProblem
from foveola.opening import orientation_of
from foveola.types import Image

_GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N")

_TURNS = {
    2: pillow.Transpose.FLIP_LEFT_RIGHT,
    3: pillow.Transpose.ROTATE_180,
    4: pillow.Transpose.FLIP_TOP_BOTTOM,
    5: pillow.Transpose.TRANSPOSE,
    6: pillow.Transpose.ROTATE_270,
    7: pillow.Transpose.TRANSVERSE,
    8: pillow.Transpose.ROTATE_90,
}


def pixels(picture: pillow.Image, orientation: int) -> Image:
    """The decoded picture's pixels, uint8 (h, w, 3), RGB, turned by this EXIF orientation, 1 to 8.

    Raises ImageProblem for samples without a range.
    """
    rgb = _to_rgb(picture)
    if orientation != 1:
        rgb = rgb.transpose(_TURNS[orientation])
    return np.array(rgb)


def _to_rgb(picture: pillow.Image) -> pillow.Image:
    mode = picture.mode
    if mode == "RGB" and "transparency" not in picture.info:
        return picture  # `convert` would copy it
    if mode in _GREY_16 or (mode == "I" and picture.format in ("PNG", "PPM")):
        samples = np.asarray(picture).astype(np.int64)
        grey = np.clip(samples >> 8, 0, 255).astype(np.uint8)
        if "transparency" in picture.info:
            grey[samples == picture.info["transparency"]] = 255
        return pillow.fromarray(grey).convert("RGB")
    if mode in ("I", "F"):
        raise ImageProblem("32-bit samples have no fixed range of brightness: save it with 8 or 16 bit")
    if _is_transparent(picture):
        rgba = picture.convert("RGBA")
        white = pillow.new("RGBA", rgba.size, (255, 255, 255, 255))
        return pillow.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _is_transparent(picture: pillow.Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info


def notes_on(picture: pillow.Image) -> tuple[str, ...]:
    """What is done to it on the way, in words."""
    notes = []
    if orientation_of(picture) != 1:
        notes.append("turned upright by its EXIF orientation")
    if picture.mode in _GREY_16 or picture.mode == "I":
        notes.append("16-bit samples cut to their high byte")
    if _is_transparent(picture):
        notes.append("transparency laid on white")
    if picture.mode == "CMYK":
        notes.append("converted from CMYK")
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        notes.append("first of several frames or pages")
    return tuple(notes)
