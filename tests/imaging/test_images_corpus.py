"""2,600 odd files, made from good ones by a seed: each is decoded or refused with a reason, nothing else happens."""

import io
from collections import Counter

import numpy as np
import pillow_heif
import pytest
from PIL import Image as pillow

from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.imaging import file_formats as opening
from foveola.types import Size


def picture(height=40, width=56):
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([y * 5, x * 4, 255 - x - y], axis=2)
    return (smooth + rng.integers(0, 9, smooth.shape)).clip(0, 255).astype(np.uint8)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def good_files():
    """Sixteen good files: every format, and the kinds that take another way through its decoder."""
    rgb = pillow.fromarray(picture())
    exif = pillow.Exif()
    exif[0x0112] = 6
    heic = io.BytesIO()
    pillow_heif.from_pillow(rgb).save(heic, quality=60)
    frames = {"save_all": True, "append_images": [rgb.rotate(90)]}
    return {
        "jpeg": saved(rgb, "JPEG", exif=exif),
        "jpeg progressive": saved(rgb, "JPEG", progressive=True),
        "jpeg cmyk": saved(rgb.convert("CMYK"), "JPEG"),
        "mpo": saved(rgb, "MPO", **frames),
        "png": saved(rgb, "PNG", exif=exif),
        "png palette": saved(rgb.quantize(16), "PNG", transparency=3),
        "png 16": saved(pillow.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50), "PNG"),
        "apng": saved(rgb, "PNG", **frames),
        "gif": saved(rgb, "GIF", **frames),
        "bmp": saved(rgb, "BMP"),
        "tiff": saved(rgb, "TIFF", exif=exif),
        "tiff lzw": saved(rgb, "TIFF", compression="tiff_lzw"),
        "webp": saved(rgb.convert("RGBA"), "WEBP", exif=exif),
        "ppm": saved(rgb, "PPM"),
        "avif": saved(rgb, "AVIF", speed=10),
        "heic": heic.getvalue(),
    }


def spoiled(data, rng):
    """One of: a few bytes flipped (half the time in the header), cut, a piece lost, doubled, zeroed or made of noise."""
    out = bytearray(data)
    kind = rng.integers(0, 7)
    start = int(rng.integers(0, len(out)))
    length = int(rng.integers(1, 64))
    if kind <= 1:
        reach = min(len(out), 256) if kind else len(out)
        for _ in range(rng.integers(1, 6)):
            out[rng.integers(0, reach)] ^= int(rng.integers(1, 256))
    elif kind == 2:
        del out[start:]
    elif kind == 3:
        del out[start : start + length]
    elif kind == 4:
        out[start:start] = out[start : start + length]
    elif kind == 5:
        out[start : start + length] = bytes(length)
    else:
        out[start : start + length] = rng.bytes(length)
    return bytes(out)


GOOD = list(good_files().items())


@pytest.mark.parametrize("number", range(len(GOOD)), ids=[name.replace(" ", "-") for name, _ in GOOD])
def test_an_odd_file_is_decoded_or_refused_with_a_reason(number):
    name, data = GOOD[number]
    rng = np.random.default_rng(number)
    outcomes = Counter()
    with images.suppress_pillow_warnings():
        assert images.decode_and_resize(data, Size(16, 24)).image.shape == (16, 24, 3), name
        for _ in range(150):
            try:
                decoded = images.decode_and_resize(spoiled(data, rng), Size(16, 24))
            except ImageProblem as problem:
                assert 8 < len(str(problem)) < 200
                assert str(problem).isprintable()
                outcomes["refused"] += 1
            else:
                assert decoded.image.shape == (16, 24, 3)
                assert decoded.image.dtype == np.uint8
                assert decoded.height_px * decoded.width_px <= opening.MAX_PIXELS
                outcomes["used"] += 1
    assert outcomes.total() == 150
    assert outcomes["refused"] >= 5, "the spoiling spoils nothing"


def test_noise_and_all_short_files_are_refused():
    rng = np.random.default_rng(99)
    starts = [data[:24] for _, data in GOOD] + [b""]
    with images.suppress_pillow_warnings():
        for k in range(200):
            data = starts[k % len(starts)][: rng.integers(0, 25)] + rng.bytes(int(rng.integers(0, 400)))
            with pytest.raises(ImageProblem):
                images.decode(data)
