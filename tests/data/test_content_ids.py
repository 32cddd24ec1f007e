from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as pillow

from foveola.data import decode_workers as decoding
from foveola.data.dataset import Files
from foveola.data.decode_workers import _candidates
from foveola.data.folder import open_folder
from foveola.data.prepare import prepare
from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.types import Size


@pytest.fixture
def contents(tmp_path, plant, noise):
    """The content numbers of files, as `prepare` gives them; two other images make it two classes."""

    def make(files):
        root = plant(tmp_path / "d", {f"a/{name}": data for name, data in files.items()})
        plant(root, {"b/other.png": noise(1001), "b/another.png": noise(1002)})
        prepared = prepare(open_folder(root), Size(16, 16))
        assert prepared.dataset.problems == ()
        return dict(zip([name[2:] for name in prepared.dataset.ids], prepared.content.tolist(), strict=True))

    return make


def tagged(encoded, image, orientation, format="JPEG", **options):
    exif = pillow.Exif()
    exif[0x0112] = orientation
    return encoded(image, format, exif=exif, **options)


def test_byte_copies_are_one_content(contents, encoded, noise):
    data = encoded(noise(1))
    found = contents({"x.png": data, "y.png": data, "z.png": encoded(noise(2))})
    assert found["x.png"] == found["y.png"] != found["z.png"]


def test_a_jpeg_with_other_metadata_is_the_same_content(contents, encoded, ramp):
    for side in (40, 400):
        image = ramp(side, side + 8)
        found = contents(
            {"x.jpg": encoded(image, "JPEG"), "y.jpg": encoded(image, "JPEG", comment=b"hello", dpi=(9, 9))}
        )
        assert found["x.jpg"] == found["y.jpg"]


def test_the_same_pixels_in_other_formats_are_the_same_content(contents, encoded, noise):
    found = contents(
        {
            "x.png": encoded(noise(1)),
            "x.bmp": encoded(noise(1), "BMP"),
            "x.tif": encoded(noise(1), "TIFF"),
            "x.webp": encoded(noise(1), "WEBP", lossless=True),
        }
    )
    assert len({found[name] for name in found if name.startswith("x")}) == 1
    assert len(set(found.values())) == 3


def test_a_png_copy_of_a_large_jpeg_is_the_same_content(contents, encoded, ramp):
    jpeg = encoded(ramp(400, 300), "JPEG")
    assert images.decode_and_resize(jpeg, Size(16, 16)).reduced
    found = contents({"x.jpg": jpeg, "y.png": encoded(images.decode(jpeg).image)})
    assert found["x.jpg"] == found["y.png"]


def test_a_rotated_copy_with_an_orientation_tag_is_the_same_content(contents, encoded, noise):
    image = noise(1)
    turned = np.ascontiguousarray(np.rot90(image))  # 90 degrees to the left; tag 6 turns it right again
    found = contents({"x.png": encoded(image), "y.png": tagged(encoded, turned, 6, "PNG"), "z.png": encoded(turned)})
    assert found["x.png"] == found["y.png"] != found["z.png"]


def test_a_large_jpeg_with_a_tag_and_its_upright_png_are_the_same_content(contents, encoded, ramp):
    jpeg = tagged(encoded, ramp(400, 300), 6)
    assert images.decode_and_resize(jpeg, Size(16, 16)).reduced
    found = contents({"x.jpg": jpeg, "y.png": encoded(images.decode(jpeg).image)})
    assert found["x.jpg"] == found["y.png"]


def test_two_large_jpegs_with_and_without_a_tag_are_the_same_content(contents, encoded):
    grey = np.full((320, 480, 3), 90, np.uint8)
    found = contents({"x.jpg": encoded(grey, "JPEG"), "y.jpg": tagged(encoded, grey.transpose(1, 0, 2), 6)})
    assert found["x.jpg"] == found["y.jpg"]


def test_different_pictures_are_not_joined(contents, encoded, noise, ramp):
    close = ramp(400, 300)
    close[200, 150] ^= 1
    files = {f"{k}.png": encoded(noise(k)) for k in range(20)}
    files |= {"x.jpg": encoded(ramp(400, 300), "JPEG"), "x.png": encoded(ramp(400, 300)), "y.png": encoded(close)}
    found = contents(files)
    assert len(set(found.values())) == len(found) == 25


def test_the_same_bytes_in_another_shape_are_not_the_same_content(contents, encoded):
    flat = np.full((8, 32, 3), 7, np.uint8)
    found = contents({"x.png": encoded(flat), "y.png": encoded(flat.reshape(32, 8, 3))})
    assert found["x.png"] != found["y.png"]


def test_pictures_that_look_alike_only_when_small_are_not_joined(contents, encoded, ramp):
    jpeg = encoded(ramp(400, 300), "JPEG")
    whole = images.decode(jpeg).image.copy()
    whole[0, 0] ^= 1
    found = contents({"x.jpg": jpeg, "y.png": encoded(whole)})
    assert found["x.jpg"] != found["y.png"]


def test_nothing_is_decoded_twice_without_need(contents, encoded, noise, monkeypatch):
    calls = []
    real = Files.full
    monkeypatch.setattr(Files, "full", lambda self, i: calls.append(i) or real(self, i))
    contents({f"{k}.jpg": encoded(noise(k, 200, 200), "JPEG") for k in range(4)} | {"x.png": encoded(noise(9, 50, 50))})
    assert calls == []


def test_a_file_that_changes_before_the_comparison_equals_no_other(contents, encoded, ramp, monkeypatch):
    def refuse(self, i):
        raise ImageProblem("the file changed while it was being read: start again")

    jpeg = encoded(ramp(400, 300), "JPEG")
    monkeypatch.setattr(Files, "full", refuse)
    found = contents({"x.jpg": jpeg, "y.png": encoded(images.decode(jpeg).image)})
    assert found["x.jpg"] != found["y.png"]


@pytest.mark.parametrize("few", [0, 10**6])
def test_who_looks_alike_is_found_as_by_comparing_all_with_all(few, monkeypatch):
    monkeypatch.setattr(decoding, "_FEW", few)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (90, 8, 8, 3)).astype(np.uint8)
    changed = rng.integers(-12, 13, (60, 8, 8, 3)) + (rng.random((60, 8, 8, 3)) < 0.003)  # some by 13
    pixels[30:] = np.clip(pixels[:60].astype(int) + changed, 0, 255)
    outcomes = [SimpleNamespace(height_px=80, width_px=60, kind=kind) for kind in rng.permutation(np.arange(90) % 3)]
    by_hand = {
        (i, j)
        for i in range(90)
        for j in range(90)
        if outcomes[j].kind < outcomes[i].kind and np.abs(pixels[i].astype(int) - pixels[j]).max() <= 12
    }
    assert set(_candidates(outcomes, pixels)) == by_hand
    assert len(by_hand) > 5
