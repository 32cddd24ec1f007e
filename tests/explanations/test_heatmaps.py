"""Heat maps against numbers worked out by hand, an oracle that covers squares one by one, and planted pictures."""

import numpy as np
import pytest
import torch
from torch import nn

from foveola.errors import UsageError
from foveola.explanations import EXPLANATIONS, HEATMAPS
from foveola.explanations.heatmaps import Heatmap, gradcam, hirescam, integrated_gradients, occlusion
from foveola.models.build import build
from foveola.types import Size


class Tiny(nn.Module):
    """One 1x1 convolution that passes red and green on as two maps, and a dense layer of given weights."""

    stages = ("conv",)

    def __init__(self, side, weights):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.dense = nn.Linear(2 * side * side, len(weights), bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:2, :, None, None])
            self.dense.weight.copy_(torch.tensor(weights, dtype=torch.float32).reshape(len(weights), -1))

    def forward(self, images):
        return self.dense(self.conv(images).flatten(1))


class Redness(nn.Module):
    """Class 1 is as likely as the picture is red, wherever: two convolutions and a mean."""

    stages = ("conv1", "conv2")

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        with torch.no_grad():
            self.conv1.weight.copy_(torch.tensor([1.0, -0.5, -0.5])[None, :, None, None].expand(1, 3, 3, 3) / 9)
            self.conv2.weight.fill_(1 / 9)

    def forward(self, images):
        red = torch.relu(self.conv2(torch.relu(self.conv1(images)))).mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(red), red / 10], dim=1)


# red   10 20    green   1 2     weights of class 1 for red   1 -1    for green   2 0
#       30 40            3 4                                  3  1               -4 0
PICTURE = np.array([[[10, 1, 0], [20, 2, 0]], [[30, 3, 0], [40, 4, 0]]], np.uint8)
WEIGHTS = [[0] * 8, [1, -1, 3, 1, 2, 0, -4, 0]]


def test_gradcam_by_hand():
    # Mean weight of red is 1, of green -0.5: relu(red - 0.5 green).
    found = gradcam(Tiny(2, WEIGHTS), PICTURE, 1)
    np.testing.assert_allclose(found.values, [[9.5, 19], [28.5, 38]], rtol=1e-6)
    np.testing.assert_allclose(found.heat, [[0.25, 0.5], [0.75, 1]], rtol=1e-6)
    assert (found.stage, found.target) == ("conv", 1)


def test_hirescam_by_hand():
    # relu(weight of red x red + weight of green x green), place by place.
    found = hirescam(Tiny(2, WEIGHTS), PICTURE, 1)
    np.testing.assert_allclose(found.values, [[12, 0], [78, 40]], rtol=1e-6)


def test_integrated_gradients_of_a_linear_network_by_hand():
    # weight x (value - mean), summed over the colours; the means are 25 and 2.5.
    found = integrated_gradients(Tiny(2, WEIGHTS), PICTURE, 1)
    np.testing.assert_allclose(found.values, [[-15 - 3, 5], [15 - 2, 15]], rtol=1e-4, atol=1e-4)


def test_the_probability_is_the_softmax_of_the_class():
    # logit of class 1: 10 - 20 + 90 + 40 + 2 - 12 = 110; a tenth of the weights makes it 11, a hundredth 1.1
    found = gradcam(Tiny(2, np.array(WEIGHTS) / 100), PICTURE, 1)
    assert found.probability == pytest.approx(1 / (1 + np.exp(-1.1)), rel=1e-5)


def by_squares(model, image, target, window, stride):
    """What occlusion means: cover every square in turn, give every pixel the mean fall of the squares over it."""

    def log_probability(picture):
        x = torch.tensor(picture, dtype=torch.float32).permute(2, 0, 1)[None]
        return float(torch.log_softmax(model(x), dim=1)[0, target])

    picture = image.astype(np.float32)
    base, colour = log_probability(picture), picture.mean(axis=(0, 1))
    total, times = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    for top in range(0, image.shape[0] - window + 1, stride):
        for left in range(0, image.shape[1] - window + 1, stride):
            covered = picture.copy()
            covered[top : top + window, left : left + window] = colour
            total[top : top + window, left : left + window] += base - log_probability(covered)
            times[top : top + window, left : left + window] += 1
    return total / times


@pytest.mark.parametrize(("side", "window", "stride"), [(8, 1, 1), (16, 2, 1)])
def test_occlusion_is_the_mean_fall_of_the_squares_over_a_pixel(side, window, stride):
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    model = Redness().eval()
    with torch.no_grad():
        expected = by_squares(model, image, 1, window, stride)
    np.testing.assert_allclose(occlusion(model, image, 1).values, expected, atol=2e-5)


@pytest.mark.parametrize("method", HEATMAPS)
@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_picture_whose_one_corner_carries_the_class_lights_up_there(method, corner):
    image = np.full((32, 32, 3), 60, np.uint8)
    rows, columns = (slice(24, 32) if at else slice(0, 8) for at in corner)
    image[rows, columns] = (250, 0, 0)
    heat = EXPLANATIONS[method](Redness(), image, 1).heat
    inside = np.zeros((32, 32), bool)
    inside[slice(22, 32) if corner[0] else slice(0, 10), slice(22, 32) if corner[1] else slice(0, 10)] = True
    assert heat[inside].mean() > 10 * heat[~inside].mean()
    assert inside[np.unravel_index(heat.argmax(), heat.shape)]


@pytest.mark.parametrize("method", HEATMAPS)
def test_other_weights_give_another_map(method):
    """The sanity check of J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018."""
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    one, other = (EXPLANATIONS[method](build("vgg6", Size(32, 32), 10, seed=k), image, 3).heat for k in (1, 2))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.9


@pytest.mark.parametrize("method", HEATMAPS)
@pytest.mark.parametrize("name", ["alexnet_mini", "vgg6", "fast", "transfer"])
def test_every_network_has_every_map(method, name):
    image = np.random.default_rng(1).integers(0, 256, (48, 40, 3), np.uint8)
    model = build(name, Size(48, 40), 3, seed=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = EXPLANATIONS[method](model, image, 2)
    assert found.values.shape == (48, 40)
    assert np.isfinite(found.values).all()
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_nothing_that_speaks_for_a_class_is_an_empty_map():
    assert Heatmap("gradcam", 0, 0.5, np.full((2, 2), -1, np.float32)).heat.max() == 0


def test_an_unknown_stage():
    with pytest.raises(UsageError) as error:
        gradcam(Redness(), np.zeros((8, 8, 3), np.uint8), 1, "conv3")
    assert str(error.value) == "unknown stage 'conv3' (did you mean 'conv2'?); known: conv1, conv2"
