"""Open image files: detect the format, check the limits, and give the reason if a file is not a usable image.

- The format is detected from the content, never from the file's name.
- Size limits are checked from the header, before any pixel is decoded.
- Any error of a decoder becomes an ImageProblem with its reason.
- A file that no decoder knows is described by its first bytes ("not an image: a PDF document").
- A TIFF with a wrong length of its last strip is repaired if all of its pixels are in the file.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import re
import struct
from collections.abc import Iterator

from PIL import Image as pillow
from PIL import UnidentifiedImageError

from foveola.errors import ImageProblem, PassingProblem

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git-LFS pointer, not the image: run git lfs pull"),
    (b"%PDF", "not an image: a PDF document"),
    (b"%!PS", "not a supported image: PostScript"),
    (b"\xc5\xd0\xd3\xc6", "not a supported image: PostScript"),
    (b"8BPS", "a Photoshop file: export it as PNG or JPEG"),
    (b"gimp xcf", "a GIMP file: export it as PNG or JPEG"),
    (b"PK\x03\x04", "not an image: a ZIP archive"),
    (b"\x1f\x8b", "not an image: a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "not an image: a 7-Zip archive"),
    (b"Rar!", "not an image: a RAR archive"),
    (b"\x93NUMPY", "a NumPy array, not an image file: put the arrays into one .npz file, or save them as PNG"),
    (b"\x89HDF", "not an image: an HDF5 file"),
    (b"SQLite format 3", "not an image: an SQLite database"),
    (b"\x1aE\xdf\xa3", "not an image: a video (Matroska or WebM)"),
    (b"OggS", "not an image: a sound or a video (Ogg)"),
    (b"fLaC", "not an image: a sound (FLAC)"),
    (b"ID3", "not an image: a sound (MP3)"),
    (b"\x00\x00\x01\x00", "an icon (ICO), which is not supported: convert it to PNG"),
    (b"\x01\xda", "an SGI image, which is not supported: convert it to PNG"),
    (b"v/1\x01", "an OpenEXR image, which is not supported: convert it to PNG"),
    (b"SIMPLE  =", "a FITS image, which is not supported: convert it to PNG"),
    (b"DDS ", "a DDS texture, which is not supported: convert it to PNG"),
    (b"qoif", "a QOI image, which is not supported: convert it to PNG"),
    (b"icns", "an icon (ICNS), which is not supported: convert it to PNG"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000 is not supported: convert it to PNG or JPEG"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 is not supported: convert it to PNG or JPEG"),
    (b"\xff\x0a", "JPEG XL is not supported: convert it to PNG or JPEG"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL is not supported: convert it to PNG or JPEG"),
    (b"\xff\xd8\xff", "a damaged JPEG: its header can't be read"),
    (b"\x89PNG", "a damaged PNG: its header can't be read"),
    (b"GIF8", "a damaged GIF: its header can't be read"),
    (b"II*\x00", "a damaged or unsupported TIFF (camera raw files are not supported)"),
    (b"MM\x00*", "a damaged or unsupported TIFF (camera raw files are not supported)"),
    (b"BM", "a damaged BMP: its header can't be read"),
)
_RIFF = {
    b"WEBP": "a damaged WebP: its header can't be read",
    b"AVI ": "not an image: a video (AVI)",
    b"WAVE": "not an image: a sound (WAV)",
}
_PCX_VERSIONS = (0, 2, 3, 4, 5)


def describe_unknown_file(data: bytes) -> str:
    """Say what a file that no decoder knows seems to be.

    >>> describe_unknown_file(b"<!DOCTYPE html><html>"), describe_unknown_file(b"hello\\n")
    ('not an image: looks like HTML', 'not an image: looks like text')
    """
    text = _is_text(data[:1024])
    if len(data) < 16 and not text:
        return f"cut short: only {len(data)} byte{'s' * (len(data) != 1)}"
    for signature, meaning in _SIGNATURES:
        if data.startswith(signature):
            return meaning
    if meaning := _at_other_places(data):
        return meaning
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "not an image: looks like HTML"
    if head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in head):
        return "SVG drawings are not supported: export it as PNG"
    if data[4:8] == b"ftyp":
        return "not a supported image: a video, or an image of an unknown ISO kind"
    return "not an image: looks like text" if text else "not an image: unknown content"


def _at_other_places(data: bytes) -> str:
    """The type of a file whose signature is not at its first byte or is ambiguous; "" if it is unknown."""
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12], "not an image: a RIFF file, but not WebP")
    if data[128:132] == b"DICM":
        return "a DICOM file, which is not supported: export it as PNG"
    if data[-18:].startswith(b"TRUEVISION-XFILE"):
        return "a TGA image, which is not supported: convert it to PNG"
    if data[:1] == b"\n" and data[1] in _PCX_VERSIONS and data[2:3] == b"\x01" and data[3] in (1, 2, 4, 8):
        return "a PCX image, which is not supported: convert it to PNG"
    return ""


def _is_text(head: bytes) -> bool:
    try:
        letters = codecs.getincrementaldecoder("utf-8")().decode(head)  # a letter cut at the end is no fault
    except UnicodeDecodeError:
        return False
    return bool(letters) and all(letter.isprintable() or letter.isspace() or letter == "\ufeff" for letter in letters)


MAX_PIXELS = 120_000_000
MAX_SIDE_PX = 30_000
MAX_BYTES = 256_000_000

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "AVIF")
"""What Pillow may open. EPS, PDF and the like stay out: they start other programs."""

_HEIC_NEEDS_PACKAGE = 'HEIC needs a package that is not installed: pip install "foveola[heic]"'

_ORIENTATION_TAG = 0x0112


@contextlib.contextmanager
def open_image(data: bytes) -> Iterator[pillow.Image]:
    """Open the image in a file's bytes: reads the header, but no pixels yet.

    Raises ImageProblem with the reason for any error while the image is open.
    """
    if not data:
        raise ImageProblem("empty file")
    if len(data) > MAX_BYTES:
        raise too_large(len(data))
    with check_readable(data), _open(data) as picture:
        yield picture


@contextlib.contextmanager
def check_readable(data: bytes = b"") -> Iterator[None]:
    """Turn whatever Pillow raises while it reads into an ImageProblem with its reason; `data` are the file's bytes."""
    try:
        yield
    except ImageProblem:
        raise
    except UnidentifiedImageError:
        raise ImageProblem(describe_unknown_file(data)) from None
    except pillow.DecompressionBombError:  # Pillow raises it from twice its own limit on, before foveola sees the size
        least = 2 * (pillow.MAX_IMAGE_PIXELS or MAX_PIXELS)
        raise ImageProblem(f"more than {least:,} pixels, over the limit of {MAX_PIXELS:,}") from None
    except MemoryError:
        raise PassingProblem("not enough memory to decode it") from None
    except Exception as error:  # decoders raise almost anything on damaged bytes; the corpus test holds this net
        raise _damage(error, data) from None


def _open(data: bytes) -> pillow.Image:
    try:
        return pillow.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if not _is_heic(data):
            raise
    try:
        import pillow_heif
    except ImportError:
        raise ImageProblem(_HEIC_NEEDS_PACKAGE, kind="missing_package") from None
    heif = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    check_limits(heif.size[1], heif.size[0])  # here already: the next line decodes
    picture: pillow.Image = heif.to_pillow()
    picture.format = "HEIC"
    return picture


def _is_heic(data: bytes) -> bool:
    brands = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
    return data[4:8] == b"ftyp" and data[8:12] in brands


def check_limits(height: int, width: int) -> None:
    """Refuse an image of no pixels or too many. Raises ImageProblem."""
    if height < 1 or width < 1:
        raise ImageProblem(f"its header gives {width}x{height} pixels, so it contains no image")
    if height * width > MAX_PIXELS:
        raise ImageProblem(f"{height * width:,} pixels, over the limit of {MAX_PIXELS:,}")
    if max(height, width) > MAX_SIDE_PX:
        raise ImageProblem(f"a side of {max(height, width):,} pixels, over the limit of {MAX_SIDE_PX:,}")


def orientation_of(picture: pillow.Image) -> int:
    """The EXIF orientation 1..8; broken or missing EXIF counts as 1, upright."""
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a looped or cut EXIF block is no reason to lose the image
        return 1
    return int(value) if value in range(1, 9) else 1


def too_large(n_bytes: int) -> ImageProblem:
    """The error for a file of more than MAX_BYTES."""
    return ImageProblem(
        f"the file has {n_bytes:,} bytes, over the limit of {MAX_BYTES:,}", cause="the file is too large"
    )


def _damage(error: Exception, data: bytes) -> ImageProblem:
    text = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    cause = "cut short" if _is_cut_short(data) else "damaged"
    return ImageProblem(f"{cause} ({text[:120]})", cause=cause)


def _is_cut_short(data: bytes) -> bool:
    """Whether a file has no end marker of its format, or fewer bytes than its header states."""
    if data.startswith(b"\xff\xd8"):  # an end of image after the last start of a scan
        return data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    if data.startswith(b"GIF8"):
        return not data.rstrip(b"\0").endswith(b";")
    if data.startswith(b"RIFF"):
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if data.startswith(b"BM"):
        return len(data) < int.from_bytes(data[2:6], "little")
    if data[4:8] == b"ftyp":
        return len(data) < _end_of_boxes(data)
    return (order := _ORDERS.get(data[:4])) is not None and len(data) < _end_of_strips(data, order)


def _end_of_boxes(data: bytes) -> int:
    """Where the last box of an AVIF or HEIC file ends, by its header. A size of 0 means up to the end of the file."""
    here = 0
    while here + 8 <= len(data) and (size := int.from_bytes(data[here : here + 4], "big")):
        here += size if size > 1 else max(8, int.from_bytes(data[here + 8 : here + 16], "big"))
    return here


_OFFSETS, _COUNTS, _COMPRESSION = 273, 279, 259  # tags of TIFF 6.0
_NOTICES_LACK = (5, 8, 32_773, 32_946)
"""LZW, Deflate, PackBits and the older Deflate: their decoders refuse a strip with too few bytes. JPEG's shows half of it."""

_FORMS = {3: "H", 4: "I"}
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # by the first bytes of a TIFF


def fix_strip_count(data: bytes) -> bytes | None:
    """Repair a TIFF whose last strip is longer than the file, by cutting its byte count; None if this is not the fault.

    Some programs write a count that is rounded up. libtiff reads no such strip, though all of its pixels may be there; with
    the true count it decodes them, or refuses the file if any is missing. Of a file with several pages the first counts.
    """
    order = _ORDERS.get(data[:4])
    if order is None:
        return None
    try:
        tags = _tags(data, order)
        compression, *_ = _values(data, order, *tags[_COMPRESSION])
        offset = _values(data, order, *tags[_OFFSETS])[-1]
        count = _values(data, order, *tags[_COUNTS])[-1]
    except (KeyError, IndexError, struct.error, ValueError):
        return None
    if compression not in _NOTICES_LACK or not offset < len(data) < offset + count:
        return None
    form, n, where = tags[_COUNTS]
    at = where + (n - 1) * struct.calcsize(_FORMS[form])
    true = struct.pack(order + _FORMS[form], len(data) - offset)
    return data[:at] + true + data[at + len(true) :]


def _end_of_strips(data: bytes, order: str) -> int:
    """Where the last strip of a TIFF's first page ends; more than the file's length if its tags are cut off."""
    try:
        tags = _tags(data, order)
        offsets, counts = (_values(data, order, *tags[tag]) for tag in (_OFFSETS, _COUNTS))
    except struct.error:
        return len(data) + 1
    except KeyError:  # tiles, or a damaged page
        return 0
    return max((offset + count for offset, count in zip(offsets, counts, strict=False)), default=0)


def _tags(data: bytes, order: str) -> dict[int, tuple[int, int, int]]:
    """Of each tag of the first page its type, how many values it has, and where in the file they are."""
    (start,) = struct.unpack_from(order + "I", data, 4)
    (n,) = struct.unpack_from(order + "H", data, start)
    found = {}
    for at in range(start + 2, start + 2 + 12 * n, 12):
        tag, form, values = struct.unpack_from(order + "HHI", data, at)
        if form in _FORMS:
            inside = values * struct.calcsize(_FORMS[form]) <= 4
            found[tag] = form, values, at + 8 if inside else struct.unpack_from(order + "I", data, at + 8)[0]
    return found


def _values(data: bytes, order: str, form: int, n: int, where: int) -> tuple[int, ...]:
    return struct.unpack_from(f"{order}{n}{_FORMS[form]}", data, where)
