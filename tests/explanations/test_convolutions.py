"""Learned kernels, the patches that activate a channel most, receptive fields, and the arithmetic of one output value."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from foveola.errors import UsageError
from foveola.explanations.convolutions import kernels, max_activating, one_pixel, receptive_field
from foveola.models.build import build
from foveola.models.layers import ConvSame
from foveola.types import Size

IMAGE = np.random.default_rng(0).integers(0, 256, (19, 23, 3), np.uint8)


def test_the_first_convolutions_kernels_as_pictures():
    model = nn.Sequential(nn.Conv2d(3, 2, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0, -2.0, 0.0], [1.0, 0.5, -1.0]])[..., None, None])
    found = kernels(model)
    assert found.layer == "0"
    assert found.images.tolist() == [[[[255, 0, 128]]], [[[191, 159, 64]]]]  # 127.5 + 127.5 w / 2, halves to even


def test_kernels_over_more_than_three_channels_are_no_pictures():
    found = kernels(build("vgg6", Size(32, 32), 10), "conv2")
    assert found.values.shape == (32, 32, 3, 3)
    assert found.images is None


def test_an_unknown_layer():
    with pytest.raises(UsageError) as error:
        kernels(build("vgg6", Size(32, 32), 10), "relu1")
    assert str(error.value) == "unknown convolution 'relu1'; known: conv1, conv2, conv3, conv4, conv5, conv6"


@pytest.mark.parametrize(
    ("layers", "place", "field"),
    [
        ([nn.Conv2d(3, 4, 3, padding=1)], (5, 7), (4, 6, 7, 9)),
        ([nn.Conv2d(3, 4, 3, padding=1)], (0, 0), (0, 0, 2, 2)),
        ([nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)], (8, 8), (6, 6, 11, 11)),
        ([nn.Conv2d(3, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)], (3, 3), (4, 4, 10, 10)),
    ],
)
def test_a_place_sees_what_arithmetic_says(layers, place, field):
    torch.manual_seed(0)
    model = nn.Sequential(*layers)
    assert receptive_field(model, str(len(layers) - 1), (16, 16), *place) == field


def test_the_patch_that_excites_a_channel_most_is_found():
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[0, 0, 1, 1] = 1  # red
        model[0].weight[1, 2] = 1  # blue, summed over 3x3
    images = np.random.default_rng(0).integers(0, 50, (70, 16, 16, 3), np.uint8)
    images[66, 3, 4, 0], images[12, 9, 9, 0], images[5, 10:13, 2:5, 2] = 255, 200, 255
    found = max_activating(model, images, each=2)
    red, blue = found[0], found[1]
    assert [(p.row, p.value) for p in red] == [(66, 255), (12, 200)]
    assert (blue[0].row, blue[0].top, blue[0].left, blue[0].value) == (5, 10, 2, 9 * 255)
    np.testing.assert_array_equal(blue[0].image, images[5, 10:13, 2:5])


def ones():
    conv = nn.Conv2d(3, 1, 3, padding=1)
    with torch.no_grad():
        conv.weight.fill_(1)
        conv.bias.fill_(5)
    return nn.Sequential(conv)


@pytest.mark.parametrize(("row", "column", "total"), [(4, 4, 27 + 5), (0, 4, 18 + 5), (0, 0, 12 + 5)])
def test_by_hand(row, column, total):
    found = one_pixel(ones(), np.ones((9, 9, 3), np.uint8), "0", 0, row, column)
    assert found.total == total
    assert found.value == total
    assert found.products.shape == (3, 3, 3)


class AsFunction(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        assert images.shape[1] == 1  # asking for the shape is no step of the network
        return self.function(images)


@pytest.mark.parametrize(
    ("after", "name", "gives"),
    [
        (nn.ReLU(inplace=True), "ReLU", 0),
        (AsFunction(torch.relu_), "ReLU", 0),
        (nn.ReLU6(), "ReLU6", 0),
        (nn.SiLU(), "SiLU", -3 / (1 + np.exp(3))),
        (AsFunction(F.silu), "SiLU", -3 / (1 + np.exp(3))),
        (nn.LeakyReLU(0.5), "leaky ReLU", -1.5),
    ],
    ids=str,
)
def test_the_activation_that_follows(after, name, gives):
    model = nn.Sequential(*ones(), after, nn.Hardtanh(5, 6))
    model[0].bias.data.fill_(-30)
    found = one_pixel(model, np.ones((9, 9, 3), np.uint8), "0", 0, 4, 4)
    assert (found.total, found.value, found.activation) == (-3, -3, name)
    assert found.activated == pytest.approx(gives)


@pytest.mark.parametrize(
    "between", [nn.MaxPool2d(1), nn.BatchNorm2d(1), nn.Hardtanh(-1, 1), nn.Conv2d(1, 1, 1)], ids=str
)
def test_where_something_else_follows_there_is_no_activation(between):
    found = one_pixel(nn.Sequential(*ones(), between, nn.ReLU()), np.ones((9, 9, 3), np.uint8), "0", 0, 4, 4)
    assert (found.activation, found.activated) == ("", 0)


@pytest.mark.parametrize(
    ("network", "layer", "name"),
    [
        ("alexnet_mini", "conv2", "ReLU"),
        ("vgg6", "conv3", "ReLU"),
        ("fast", "whitening", "SiLU"),
        ("fast", "block1.conv1", ""),  # pooling
        ("fast", "block1.conv2", ""),  # batch norm
        ("transfer", "stem.conv", "ReLU6"),
        ("transfer", "stage2.1.project", ""),  # the block's input is added
    ],
)
def test_what_follows_in_our_networks(network, layer, name):
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert one_pixel(build(network, Size(64, 64), 2, seed=0), picture, layer, 0, 1, 1).activation == name


@pytest.mark.parametrize(
    "conv",
    [
        ConvSame(3, 4, 11, 4),
        ConvSame(3, 4, 5, 1),
        nn.Conv2d(3, 4, 3, padding="same", dilation=2),
        pytest.param(
            nn.Conv2d(3, 4, 4, padding="same"), marks=pytest.mark.filterwarnings("ignore:Using padding='same'")
        ),
        nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(1, 2)),
        nn.Conv2d(3, 6, 3, groups=3, bias=False),
        nn.Conv2d(3, 4, 3, padding="valid"),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    ],
    ids=str,
)
def test_it_adds_up_to_what_the_layer_gave(conv):
    model = nn.Sequential(conv)
    with torch.no_grad():
        channels, rows, columns = model(torch.zeros(1, 3, 19, 23)).shape[1:]
    for channel, row, column in [(0, 0, 0), (channels - 1, rows - 1, columns - 1), (1, rows // 2, columns // 2)]:
        found = one_pixel(model, IMAGE, "0", channel, row, column)
        assert found.total == pytest.approx(found.value, rel=1e-4, abs=1e-2)


def test_a_channel_of_a_group_reads_the_inputs_of_its_group():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=2))
    found = [one_pixel(model, IMAGE, layer, channel, 0, 0) for layer, channel in (("0", 3), ("1", 1), ("1", 2))]
    assert [(one.first, one.over_colours) for one in found] == [(0, True), (0, False), (2, False)]


def test_a_deep_layer_of_a_network():
    found = one_pixel(
        build("alexnet_mini", Size(64, 64), 2, seed=0),
        IMAGE[:, :19].repeat(4, 0)[:64].repeat(4, 1)[:, :64],
        "conv3",
        5,
        1,
        2,
    )
    assert found.patch.shape == (64, 3, 3)
    assert found.total == pytest.approx(found.value, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("layer", "place", "said"),
    [
        ("1", (0, 0, 0), "unknown convolution '1'; known: 0"),
        ("0", (1, 0, 0), "channel 1 is not in the output of '0': give a number from 0 to 0"),
        ("0", (0, 19, 0), "row 19 is not in the output of '0': give a number from 0 to 18"),
        ("0", (0, 0, -1), "column -1 is not in the output of '0': give a number from 0 to 22"),
    ],
)
def test_what_is_not_there(layer, place, said):
    with pytest.raises(UsageError) as error:
        one_pixel(ones(), IMAGE, layer, *place)
    assert str(error.value) == said


class Standardised(nn.Conv2d):
    def forward(self, images):
        return F.conv2d(images, self.weight / self.weight.norm(), self.bias)


class Shifted(nn.Conv2d):
    """Pads in its forward, as TensorFlow's "same" does, and says padding = 0."""

    def forward(self, images):
        return F.conv2d(F.pad(images, (0, 2, 0, 2)), self.weight, self.bias)


@pytest.mark.parametrize(("layer", "row"), [(Standardised, 4), (Shifted, 18)])
def test_a_convolution_that_computes_more_is_refused(layer, row):
    with pytest.raises(UsageError) as refusal:
        one_pixel(nn.Sequential(layer(3, 2, 3)), IMAGE, "0", 0, row, 4)
    assert str(refusal.value) == "'0' computes more than kernel x patch + bias: choose another convolution"
