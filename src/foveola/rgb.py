"""What a decoded picture of any mode becomes: RGB of 8 bits, upright."""

from __future__ import annotations

import numpy as np
from PIL import Image as pillow

from foveola.opening import orientation_of
from foveola.sample_range import GREY_16, colour_of, grey_of, is_deep
from foveola.types import Image

TO_8_BITS = "16-bit samples reduced to 8 bits"

_EXTRA_SAMPLES = 338  # a tag of TIFF

_TURNS = {
    2: pillow.Transpose.FLIP_LEFT_RIGHT,
    3: pillow.Transpose.ROTATE_180,
    4: pillow.Transpose.FLIP_TOP_BOTTOM,
    5: pillow.Transpose.TRANSPOSE,
    6: pillow.Transpose.ROTATE_270,
    7: pillow.Transpose.TRANSVERSE,
    8: pillow.Transpose.ROTATE_90,
}


def pixels(picture: pillow.Image, orientation: int, data: bytes) -> Image:
    """The decoded picture's pixels, uint8 (h, w, 3), RGB, turned by this EXIF orientation, 1 to 8.

    `data` are the bytes of its file, which may declare what its samples mean. Raises ImageProblem where nothing does.
    """
    rgb = _to_rgb(picture, data)
    if orientation != 1:
        rgb = rgb.transpose(_TURNS[orientation])
    return np.array(rgb)


def _to_rgb(picture: pillow.Image, data: bytes) -> pillow.Image:
    mode = picture.mode
    colour = colour_of(picture, data)
    if colour is not None:
        has_alpha = colour.shape[2] == 4 and _is_transparent(picture)
        return (
            _on_white(pillow.fromarray(colour))
            if has_alpha
            else pillow.fromarray(np.ascontiguousarray(colour[..., :3]))
        )
    if mode == "RGB" and "transparency" not in picture.info:
        return picture  # `convert` would copy it
    if mode in (*GREY_16, "I", "F"):
        grey = grey_of(picture, data)
        if "transparency" in picture.info:
            grey[np.asarray(picture) == picture.info["transparency"]] = 255
        return pillow.fromarray(grey).convert("RGB")
    if _is_transparent(picture):
        return _on_white(picture.convert("RGBA"))
    return picture.convert("RGB")


def _on_white(rgba: pillow.Image) -> pillow.Image:
    white = pillow.new("RGBA", rgba.size, (255, 255, 255, 255))
    return pillow.alpha_composite(white, rgba).convert("RGB")


def _is_transparent(picture: pillow.Image) -> bool:
    if "transparency" in picture.info:
        return True
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") and not _alpha_is_unused(picture)


def _alpha_is_unused(picture: pillow.Image) -> bool:
    """Whether the fourth channel is 0 everywhere, in a file that does not say what it is or is known to say it wrongly.

    Windows' clipboard and Photoshop write such BMP files, and every viewer shows them opaque; in a TIFF without the tag
    ExtraSamples the channel has no meaning. PNG and WebP mean what they say: alpha 0 everywhere is nothing to be seen.
    """
    tags = getattr(picture, "tag_v2", {})
    doubtful = picture.format in ("BMP", "DIB") or (picture.format == "TIFF" and _EXTRA_SAMPLES not in tags)
    return doubtful and picture.getextrema()[-1] == (0, 0)


def notes_on(picture: pillow.Image) -> tuple[str, ...]:
    """What is done to it on the way, in words. To be asked before its pixels are loaded."""
    notes = []
    if orientation_of(picture) != 1:
        notes.append("turned upright by its EXIF orientation")
    if is_deep(picture):
        notes.append(TO_8_BITS)
    if _is_transparent(picture):
        notes.append("transparency laid on white")
    if picture.mode == "CMYK":
        notes.append("converted from CMYK")
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        notes.append("first of several frames or pages")
    return tuple(notes)
