"""timm:NAME on a stand-in for timm: the machines of this project have no torchvision that fits, which timm needs."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import foveola as fv
from foveola.errors import ResourceError, UsageError
from foveola.models.build import adapt, build
from foveola.models.stage_depths import stage_depths
from foveola.types import Size


class Small(nn.Module):
    def __init__(self, classes, pretrained):
        super().__init__()
        self.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 1.0)}
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, classes)
        if pretrained:
            nn.init.constant_(self.conv.weight, 7.0)

    def forward(self, images):
        return self.fc(self.conv(images).mean(dim=(2, 3)))


@pytest.fixture
def timm(monkeypatch):
    made = []

    def create_model(name, *, pretrained, num_classes):
        made.append((name, pretrained, num_classes))
        return Small(num_classes, pretrained)

    stand_in = SimpleNamespace(create_model=create_model, list_models=lambda: ["small"], made=made)
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    return stand_in


def test_pixels_are_scaled_as_the_weights_expect(timm):
    model = build("timm:small", Size(16, 16), 2)
    seen = []
    model.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.full((1, 3, 16, 16), 255, dtype=torch.uint8))
    assert seen[0][0, :, 0, 0].tolist() == [2.0, 1.0, 0.5]


def test_pretrained_weights_come_before_the_first_step_and_not_when_a_network_is_built(timm):
    model = build("timm:small", Size(16, 16), 5)
    assert timm.made == [("small", False, 5)]
    adapt(model, torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert (model.network.conv.weight == 7).all()
    bare = build("timm:small", Size(16, 16), 5, {"pretrained": False})
    adapt(bare, torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert not (bare.network.conv.weight == 7).any()


def test_a_run_with_it_is_opened_again(timm, tmp_path):
    rng = np.random.default_rng(0)
    data = fv.from_arrays(rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8), np.arange(40) % 2, ("a", "b"))
    run = fv.train(data, model="timm:small", epochs=1, out=tmp_path / "run")
    assert run.recipe.fit.optimizer == "adamw"
    assert fv.evaluate(run.path, data) is not None


def test_it_is_fine_tuned_with_a_smaller_learning_rate_in_earlier_stages(timm, tmp_path):
    rng = np.random.default_rng(0)
    data = fv.from_arrays(rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8), np.arange(40) % 2, ("a", "b"))
    run = fv.train(data, model="timm:small", finetune=True, epochs=1, out=tmp_path / "run")
    assert (run.recipe.fit.finetune, run.recipe.fit.augment) == (True, "photo")
    assert stage_depths(build("timm:small", Size(16, 16), 2)) == {
        "network.conv.weight": 1, "network.conv.bias": 1, "network.fc.weight": 0, "network.fc.bias": 0,
    }  # fmt: skip


def test_fine_tuning_needs_its_pretrained_weights(timm, tmp_path):
    data = fv.from_arrays(np.zeros((40, 16, 16, 3), np.uint8), np.arange(40) % 2, ("a", "b"))
    with pytest.raises(UsageError) as refused:
        fv.train(data, model="timm:small", finetune=True, settings={"model.pretrained": False}, out=tmp_path / "run")
    assert str(refused.value).startswith(
        "the settings: fit.finetune = true trains a pre-trained network further, but timm:small with model.pretrained = "
        "false is trained from scratch: leave out fine-tuning"
    )


def test_a_name_that_timm_does_not_know_is_refused(timm):
    with pytest.raises(UsageError) as refused:
        build("timm:smal", Size(16, 16), 2)
    assert str(refused.value) == (
        "timm has no model 'smal': python -c 'import timm; print(timm.list_models())' lists them"
    )


def test_weights_that_cannot_be_had_are_said_with_the_way_out(timm, monkeypatch):
    model = build("timm:small", Size(16, 16), 2)
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: (_ for _ in ()).throw(OSError("no route to host\nmore")))
    with pytest.raises(ResourceError) as refused:
        adapt(model, torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert str(refused.value) == (
        "the pretrained weights of timm:small can't be loaded: no route to host: connect to the internet once, or "
        "train from scratch with --set model.pretrained=false"
    )


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ResourceError) as refused:
        build("timm:resnet18", Size(32, 32), 2)
    assert str(refused.value) == (
        "models of timm need the package timm and a torchvision that fits this torch, and importing it failed: "
        "import of timm halted; None in sys.modules: pip install 'foveola[timm]'"
    )
