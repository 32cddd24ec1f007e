"""The layers torch lacks, against TensorFlow's arithmetic worked out by hand."""

import math

import pytest
import torch
from torch import nn

from foveola.models.layers import ConvSame, MaxPoolSame, Normalise, initialise, same_padding


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "expected"),
    [(224, 11, 4, (3, 4)), (56, 3, 2, (0, 1)), (55, 3, 2, (1, 1)), (32, 3, 1, (1, 1)), (5, 1, 3, (0, 0))],
)
def test_same_padding_puts_the_odd_pixel_at_the_end(side, kernel, stride, expected):
    assert same_padding(side, kernel, stride) == expected


@pytest.mark.parametrize(("height", "width"), [(7, 10), (8, 8), (1, 5)])
def test_a_strided_same_convolution_gives_the_rounded_up_quotient(height, width):
    out = ConvSame(3, 4, 5, stride=2)(torch.zeros(1, 3, height, width))
    assert out.shape == (1, 4, math.ceil(height / 2), math.ceil(width / 2))


def test_a_same_convolution_of_ones_counts_the_pixels_under_the_kernel():
    layer = ConvSame(1, 1, 3, stride=2, bias=False)
    nn.init.ones_(layer.weight)
    # Side 4, kernel 3, stride 2: padded by nothing before and one pixel behind; the last window sees two of three.
    assert layer(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9.0, 6.0], [6.0, 4.0]]


def test_padded_pixels_never_win_the_maximum():
    out = MaxPoolSame(3, 2)(torch.full((1, 1, 4, 4), -5.0))
    assert out[0, 0].tolist() == [[-5.0, -5.0], [-5.0, -5.0]]


def test_normalise_takes_mean_and_deviation_of_each_channel_from_the_pictures():
    images = torch.randint(0, 256, (50, 3, 8, 6), dtype=torch.uint8)
    layer = Normalise("standard")
    layer.initialise_from(images)
    out = layer(images)
    assert torch.allclose(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(out.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize(("scale", "expected"), [("unit", 1.0), ("raw", 255.0)])
def test_normalise_by_a_fixed_scale_ignores_the_pictures(scale, expected):
    layer = Normalise(scale)
    white = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    layer.initialise_from(white)
    assert layer(white).unique().tolist() == [expected]


def test_glorot_uniform_fills_its_range_and_zeroes_the_bias():
    layer = nn.Conv2d(16, 32, 3)
    initialise(layer, "glorot_uniform")
    bound = math.sqrt(6 / (16 * 9 + 32 * 9))
    assert 0.98 * bound < layer.weight.abs().max() <= bound
    assert not layer.bias.any()


def test_he_normal_has_the_deviation_of_its_formula():
    layer = nn.Linear(400, 300)
    initialise(layer, "he_normal")
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.02)
