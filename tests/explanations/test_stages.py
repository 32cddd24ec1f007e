"""Feature maps: what the layers give, also of networks that declare nothing or overwrite their layers' outputs."""

import numpy as np
import pytest
import torch
from torch import nn

from foveola.errors import UsageError
from foveola.explanations.convolutions import max_activating, one_pixel
from foveola.explanations.embedding import last_features
from foveola.explanations.heatmaps import gradcam, integrated_gradients
from foveola.explanations.stages import FeatureMaps, feature_maps, stages_of
from foveola.models.build import Normalised, build
from foveola.types import Size

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def batch(image):
    return torch.tensor(image, dtype=torch.float32).permute(2, 0, 1)[None]


def test_feature_maps_are_what_the_stages_give():
    model = build("vgg6", Size(32, 32), 10).eval()
    found = feature_maps(model, IMAGE)
    assert [one.stage for one in found] == ["norm1", "norm2", "norm3", "norm4", "norm5", "norm6"]
    with torch.no_grad():
        by_hand = model.norm1(model.relu1(model.conv1(model.normalise(batch(IMAGE)))))
    np.testing.assert_allclose(found[0].values, by_hand[0].numpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "shape"), [("relu1", (32, 56, 56)), ("relu5", (32, 14, 14)), ("conv3", (128, 14, 14))]
)
def test_the_courses_maps_have_the_courses_sizes(name, shape):
    image = np.zeros((224, 224, 3), np.uint8)
    (found,) = feature_maps(build("alexnet_mini", Size(224, 224), 2), image, [name])
    assert found.values.shape == shape


def test_a_network_that_declares_no_stages_shows_its_convolutions():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.LazyLinear(2))
    model(batch(IMAGE))
    assert stages_of(model) == ("0", "2")
    first = feature_maps(model, IMAGE)[0].values
    assert first.min() < 0  # before the ReLU that stands behind it and works in place
    assert model[1].inplace


def test_dead_channels_are_those_that_show_nothing():
    values = np.zeros((4, 3, 3), np.float32)
    values[1, 0, 0], values[2] = 2.0, 7.0  # the second shows a point; the third is 7 everywhere
    assert FeatureMaps("s", values).dead == 3


def test_of_maps_of_one_pixel_those_are_dead_that_are_zero():
    values = np.array([0.0, 3.0, -1.0], np.float32).reshape(3, 1, 1)
    assert FeatureMaps("s", values).alive.tolist() == [False, True, True]


def test_a_stage_that_is_not_run_is_told():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.aside = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)

        def forward(self, images):
            return self.main(images).mean(dim=(2, 3))

    with pytest.raises(UsageError) as refused:
        feature_maps(Aside(), IMAGE)
    assert str(refused.value) == "stage 'aside' does not run when the network predicts: choose another stage"


def test_a_channel_whose_values_differ_by_rounding_alone_is_dead():
    values = np.zeros((2, 2, 2), np.float32)
    values[0, 0, 0], values[1, 0, 0] = 1e-5, 1000.0
    found = FeatureMaps("s", values)
    assert (found.alive.tolist(), found.dead) == ([False, True], 1)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_in_its_mode(training):
    model = build("fast", Size(32, 32), 10).train(training)
    feature_maps(model, IMAGE)
    assert model.training is training


def test_an_unknown_stage():
    with pytest.raises(UsageError) as error:
        feature_maps(build("fast", Size(32, 32), 10), IMAGE, ["block4"])
    known = "block1, block1.conv1, block1.conv2, block2, block2.conv1, block2.conv2, block3, block3.conv1, block3.conv2"
    assert str(error.value) == f"unknown stage 'block4' (did you mean 'block3'?); known: {known}, whitening"


def test_a_network_without_convolutions():
    with pytest.raises(UsageError) as error:
        stages_of(nn.Linear(3, 3))
    assert str(error.value) == "this network has no stages and no convolutions: there are no feature maps to show"


def test_a_stage_without_height_and_width():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    model(batch(IMAGE))
    model.stages = ("1",)
    message = r"^stage '1' has an output of shape \(3600,\), not \(channels, height, width\): choose another stage$"
    with pytest.raises(UsageError, match=message):
        feature_maps(model, IMAGE)


class WithUnused(nn.Module):
    """The answer needs `trunk`, through no gradient; `aux` is for training only, and `head` is registered first."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.gate = nn.Linear(4, 4)
        self.trunk = nn.Conv2d(3, 4, 3)
        self.aux = nn.Conv2d(4, 2, 1)
        self.unused = nn.Linear(2, 2)

    def forward(self, images):
        with torch.no_grad():
            maps = self.trunk(images)
        seen = maps.mean((2, 3))
        return self.head(seen * self.gate(seen).sigmoid())


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: feature_maps(model, IMAGE, ["aux"]),
        lambda model: gradcam(model, IMAGE, 0, stage="aux"),
        lambda model: max_activating(model, IMAGE[None], "aux"),
        lambda model: one_pixel(model, IMAGE, "aux", 0, 0, 0),
    ],
)
def test_a_layer_that_no_answer_needs_is_refused_by_name(ask):
    with pytest.raises(UsageError) as refusal:
        ask(WithUnused())
    assert str(refusal.value) == "stage 'aux' does not run when the network predicts: choose another stage"


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda model: gradcam(model, IMAGE, 0, stage="trunk"), "stage 'trunk'"),
        (lambda model: integrated_gradients(model, IMAGE, 0), "the image"),
        (lambda model: max_activating(model, IMAGE[None], "trunk"), "the image"),
    ],
)
def test_a_gradient_that_the_network_cuts_off_is_said(ask, what):
    with pytest.raises(UsageError) as refusal:
        ask(WithUnused())
    assert str(refusal.value) == (
        f"the prediction has no gradient with respect to {what}: the network blocks it (torch.no_grad, detach), or does not "
        "use the layer; choose another stage, or --method occlusion or feature_maps, which need no gradient"
    )


def test_a_stage_that_is_declared_and_not_there_is_said():
    model = WithUnused()
    model.stages = ("trnk",)
    with pytest.raises(UsageError) as refusal:
        feature_maps(model, IMAGE)
    assert str(refusal.value) == (
        "the network's attribute `stages` names 'trnk', but the network has no such layer: correct the name"
    )


def test_the_layout_is_by_the_dense_layer_that_is_run_last():
    model = WithUnused().eval()
    with torch.no_grad():
        seen = model.trunk(batch(IMAGE)).mean((2, 3))
        wanted = seen * model.gate(seen).sigmoid()
    np.testing.assert_allclose(last_features(model, IMAGE[None]), wanted.numpy(), rtol=1e-5)


def test_maps_are_scaled_for_drawing_each_from_0_to_1_and_a_dead_channel_is_nan():
    live, noise = np.array([[2.0, 4.0], [3.0, 6.0]]), np.array([[0.0, 1e-9], [0.0, 0.0]])
    scaled = FeatureMaps("conv", np.stack([live, noise]).astype(np.float32)).scaled
    assert scaled[0].tolist() == [[0.0, 0.5], [0.25, 1.0]]
    assert np.isnan(scaled[1]).all()


def test_maps_of_one_pixel_share_one_scale():
    scaled = FeatureMaps("conv", np.array([1.0, 3.0, 5.0], np.float32).reshape(3, 1, 1)).scaled
    assert scaled.ravel().tolist() == [0.0, 0.5, 1.0]


def test_modules_under_the_name_stages_are_no_names_of_stages():
    class Layered(nn.Module):
        def __init__(self):
            super().__init__()
            self.stages = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)])
            self.head = nn.Linear(4, 2)

        def forward(self, images):
            for stage in self.stages:
                images = stage(images.float())
            return self.head(images.mean((2, 3)))

    assert stages_of(Layered()) == ("stages.0", "stages.1")
    assert stages_of(Normalised(Layered())) == ("network.stages.0", "network.stages.1")
