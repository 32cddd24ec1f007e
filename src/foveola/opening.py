"""A file's bytes become an opened picture, nothing decoded yet: formats, limits, and the reason when it is no picture.

- the format is told by content, never by the file's name;
- size limits are checked from the header, before any pixel is decoded;
- whatever a decoder raises becomes an ImageProblem with its reason.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator

from PIL import Image as pillow
from PIL import UnidentifiedImageError

from foveola.errors import ImageProblem, PassingProblem
from foveola.signatures import what_is

MAX_PIXELS = 120_000_000
MAX_SIDE_PX = 30_000
MAX_BYTES = 256_000_000

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "AVIF")
"""What Pillow may open. EPS, PDF and the like stay out: they start other programs."""

HEIC_NEEDS_PACKAGE = 'HEIC needs a package that is not installed: pip install "foveola[heic]"'

_ORIENTATION_TAG = 0x0112


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[pillow.Image]:
    """The picture in a file's bytes, its header read and its pixels not yet.

    Whatever goes wrong while it is open becomes an ImageProblem with its reason.
    """
    if not data:
        raise ImageProblem("empty file")
    if len(data) > MAX_BYTES:
        raise ImageProblem(f"the file has {len(data):,} bytes, over the limit of {MAX_BYTES:,}")
    with readable(data), _open(data) as picture:
        yield picture


@contextlib.contextmanager
def readable(data: bytes = b"") -> Iterator[None]:
    """Turn whatever Pillow raises while it reads into an ImageProblem with its reason; `data` are the file's bytes."""
    try:
        yield
    except ImageProblem:
        raise
    except UnidentifiedImageError:
        raise ImageProblem(what_is(data)) from None
    except pillow.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        pixels = f"{int(found[0]):,} pixels" if found else "too many pixels"
        raise ImageProblem(f"{pixels}, over the limit of {MAX_PIXELS:,}") from None
    except MemoryError:
        raise PassingProblem("not enough memory to decode it") from None
    except Exception as error:  # decoders raise almost anything on damaged bytes; the corpus test holds this net
        raise ImageProblem(_damage(error)) from None


def _open(data: bytes) -> pillow.Image:
    try:
        return pillow.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if not _is_heic(data):
            raise
    try:
        import pillow_heif
    except ImportError:
        raise ImageProblem(HEIC_NEEDS_PACKAGE) from None
    heif = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    check_limits(heif.size[1], heif.size[0])  # here already: the next line decodes
    picture: pillow.Image = heif.to_pillow()
    picture.format = "HEIC"
    return picture


def _is_heic(data: bytes) -> bool:
    brands = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
    return data[4:8] == b"ftyp" and data[8:12] in brands


def check_limits(height: int, width: int) -> None:
    """Refuse a picture of no pixels or too many. Raises ImageProblem."""
    if height < 1 or width < 1:
        raise ImageProblem(f"its header says {height} rows of {width} pixels: there is no picture in it")
    if height * width > MAX_PIXELS:
        raise ImageProblem(f"{height * width:,} pixels, over the limit of {MAX_PIXELS:,}")
    if max(height, width) > MAX_SIDE_PX:
        raise ImageProblem(f"a side of {max(height, width):,} pixels, over the limit of {MAX_SIDE_PX:,}")


def orientation_of(picture: pillow.Image) -> int:
    """The EXIF orientation 1..8; broken or missing EXIF counts as 1, upright."""
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a looped or cut EXIF block is no reason to lose the picture
        return 1
    return int(value) if value in range(1, 9) else 1


def _damage(error: Exception) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    if re.search(r"truncat|not enough|incomplete|unexpected end|early end|cut", text, re.IGNORECASE):
        return f"cut short ({text[:120]})"
    return f"damaged ({text[:120]})"
