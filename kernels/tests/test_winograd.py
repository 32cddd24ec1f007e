"""Our convolutions of 3x3 taps: the formulas against the sums they stand for, the kernels against torch in float64."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from foveola_kernels import layers
from foveola_kernels.availability import kernels, row_pointers
from foveola_kernels.winograd import convolve, convolve_with_sums, gradients, image_gradient, image_gradient_with_sums

RANDOM = np.random.default_rng(0)


def matrix(formula, inputs):
    return np.array(formula(np.eye(inputs)))


def test_four_pixels_are_the_sums_over_three_taps():
    from foveola_kernels.compiled import winograd_transforms as transforms

    pixels, taps = RANDOM.normal(size=6), RANDOM.normal(size=3)
    products = np.multiply(transforms.of_pixels(pixels), transforms.of_taps(taps))
    np.testing.assert_allclose(transforms.to_pixels(products), np.correlate(pixels, taps, "valid"), rtol=1e-12)


def test_the_gradients_formula_is_the_transpose_of_the_pixels():
    from foveola_kernels.compiled import winograd_transforms as transforms

    np.testing.assert_array_equal(matrix(transforms.of_gradients, 4), matrix(transforms.to_pixels, 6).T)


def test_the_taps_gradients_formula_is_the_transpose_of_the_taps():
    from foveola_kernels.compiled import winograd_transforms as transforms

    np.testing.assert_allclose(matrix(transforms.to_taps, 6), matrix(transforms.of_taps, 3).T, rtol=1e-15)


def maps(*shape, seed=0):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last)


CASES = [
    pytest.param((9, 24, 32, (31, 31), (1, 1)), id="half a tile at the border, two strips"),
    pytest.param((5, 16, 24, (15, 15), (1, 1)), id="24 outputs"),
    pytest.param((13, 40, 8, (7, 7), (1, 1)), id="8 outputs, images that fill no block"),
    pytest.param((2, 8, 48, (6, 9), (0, 0)), id="no padding, no square"),
    pytest.param((2, 16, 16, (5, 4), (2, 2)), id="a padding of two"),
    pytest.param((1, 8, 8, (4, 4), (1, 1)), id="one image, one tile"),
    pytest.param((3, 8, 16, (9, 300), (1, 0)), id="rows longer than a block"),
    pytest.param((2, 16, 8, (50, 40), (1, 1)), id="several strips, the last one short"),
    pytest.param((3, 72, 136, (8, 8), (0, 1)), id="many channels"),
    pytest.param((2, 8, 8, (10, 11), (-1, -2)), id="a padding below zero: the border left out"),
]


def made(n, inputs, outputs, size, padding):
    sides = [side + 2 * pad - 2 for side, pad in zip(size, padding, strict=True)]
    return maps(n, inputs, *size), maps(outputs, inputs, 3, 3, seed=1), maps(n, outputs, *sides, seed=2)


def exact(x, weight, bias, padding):
    """torch's in float64; it knows no padding below zero."""
    x = F.pad(x.double(), (padding[1], padding[1], padding[0], padding[0]))
    return F.conv2d(x, weight.double(), None if bias is None else bias.double())


def assert_near(found, expected):
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("case", CASES)
def test_the_convolution_is_torchs_in_float64(case):
    x, weight, _ = made(*case)
    bias = maps(len(weight), 1, 1, 1, seed=3).flatten()
    assert_near(convolve(x, weight, bias, case[4]), exact(x, weight, bias, case[4]))


@pytest.mark.parametrize("case", CASES)
def test_both_gradients_are_torchs_in_float64(case):
    x, weight, dy = made(*case)
    x64, weight64 = x.double().requires_grad_(), weight.double().requires_grad_()
    expected = torch.autograd.grad(exact(x64, weight64, None, case[4]), [x64, weight64], dy.double())
    assert_near(image_gradient(dy, weight, case[4]), expected[0])
    assert_near(gradients(x, dy, case[4])[0], expected[1])


@pytest.mark.parametrize("case", CASES)
def test_the_biases_gradient_is_the_sum_of_what_came_back(case):
    x, _, dy = made(*case)
    found, expected = gradients(x, dy, case[4])[1], dy.double().sum((0, 2, 3))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 * float(dy.abs().sum()) / dy.shape[1])


def numbers_of(channels):
    """Mean, inverse deviation, scale and offset of a batch norm, (4, channels): scales of both signs, no offset of 0."""
    return torch.randn((4, channels), generator=torch.Generator().manual_seed(5)).add_(0.1)


def written(x, numbers):
    """relu(x) * scale + offset by the pass that writes it."""
    y, channels = torch.empty_like(x), x.shape[1]
    scale, offset = row_pointers(numbers)[2:]
    kernels().relu_norm(32, x.data_ptr(), x.numel(), channels, scale, offset, y.data_ptr())
    return y


@pytest.mark.parametrize("case", CASES)
def test_a_map_that_waits_for_its_norm_is_taken_as_if_it_were_written_to_the_last_bit(case):
    x, weight, dy = made(*case)
    numbers = numbers_of(x.shape[1])
    y = written(x, numbers)
    assert torch.equal(
        convolve_with_sums(x, weight, None, case[4], norm=numbers[2:])[0], convolve(y, weight, None, case[4])
    )
    for found, expected in zip(gradients(x, dy, case[4], norm=numbers[2:]), gradients(y, dy, case[4]), strict=True):
        assert torch.equal(found, expected)


def norm_of(channels):
    norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.25)
    nn.init.constant_(norm.running_mean, 0.3)
    return norm


SHORT = pytest.param((3, 8, 16, (36, 120), (1, 1)), id="a last strip without rows")


@pytest.mark.parametrize("case", [*CASES, SHORT])
@pytest.mark.parametrize("bias", [0.0, 1_000.0], ids=["near 0", "far from 0"])
def test_what_is_added_up_gives_the_statistics_of_the_map(case, bias):
    x, weight, _ = made(*case)
    z, added = convolve_with_sums(x, weight, torch.full((len(weight),), bias), case[4])
    found, r = norm_of(len(weight)), torch.relu(z).double()
    numbers = layers.statistics(z, found, added).double()
    expected = norm_of(len(weight)).double()
    expected(r)
    torch.testing.assert_close(numbers[0], r.mean((0, 2, 3)), rtol=2e-5, atol=1e-6)
    inverse = 1 / (r.var((0, 2, 3), correction=0) + 1e-3).sqrt()
    torch.testing.assert_close(numbers[1], inverse, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.running_mean.double(), expected.running_mean, rtol=2e-5, atol=1e-6)
    torch.testing.assert_close(found.running_var.double(), expected.running_var, rtol=1e-4, atol=0)
    assert found.num_batches_tracked == 1


@pytest.mark.parametrize("case", [*CASES, SHORT])
def test_the_sums_beside_a_gradient_are_those_of_the_whole_map(case):
    x, weight, dy = made(*case)
    mean = torch.linspace(-1, 1, x.shape[1])
    found, sums = image_gradient_with_sums(dy, weight, case[4], z=x, mean=mean)
    assert torch.equal(found, image_gradient(dy, weight, case[4]))
    beside = torch.relu(x).double() - mean.double()[:, None, None]
    for some, expected in zip(sums, (found.double(), found.double() * beside), strict=True):
        most = 1e-6 * float(expected.abs().sum((0, 2, 3)).max())
        torch.testing.assert_close(some.double().sum(0), expected.sum((0, 2, 3)), rtol=0, atol=most)


def test_the_error_is_at_most_three_times_torchs():
    x, weight, _ = made(50, 64, 64, (16, 16), (1, 1))
    expected = exact(x, weight, None, (1, 1))
    ours = (convolve(x, weight, None, (1, 1)) - expected).square().mean().sqrt()
    theirs = (F.conv2d(x, weight, padding=1) - expected).square().mean().sqrt()
    assert 0 < ours < 3 * theirs


def test_an_image_gives_the_same_result_in_any_batch():
    x, weight, _ = made(13, 16, 24, (7, 7), (1, 1))
    alone = convolve(x[3:4], weight, None, (1, 1))
    x[:3], x[4:] = float("nan"), float("inf")
    assert torch.equal(convolve(x, weight, None, (1, 1))[3:4], alone)


def test_the_number_of_threads_changes_no_bit():
    x, weight, dy = made(13, 32, 40, (9, 9), (1, 1))
    threads, found = torch.get_num_threads(), []
    try:
        for many in (1, 2, 3, 11, 32, 40):
            torch.set_num_threads(many)
            found.append((convolve(x, weight, None, (1, 1)), *gradients(x, dy, (1, 1))))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_a_layer_that_shares_its_taps_sums_both_gradients():
    from foveola_kernels.convolution import _Convolution

    layer = nn.Conv2d(8, 8, 3, padding=1, bias=False)
    x, towards = maps(2, 8, 8, 8), maps(2, 8, 8, 8, seed=4)
    once = _Convolution.apply(x, layer.weight, None, (1, 1), False)
    twice = _Convolution.apply(once, layer.weight, None, (1, 1), False)
    (found,) = torch.autograd.grad(twice, [layer.weight], towards)
    weight = layer.weight.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(
        exact(exact(x, weight, None, (1, 1)), weight, None, (1, 1)), [weight], towards.double()
    )
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-5 * float(expected.abs().max()))
