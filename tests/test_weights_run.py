"""`--weights FILE`: a run from a file of the user, on stand-ins for timm and onnxruntime, which are not installed here."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import foveola as fv
from foveola.errors import ResourceError, UsageError
from foveola.models.build import build
from foveola.models.stage_depths import stage_depths
from foveola.runs.predictor import Predictor
from foveola.types import Size


@dataclasses.dataclass
class Cfg:
    """As timm.models.PretrainedCfg, with the entries that decide anything here."""

    state_dict: dict | None = None
    url: str | None = "https://example.org/never"
    input_size: tuple = (3, 16, 16)
    mean: tuple = (0.5, 0.5, 0.5)
    std: tuple = (0.25, 0.25, 0.25)
    num_classes: int = 1000
    classifier: str = "fc"
    custom_load: bool = False
    fixed_input_size: bool = False


class Small(nn.Module):
    """An architecture with timm's interface: two convolutions, pooled, and a classifier unless it has 0 classes."""

    def __init__(self, classes, width=8):
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, 4, 3), nn.Conv2d(4, width, 3)
        self.fc = nn.Linear(width, classes) if classes else nn.Identity()
        self.num_features = width

    def forward_features(self, images):
        return self.body(self.stem(images).relu())

    def forward_head(self, maps, pre_logits=False):
        pooled = maps.mean(dim=(2, 3))
        return pooled if pre_logits else self.fc(pooled)


def create_model(model_name, pretrained=False, pretrained_cfg=None, checkpoint_path="", num_classes=1000, **arguments):
    model = Small(num_classes, **arguments)
    if pretrained:
        tensors = dict(pretrained_cfg["state_dict"])
        if pretrained_cfg["num_classes"] != num_classes:
            for part in ("weight", "bias"):
                tensors.pop(f"{pretrained_cfg['classifier']}.{part}", None)
        model.load_state_dict(tensors)
    return model


@pytest.fixture(autouse=True)
def timm(monkeypatch):
    stand_in = SimpleNamespace(
        create_model=create_model, list_models=lambda: ["small", "other"], get_pretrained_cfg=lambda name: Cfg(),
        __version__="1.0.0",
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    return stand_in


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pixels = rng.integers(0, 120, (40, 24, 24, 3)) + 90 * labels[:, None, None, None]
    return fv.from_arrays(pixels.astype(np.uint8), labels, class_names=["dark", "light"])


CONFIG = {
    "architecture": "small",
    "model_args": {"width": 6, "checkpoint_path": "evil.pth", "num_classes": 3, "in_chans": 3, "body": None},
    "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.2, 0.3, 0.4], "input_size": [3, 20, 20], "license": "mit"},
}


@pytest.fixture
def weights(tmp_path):
    """A file in the hub's form, with a classifier for 3 classes."""
    torch.manual_seed(0)
    path = tmp_path / "hub" / "model.safetensors"
    path.parent.mkdir()
    save_file(Small(3, 6).state_dict(), path)
    path.with_name("config.json").write_text(json.dumps(CONFIG))
    return path


def trained(photos, tmp_path, **how):
    return fv.train(photos, out=tmp_path / "run", **how)


def refused(photos, tmp_path, error=UsageError, **how):
    with pytest.raises(error) as caught:
        trained(photos, tmp_path, **how)
    assert not (tmp_path / "run").exists()
    return str(caught.value)


def test_the_file_names_network_size_and_scale(photos, tmp_path, weights):
    run = trained(photos, tmp_path, weights=weights)
    assert (run.result["model"], run.recipe.data.size, run.recipe.fit.epochs) == ("weights:small", "20x20", 0)
    assert run.recipe.model.options["mean"] == [0.1, 0.2, 0.3]
    assert json.loads(run.recipe.model.options["arguments"]) == {"width": 6}
    assert run.evaluation.accuracy == 1
    assert run.result["candidates"] == []


def test_the_features_are_those_of_the_pooled_layer_on_scaled_pixels(photos, tmp_path, weights):
    run = trained(photos, tmp_path, weights=weights)
    network = run.model().network
    images = torch.randint(0, 256, (2, 3, 20, 20), dtype=torch.uint8)
    own = create_model("small", True, {"state_dict": Predictor.open(run).model.network.state_dict(), "num_classes": 0},
                       num_classes=0, width=6)  # fmt: skip
    scaled = (images / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    expected = own.forward_features(scaled).mean(dim=(2, 3))
    torch.testing.assert_close(network.features(images), expected, rtol=1e-4, atol=1e-5)


def test_the_run_works_when_the_file_is_gone(photos, tmp_path, weights):
    run = trained(photos, tmp_path, weights=weights)
    weights.unlink()
    weights.with_name("config.json").unlink()
    rows = [photos.ids.index(name) for name in run.evaluation.ids]
    again = run.predict([photos.source.pixels[row] for row in rows])
    expected = [run.class_names[k] for k in run.evaluation.predicted]
    assert [one.label for one in again] == expected
    assert fv.evaluate(run.path, photos).accuracy == 1
    fv.report(run.path)
    run.explain(photos.source.pixels[0], tmp_path / "heat.png", stage="network.body")


def test_a_run_records_file_architecture_licence_and_digest(photos, tmp_path, weights, recorder):
    plans = []
    run = trained(photos, tmp_path, weights=weights, progress=recorder(plan=plans.append))
    digest = run.recipe.model.options["weights_sha256"]
    assert run.environment["weights"] == {
        "model.safetensors": {
            "file": "model.safetensors", "bytes": weights.stat().st_size, "architecture": "small", "licence": "mit",
            "sha256": digest,
        }
    }  # fmt: skip
    page = run.report.read_text("utf-8")
    assert f'architecture small, licence mit, SHA-256 <code class="long">{digest}</code>' in page
    assert not any("licence" in remark for remark in plans[0].remarks)


def test_a_missing_licence_is_noted(photos, tmp_path, weights, recorder):
    weights.with_name("config.json").unlink()
    plans = []
    how = {"model.arguments": '{"width": 6}'}
    run = trained(
        photos, tmp_path, model="timm:small", weights=weights, settings=how, progress=recorder(plan=plans.append)
    )
    assert plans[0].remarks[0] == (
        "the licence of model.safetensors is unknown, because the file and the config.json next to it state none: look it up "
        "before you share the run"
    )
    assert run.environment["weights"]["model.safetensors"]["licence"] == "unknown"
    assert (run.recipe.data.size, run.recipe.model.options["mean"]) == ("16x16", [0.5, 0.5, 0.5])


def test_features_are_computed_once(photos, tmp_path, weights, recorder):
    ticks = []
    watch = recorder(tick=lambda stage, *_: ticks.append(stage))
    trained(photos, tmp_path, weights=weights, progress=watch)
    assert "Computing features" in ticks
    ticks.clear()
    fv.train(photos, weights=weights, out=tmp_path / "again", progress=watch)
    assert "Computing features" not in ticks


@pytest.mark.parametrize("change", ["mean", "weights"])
def test_other_weights_or_pixels_have_other_features(photos, tmp_path, weights, recorder, change):
    trained(photos, tmp_path, weights=weights)
    how = {"model.mean": [0.9, 0.9, 0.9]} if change == "mean" else {}
    if change == "weights":
        save_file({name: 2 * one for name, one in Small(3, 6).state_dict().items()}, weights)
    ticks = []
    watch = recorder(tick=lambda stage, *_: ticks.append(stage))
    fv.train(photos, weights=weights, settings=how, out=tmp_path / "again", progress=watch)
    assert "Computing features" in ticks


def test_the_recipe_repeats_the_run_and_pins_the_file(photos, tmp_path, weights):
    run = trained(photos, tmp_path, weights=weights)
    weights.with_name("config.json").unlink()
    again = fv.train(photos, recipe=run.path / "recipe.toml", out=tmp_path / "again")
    assert again.recipe.fingerprint == run.recipe.fingerprint
    assert (again.path / "weights.safetensors").read_bytes() == (run.path / "weights.safetensors").read_bytes()
    save_file({name: 2 * one for name, one in Small(3, 6).state_dict().items()}, weights)
    with pytest.raises(UsageError, match=r"has a SHA-256 that begins with .{12}, and .{12} is expected: give the file"):
        fv.train(photos, recipe=run.path / "recipe.toml", out=tmp_path / "third")


def test_the_place_of_the_file_does_not_change_the_fingerprint(photos, tmp_path, weights):
    run = trained(photos, tmp_path, weights=weights)
    moved = weights.parent.rename(tmp_path / "moved") / weights.name
    other = fv.train(photos, weights=moved, out=tmp_path / "again")
    assert other.recipe.fingerprint == run.recipe.fingerprint
    assert str(tmp_path).encode() not in (run.path / "weights.safetensors").read_bytes()


def test_the_network_can_be_fine_tuned(photos, tmp_path, weights):
    run = trained(photos, tmp_path, weights=weights, finetune=True, epochs=1)
    assert len(run.history) == 1 and len(run.head) >= 1


def test_stages_before_the_last_layer_have_their_own_depths(weights):
    model = build("weights:small", Size(20, 20), 2)
    depths = stage_depths(model)
    names = ("network.stem.weight", "network.body.weight", "head.weight")
    assert [depths[name] for name in names] == [2, 1, 0]


def test_folds_work_with_it(photos, tmp_path, weights):
    run = trained(photos, tmp_path, weights=weights, folds=2)
    assert len(run.folds) == 2


def test_a_comparison_takes_files_as_arms(photos, tmp_path, weights):
    other = tmp_path / "other" / "model.safetensors"
    other.parent.mkdir()
    save_file({name: -one for name, one in Small(3, 6).state_dict().items()}, other)
    other.with_name("config.json").write_text(json.dumps(CONFIG))
    arms = [{"name": "a", "weights": str(weights)}, {"name": "b", "weights": str(other)}]
    found = fv.compare(photos, arms, seeds=1, runs=tmp_path / "runs", jobs=1)
    assert found.accuracy.shape == (2, 1)


def test_half_precision_becomes_float32(photos, tmp_path, weights):
    save_file({name: one.half() for name, one in Small(3, 6).state_dict().items()}, weights)
    run = trained(photos, tmp_path, weights=weights)
    assert next(run.model().network.network.parameters()).dtype == torch.float32


def test_tensors_of_another_architecture_are_refused(photos, tmp_path, weights):
    tensors = Small(3, 6).state_dict()
    tensors["extra.weight"] = torch.zeros(1)
    tensors["body.weight"] = torch.zeros(6, 4, 5, 5)
    del tensors["stem.bias"]
    save_file(tensors, weights)
    assert refused(photos, tmp_path, weights=weights) == (
        f"the weights file {weights} does not fit timm's small: 1 of its 4 tensors are missing, such as stem.bias; 1 of the "
        "file's tensors are unknown to it, such as extra.weight; body.weight has the shape 6 x 4 x 5 x 5, and 6 x 4 x 3 x 3 "
        "is expected: name the file's architecture, as in --model timm:NAME, or give another file"
    )


def test_numbers_that_are_not_finite_are_refused(photos, tmp_path, weights):
    save_file({name: one / 0 for name, one in Small(3, 6).state_dict().items()}, weights)
    assert refused(photos, tmp_path, weights=weights) == (
        f"the weights file {weights} has numbers that are not finite: give another file"
    )


def test_an_unknown_architecture_is_refused(photos, tmp_path, weights):
    weights.with_name("config.json").write_text('{"architecture": "smaall"}')
    assert refused(photos, tmp_path, weights=weights) == (
        "timm has no model 'smaall': python -c 'import timm; print(timm.list_models())' lists them"
    )


def test_an_argument_that_the_architecture_does_not_have_is_refused(photos, tmp_path, weights):
    weights.with_name("config.json").write_text('{"architecture": "small", "model_args": {"depth": 3}}')
    assert refused(photos, tmp_path, weights=weights) == (
        'timm can\'t build small for images of 16x16 with {"depth": 3}: Small.__init__() got an unexpected keyword argument '
        "'depth': choose another --size, or correct model_args in the config.json next to the weights"
    )


def test_a_file_without_an_architecture_is_refused(photos, tmp_path, weights):
    weights.with_name("config.json").unlink()
    assert refused(photos, tmp_path, weights=weights) == (
        f"the weights file {weights} does not state its architecture: add --model timm:NAME, or put the config.json of its "
        "page on the Hugging Face hub next to it"
    )


def test_another_network_is_refused(photos, tmp_path, weights):
    assert refused(photos, tmp_path, weights=weights, model="fast") == (
        f"--weights {weights} starts a network of timm, and --model fast is not one: leave out --model, or name the file's "
        "architecture, as in --model timm:NAME"
    )


def test_a_network_from_a_file_needs_the_file(photos, tmp_path):
    assert refused(photos, tmp_path, model="weights:small") == (
        "model weights:small is a network from a file: add the file, as in --weights FILE"
    )


def test_a_wrong_scale_is_refused(photos, tmp_path, weights):
    assert "mean = [0.5] can't be used: it must be a list of 3 or more values" in refused(
        photos, tmp_path, weights=weights, settings={"model.mean": [0.5]}
    )


def test_without_timm_the_extra_is_named(photos, tmp_path, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert refused(photos, tmp_path, ResourceError, weights=weights) == (
        "models of timm need the package timm and a torchvision that fits this torch, and importing it failed: import of "
        "timm halted; None in sys.modules: pip install 'foveola[timm]'"
    )


def test_a_model_that_is_no_table_is_still_refused_as_such(photos, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('model = "fast"\n')
    assert refused(photos, tmp_path, recipe=recipe) == (
        f"the recipe {recipe}: model must be a table: write [model] above its options"
    )
