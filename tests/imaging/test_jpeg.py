"""JPEGs without an end marker: used where all pixels are there, refused where any is missing, in every way of reading."""

import io

import numpy as np
import pytest
from PIL import Image as pillow

from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.types import Size

KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "grey": {"grey": True},
    "full colour": {"subsampling": 0, "quality": 97, "progressive": True},
}
TRAILER = b"\0\0\1\x0aSEFH" + bytes(range(250)) * 8 + b"SEFT"


@pytest.fixture(autouse=True)
def quiet():
    with images.suppress_pillow_warnings():
        yield


def jpeg(scene, kind, side=64):
    options = dict(KINDS[kind])
    image = pillow.fromarray(scene(3, side))
    out = io.BytesIO()
    (image.convert("L") if options.pop("grey", False) else image).save(out, "JPEG", **options)
    return out.getvalue()


def pixels(data):
    """The image as each way of reading gives it: whole, at 1/8 and less, cut to a square."""
    return [
        images.decode(data).image,
        images.decode_and_resize(data, Size(8, 8)).image,
        images.decode_and_resize(data, Size(24, 24), "crop").image,
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole_however_it_is_read(scene, kind):
    data = jpeg(scene, kind)
    assert data.endswith(b"\xff\xd9")
    for cut in (data[:-2], data[:-1], data[:-2] + TRAILER):
        for found, whole in zip(pixels(cut), pixels(data), strict=True):
            assert np.array_equal(found, whole)


def test_the_missing_end_marker_is_noted_and_the_file_keeps_its_size(scene):
    data = jpeg(scene, "progressive")[:-2]
    decoded = images.decode_and_resize(data, Size(16, 16))
    assert decoded.notes == ("JPEG without an end marker, but with all pixels",)
    assert (decoded.format, decoded.stored_bytes) == ("JPEG", len(data))


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_lacks_pixels_is_refused_wherever_it_is_cut(scene, kind):
    data = jpeg(scene, kind)
    whole = images.decode(data).image
    refused = 0
    for end in [*range(len(data) - 40, len(data) - 2), *range(4, len(data) - 40, 37)]:
        answers = set()
        for read in (images.decode, lambda part: images.decode_and_resize(part, Size(8, 8))):
            try:
                found = read(data[:end])
            except ImageProblem:
                answers.add("refused")
            else:
                answers.add("used")
                assert read is not images.decode or np.array_equal(found.image, whole), f"cut at {end} of {len(data)}"
        assert len(answers) == 1, f"cut at {end} of {len(data)}: {answers}"
        refused += answers == {"refused"}
    assert refused >= 30


def test_a_progressive_jpeg_without_its_last_scans_is_refused(scene):
    data = jpeg(scene, "progressive")
    starts = [k for k in range(len(data) - 1) if data[k : k + 2] == b"\xff\xda"]
    assert len(starts) >= 6
    for start in starts[1:]:  # whole scans, each with its end
        with pytest.raises(ImageProblem, match="cut short"):
            images.decode(data[:start])


def test_a_maker_s_thumbnail_in_place_of_the_end_marker_is_no_part_of_the_image(scene):
    data = jpeg(scene, "progressive")
    decoded = images.decode(data[:-2] + b"\0\0" + jpeg(scene, "baseline", 16))
    assert np.array_equal(decoded.image, images.decode(data).image)


def saved(scene, **options):
    out = io.BytesIO()
    pillow.fromarray(scene(1)).save(out, **{"format": "JPEG", **options})
    return images.decode(out.getvalue()).quality


@pytest.mark.parametrize("quality", [20, 30, 50, 75, 90, 95, 100])
def test_the_quality_that_a_jpeg_was_saved_with_is_told_from_its_table(scene, quality):
    assert saved(scene, quality=quality) == pytest.approx(quality, abs=1.5)
    assert saved(scene, quality=quality, progressive=True) == saved(scene, quality=quality)


def test_it_does_not_depend_on_what_the_image_shows(scene):
    out = io.BytesIO()
    pillow.new("RGB", (64, 64), "grey").save(out, "JPEG", quality=40)
    assert images.decode(out.getvalue()).quality == saved(scene, quality=40)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP"])
def test_other_formats_have_none(scene, format):
    assert saved(scene, format=format) == 0
