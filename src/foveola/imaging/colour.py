"""Convert a decoded image of any mode to upright 8-bit RGB, including samples of more than 8 bits.

If a file declares that its values end at 4,095 (a TIFF of 12 bits, `SMaxSampleValue`, a PNG's `sBIT`), they are scaled by
this range. The declaration belongs to the file, so an image has the same pixels in training and in prediction, whatever else
is in the folder. Without a declaration the whole range of the type counts; `levels_used` then shows how many levels remain.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow

from foveola.errors import ImageProblem
from foveola.imaging.file_formats import orientation_of
from foveola.text import count
from foveola.types import Image, Indices


class Note(StrEnum):
    """What decoding did to an image, beyond reading its pixels; the value is the text that users read."""

    TURNED = "rotated upright by the EXIF orientation"
    TO_8_BITS = "16-bit samples reduced to 8 bits"
    ON_WHITE = "transparency replaced by white"
    FROM_CMYK = "converted from CMYK"
    FIRST_FRAME = "only the first of several frames or pages is used"
    NO_END = "JPEG without an end marker, but with all pixels"
    WRONG_COUNT = "TIFF with a wrong length of its last strip, but with all pixels"


GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N")

ALL_LEVELS = 256
FEW_LEVELS = 64
"""Of 256. Values that end at 16,383 (14 bits) in samples of 16 bits use 64 levels, 12-bit values use 16."""

STRETCH = (
    "stretch the values to the whole range before saving, all images by the same factor (12-bit values times 16), also those "
    "to predict later; or declare the range in the file (SMaxSampleValue in a TIFF, sBIT in a PNG)"
)
"""What to do about images of few levels."""

_BITS, _PHOTOMETRIC, _SMALLEST, _LARGEST = 258, 262, 340, 341  # tags of TIFF 6.0
_WHITE_IS_ZERO = 0


class SampleRange(NamedTuple):
    """The values of black and of white; white is the lower one if the file says that white is zero."""

    black: float
    white: float


WHOLE = SampleRange(0, 65_535)


def is_deep(picture: pillow.Image) -> bool:
    """Whether the file's samples have more than 8 bits; to be asked before its pixels are loaded."""
    if picture.mode in (*GREY_16, "I", "F"):
        return True
    tiles = getattr(picture, "tile", None)
    if not tiles:
        return False
    how = tiles[0][3]  # the decoder's arguments: "RGB;16B", ("RGB;16L", 0, 1), ("RGB", 4095) in a PPM
    pieces = how if isinstance(how, tuple) else (how,)
    if picture.format == "PPM" and len(pieces) > 1:
        return bool(pieces[1] > 255)
    return any(isinstance(piece, str) and ";16" in piece for piece in pieces)


def grey_of(picture: pillow.Image, data: bytes) -> NDArray[np.uint8]:
    """The 8-bit grey values, uint8 (h, w), of an image of modes I;16, I or F; `data` are the bytes of its file.

    Of the whole range of 16 bits this is the high byte. Raises ImageProblem where black and white are not known.
    """
    samples = np.asarray(picture)
    black, white = _range(picture, data, samples)
    if (black, white) == WHOLE:  # nearly always
        return np.asarray(np.clip(samples.astype(np.int64) >> 8, 0, 255), np.uint8)
    return _levels(samples, black, white)


def colour_of(picture: pillow.Image, data: bytes) -> NDArray[np.uint8] | None:
    """The 8-bit values of 16-bit colour whose file declares a smaller range: uint8 (h, w, 3), or (h, w, 4) with alpha.

    None for all other images: what Pillow decodes of them, the high byte, is right. `data` are the bytes of the file.
    """
    ranges = _of_colour(picture, data)
    samples = _colour_samples(picture, data) if any(one != WHOLE for one in ranges) else None
    if samples is None:
        return None
    colours = samples[..., :3]
    if picture.format == "PNG" and not _is_unscaled(colours, ranges[0]):
        return None
    alpha = samples[..., 3:]
    of_alpha = ranges[3] if alpha.max(initial=0) <= ranges[3].white else WHOLE
    values = [_levels(colours[..., k], *ranges[k]) for k in range(3)]
    return np.dstack([*values, _levels(alpha, *of_alpha)])


def levels_used(image: Image) -> int:
    """How many levels, 1 to 256, lie between the darkest and the brightest of the image, the outer 0.5 % left out.

    >>> levels_used(np.full((4, 4, 3), 7, np.uint8)), levels_used(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    (1, 48)
    """
    shares = np.cumsum(np.bincount(image.ravel(), minlength=ALL_LEVELS)) / image.size
    low, high = np.searchsorted(shares, (0.005, 0.995 - 1e-9))
    return int(high - low) + 1


def with_few_levels(levels: NDArray[np.int16]) -> Indices:
    """The images of more than 8 bits that use few of the 256 levels; none if most of these images use more.

    levels: int16 (n,), of each image, 0 for files of 8 bits. A single dark image has lost nothing; if most images use few
    levels, the values have only 10 to 14 bits or a narrow range.

    >>> with_few_levels(np.array([16, 0, 14, 200], np.int16)).tolist()
    [0, 2]
    >>> with_few_levels(np.array([16, 0, 250, 200], np.int16)).tolist()
    []
    """
    few = np.flatnonzero((levels > 0) & (levels <= FEW_LEVELS))
    return few if 2 * len(few) > (levels > 0).sum() else few[:0]


def few_levels_note(levels: NDArray[np.int16]) -> str:
    """A sentence on the levels lost by the conversion to 8 bits; empty if the loss is small."""
    rows = with_few_levels(levels)
    if not len(rows):
        return ""
    verb, most = "uses" if len(rows) == 1 else "use", int(levels[rows].max())
    return (
        f"{count(len(rows), 'image')} with 16-bit samples {verb} only {most} of {ALL_LEVELS} levels for 99 % of the pixels "
        "after conversion to 8 bits"
    )


def _levels(samples: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    low, high = sorted((black, white))
    step = (high - low + (samples.dtype.kind != "f")) / ALL_LEVELS  # whole numbers from low to high are high - low + 1
    scaled = np.floor((np.nan_to_num(samples.astype(np.float64), nan=low) - low) / step)
    levels = np.clip(scaled, 0, 255)
    return np.asarray(levels if black < white else 255 - levels, np.uint8)


def _range(picture: pillow.Image, data: bytes, samples: NDArray[Any]) -> SampleRange:
    if picture.format == "PPM":  # Pillow has scaled it by its maxval
        return WHOLE
    if picture.format == "PNG":
        of_bits = _of_bits(_significant_bits(data)[:1])
        return of_bits if _is_unscaled(samples, of_bits) else WHOLE
    tags = dict(getattr(picture, "tag_v2", {}))
    declared = _declared(tags) or _of_type(picture, tags)
    if declared is None:
        if picture.mode == "I" and _first(tags, _BITS) == 16:
            raise ImageProblem("signed 16-bit samples have no fixed value of black: save it with unsigned 8 or 16 bits")
        raise ImageProblem("32-bit samples have no fixed range of brightness: save it with 8 or 16 bits")
    inverted = _first(tags, _PHOTOMETRIC) == _WHITE_IS_ZERO
    return SampleRange(declared.white, declared.black) if inverted else declared


def _declared(tags: dict[int, Any]) -> SampleRange | None:
    """By SMinSampleValue and SMaxSampleValue; MinSampleValue and MaxSampleValue are statistics by the standard (TIFF 6.0)."""
    low, high = _first(tags, _SMALLEST), _first(tags, _LARGEST)
    if high is None or not np.isfinite(high) or (low is not None and not np.isfinite(low)):
        return None
    return SampleRange(low or 0, high) if high > (low or 0) else None


def _of_type(picture: pillow.Image, tags: dict[int, Any]) -> SampleRange | None:
    if picture.mode in GREY_16:
        return SampleRange(0, 4_095) if _first(tags, _BITS) == 12 else WHOLE
    return None


def _of_colour(picture: pillow.Image, data: bytes) -> list[SampleRange]:
    """The declared range of red, green, blue and alpha of an image of 16 bits per channel; empty for any other image."""
    if picture.mode not in ("RGB", "RGBA"):
        return []
    if picture.format == "PNG" and data[24:25] == b"\x10":
        bits = _significant_bits(data)
        colours, alpha = (bits[:1], bits[1:]) if len(bits) < 3 else (bits[:3], bits[3:])
        return [*[_of_bits(bytes([max(colours, default=0)]))] * 3, _of_bits(alpha)]
    tags = dict(getattr(picture, "tag_v2", {}))
    if picture.format == "TIFF" and _first(tags, _BITS) == 16:
        return [*[_declared(tags) or WHOLE] * 3, WHOLE]
    return []


def _colour_samples(picture: pillow.Image, data: bytes) -> NDArray[np.uint16] | None:
    """The samples of a file of 16-bit colour, uint16 (h, w, 3), or (h, w, 4) with alpha, by OpenCV: Pillow keeps 8 bits.

    None where OpenCV does not read what Pillow does: another frame, or a file that it does not know.
    """
    import cv2  # few files need it, and it takes 0.1 s

    before = cv2.utils.logging.setLogLevel(0)  # it would print what it does not like about a file
    samples: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    cv2.utils.logging.setLogLevel(before)
    if samples is None or samples.dtype != np.uint16 or samples.ndim != 3:
        return None
    has_alpha = samples.shape[2] == 4 and (picture.mode == "RGBA" or "transparency" in picture.info)
    samples = samples[..., [2, 1, 0, 3] if has_alpha else [2, 1, 0]]
    return samples if np.array_equal(samples[..., :3] >> 8, np.asarray(picture)[..., :3]) else None


def _first(tags: dict[int, Any], tag: int) -> Any:
    value = tags.get(tag)
    return (value[0] if value else None) if isinstance(value, tuple) else value


def _of_bits(bits: bytes) -> SampleRange:
    """The range of a number of bits, given by one byte of an sBIT chunk; the whole range without one."""
    return SampleRange(0, 2 ** bits[0] - 1) if bits and 0 < bits[0] < 16 else WHOLE


def _is_unscaled(samples: NDArray[Any], declared: SampleRange) -> bool:
    """Whether the 16-bit samples of a PNG that declares fewer bits are at the bottom of the range.

    The standard wants them scaled to the whole range, which leaves the low bits zero or repeats the high ones in them; some
    programs write them as they are.
    """
    values = samples.astype(np.int64)
    bits = int(declared.white).bit_length()
    if declared == WHOLE or values.max(initial=0) > declared.white:
        return False
    spare = 16 - bits
    high = values >> spare
    scaled = (high << spare, high << spare | high >> max(0, bits - spare), np.rint(high * (65_535 / declared.white)))
    return not any((candidate == values).all() for candidate in scaled)


def _significant_bits(data: bytes) -> bytes:
    """What a PNG's sBIT chunk says of each channel; empty without one."""
    return next((body for name, body in _chunks(data) if name == b"sBIT"), b"")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG file before its pixels."""
    here = 8
    while here + 8 <= len(data):
        length, name = int.from_bytes(data[here : here + 4], "big"), data[here + 4 : here + 8]
        if name in (b"PLTE", b"IDAT"):
            return
        yield name, data[here + 8 : here + 8 + length]
        here += 12 + length


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


def to_rgb(picture: pillow.Image, orientation: int, data: bytes) -> pillow.Image:
    """The decoded image in mode RGB, turned by this EXIF orientation, 1 to 8; it may be `picture` itself.

    `data` are the bytes of its file, which may declare what its samples mean. Raises ImageProblem where nothing does.
    """
    rgb = _to_rgb(picture, data)
    return rgb if orientation == 1 else rgb.transpose(_TURNS[orientation])


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


def colour_notes(picture: pillow.Image) -> tuple[Note, ...]:
    """The conversions that this image will need. Call it before the pixels are loaded."""
    notes = []
    if orientation_of(picture) != 1:
        notes.append(Note.TURNED)
    if is_deep(picture):
        notes.append(Note.TO_8_BITS)
    if _is_transparent(picture):
        notes.append(Note.ON_WHITE)
    if picture.mode == "CMYK":
        notes.append(Note.FROM_CMYK)
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        notes.append(Note.FIRST_FRAME)
    return tuple(notes)
