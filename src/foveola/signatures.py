"""What a file that no decoder knows seems to be, told from its first bytes: the reason that a user reads."""

from __future__ import annotations

import codecs

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git-LFS pointer, not the picture: run git lfs pull"),
    (b"%PDF", "not an image: a PDF document"),
    (b"%!PS", "not an image we open: PostScript"),
    (b"\xc5\xd0\xd3\xc6", "not an image we open: PostScript"),
    (b"8BPS", "a Photoshop file: export it as PNG or JPEG"),
    (b"PK\x03\x04", "not an image: a ZIP archive"),
    (b"\x1f\x8b", "not an image: a gzip archive"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000 is not supported: convert it to PNG or JPEG"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 is not supported: convert it to PNG or JPEG"),
    (b"\xff\x0a", "JPEG XL is not supported: convert it to PNG or JPEG"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL is not supported: convert it to PNG or JPEG"),
    (b"\xff\xd8\xff", "a damaged JPEG: its header can't be read"),
    (b"\x89PNG", "a damaged PNG: its header can't be read"),
    (b"GIF8", "a damaged GIF: its header can't be read"),
    (b"RIFF", "a damaged or unsupported RIFF file: its header can't be read as WebP"),
    (b"II*\x00", "a damaged or unsupported TIFF (camera raw files are not supported)"),
    (b"MM\x00*", "a damaged or unsupported TIFF (camera raw files are not supported)"),
    (b"BM", "a damaged BMP: its header can't be read"),
)


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
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "not an image: looks like HTML"
    if head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in head):
        return "SVG drawings are not supported: export it as PNG"
    if data[4:8] == b"ftyp":
        return "not an image we open: a video, or a picture of an unknown ISO kind"
    return "not an image: looks like text" if text else "not an image: unknown content"


def _is_text(head: bytes) -> bool:
    try:
        letters = codecs.getincrementaldecoder("utf-8")().decode(head)  # a letter cut at the end is no fault
    except UnicodeDecodeError:
        return False
    return bool(letters) and all(letter.isprintable() or letter.isspace() or letter == "\ufeff" for letter in letters)
