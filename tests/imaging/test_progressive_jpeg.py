"""Progressive JPEG files, decoded at a reduced size: the same pixels as a baseline file with the same coefficients."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as pillow

from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.types import Image, Size


def photo(height: int, width: int) -> Image:
    """Soft shapes with noise on them, so that every scan of the file has content."""
    rng = np.random.default_rng(5)
    soft = pillow.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize((width, height))
    return np.clip(np.asarray(soft) + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)


def jpeg(image: Image, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    pillow.fromarray(image).convert(mode).save(file, "JPEG", **{"quality": 90, "progressive": True, **options})
    return file.getvalue()


@pytest.mark.parametrize("side", [480, 240, 90, 8])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_progressive_file_gives_the_pixels_of_a_baseline_file(side: int, subsampling: str) -> None:
    image, size = photo(1290, 970), Size(side, side)
    progressive = images.decode_and_resize(jpeg(image, subsampling=subsampling), size)
    baseline = images.decode_and_resize(jpeg(image, subsampling=subsampling, progressive=False), size)
    assert np.array_equal(progressive.image, baseline.image)
    assert progressive.content == baseline.content
    assert progressive.reduced == (side < 480)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_give_the_pixels_of_a_baseline_file(mode: str) -> None:
    image = photo(1290, 970)
    progressive = images.decode_and_resize(jpeg(image, mode), Size(90, 90))
    baseline = images.decode_and_resize(jpeg(image, mode, progressive=False), Size(90, 90))
    assert np.array_equal(progressive.image, baseline.image)


def test_a_large_progressive_photo_that_is_cut_is_refused_at_a_reduced_size() -> None:
    with pytest.raises(ImageProblem, match="cut short"):
        images.decode_and_resize(jpeg(photo(1290, 970))[:-5000], Size(96, 96))


def test_a_large_progressive_photo_is_turned_upright() -> None:
    exif = pillow.Exif()
    exif[0x0112] = 6
    upright = images.decode_and_resize(jpeg(photo(1290, 970)), Size(96, 72), "stretch").image
    turned = images.decode_and_resize(jpeg(photo(1290, 970), exif=exif), Size(72, 96), "stretch").image
    assert np.abs(turned.astype(int) - np.rot90(upright, -1)).max() <= 1


@pytest.mark.parametrize(
    ("scan", "at", "value"),
    [(1, 8, 0x45), (5, 9, 0x31), (1, 4, 2), (1, 7, 6), (9, 8, 0x45), (1, 9, 0x0E)],
    ids=["last", "bits before", "components", "first after last", "last of the last", "bits"],
)
def test_a_scan_that_libjpeg_does_not_accept_is_refused(scan: int, at: int, value: int) -> None:
    data = bytearray(jpeg(photo(1290, 970)))
    starts = [k for k in range(len(data)) if data[k : k + 2] == b"\xff\xda"]  # never within a scan's bits
    data[starts[scan] + at] = value
    with pytest.raises(ImageProblem):
        images.decode_and_resize(bytes(data), Size(96, 96))
