import io
import resource
import struct
import sys
import zlib

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image as pillow
from PIL import TiffImagePlugin

from foveola.errors import ImageProblem, UsageError
from foveola.imaging import colour as rgb
from foveola.imaging import decode as images
from foveola.imaging import file_formats as opening
from foveola.imaging.file_formats import describe_unknown_file
from foveola.imaging.resize import resize, shrink
from foveola.types import Size


@pytest.fixture(autouse=True)
def quiet():
    """As `prepare` and `predict` call it: Pillow's warnings silenced."""
    with images.suppress_pillow_warnings():
        yield


def heic(image, **options):
    out = io.BytesIO()
    pillow_heif.from_pillow(pillow.fromarray(image)).save(out, quality=-1, chroma=444, **options)
    return out.getvalue()


def by_opencv(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1]


def refusal(data):
    with pytest.raises(ImageProblem) as caught:
        images.decode(data)
    return str(caught.value)


def png_header(width, height, depth=8, colour=2):
    """A PNG that is all header: signature, IHDR, an IDAT of a few bytes."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
    )


# The formats


LOSSLESS = {
    "PNG": {},
    "BMP": {},
    "DIB": {},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "TIFF deflate": {"compression": "tiff_adobe_deflate"},
    "WEBP": {"lossless": True},
    "PPM": {},
}


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_lossless_format_gives_exactly_its_pixels(ramp, encoded, format):
    decoded = images.decode(encoded(ramp(), format.split()[0], **LOSSLESS[format]))
    assert np.array_equal(decoded.image, ramp())
    assert decoded.image.dtype == np.uint8
    assert (decoded.format, decoded.height_px, decoded.width_px) == (format.split()[0], 24, 36)
    assert (decoded.orientation, decoded.reduced, decoded.notes) == (1, False, ())


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 97}, {"optimize": True}])
def test_a_jpeg_is_what_opencv_sees(ramp, encoded, options):
    data = encoded(ramp(), "JPEG", **options)
    decoded = images.decode(data)
    assert np.abs(decoded.image.astype(int) - by_opencv(data)).max() <= 2
    assert (decoded.format, decoded.reduced) == ("JPEG", False)


def test_a_grey_jpeg_becomes_three_equal_channels(ramp, encoded):
    data = encoded(pillow.fromarray(ramp()[..., 0]), "JPEG")
    image = images.decode(data).image
    assert np.abs(image.astype(int) - by_opencv(data)).max() <= 2
    assert (image[..., 0] == image[..., 2]).all()


def test_a_lossy_webp_is_what_opencv_sees(ramp, encoded):
    data = encoded(ramp(), "WEBP", quality=80)
    assert np.abs(images.decode(data).image.astype(int) - by_opencv(data)).max() <= 2


def test_an_avif_is_close_to_its_picture(ramp, encoded):
    decoded = images.decode(encoded(ramp(), "AVIF", quality=100, subsampling="4:4:4", speed=10))
    assert decoded.format == "AVIF"
    assert np.abs(decoded.image.astype(int) - ramp()).max() <= 4


def test_a_heic_is_close_to_its_picture(ramp):
    decoded = images.decode(heic(ramp()))
    assert (decoded.format, decoded.height_px, decoded.width_px) == ("HEIC", 24, 36)
    assert np.abs(decoded.image.astype(int) - ramp()).mean() <= 3


def test_a_gif_gives_its_palettes_colours(encoded):
    image = np.zeros((8, 12, 3), np.uint8)
    image[2:5, 3:9] = (250, 10, 128)
    decoded = images.decode(encoded(image, "GIF"))
    assert np.array_equal(decoded.image, image)
    assert (decoded.format, decoded.notes) == ("GIF", ())


def test_a_pgm_gives_three_equal_channels(ramp, encoded):
    grey = ramp()[..., 1]
    decoded = images.decode(encoded(pillow.fromarray(grey), "PPM"))
    assert np.array_equal(decoded.image, np.repeat(grey[..., None], 3, axis=2))
    assert decoded.format == "PPM"


def test_text_pgm_and_pbm_are_read_by_hand():
    assert images.decode(b"P2 2 1 255\n0 200\n").image[0, :, 0].tolist() == [0, 200]
    assert images.decode(b"P1\n3 1\n0 1 0\n").image[0, :, 0].tolist() == [255, 0, 255]


# 8-bit, 16-bit and others


SIXTEEN = np.array([[0, 255, 256, 257, 511], [512, 32768, 43981, 65279, 65535]], np.uint16)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_keeps_its_high_byte(encoded, format):
    decoded = images.decode(encoded(pillow.fromarray(SIXTEEN), format))
    assert np.array_equal(decoded.image, np.repeat((SIXTEEN >> 8).astype(np.uint8)[..., None], 3, axis=2))
    assert decoded.notes == ("16-bit samples reduced to 8 bits",)


def test_16_bit_grey_tiff_of_the_other_byte_order_too():
    ok, data = cv2.imencode(".tiff", SIXTEEN)
    assert ok
    assert np.array_equal(images.decode(data.tobytes()).image[..., 1], SIXTEEN >> 8)
    big = b"P5 5 2 65535\n" + SIXTEEN.astype(">u2").tobytes()
    assert np.array_equal(images.decode(big).image[..., 1], SIXTEEN >> 8)


def test_16_bit_grey_with_a_transparent_value_is_laid_on_white():
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in SIXTEEN)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 2, 16, 0, 0, 0, 0))
    data += chunk(b"tRNS", struct.pack(">H", 257)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert images.decode(data).image[0, :, 0].tolist() == [0, 0, 1, 255, 1]


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_16_bit_colour_keeps_its_high_byte(extension):
    colour = np.random.default_rng(0).integers(0, 65536, (9, 7, 3), np.uint16)
    _, data = cv2.imencode(extension, colour[..., ::-1])
    assert np.array_equal(images.decode(data.tobytes()).image, colour >> 8)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_32_bit_samples_are_refused(encoded, dtype):
    data = encoded(pillow.fromarray(np.arange(12, dtype=dtype).reshape(3, 4)), "TIFF")
    assert refusal(data) == "32-bit samples have no fixed range of brightness: save it with 8 or 16 bits"


def test_one_bit_is_black_and_white(encoded):
    bits = np.array([[True, False, True], [False, False, True]])
    for format in ("PNG", "TIFF", "BMP"):
        image = images.decode(encoded(pillow.fromarray(bits), format)).image
        assert np.array_equal(image, np.repeat(bits[..., None], 3, axis=2) * np.uint8(255))


@pytest.mark.parametrize("colours", [2, 4, 16, 200])
def test_a_palette_png_of_any_depth_gives_its_colours(encoded, colours):
    palette = np.random.default_rng(colours).integers(0, 256, (colours, 3), np.uint8)
    index = np.arange(10 * 20, dtype=np.uint8).reshape(10, 20) % colours
    picture = pillow.fromarray(index).convert("L")
    picture.putpalette(palette.tobytes())
    assert np.array_equal(images.decode(encoded(picture, "PNG")).image, palette[index])


def test_a_palettes_transparent_entry_is_laid_on_white(encoded):
    picture = pillow.fromarray(np.array([[0, 1, 2]], np.uint8))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    decoded = images.decode(encoded(picture, "PNG", transparency=1))
    assert decoded.image.tolist() == [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]
    assert decoded.notes == ("transparency replaced by white",)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_on_white_and_hides_what_is_below(encoded, format):
    rgba = np.array([[[10, 20, 30, 255], [200, 0, 0, 0], [0, 100, 200, 128]]], np.uint8)
    decoded = images.decode(encoded(rgba, format, **({"lossless": True} if format == "WEBP" else {})))
    # 128/255 of the colour and 127/255 of white
    assert decoded.image.tolist() == [[[10, 20, 30], [255, 255, 255], [127, 177, 227]]]
    assert decoded.notes == ("transparency replaced by white",)


def test_grey_with_alpha_is_laid_on_white(encoded):
    picture = pillow.merge("LA", (pillow.new("L", (2, 1), 40), pillow.fromarray(np.array([[255, 0]], np.uint8))))
    assert images.decode(encoded(picture, "PNG")).image[0, :, 0].tolist() == [40, 255]


def test_a_transparent_colour_of_an_rgb_png_is_laid_on_white(encoded):
    image = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    decoded = images.decode(encoded(image, "PNG", transparency=(4, 5, 6)))
    assert decoded.image.tolist() == [[[1, 2, 3], [255, 255, 255]]]


def test_a_cmyk_jpeg_is_what_opencv_sees(ramp, encoded):
    data = encoded(pillow.fromarray(ramp()).convert("CMYK"), "JPEG", quality=95)
    decoded = images.decode(data)
    assert np.abs(decoded.image.astype(int) - by_opencv(data)).max() <= 4
    assert decoded.notes == ("converted from CMYK",)


# Animations and pages


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_several_frames_the_first_is_taken_and_said(encoded, format):
    frames = [pillow.new("RGB", (16, 16), colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    options = {"lossless": True} if format == "WEBP" else {}
    decoded = images.decode(encoded(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert np.abs(decoded.image[8, 8].astype(int) - (255, 0, 0)).max() <= 3
    assert decoded.notes == ("only the first of several frames or pages is used",)


def test_a_phones_multi_picture_jpeg_counts_as_jpeg(ramp, encoded):
    data = encoded(pillow.fromarray(ramp()), "MPO", save_all=True, append_images=[pillow.new("RGB", (9, 9))])
    decoded = images.decode(data)
    assert (decoded.format, decoded.notes) == ("JPEG", ())
    assert np.abs(decoded.image.astype(int) - by_opencv(data)).max() <= 2


# Orientation


UPRIGHT = {
    1: lambda s: s,
    2: lambda s: s[:, ::-1],
    3: lambda s: s[::-1, ::-1],
    4: lambda s: s[::-1],
    5: lambda s: s.transpose(1, 0, 2),
    6: lambda s: s.transpose(1, 0, 2)[:, ::-1],
    7: lambda s: s[::-1, ::-1].transpose(1, 0, 2),
    8: lambda s: s.transpose(1, 0, 2)[::-1],
}


def tagged(encoded, image, format, orientation):
    options = {"lossless": True} if format == "WEBP" else {}
    if format == "TIFF lzw":
        options["compression"] = "tiff_lzw"
    exif = pillow.Exif()
    exif[0x0112] = orientation
    return encoded(image, format.split()[0], exif=exif, **options)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "TIFF lzw", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied_once(ramp, encoded, format, orientation):
    stored = images.decode(tagged(encoded, ramp(), format, 1)).image
    decoded = images.decode(tagged(encoded, ramp(), format, orientation))
    assert np.array_equal(decoded.image, UPRIGHT[orientation](stored))
    assert (decoded.height_px, decoded.width_px) == decoded.image.shape[:2]
    assert decoded.notes == (("rotated upright by the EXIF orientation",) if orientation > 1 else ())


@pytest.mark.parametrize("orientation", [6, 8])
def test_heic_and_avif_are_turned_once(ramp, encoded, orientation):
    exif = pillow.Exif()
    exif[0x0112] = orientation
    for data in (
        heic(ramp(), exif=exif.tobytes()),
        encoded(ramp(), "AVIF", exif=exif, quality=100, subsampling="4:4:4", speed=10),
    ):
        image = images.decode(data).image
        assert image.shape == (36, 24, 3)
        assert np.abs(image.astype(int) - UPRIGHT[orientation](ramp())).mean() <= 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_is_upright(ramp, encoded, format, orientation):
    stored = images.decode(tagged(encoded, ramp(), format, 1)).image
    decoded = images.decode(tagged(encoded, ramp(), format, orientation))
    assert np.array_equal(decoded.image, stored)
    assert (decoded.orientation, decoded.notes) == (1, ())


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08" + b"\0\x01\x01\x12\0\x05\0\0\0\x01\xff\xff\xff\xff" + b"\0\0\0\x08",
        b"Exif\0\0" + b"\x00\xff" * 30000,
    ],
)
def test_broken_exif_is_ignored(ramp, encoded, exif):
    plain = encoded(ramp(), "JPEG")
    decoded = images.decode(encoded(ramp(), "JPEG", exif=exif))
    assert np.array_equal(decoded.image, images.decode(plain).image)
    assert decoded.orientation == 1


def test_a_reduced_jpeg_is_turned_too(ramp, encoded):
    whole = images.decode(tagged(encoded, ramp(160, 240), "JPEG", 6))
    reduced = images.decode(tagged(encoded, ramp(160, 240), "JPEG", 6), enough=lambda *_: Size(60, 40))
    assert (reduced.height_px, reduced.width_px, reduced.orientation) == (240, 160, 6)
    assert reduced.image.shape == (60, 40, 3)
    assert np.abs(resize(whole.image, Size(60, 40)).astype(int) - reduced.image).mean() < 2


@pytest.mark.parametrize(
    ("how", "reduced"),
    [
        ("pad", True),  # 160x640 is padded from 16x64: 40x160 has one and a half times that
        ("crop", False),  # cut from 64x256, and 80x320 has less than 96x384
        ("stretch", False),  # 64x64, and 80x320 is too low
    ],
)
def test_a_jpeg_is_reduced_for_the_size_it_is_scaled_to(ramp, encoded, how, reduced):
    decoded = images.decode_and_resize(encoded(ramp(160, 640), "JPEG"), Size(64, 64), how)
    assert decoded.reduced == reduced
    assert decoded.image.shape == (64, 64, 3)


# Damage


CUTTABLE = {
    "JPEG": {},
    "JPEG progressive": {"progressive": True},
    "PNG": {},
    "BMP": {},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "TIFF deflate": {"compression": "tiff_adobe_deflate"},
    "TIFF jpeg": {"compression": "jpeg"},
    "GIF": {},
    "WEBP": {},
    "PPM": {},
    "AVIF": {"speed": 10},
    "HEIC": {},
}


@pytest.mark.parametrize("format", CUTTABLE)
def test_a_cut_file_is_refused_or_whole_never_half(ramp, encoded, format):
    image = ramp(60, 60)
    data = heic(image) if format == "HEIC" else encoded(image, format.split()[0], **CUTTABLE[format])
    whole = images.decode(data).image
    ends = {len(data) * percent // 100 for percent in range(100)} | {len(data) - k for k in (1, 2, 3, 10, 50)}
    refused = 0
    for end in sorted(ends):
        try:
            part = images.decode(data[:end]).image
        except ImageProblem:
            refused += 1
        else:
            assert np.array_equal(part, whole), f"cut at {end} of {len(data)}"
    assert refused >= len(ends) - 15


def test_a_jpeg_cut_in_its_middle_says_so(ramp, encoded):
    data = encoded(ramp(60, 60), "JPEG")
    assert refusal(data[: len(data) - 200]).startswith("cut short (image file is truncated")


@pytest.mark.parametrize("format", ["JPEG", "JPEG progressive", "PNG", "BMP", "TIFF", "GIF", "WEBP", "AVIF", "HEIC"])
def test_the_end_of_a_cut_file_tells_it_from_a_damaged_one(ramp, encoded, format):
    image = ramp(60, 60)
    data = heic(image) if format == "HEIC" else encoded(image, format.split()[0], **CUTTABLE[format])
    assert refusal(data[: len(data) * 2 // 3]).startswith("cut short (")


def test_what_a_decoder_says_does_not_decide_what_is_wrong(ramp, encoded, monkeypatch):
    def refuse(*arguments):
        raise OSError("truncated, incomplete, cut")

    monkeypatch.setattr(rgb, "_to_rgb", refuse)
    assert refusal(encoded(ramp())) == "damaged (truncated, incomplete, cut)"


@pytest.mark.parametrize("lost", [100, 1000, 20_000])
def test_a_reduced_jpeg_that_is_cut_is_refused(noise, encoded, lost):
    data = encoded(noise(1, 300, 300), "JPEG")
    with pytest.raises(ImageProblem, match="cut short"):
        images.decode_and_resize(data[:-lost], Size(32, 32))


def test_a_png_without_its_last_chunk_is_whole(ramp, encoded):
    data = encoded(ramp())
    assert np.array_equal(images.decode(data[:-12]).image, ramp())


def test_a_gif_without_its_end_is_whole(encoded):
    data = encoded(pillow.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)), "GIF")
    for lost in (1, 2):  # the trailer; and the end of the last block
        assert np.array_equal(images.decode(data[:-lost]).image, images.decode(data).image)


def test_bytes_after_the_end_do_no_harm(ramp, encoded):
    for format in ("JPEG", "PNG"):
        data = encoded(ramp(), format)
        assert np.array_equal(images.decode(data + b"PK\x03\x04<html>").image, images.decode(data).image)


# Bombs


@pytest.mark.parametrize(
    ("height", "width", "reason"),
    [
        (12_000, 12_000, "144,000,000 pixels, over the limit of 120,000,000"),
        (33_000, 33_000, "more than 178,956,970 pixels, over the limit of 120,000,000"),
        (65_535, 65_535, "more than 178,956,970 pixels, over the limit of 120,000,000"),
        (2, 30_001, "a side of 30,001 pixels, over the limit of 30,000"),
        (30_001, 2, "a side of 30,001 pixels, over the limit of 30,000"),
    ],
)
def test_a_bomb_is_refused_from_its_header(height, width, reason):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(png_header(width, height)) == reason
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB; the pixels would be 360,000


def test_a_bomb_that_is_a_whole_file_is_refused_without_its_pixels(encoded):
    data = encoded(pillow.new("1", (12_000, 12_000)), "PNG")
    assert len(data) < 30_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(data) == "144,000,000 pixels, over the limit of 120,000,000"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


def test_a_jpeg_header_of_65535_squared_is_refused(encoded, ramp):
    data = bytearray(encoded(ramp(), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    assert refusal(bytes(data)) == "more than 178,956,970 pixels, over the limit of 120,000,000"


def test_a_heic_bomb_is_refused_before_it_is_decoded(ramp, monkeypatch):
    monkeypatch.setattr(opening, "MAX_PIXELS", 800)
    monkeypatch.setattr(pillow_heif.HeifFile, "to_pillow", lambda self: pytest.fail("decoded"))
    assert refusal(heic(ramp())) == "864 pixels, over the limit of 800"


def test_the_limits_hold_on_both_sides(encoded, ramp, monkeypatch):
    monkeypatch.setattr(opening, "MAX_PIXELS", 24 * 36)
    monkeypatch.setattr(opening, "MAX_SIDE_PX", 36)
    assert images.decode(encoded(ramp())).width_px == 36
    assert refusal(encoded(ramp(25, 36))) == "900 pixels, over the limit of 864"
    assert refusal(encoded(ramp(1, 37))) == "a side of 37 pixels, over the limit of 36"


def test_too_long_a_file_is_refused(monkeypatch):
    monkeypatch.setattr(opening, "MAX_BYTES", 1000)
    assert refusal(bytes(1001)) == "the file has 1,001 bytes, over the limit of 1,000"


def test_no_memory_is_said(ramp, encoded, monkeypatch):
    def refuse(*args):
        raise MemoryError

    monkeypatch.setattr(rgb, "_to_rgb", refuse)
    assert refusal(encoded(ramp())) == "not enough memory to decode it"


# What is no image


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"\xff\xd8\xff", "cut short: only 3 bytes"),
        (b"\x00", "cut short: only 1 byte"),
        (b"\x89PNG\r\n\x1a\n", "cut short: only 8 bytes"),
        (b"abc", "not an image: looks like text"),
        (b"<!DOCTYPE HTML><title>404</title>", "not an image: looks like HTML"),
        (b"\xef\xbb\xbf\n <html lang='de'>", "not an image: looks like HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawings are not supported: export it as PNG"),
        (b"<?xml version='1.0'?><!-- x --><svg/>", "SVG drawings are not supported: export it as PNG"),
        (b"Dear reader, this is no picture.\n", "not an image: looks like text"),
        ("Größe: 3\n".encode() * 300, "not an image: looks like text"),
        (b"x" + "ü".encode() * 1000, "not an image: looks like text"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
            "a Git-LFS pointer, not the image: run git lfs pull",
        ),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3" + bytes(20), "not an image: a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a supported image: PostScript"),
        (b"8BPS\0\x01" + bytes(20), "a Photoshop file: export it as PNG or JPEG"),
        (b"PK\x03\x04" + bytes(40), "not an image: a ZIP archive"),
        (b"\x1f\x8b\x08" + bytes(40), "not an image: a gzip archive"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(20), "JPEG 2000 is not supported: convert it to PNG or JPEG"),
        (b"\xff\x4f\xff\x51" + bytes(20), "JPEG 2000 is not supported: convert it to PNG or JPEG"),
        (b"\xff\x0a" + bytes(20), "JPEG XL is not supported: convert it to PNG or JPEG"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(20), "JPEG XL is not supported: convert it to PNG or JPEG"),
        (b"\xff\xd8\xff" + bytes(20), "a damaged JPEG: its header can't be read"),
        (b"GIF89a" + b"\0" * 2, "cut short: only 8 bytes"),
        (b"RIFF\x10\0\0\0WAVEfmt " + bytes(20), "not an image: a sound (WAV)"),
        (b"RIFF\x10\0\0\0AVI LIST" + bytes(20), "not an image: a video (AVI)"),
        (b"RIFF\x10\0\0\0WEBPVP9 " + bytes(20), "a damaged WebP: its header can't be read"),
        (b"RIFF\x10\0\0\0CDDAfmt " + bytes(20), "not an image: a RIFF file, but not WebP"),
        (b"\x1aE\xdf\xa3" + bytes(20), "not an image: a video (Matroska or WebM)"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "not an image: an HDF5 file"),
        (bytes(128) + b"DICM" + bytes(20), "a DICOM file, which is not supported: export it as PNG"),
        (b"\x0a\x05\x01" + bytes(40), "not an image: unknown content"),
        (b"II*\0" + bytes(20), "a damaged or unsupported TIFF (camera raw files are not supported)"),
        (b"MM\0*" + bytes(20), "a damaged or unsupported TIFF (camera raw files are not supported)"),
        (b"\0\0\0\x18ftypmp42" + bytes(20), "not a supported image: a video, or an image of an unknown ISO kind"),
        (bytes(range(256)), "not an image: unknown content"),
        (b"\xfe\x80" * 1000, "not an image: unknown content"),
    ],
)
def test_what_is_no_picture_is_named(data, reason):
    assert refusal(data) == reason


@pytest.mark.parametrize(
    ("format", "name"),
    [("ICO", "an icon (ICO)"), ("TGA", "a TGA image"), ("PCX", "a PCX image"), ("SGI", "an SGI image")],
)
def test_images_of_other_formats_are_named_with_the_way_out(encoded, ramp, format, name):
    assert refusal(encoded(ramp(), format)) == f"{name}, which is not supported: convert it to PNG"


def test_a_numpy_array_is_named_with_the_way_out():
    out = io.BytesIO()
    np.save(out, np.zeros((4, 4, 3), np.uint8))
    assert refusal(out.getvalue()) == (
        "a NumPy array, not an image file: put the arrays into one .npz file, or save them as PNG"
    )


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 20, "a damaged PNG: its header can't be read"),
        (b"GIF89a", "a damaged GIF: its header can't be read"),
        (b"BM" + bytes(20), "a damaged BMP: its header can't be read"),
    ],
)
def test_a_broken_header_is_named(start, reason):
    assert describe_unknown_file(start) == reason


def test_a_header_without_pixels_is_refused():
    with pytest.raises(ImageProblem) as caught:
        opening.check_limits(0, 7)
    assert str(caught.value) == "its header gives 7x0 pixels, so it contains no image"


def test_a_real_jpeg_2000_is_named(ramp, encoded):
    assert refusal(encoded(ramp(), "JPEG2000")) == "JPEG 2000 is not supported: convert it to PNG or JPEG"


def test_postscript_is_never_opened(ramp, encoded):
    assert refusal(encoded(ramp(), "EPS")) == "not a supported image: PostScript"


def test_heic_without_its_package_says_how_to_get_it(ramp, monkeypatch):
    data = heic(ramp())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert refusal(data) == 'HEIC needs a package that is not installed: pip install "foveola[heic]"'


# Resizing


def test_padding_by_hand_for_a_wide_picture():
    wide = np.full((10, 40, 3), 200, np.uint8)
    padded = resize(wide, Size(16, 20))  # 40 -> 20, so 10 -> 5; (16 - 5) // 2 = 5 rows above
    assert padded.shape == (16, 20, 3)
    assert padded[:, 7, 1].tolist() == [0] * 5 + [200] * 5 + [0] * 6


def test_padding_by_hand_for_a_tall_picture_in_a_wide_frame():
    tall = np.full((30, 10, 3), 99, np.uint8)
    padded = resize(tall, Size(12, 24))  # 30 -> 12, so 10 -> 4; (24 - 4) // 2 = 10 columns left
    assert padded.shape == (12, 24, 3)
    assert padded[3, :, 0].tolist() == [0] * 10 + [99] * 4 + [0] * 10


def test_cropping_keeps_the_middle():
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 15:25] = 255
    assert (resize(wide, Size(8, 8), "crop")[:, 1:-1] == 255).all()
    assert (resize(wide.transpose(1, 0, 2), Size(8, 8), "crop")[1:-1] == 255).all()


def test_stretching_reaches_all_four_edges(ramp):
    stretched = resize(ramp(24, 48), Size(48, 24), "stretch")
    assert stretched.shape == (48, 24, 3)
    assert np.abs(stretched.astype(int) - ramp(48, 24)).max() <= 8


@pytest.mark.parametrize("how", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("shape", [(1, 10_000), (10_000, 1), (1, 1), (3, 7), (333, 8)])
def test_every_picture_gets_exactly_its_size(how, shape):
    image = resize(np.full((*shape, 3), 7, np.uint8), Size(24, 40), how)
    assert (image.shape, image.dtype) == ((24, 40, 3), np.uint8)
    assert (image == 7).any()


def test_a_picture_of_the_right_size_is_left_alone(noise):
    for how in ("pad", "crop", "stretch"):
        assert np.array_equal(resize(noise(1), Size(16, 12), how), noise(1))


def test_shrinking_is_close_to_opencvs_area_mean(noise):
    smooth = cv2.GaussianBlur(noise(3, 64, 96), (0, 0), 6)
    ours = resize(smooth, Size(16, 24), "stretch").astype(int)
    assert np.abs(ours - cv2.resize(smooth, (24, 16), interpolation=cv2.INTER_AREA)).mean() < 1.5


def test_shrink_keeps_proportions_and_never_enlarges(ramp):
    assert shrink(ramp(60, 30), 20).shape == (20, 10, 3)
    assert shrink(ramp(600, 300), 20).shape == (20, 10, 3)
    assert shrink(ramp(1, 60), 10).shape == (1, 10, 3)
    assert shrink(ramp(10, 12), 12) is not None
    assert np.array_equal(shrink(ramp(10, 12), 99), ramp(10, 12))


# Reading for training


def test_a_large_jpeg_is_decoded_reduced_and_looks_the_same(ramp, encoded):
    data = encoded(ramp(1000, 800), "JPEG", quality=90)
    seen = images.decode_and_resize(data, Size(96, 96))
    whole = resize(images.decode(data).image, Size(96, 96))
    assert seen.reduced
    assert (seen.height_px, seen.width_px, seen.image.shape) == (1000, 800, (96, 96, 3))
    assert np.abs(seen.image.astype(int) - whole).mean() < 1.0


def test_a_reduced_jpeg_keeps_at_least_what_is_enough(ramp, encoded):
    data = encoded(ramp(400, 300), "JPEG")
    assert images.decode(data, enough=lambda *_: Size(200, 150)).image.shape == (200, 150, 3)
    assert images.decode(data, enough=lambda *_: Size(201, 150)).image.shape == (400, 300, 3)
    assert images.decode(data, enough=lambda *_: Size(10, 10)).image.shape == (50, 38, 3)


def test_a_small_jpeg_is_not_reduced(ramp, encoded):
    assert not images.decode_and_resize(encoded(ramp(60, 60), "JPEG"), Size(32, 32)).reduced


@pytest.mark.parametrize("how", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF"])
def test_read_gives_exactly_the_size(ramp, encoded, how, format):
    for shape in ((1, 50), (50, 1), (300, 200), (24, 40)):
        assert images.decode_and_resize(encoded(ramp(*shape), format), Size(24, 40), how).image.shape == (24, 40, 3)


def test_the_content_tells_pictures_apart_not_files(ramp, noise, encoded):
    png, bmp = images.decode(encoded(ramp(), "PNG")), images.decode(encoded(ramp(), "BMP"))
    assert png.content == bmp.content
    assert len(png.content) == 32
    assert images.decode(encoded(noise(1))).content != png.content


def test_encoding_and_decoding_gives_the_picture_back(ramp):
    assert np.array_equal(images.decode(images.encode(ramp())).image, ramp())
    jpeg = images.decode(images.encode(ramp(), "JPEG", quality=95))
    assert jpeg.format == "JPEG"
    assert np.abs(jpeg.image.astype(int) - ramp()).mean() < 4


@pytest.mark.parametrize("shape", [(1, 65_501), (65_501, 1)])
def test_a_side_that_no_jpeg_has(shape):
    with pytest.raises(UsageError) as error:
        images.encode(np.zeros((*shape, 3), np.uint8), "JPEG")
    made = "x".join(map(str, reversed(shape)))
    assert (
        str(error.value)
        == f"an image of {made} can't be a JPEG, whose sides are at most 65,500 pixels: write it as .png"
    )


def test_the_longest_jpeg_is_written():
    data = images.encode(np.zeros((1, 65_500, 3), np.uint8), "JPEG")
    assert images.size_of(data) == (1, 65_500)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/></x:xmpmeta>'


@pytest.mark.parametrize("tags", [{274: 6}, {700: XMP}])
def test_a_tiff_that_is_turned_has_the_size_that_it_is_shown_at(tags):
    file = io.BytesIO()
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[tag] = value
    pillow.fromarray(np.zeros((12, 30, 3), np.uint8)).save(file, "TIFF", tiffinfo=info)
    decoded = images.decode(file.getvalue())
    assert decoded.image.shape == (30, 12, 3)
    assert (decoded.height_px, decoded.width_px) == (30, 12)


def test_the_size_of_a_turned_tiff_is_upright():
    file = io.BytesIO()
    exif = pillow.Exif()
    exif[274] = 6
    pillow.fromarray(np.zeros((12, 30, 3), np.uint8)).save(file, "TIFF", exif=exif)
    assert images.size_of(file.getvalue()) == (30, 12)
