"""`--weights FILE.onnx`: a run from a network in a file, on a stand-in for onnxruntime, which is not installed here.

The stand-in reads a JSON text as the file: its input, the shape of its output, and metadata.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import foveola as fv
from foveola.errors import ResourceError, UsageError

INPUT = {"name": "image", "type": "tensor(float)", "shape": ["n", 3, "h", "w"]}


SEEN = []
"""The images that sessions got."""


class Session:
    """Gives four features of an image: the means of its colours, and of its left half."""

    def __init__(self, source, options, providers):
        raw = source if isinstance(source, bytes) else Path(source).read_bytes()
        self.about = json.loads(raw)
        if self.about.get("external") and isinstance(source, bytes):
            raise RuntimeError("no such tensor file")

    def get_inputs(self):
        return [SimpleNamespace(**one) for one in self.about["inputs"]]

    def get_outputs(self):
        return [SimpleNamespace(name="features")]

    def get_modelmeta(self):
        return SimpleNamespace(custom_metadata_map=self.about.get("metadata", {}))

    def run(self, names, feed):
        (images,) = feed.values()
        SEEN.append(images)
        (one,) = self.get_inputs()
        fixed = one.shape[0]
        assert not isinstance(fixed, int) or len(images) == fixed
        images = (images if one.shape[1] == 3 else images.transpose(0, 3, 1, 2)).astype(np.float32)
        maps = np.concatenate([images, images[:, :1, :, ::-1]], axis=1)
        kind = self.about.get("output", "maps")
        if kind == "maps":
            return [maps]
        return [maps.mean(axis=(2, 3)) if kind == "vector" else maps.reshape(len(maps), 4, -1)]


@pytest.fixture(autouse=True)
def onnxruntime(monkeypatch):
    options = type("SessionOptions", (), {"add_session_config_entry": lambda *_: None})
    stand_in = SimpleNamespace(InferenceSession=Session, SessionOptions=options, __version__="1.20.0")
    monkeypatch.setitem(sys.modules, "onnxruntime", stand_in)
    SEEN.clear()
    return stand_in


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pixels = rng.integers(0, 120, (40, 24, 24, 3)) + 90 * labels[:, None, None, None]
    return fv.from_arrays(pixels.astype(np.uint8), labels, class_names=["dark", "light"])


@pytest.fixture
def onnx(tmp_path):
    """Write a file; the arguments go over those of an ordinary one."""

    def make(name="trunk.onnx", inputs=None, **about):
        path = tmp_path / name
        path.write_text(json.dumps({"inputs": [{**INPUT, **(inputs or {})}], **about}))
        return path

    return make


def trained(photos, tmp_path, path, **how):
    return fv.train(photos, weights=path, out=tmp_path / "run", **how)


def refused(photos, tmp_path, path, error=UsageError, **how):
    with pytest.raises(error) as caught:
        trained(photos, tmp_path, path, **how)
    assert not (tmp_path / "run").exists()
    return str(caught.value)


def test_a_classifier_is_fitted_on_its_features(photos, tmp_path, onnx):
    run = trained(photos, tmp_path, onnx(), size="24x24")
    assert (run.result["model"], run.recipe.fit.epochs) == ("onnx:trunk", 0)
    assert run.recipe.model.options["columns"] == 4
    assert run.evaluation.accuracy == 1


@pytest.mark.parametrize("output", ["maps", "vector"])
def test_the_features_are_means_of_scaled_pixels(photos, tmp_path, onnx, output):
    metadata = {"mean": "0.1, 0.2, 0.3", "std": "[0.2, 0.3, 0.4]", "license": "mit"}
    run = trained(photos, tmp_path, onnx(output=output, metadata=metadata), size="24x24")
    images = torch.randint(0, 256, (3, 3, 24, 24), dtype=torch.uint8)
    scaled = (images / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    means = scaled.mean(dim=(2, 3))
    expected = torch.cat([means, means[:, :1]], dim=1)
    torch.testing.assert_close(run.model().network.features(images), expected, rtol=1e-4, atol=1e-5)
    assert run.environment["weights"]["trunk.onnx"]["licence"] == "mit"


@pytest.mark.parametrize("shape", [["n", 3, "h", "w"], ["n", "h", "w", 3]])
def test_a_network_of_uint8_pixels_gets_them_as_they_are(photos, tmp_path, onnx, shape):
    run = trained(photos, tmp_path, onnx(inputs={"type": "tensor(uint8)", "shape": shape}), size="24x24")
    images = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    run.model().network.features(images)
    seen = SEEN[-1]
    assert seen.dtype == np.uint8
    assert np.array_equal(seen if shape[1] == 3 else seen.transpose(0, 3, 1, 2), images.numpy())


def test_a_fixed_number_of_images_is_filled_up(photos, tmp_path, onnx):
    run = trained(photos, tmp_path, onnx(inputs={"shape": [4, 3, 24, 24]}))
    images = torch.randint(0, 256, (6, 3, 24, 24), dtype=torch.uint8)
    network = run.model().network
    assert network.features(images).shape == (6, 4)
    torch.testing.assert_close(network.features(images)[5:], network.features(images[5:]))


def test_a_fixed_size_is_the_runs_size(photos, tmp_path, onnx):
    path = onnx(inputs={"shape": ["n", 3, 24, 32]})
    assert trained(photos, tmp_path, path).recipe.data.size == "32x24"


def test_the_run_works_when_the_file_is_gone(photos, tmp_path, onnx):
    path = onnx()
    run = trained(photos, tmp_path, path, size="24x24")
    path.unlink()
    rows = [photos.ids.index(name) for name in run.evaluation.ids]
    again = run.predict([photos.source.pixels[row] for row in rows])
    assert [one.label for one in again] == [run.class_names[k] for k in run.evaluation.predicted]
    assert run.evaluate(photos).accuracy == 1
    fv.report(run.path)
    assert run.environment["weights"]["trunk.onnx"]["architecture"] == "unknown"


def test_a_heat_map_that_needs_gradients_is_refused_and_occlusion_works(photos, tmp_path, onnx):
    run = trained(photos, tmp_path, onnx(), size="24x24")
    with pytest.raises(UsageError, match="no stages and no convolutions"):
        run.explain(photos.source.pixels[0], tmp_path / "heat.png")
    run.explain(photos.source.pixels[0], tmp_path / "heat.png", "occlusion")
    assert (tmp_path / "heat.png").exists()


@pytest.mark.parametrize(
    ("how", "asked"), [({"finetune": True}, "fit.finetune = true"), ({"epochs": 3}, "fit.epochs = 3")]
)
def test_it_can_not_be_trained_further(photos, tmp_path, onnx, how, asked):
    assert refused(photos, tmp_path, onnx(), **how) == (
        f"the settings: {asked} trains the network itself, but trunk.onnx is an ONNX file, whose network can't be trained: "
        "leave out fine-tuning and epochs"
    )


def test_another_size_than_the_fixed_one_is_refused(photos, tmp_path, onnx):
    path = onnx(inputs={"shape": ["n", 3, 24, 24]})
    assert refused(photos, tmp_path, path, size="32x32") == (
        f"the network in {path} takes images of 24x24 only, and --size is 32x32: leave out --size"
    )


def test_another_network_is_refused(photos, tmp_path, onnx):
    path = onnx()
    assert refused(photos, tmp_path, path, model="timm:resnet18") == (
        f"--weights {path} is a whole network, and --model timm:resnet18 names another one: leave out --model"
    )


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"shape": ["n", 1, 28, 28]}, "takes tensor(float) of shape n x 1 x 28 x 28"),
        ({"shape": ["n", 3]}, "takes tensor(float) of shape n x 3"),
        ({"type": "tensor(int64)"}, "takes tensor(int64) of shape n x 3 x h x w"),
    ],
)
def test_an_input_that_is_no_image_is_refused(photos, tmp_path, onnx, inputs, words):
    path = onnx(inputs=inputs)
    assert refused(photos, tmp_path, path) == (
        f"the weights file {path} {words}, but foveola gives it float or uint8 images of shape n x 3 x height x width or n x "
        "height x width x 3: give another file"
    )


def test_two_inputs_are_refused(photos, tmp_path):
    path = tmp_path / "two.onnx"
    path.write_text(json.dumps({"inputs": [INPUT, {**INPUT, "name": "text"}]}))
    assert refused(photos, tmp_path, path) == (
        f"the weights file {path} has 2 inputs (image, text), but a network for images has one: give another file"
    )


def test_an_output_of_tokens_is_refused(photos, tmp_path, onnx):
    path = onnx(output="tokens")
    assert refused(photos, tmp_path, path, size="24x24") == (
        f"the weights file {path} gives float32 of shape 1 x 4 x 576 for one image, but features must be float numbers of "
        "shape 1 x F, or feature maps of shape 1 x F x height x width: export the network without other outputs first"
    )


def test_weights_in_other_files_are_refused(photos, tmp_path, onnx):
    path = onnx(external=True)
    assert refused(photos, tmp_path, path) == (
        f"the weights file {path} has its weights in other files: export the network into one file, as in "
        "torch.onnx.export(..., external_data=False)"
    )


def test_a_damaged_file_is_refused(photos, tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(b"\x08\x07")
    assert refused(photos, tmp_path, path).startswith(f"the weights file {path} is damaged or not whole (")


def test_without_onnxruntime_the_extra_is_named(photos, tmp_path, onnx, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refused(photos, tmp_path, onnx(), ResourceError) == (
        "networks in ONNX files need the package onnxruntime, and importing it failed: import of onnxruntime halted; None in "
        "sys.modules: pip install 'foveola[onnx]'"
    )
