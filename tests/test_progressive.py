"""Progressive JPEGs without the scans that 1/8 does not need: the same pixels, from fewer bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as pillow

from foveola import progressive
from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.progressive import without_fine_scans
from foveola.types import Image, Size


def photo(height: int, width: int) -> Image:
    """Soft shapes with noise on them: what fills all scans."""
    rng = np.random.default_rng(5)
    soft = pillow.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize((width, height))
    return np.clip(np.asarray(soft) + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)


def jpeg(image: Image, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    pillow.fromarray(image).convert(mode).save(file, "JPEG", **{"quality": 90, "progressive": True, **options})
    return file.getvalue()


def at_eighth(data: bytes) -> Image:
    with pillow.open(io.BytesIO(data)) as picture:
        whole = picture.size
        picture.draft(None, (whole[0] // 8, whole[1] // 8))
        assert picture.size == (-(-whole[0] // 8), -(-whole[1] // 8))
        return np.asarray(picture.convert("RGB"))


SHAPES = [(160, 240), (161, 243), (1000, 1447), (8, 8)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_colours_at_an_eighth_are_the_same_to_the_last_bit(shape: tuple[int, int], subsampling: str) -> None:
    data = jpeg(photo(*shape), subsampling=subsampling)
    assert np.array_equal(at_eighth(without_fine_scans(data)), at_eighth(data))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_at_an_eighth_are_the_same_to_the_last_bit(mode: str) -> None:
    data = jpeg(photo(161, 243), mode)
    assert np.array_equal(at_eighth(without_fine_scans(data)), at_eighth(data))


def test_a_file_that_starts_again_after_each_row_of_blocks_gives_the_same() -> None:
    data = jpeg(photo(161, 243), restart_marker_rows=1)
    lean = without_fine_scans(data)
    assert len(lean) < len(data)
    assert np.array_equal(at_eighth(lean), at_eighth(data))


def test_the_fine_scans_of_the_luma_are_most_of_the_file() -> None:
    data = jpeg(photo(480, 640))
    assert len(without_fine_scans(data)) < len(data) / 3


def test_without_them_all_coefficients_but_the_means_are_zero() -> None:
    with pillow.open(io.BytesIO(without_fine_scans(jpeg(photo(64, 64), "L")))) as picture:
        blocks = np.asarray(picture).reshape(8, 8, 8, 8)
    assert (np.ptp(blocks, axis=(1, 3)) == 0).all()


def test_five_blocks_of_zeros_are_written_as_the_format_says() -> None:
    # EOB2 is for 4 to 7 blocks: its code, the third of 4 bits, 0010; then 5 - 4 in two bits, 01; ones to the byte's end.
    assert progressive._zeros(7, 5) == bytes([0xFF, 0xDA, 0, 8, 1, 7, 0, 1, 63, 0, 0b00100111])


def test_more_blocks_than_one_run_holds_are_written_in_several() -> None:
    # 32,767 = 16,384 + 16,383 by EOB14, 1110 and 14 ones; then one block by EOB0, 0000; ones to the byte's end. In a
    # scan's bits 0xFF is followed by 0.
    coded = bytes([0b11101111, 0b11111111, 0, 0b11000011])
    assert progressive._zeros(1, 32_768)[10:] == coded


def baseline() -> bytes:
    return jpeg(photo(64, 96), progressive=False)


def cut() -> bytes:
    return jpeg(photo(64, 96))[:-100]


def without_its_last_scan() -> bytes:
    data = jpeg(photo(64, 96))
    return data[: data.rindex(b"\xff\xda")] + b"\xff\xd9"


def png() -> bytes:
    file = io.BytesIO()
    pillow.fromarray(photo(20, 20)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "make", [baseline, cut, without_its_last_scan, png, bytes, lambda: b"\xff", lambda: b"\xff\xd8"]
)
def test_what_has_nothing_to_leave_out_or_not_all_scans_stays_as_it_is(make: Any) -> None:
    data = make()
    assert without_fine_scans(data) == data


def test_what_follows_the_end_of_the_picture_is_kept() -> None:
    data = jpeg(photo(64, 96))
    assert without_fine_scans(data + b"more") == without_fine_scans(data) + b"more"


def test_damaged_files_are_taken_too() -> None:
    data, rng = jpeg(photo(64, 96), restart_marker_rows=1), np.random.default_rng(3)
    for _ in range(500):
        harmed = bytearray(data)
        for _ in range(rng.integers(1, 6)):
            harmed[rng.integers(len(harmed))] = rng.integers(256)
        given = bytes(harmed[: rng.integers(len(harmed) + 1)])
        assert len(without_fine_scans(given)) <= len(given) + 100  # no exception, and at most an empty scan is added


def test_reading_a_large_progressive_photo_takes_the_short_file_and_gives_the_same(monkeypatch: Any) -> None:
    data, size = jpeg(photo(1290, 970)), Size(96, 96)
    taken: list[int] = []
    monkeypatch.setattr(images, "without_fine_scans", lambda data: (taken.append(len(data)), data)[1])
    whole = images.decode_and_resize(data, size)
    monkeypatch.undo()
    assert taken == [len(data)]
    ours = images.decode_and_resize(data, size)
    assert np.array_equal(ours.image, whole.image)
    assert (ours.content, ours.stored_bytes, ours.reduced) == (whole.content, len(data), True)


@pytest.mark.parametrize(("side", "options"), [(500, {}), (1290, {"progressive": False})])
def test_what_is_no_progressive_file_at_an_eighth_is_read_as_it_is(
    side: int, options: dict[str, Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(images, "without_fine_scans", None)  # calling it would raise
    assert images.decode_and_resize(jpeg(photo(side, side), **options), Size(96, 96)).reduced


def test_a_large_progressive_photo_that_is_cut_is_refused_as_before() -> None:
    with pytest.raises(ImageProblem, match="cut short"):
        images.decode_and_resize(jpeg(photo(1290, 970))[:-5000], Size(96, 96))


def test_the_orientation_holds_for_it_too() -> None:
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
def test_a_scan_that_libjpeg_does_not_take_is_still_refused(scan: int, at: int, value: int) -> None:
    data = bytearray(jpeg(photo(1290, 970)))
    starts = [k for k in range(len(data)) if data[k : k + 2] == b"\xff\xda"]  # never within a scan's bits
    data[starts[scan] + at] = value
    with pytest.raises(ImageProblem):
        images.decode_and_resize(bytes(data), Size(96, 96))


def test_a_picture_of_one_pixel_is_read_whole(monkeypatch: Any) -> None:
    monkeypatch.setattr(images, "without_fine_scans", None)  # calling it would raise
    assert not images.decode_and_resize(jpeg(photo(1, 1)), Size(1, 1)).reduced
