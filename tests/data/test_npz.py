"""What a file of arrays holds, and what is refused before anything of it is loaded."""

import io
import zipfile

import numpy as np
import pytest

from foveola.data import arrays as npz
from foveola.data.arrays import open_npz
from foveola.errors import DataError, ResourceError

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), np.uint8)


def grey(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 6, 5), np.uint8)


def saved(path, **columns):
    np.savez(path, **columns)
    return path


def refusal(path):
    with pytest.raises(DataError) as caught:
        open_npz(path)
    return str(caught.value)


def test_an_npz_of_keras_has_its_parts(tmp_path):
    columns = {"x_train": grey(3), "y_train": np.array([0, 1, 1], np.uint8)}
    columns |= {"x_test": grey(2, seed=1), "y_test": np.array([1, 0], np.uint8)}
    dataset = open_npz(saved(tmp_path / "mnist.npz", **columns))
    assert (dataset.name, dataset.parts.tolist()) == ("mnist", [0, 0, 0, 2, 2])
    assert (dataset.read(4)[..., 0] == columns["x_test"][1]).all()


def test_an_npz_may_have_val(tmp_path):
    parts = {f"x_{part}": PIXELS for part in ("train", "test", "val")}
    labels = {f"y_{part}": np.array([0, 1]) for part in ("train", "test", "val")}
    assert open_npz(saved(tmp_path / "a.npz", **parts, **labels)).parts.tolist() == [0, 0, 1, 1, 2, 2]


def test_an_npz_may_have_images_labels_and_class_names(tmp_path):
    columns = {"images": PIXELS, "labels": np.array([1, 0]), "class_names": np.array(["cat", "dog"])}
    dataset = open_npz(saved(tmp_path / "pets.npz", **columns, unused=np.zeros(3)))
    assert (dataset.class_names, dataset.parts, len(dataset)) == (("cat", "dog"), None, 2)


def test_an_npz_may_be_compressed(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((50, 32, 32, 3), np.uint8), labels=np.arange(50) % 2)
    assert len(open_npz(tmp_path / "a.npz")) == 50


def test_an_npz_without_its_keys_is_refused(tmp_path):
    path = saved(tmp_path / "a.npz", x_train=PIXELS, y_train=np.array([0, 1]), x_test=PIXELS)
    assert refusal(path) == (
        f"{path} has no y_test (it contains x_test, x_train, y_train): save x_train, y_train, x_test and y_test (and x_val, "
        "y_val if you have them), or images and labels, with or without class_names"
    )


def test_an_npz_of_something_else_is_refused(tmp_path):
    path = saved(tmp_path / "a.npz", weights=np.zeros(3))
    assert refusal(path).startswith(f"{path} has no x_train and y_train (it contains weights): save ")


def test_an_npz_of_python_objects_is_refused_and_not_loaded(tmp_path):
    path = saved(tmp_path / "a.npz", images=PIXELS, labels=np.array(["a", None], object))
    assert (
        refusal(path) == f"{path}: labels contains Python objects, which are never loaded: save it as numbers or text"
    )


def test_an_npz_over_the_limit_is_refused_before_loading(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.npz", images=PIXELS, labels=np.array([0, 1]))
    monkeypatch.setattr(npz, "MAX_UNPACKED_BYTES", 195)
    monkeypatch.setattr(np, "load", lambda *args, **kwargs: pytest.fail("it was loaded"))
    assert refusal(path) == (
        f"{path} unpacks to 196 bytes, over the limit of 195: "
        "make the images smaller, or save them as a folder of images"
    )


def test_the_limit_is_eight_gibibytes():
    assert npz.MAX_UNPACKED_BYTES == 8_589_934_592


def test_a_header_that_claims_more_than_there_is_reserves_no_memory(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 32, 32, 3)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", head.getvalue() + b"12345")
        archive.writestr("labels.npy", b"")
    assert refusal(tmp_path / "a.npz") == (
        f"{tmp_path / 'a.npz'} is damaged or not an .npz file (the header of images says 3,072,000,000,000,000 bytes and 5 "
        "follow): save it again with np.savez"
    )


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"hello")
    assert (
        refusal(path) == f"{path} is damaged or not an .npz file (File is not a zip file): save it again with np.savez"
    )


def test_a_missing_npz_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    assert refusal(path) == f"{path} does not exist: give the path of an .npz file"
    assert refusal(tmp_path) == f"{tmp_path} is a folder: give the path of an .npz file"


def test_an_npz_damaged_anywhere_is_refused_or_read_whole(tmp_path):
    path = saved(tmp_path / "a.npz", images=PIXELS, labels=np.array([0, 1]))
    whole, good = path.read_bytes(), open_npz(path).fingerprint
    refused = 0
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            assert open_npz(path).fingerprint == good, position
        except DataError:
            refused += 1
    assert refused > 100


def test_too_little_memory_is_a_resource_error(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise MemoryError

    path = saved(tmp_path / "a.npz", images=PIXELS, labels=np.array([0, 1]))
    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(ResourceError) as caught:
        open_npz(path)
    assert str(caught.value) == f"{path} does not fit into memory: save fewer or smaller images"
