"""What `predict` takes, as a flat list of images; and what it refuses."""

import io
import sys

import numpy as np
import pytest
from PIL import Image as pillow

from foveola.errors import ImageProblem, UsageError
from foveola.evaluation.inputs import gather
from foveola.types import Size

SIZE = Size(16, 12)


def test_every_kind_of_input_gives_the_same_pixels(noise, plant, tmp_path):
    image = noise(1)
    path = plant(tmp_path, {"a.png": image}) / "a.png"
    kinds = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), pillow.open(path), image, image[None]]
    for kind in [*kinds, [image], (path,), iter([path]), [[path]], np.array([str(path)], object)[:1].tolist()]:
        (one,) = gather(kind)
        np.testing.assert_array_equal(one.prepared(SIZE, "pad"), image)


def test_a_list_of_all_kinds_keeps_its_order_and_names_by_place(noise, plant, tmp_path):
    folder = plant(tmp_path, {"pets/b.png": noise(1), "pets/a.png": noise(2)}) / "pets"
    found = gather([noise(3), folder, np.stack([noise(4), noise(5)]), pillow.fromarray(noise(6))])
    assert [one.name for one in found] == [
        "image 1", str(folder / "a.png"), str(folder / "b.png"), "image 4", "image 5", "image 6",
    ]  # fmt: skip
    expected = [noise(k) for k in (3, 2, 1, 4, 5, 6)]
    for one, image in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.prepared(SIZE, "pad"), image)


def test_a_pillow_image_is_read_by_the_rules_for_files(noise, encoded):
    exif = pillow.Exif()
    exif[0x0112] = 6
    turned = pillow.open(io.BytesIO(encoded(noise(1), exif=exif)))
    clear = pillow.fromarray(np.dstack([noise(2), np.zeros((16, 12), np.uint8)]))
    grey = pillow.fromarray(noise(3)[..., 0])
    deep = pillow.fromarray(noise(4)[..., 0].astype(np.uint16) * 256)
    for picture, expected in [
        (turned, np.rot90(noise(1), -1)),
        (clear, np.full((16, 12, 3), 255)),
        (grey, np.repeat(noise(3)[..., :1], 3, axis=2)),
        (deep, np.repeat(noise(4)[..., :1], 3, axis=2)),
        (pillow.fromarray(noise(5)).convert("P", palette=pillow.Palette.ADAPTIVE, colors=256), noise(5)),
    ]:
        (one,) = gather(picture)
        np.testing.assert_array_equal(one.prepared(Size(*expected.shape[:2]), "pad"), expected)


def test_what_can_t_be_decoded_says_why_when_it_is_read(noise, encoded):
    cut = pillow.open(io.BytesIO(encoded(noise(1, 200, 200))[:5000]))
    for bad, reason in [(b"", "empty file"), (b"hello there, this is text", "not an image: looks like text")]:
        (one,) = gather(bad)
        with pytest.raises(ImageProblem) as caught:
            one.prepared(SIZE, "pad")
        assert str(caught.value) == reason
    (one,) = gather(cut)
    with pytest.raises(ImageProblem, match=r"^(cut short|damaged)"):
        one.prepared(SIZE, "pad")


KINDS = (
    "can't be predicted: give files, folders, bytes of image files, Pillow images, lists of these, or uint8 from 0 to 255 "
    "in RGB, of the shape (height, width, 3), or (n, height, width, 3) for n images"
)


SCALED = "; give the original values, before any scaling"
SHARES = "; np.rint(array * 255).astype(np.uint8) converts values from 0 to 1"
TURNED = "; np.moveaxis(array, -3, -1) moves the channels to the end"
GREY = "; np.stack([array.squeeze()] * 3, axis=-1) makes three channels of a grey image"


@pytest.mark.parametrize(
    ("given", "what", "hint"),
    [
        (np.zeros((8, 8, 3), np.float32), "a float32 array", SHARES),
        (np.full((8, 8, 3), -1.0), "a float64 array", SCALED),
        (np.zeros((8, 8, 3), np.int64), "an int64 array", SCALED),
        (np.zeros((3, 8, 8), np.uint8), "an array of the shape (3, 8, 8)", TURNED),
        (np.zeros((8, 8), np.uint8), "an array of the shape (8, 8)", GREY),
        (np.zeros((8, 8, 4), np.uint8), "an array of the shape (8, 8, 4)", ""),
        (np.zeros((0, 8, 8, 3), np.uint8), "an array of the shape (0, 8, 8, 3)", ""),
        (7, "an int", ""),
        (None, "a NoneType", ""),
        ({"a": b""}, "a dict", ""),
    ],
)
def test_what_is_of_another_kind_is_refused_with_what_is_allowed(given, what, hint):
    with pytest.raises(UsageError) as caught:
        gather(given)
    assert str(caught.value) == f"{what} {KINDS}{hint}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "there are no images to predict: give image files, or folders of images"),
        (["none.jpg", "gone.jpg"], "there is no file none.jpg and 1 more: check the path"),
        (
            "https://example.com/cat.jpg",
            "https://example.com/cat.jpg is a web address, but foveola reads only files on this computer: download it first",
        ),
    ],
)
def test_what_is_not_there_is_refused(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        gather(given)
    assert str(caught.value) == said


def test_a_tensor_is_refused_in_the_same_sentence():
    import torch

    with pytest.raises(UsageError) as caught:
        gather(torch.zeros(3, 8, 8))
    assert str(caught.value) == f"a Tensor {KINDS}"


def test_a_file_that_is_not_there_is_refused_before_torch_is_imported(tmp_path):
    import subprocess

    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.toml").write_text("")
    (run / "result.json").write_text('{"format": 2}')
    code = (
        "import sys\nfrom foveola.cli import main\nsys.argv = ['foveola', 'predict', 'run', 'nope.jpg']\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert done.stderr == "foveola: there is no file nope.jpg: check the path\n"
