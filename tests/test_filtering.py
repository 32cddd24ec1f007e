"""The verb `filter`: files and folders through a chain, and every way it is refused."""

import cv2
import numpy as np
import pytest

import foveola as fv
from foveola.errors import ImageProblem, UsageError
from foveola.imaging.decode import decode, encode
from foveola.workflows.filtering import as_png


@pytest.fixture
def photo(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
    path = tmp_path / "photo.png"
    path.write_bytes(encode(image))
    return path


@pytest.fixture
def folder(tmp_path, photo):
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    (root / "a.png").write_bytes(photo.read_bytes())
    (root / "deep" / "b.png").write_bytes(encode(np.full((9, 9, 3), 7, np.uint8)))
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (root / "tiny.png").write_bytes(encode(np.zeros((2, 2, 3), np.uint8)))
    return root


def pixels(path):
    return decode(path.read_bytes()).image


def test_a_picture_goes_through_the_chain_at_full_size(photo, tmp_path):
    done = fv.filter(photo, tmp_path / "out.png", "blur(size=5)|sharpen")
    assert done.written == (tmp_path / "out.png",)
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), fv.Chain.parse("blur(size=5)|sharpen")(pixels(photo)))


def test_the_ending_decides_the_format(photo, tmp_path):
    fv.filter(photo, tmp_path / "out.JPG", "invert")
    assert decode((tmp_path / "out.JPG").read_bytes()).format == "JPEG"


def test_a_folder_becomes_a_folder_and_what_cant_be_done_is_listed(folder, tmp_path, recorder):
    seen = []
    done = fv.filter(folder, tmp_path / "out", "sharpen", progress=recorder(tick=lambda *tick: seen.append(tick)))
    assert {path.relative_to(tmp_path / "out").as_posix() for path in done.written} == {"a.png", "deep/b.png"}
    assert dict(done.problems) == {
        "broken.jpg": "cut short (Truncated File Read)",
        "tiny.png": "sharpen has a kernel of 3x3: this image of 2x2 is too small for it",
    }
    np.testing.assert_array_equal(pixels(tmp_path / "out/a.png"), fv.Chain.parse("sharpen")(pixels(folder / "a.png")))
    assert seen[-1] == ("Filtering images", 4, 4)


def test_16_bit_images_are_said_to_become_8_bits_and_what_that_costs(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("x-rays/a.png", "x-rays/b.png", "whole.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        samples = rng.integers(0, 65536 if name == "whole.png" else 4096, (9, 9)).astype(np.uint16)
        cv2.imwrite(str(tmp_path / name), samples)
    assert fv.filter(tmp_path / "whole.png", tmp_path / "1.png", "invert").notes == (
        "1 image has 16-bit samples: its result has 8 bits",
    )
    assert fv.filter(tmp_path / "x-rays", tmp_path / "2", "invert").notes == (
        "2 images have 16-bit samples: their results have 8 bits",
        "2 images with 16-bit samples use only 16 of 256 levels for 99 % of the pixels after conversion to 8 bits: stretch "
        "the values to the whole range before saving, all images by the same factor (12-bit values times 16), also those "
        "to predict later; or declare the range in the file (SMaxSampleValue in a TIFF, sBIT in a PNG)",
    )


def test_a_picture_that_would_become_too_large_is_listed_and_stops_nothing(photo, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "long.png").write_bytes(encode(np.zeros((1, 500, 3), np.uint8)))
    (tmp_path / "photos" / "photo.png").write_bytes(photo.read_bytes())
    done = fv.filter(tmp_path / "photos", tmp_path / "out", "upscale(factor=8)|upscale(factor=8)")
    assert done.written == (tmp_path / "out" / "photo.png",)
    assert dict(done.problems) == {
        "long.png": "upscale(factor=8) would make this image 32000x64, but at most 120,000,000 pixels and sides of 30,000 "
        "are allowed; use a smaller factor"
    }


@pytest.mark.parametrize("drawing", ["steps", "kernel-view"])
@pytest.mark.parametrize("scale", ["width=1, height=4096", "width=4096, height=1"])
def test_a_figure_of_a_narrow_picture_is_no_taller_than_a_page(photo, tmp_path, drawing, scale):
    fv.filter(photo, tmp_path / "out.png", f"scale({scale})", drawing=drawing)
    height, width = pixels(tmp_path / "out.png").shape[:2]
    assert height < 1.7 * width


@pytest.mark.parametrize("drawing", ["steps", "kernel-view"])
def test_a_figure_of_a_long_chain_is_refused(photo, tmp_path, drawing):
    with pytest.raises(UsageError) as error:
        fv.filter(photo, tmp_path / "out.png", "|".join(25 * ["invert"]), drawing=drawing)
    assert str(error.value) == "the chain has 25 steps, but a figure shows at most 24: draw fewer steps"
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cat.jpg", "cat.bmp", "dog.jpg"], ["cat.jpg.png", "cat.bmp.png", "dog.png"]),
        (["Cat.jpg", "cat.png"], ["Cat.jpg.png", "cat.png.png"]),
        (["cat.jpg", "cat.bmp", "cat.jpg.png"], ["cat.jpg.png", "cat.bmp.png", "cat.jpg.png.png"]),
    ],
)
def test_no_two_pictures_get_one_name(names, expected):
    assert as_png(names) == expected


@pytest.mark.parametrize("drawing", ["steps", "kernel-view"])
@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_figure_is_the_same_file_every_time(photo, tmp_path, drawing, ending, start):
    files = [tmp_path / f"{k}.{ending}" for k in range(2)]
    for file in files:
        fv.filter(photo, file, "blur|median", drawing=drawing)
    first, second = (file.read_bytes() for file in files)
    assert first.startswith(start)
    assert first == second


@pytest.mark.parametrize(
    ("source", "out", "options", "said"),
    [
        ("photo.png", "out.png", {"chain": " "}, "the chain is empty: write, for example, blur(size=3)|sharpen"),
        (
            "photos",
            "out",
            {"chain": "canny(low=200, high=100)"},
            "chain 'canny(low=200, high=100)', position 1: canny(low=200, high=100): low must not be above high: swap "
            "them",
        ),
        ("none.png", "out.png", {}, "there is no file {0}/none.png: check the path"),
        (
            "photo.png",
            "photo.png",
            {},
            "{0}/photo.png already exists: choose another name, or add --overwrite to replace it",
        ),
        (
            "photo.png",
            "photo.png",
            {"overwrite": True},
            "{0}/photo.png is the input image, which foveola never replaces: choose another name",
        ),
        ("photo.png", "out.gif", {}, "the name of a filtered image must end in .png or .jpg; got 'out.gif'"),
        (
            "photo.png",
            "out.jpg",
            {"drawing": "steps"},
            "a figure can't be written as 'out.jpg': end it in .png, .svg or .pdf",
        ),
        (
            "photos",
            "out.png",
            {"drawing": "steps"},
            "{0}/photos is a folder, and --steps draws one image: name a file",
        ),
        ("photos", "photos/out", {}, "the output folder {0}/photos/out is inside {0}/photos: choose one outside of it"),
        ("empty", "out", {}, "{0}/empty contains no images: name a folder of images"),
    ],
)
def test_what_is_refused(folder, tmp_path, source, out, options, said):
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as error:
        fv.filter(tmp_path / source, tmp_path / out, **{"chain": "sharpen", **options})
    assert str(error.value) == said.format(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_picture_that_cant_be_read(folder, tmp_path):
    with pytest.raises(ImageProblem) as error:
        fv.filter(folder / "broken.jpg", tmp_path / "out.png", "sharpen")
    assert str(error.value) == f"{folder}/broken.jpg can't be read: cut short (Truncated File Read)"
    assert not (tmp_path / "out.png").exists()
