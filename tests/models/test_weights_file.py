"""What a file of weights says about itself, and the refusals of files that are pickled, damaged or missing."""

import hashlib
import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from foveola.errors import UsageError
from foveola.models.weights_file import read_weights_file, require_weights_file
from foveola.types import Size

CONFIG = {
    "architecture": "vit_small_patch14_dinov2",
    "model_args": {"global_pool": "token"},
    "pretrained_cfg": {
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.25, 0.3],
        "input_size": [3, 518, 392],
        "license": "apache-2.0",
    },
}


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "model.safetensors"
    save_file({"conv.weight": np.zeros((2, 3), np.float32)}, place)
    return place


def refused(path):
    with pytest.raises(UsageError) as caught:
        read_weights_file(path)
    return str(caught.value)


def test_the_facts_come_from_the_hubs_config(path):
    path.with_name("config.json").write_text(json.dumps(CONFIG))
    found = read_weights_file(path)
    assert (found.kind, found.architecture, found.licence) == ("safetensors", "vit_small_patch14_dinov2", "apache-2.0")
    assert (found.mean, found.std) == ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    assert (found.size, found.arguments) == (Size(518, 392), {"global_pool": "token"})
    assert found.origin == {
        "file": "model.safetensors", "bytes": path.stat().st_size, "architecture": "vit_small_patch14_dinov2",
        "licence": "apache-2.0", "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }  # fmt: skip


def test_a_config_without_a_nested_table_is_read_too(path):
    path.with_name("config.json").write_text('{"architecture": "resnet18", "mean": [0, 0, 0], "license": "mit"}')
    found = read_weights_file(path)
    assert (found.architecture, found.mean, found.licence) == ("resnet18", (0.0, 0.0, 0.0), "mit")


def test_without_a_config_the_licence_is_unknown(path):
    found = read_weights_file(path)
    assert (found.architecture, found.licence, found.mean, found.size) == ("", "unknown", None, None)


def test_the_files_own_metadata_come_first(path):
    path.with_name("config.json").write_text(json.dumps(CONFIG))
    about = {"architecture": "resnet18", "licence": "mit", "mean": "0.1, 0.2, 0.3", "input_size": "[3, 64, 96]"}
    save_file({"a": np.zeros(1, np.float32)}, path, about)
    found = read_weights_file(path)
    assert (found.architecture, found.licence, found.mean, found.size) == (
        "resnet18", "mit", (0.1, 0.2, 0.3), Size(64, 96),
    )  # fmt: skip
    assert found.std == (0.2, 0.25, 0.3)


def test_another_file_of_the_same_name_has_another_digest(path):
    first = read_weights_file(path).sha256
    save_file({"conv.weight": np.ones((4, 3), np.float32)}, path)
    assert read_weights_file(path).sha256 != first


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.bin", "model.ckpt", "model.pkl"])
def test_a_pickled_file_is_refused_by_its_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"anything")
    assert refused(path) == (
        f"the weights file {path} is a pickled file, which can run code when it is opened, so foveola does not read it: "
        "fetch the network's .safetensors file, or convert the file once with "
        "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'model.safetensors')"
    )


def as_zip(content):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("archive/data.pkl", content)
    return whole.getvalue()


def as_tar(content):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as file:
        about = tarfile.TarInfo("pickle")
        about.size = len(content)
        file.addfile(about, io.BytesIO(content))
    return whole.getvalue()


@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx", "model", "model.txt"])
@pytest.mark.parametrize("wrapped", [bytes, as_zip, as_tar])
def test_a_pickled_file_is_refused_under_another_name(tmp_path, name, wrapped):
    path = tmp_path / name
    path.write_bytes(wrapped(pickle.dumps({"weight": [1.0, 2.0]})))
    assert "is a pickled file, which can run code" in refused(path)


def test_no_code_of_a_pickled_file_is_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Evil()))
    refused(path)
    assert not (tmp_path / "ran").exists()


def test_a_header_whose_length_looks_like_a_pickle_is_no_pickle(tmp_path):
    path = tmp_path / "model.safetensors"
    for letters in range(600):
        save_file({"a": np.zeros(1, np.float32)}, path, {"note": "x" * letters})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert require_weights_file(path) == "safetensors"


def test_a_file_that_is_cut_anywhere_is_refused(path):
    whole = path.read_bytes()
    for end in (0, 4, 8, 9, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert refused(path) == f"the weights file {path} is damaged or not whole: fetch it again"


@pytest.mark.parametrize("length", [2**63, 2**40, 2**20, 0])
def test_a_wrong_length_of_the_header_is_refused(path, length):
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    assert refused(path) == f"the weights file {path} is damaged or not whole: fetch it again"


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "none.safetensors"
    assert refused(path) == f"there is no weights file {path}: check the path"


def test_a_folder_is_refused_with_the_file_in_it(path):
    assert refused(path.parent) == f"the weights file {path.parent} is a folder: give a file, such as {path}"


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    assert refused(path) == (
        f"the weights file {path} has no weights that foveola can read: give a .safetensors or an .onnx file"
    )


@pytest.mark.parametrize("text", ["{", "[1, 2]", "\x00"])
def test_a_damaged_config_is_refused(path, text):
    config = path.with_name("config.json")
    config.write_text(text)
    assert refused(path) == f"{config} is not a table in JSON: fetch it again, or move it away from the weights"


@pytest.mark.parametrize(("key", "value"), [("mean", [0.5]), ("mean", "dark"), ("std", [0.2, 0, 0.2])])
def test_a_scale_of_pixels_that_is_none_is_refused(path, key, value):
    path.with_name("config.json").write_text(json.dumps({"pretrained_cfg": {key: value}}))
    least = ", above 0" if key == "std" else ""
    assert refused(path) == (
        f"the weights file {path} states {key} = {value}, but it must be three numbers{least}: correct its config.json or "
        f"its metadata, or add --set model.{key}=[...]"
    )


def test_a_network_for_other_than_colour_images_is_refused(path):
    path.with_name("config.json").write_text(json.dumps({"pretrained_cfg": {"input_size": [1, 28, 28]}}))
    assert refused(path) == (
        f"the weights file {path} states input_size = [1, 28, 28], but foveola has images of 3 channels and needs 3, height "
        "and width: give a network for colour images"
    )
