from hashlib import sha256

import numpy as np
import pytest
from sklearn.datasets import load_digits

from foveola.data.builtin import DATASETS, open_digits, write_digits
from foveola.data.folder import open_folder
from foveola.errors import UsageError
from foveola.types import no_tick


@pytest.fixture(scope="module")
def digits():
    return open_digits()


def names_and_bytes(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_the_digits_are_those_of_scikit_learn(digits):
    bunch = load_digits()
    assert len(digits) == 1797
    assert digits.class_names == tuple("0123456789")
    assert digits.labels.tolist() == bunch.target.tolist()
    assert (digits.name, digits.parts, digits.ids[1796]) == ("digits", None, "01796")


def test_their_values_are_stretched_to_a_byte(digits):
    """By hand, round(v * 255 / 16): 0 1 5 8 9 13 16 -> 0 16 80 128 143 207 255."""
    expected = {0: 0, 1: 16, 5: 80, 8: 128, 9: 143, 13: 207, 16: 255}
    values, pixels = load_digits().images, digits.source.pixels
    assert all((pixels[values == value] == byte).all() for value, byte in expected.items())
    assert len(np.unique(pixels)) == 17


def test_the_first_digit_is_a_white_zero_on_black(digits):
    image = digits.read(0)
    assert image.shape == (8, 8, 3) and (image == image[..., :1]).all()
    assert image[0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_they_are_the_same_each_time(digits):
    assert open_digits().fingerprint == digits.fingerprint


def test_written_digits_are_an_image_folder(digits, tmp_path):
    folder = write_digits(tmp_path / "digits")
    dataset = open_folder(folder)
    assert (len(dataset), dataset.class_names, dataset.problems) == (1797, digits.class_names, ())
    assert dataset.counts().tolist() == digits.counts().tolist()
    assert (folder / "0" / "0000.png").is_file()


def test_written_digits_keep_their_pixels_and_order(digits, tmp_path):
    dataset = open_folder(write_digits(tmp_path / "digits"))
    sevens = np.flatnonzero(digits.labels == 7)
    written = [i for i, name in enumerate(dataset.ids) if name.startswith("7/")]
    assert all((dataset.read(i) == digits.read(int(k))).all() for i, k in zip(written, sevens, strict=True))


def test_written_digits_are_the_same_bytes_each_time(tmp_path):
    first, second = (names_and_bytes(write_digits(tmp_path / name)) for name in ("a", "b"))
    assert first == second
    assert len({sha256(data).digest() for data in first.values()}) == 1797


def test_digits_are_never_written_over_something(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError) as caught:
        write_digits(tmp_path)
    assert str(caught.value) == (
        f"the output folder {tmp_path} already contains files: choose a new folder, or delete it first"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_data_sets_open_by_name(digits):
    assert sorted(DATASETS) == ["cifar10", "digits"]
    assert DATASETS["digits"](no_tick).fingerprint == digits.fingerprint


def test_an_unknown_name_is_helped():
    with pytest.raises(UsageError) as caught:
        DATASETS["cifar"]
    assert str(caught.value) == "unknown data set 'cifar' (did you mean 'cifar10'?); known: cifar10, digits"
