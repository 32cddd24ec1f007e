"""What a file that no decoder knows seems to be, told from its first bytes: the reason that a user reads."""

from __future__ import annotations

import codecs

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git-LFS pointer, not the picture: run git lfs pull"),
    (b"%PDF", "not an image: a PDF document"),
    (b"%!PS", "not an image we open: PostScript"),
    (b"\xc5\xd0\xd3\xc6", "not an image we open: PostScript"),
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


def what_is(data: bytes) -> str:
    """Say what a file that no decoder knows seems to be.

    >>> what_is(b"<!DOCTYPE html><html>"), what_is(b"hello\\n")
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
        return "not an image we open: a video, or a picture of an unknown ISO kind"
    return "not an image: looks like text" if text else "not an image: unknown content"


def _at_other_places(data: bytes) -> str:
    """What a file is whose mark is not at its first byte, or needs a second look; "" if it is none of these."""
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12], "not an image: a RIFF file that is no WebP")
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
