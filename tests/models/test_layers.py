"""The layers torch lacks, against TensorFlow's arithmetic worked out by hand."""

import math

import pytest
import torch
from torch import nn

from foveola.models.layers import ConvSame, Dropout, MaxPoolSame, Normalise, init_weights, same_padding


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


@pytest.mark.parametrize("side", [(8, 8), (7, 10), (9, 9), (2, 1)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (11, 4), (2, 3)])
def test_a_depthwise_same_convolution_is_that_of_the_padded_picture_and_its_gradient_too(side, kernel, stride):
    layer = ConvSame(6, 6, kernel, stride, groups=6).double()
    images = torch.randn(2, 6, *side, dtype=torch.float64, requires_grad=True)
    (top, bottom), (left, right) = (same_padding(one, kernel, stride) for one in side)
    padded = nn.functional.pad(images, (left, right, top, bottom))
    expected = nn.functional.conv2d(padded, layer.weight, layer.bias, stride, groups=6)
    out = layer(images)
    assert torch.allclose(out, expected, atol=1e-12)
    weights = torch.randn_like(expected)
    given, wanted = (torch.autograd.grad((one * weights).sum(), images)[0] for one in (out, expected))
    assert torch.allclose(given, wanted, atol=1e-12)


def test_a_depthwise_same_convolution_keeps_the_pictures_channels_last():
    images = torch.zeros(2, 6, 8, 8).to(memory_format=torch.channels_last)
    out = ConvSame(6, 6, 3, 2, groups=6).to(memory_format=torch.channels_last)(images)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_padded_pixels_never_win_the_maximum():
    out = MaxPoolSame(3, 2)(torch.full((1, 1, 4, 4), -5.0))
    assert out[0, 0].tolist() == [[-5.0, -5.0], [-5.0, -5.0]]


def test_normalise_takes_mean_and_deviation_of_each_channel_from_the_pictures():
    images = torch.randint(0, 256, (50, 3, 8, 6), dtype=torch.uint8)
    layer = Normalise("standard")
    layer.adapt(images)
    out = layer(images)
    assert torch.allclose(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(out.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-5)


def test_normalise_gives_the_same_bits_whatever_the_layout():
    layer = Normalise("standard")
    images = torch.randint(0, 256, (3, 3, 7, 5), dtype=torch.uint8, generator=torch.manual_seed(0))
    layer.adapt(images)
    beside = layer(images.contiguous(memory_format=torch.channels_last))
    assert beside.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(beside, layer(images))


@pytest.mark.parametrize(("scale", "expected"), [("unit", 1.0), ("raw", 255.0)])
def test_normalise_by_a_fixed_scale_ignores_the_pictures(scale, expected):
    layer = Normalise(scale)
    white = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    layer.adapt(white)
    assert layer(white).unique().tolist() == [expected]


def test_glorot_uniform_fills_its_range_and_zeroes_the_bias():
    layer = nn.Conv2d(16, 32, 3)
    init_weights(layer, "glorot_uniform")
    bound = math.sqrt(6 / (16 * 9 + 32 * 9))
    assert 0.98 * bound < layer.weight.abs().max() <= bound
    assert not layer.bias.any()


def test_he_normal_has_the_deviation_of_its_formula():
    layer = nn.Linear(400, 300)
    init_weights(layer, "he_normal")
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.02)


def ones(shape=(16, 32, 10, 10)):
    return torch.ones(shape).contiguous(memory_format=torch.channels_last)


def test_dropout_drops_its_share_and_scales_the_rest_by_the_exact_share_kept():
    out = Dropout(0.3)(ones())
    dropped = round(0.3 * 65536) / 65536
    assert out.unique().tolist() == pytest.approx([0.0, 1 / (1 - dropped)], rel=1e-6)
    n = out.numel()  # 51,200 draws: five standard deviations to each side
    assert abs(int((out == 0).sum()) - n * dropped) < 5 * math.sqrt(n * dropped * (1 - dropped))


def test_dropout_draws_channels_and_pixels_apart():
    kept = (Dropout(0.5)(ones()) > 0).double()
    for dimension in range(4):
        there, next_to_it = kept.narrow(dimension, 0, kept.shape[dimension] - 1), kept.roll(-1, dimension)
        next_to_it = next_to_it.narrow(dimension, 0, kept.shape[dimension] - 1)
        agree = float((there == next_to_it).double().mean())
        assert abs(agree - 0.5) < 5 * 0.5 / math.sqrt(there.numel())


@pytest.mark.parametrize("shape", [(7, 5, 3, 3), (7, 5)], ids=["maps", "rows"])
def test_dropout_passes_the_gradient_where_it_passed_the_value(shape):
    images = torch.ones(shape, requires_grad=True)
    out = Dropout(0.5)(images)
    out.sum().backward()
    assert torch.equal(images.grad, out.detach())


def test_dropout_follows_torchs_seed():
    torch.manual_seed(4)
    first, second = Dropout(0.5)(ones()), Dropout(0.5)(ones())
    torch.manual_seed(4)
    assert torch.equal(Dropout(0.5)(ones()), first)
    assert not torch.equal(first, second)


def test_dropout_does_nothing_outside_training_or_at_zero():
    images = ones()
    assert torch.equal(Dropout(0.5).eval()(images), images)
    assert torch.equal(Dropout(0.0)(images), images)


def test_dropout_of_nearly_everything_still_keeps_a_share():
    images = torch.ones(2_000_000)
    assert Dropout(0.9999999)(images).unique().tolist() == [0, 65536]  # some 30 are kept: none, once in 10^13
