"""Our gradient of a convolution's weights: torch's own in float64 is the oracle."""

import contextlib
import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from foveola.models.build import adapt, build
from foveola.types import Size
from foveola_kernels import convolution, layers
from foveola_kernels.accelerate import accelerated
from foveola_kernels.convolution import rgb_conv_gradients, weight_gradient

pytestmark = pytest.mark.usefixtures("avx2_only")

CPU = torch.device("cpu")


def maps(*shape, seed=0):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last)


def both_maps(n, inputs, outputs, size, kernel, padding):
    sides = [side + 2 * pad - taps + 1 for side, pad, taps in zip(size, padding, kernel, strict=True)]
    return maps(n, inputs, *size), maps(n, outputs, *sides, seed=1)


CASES = [
    pytest.param((9, 24, 32, (31, 31), (3, 3), (1, 1)), id="tiles of 4 x 24"),
    pytest.param((3, 16, 12, (8, 8), (3, 3), (1, 1)), id="tiles of 6 x 16"),
    pytest.param((2, 32, 20, (7, 5), (3, 3), (1, 1)), id="tiles of 6 and 4 x 16"),
    pytest.param((2, 40, 32, (6, 6), (3, 3), (0, 0)), id="tiles of 16 and 8, no padding"),
    pytest.param((1, 8, 4, (5, 5), (3, 3), (1, 1)), id="the smallest tile, one image"),
    pytest.param((2, 48, 8, (9, 11), (3, 5), (1, 2)), id="a kernel that is no square"),
    pytest.param((2, 8, 8, (1, 1), (5, 5), (2, 2)), id="places of the kernel that no pixel reaches"),
    pytest.param((2, 16, 8, (3, 300), (3, 3), (1, 1)), id="long rows"),
    pytest.param((17, 128, 64, (7, 7), (3, 3), (1, 1)), id="images that fill no group evenly"),
]


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_torchs_in_float64(case):
    _, inputs, outputs, _, kernel, padding = case
    x, dy = both_maps(*case)
    shape = (outputs, inputs, *kernel)
    found = weight_gradient(x, dy, shape, padding)
    expected = nn.grad.conv2d_weight(x.double(), shape, dy.double(), padding=padding)
    assert found.shape == shape and found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_the_number_of_threads_changes_no_bit():
    x, dy = both_maps(13, 32, 28, (9, 9), (3, 3), (1, 1))
    threads, found = torch.get_num_threads(), []
    try:
        for many in (1, 2, 3, 11, 32, 40):
            torch.set_num_threads(many)
            found.append(weight_gradient(x, dy, (28, 32, 3, 3), (1, 1)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], other) for other in found[1:])


NARROW = [
    pytest.param((9, 3, 32, (32, 32), (3, 3), (1, 1)), id="tiles of 3 x 32"),
    pytest.param((33, 3, 48, (9, 11), (5, 5), (2, 2)), id="two tiles of 3 x 24, more images than chunks"),
    pytest.param((2, 3, 64, (7, 6), (3, 5), (0, 1)), id="a kernel that is no square, rows left over"),
    pytest.param((1, 1, 24, (5, 5), (3, 3), (1, 1)), id="one channel, one image"),
    pytest.param((3, 6, 32, (1, 40), (1, 9), (0, 0)), id="six channels, one row"),
]


@pytest.mark.parametrize("case", NARROW)
def test_a_first_layers_gradients_are_torchs_in_float64(case):
    _, inputs, outputs, _, kernel, padding = case
    x, dy = both_maps(*case)
    shape = (outputs, inputs, *kernel)
    weights, bias = rgb_conv_gradients(x, dy, shape, padding)
    expected = nn.grad.conv2d_weight(x.double(), shape, dy.double(), padding=padding)
    torch.testing.assert_close(weights.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    torch.testing.assert_close(bias.double(), dy.double().sum((0, 2, 3)), rtol=1e-4, atol=1e-3)


def test_the_number_of_threads_changes_no_bit_of_a_first_layers_gradients():
    x, dy = both_maps(13, 3, 48, (9, 9), (3, 3), (1, 1))
    threads, found = torch.get_num_threads(), []
    try:
        for many in (1, 2, 3, 11, 32, 40):
            torch.set_num_threads(many)
            found.append(rgb_conv_gradients(x, dy, (48, 3, 3, 3), (1, 1)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("case", NARROW)
def test_a_gradient_that_goes_back_through_the_norm_on_the_way_is_as_if_it_were_written_to_the_last_bit(case):
    _, inputs, outputs, _, kernel, padding = case
    x, dy = both_maps(*case)
    z, factors = maps(*dy.shape, seed=2), torch.randn((3, outputs), generator=torch.Generator().manual_seed(3))
    found = rgb_conv_gradients(x, dy, (outputs, inputs, *kernel), padding, back=(z, factors))
    expected = rgb_conv_gradients(x, layers.back(z, dy, factors), (outputs, inputs, *kernel), padding)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_network_learns_the_same_with_them():
    torch.manual_seed(0)
    model = build("fast", Size(24, 24), 3).to(memory_format=torch.channels_last)
    images = torch.randint(0, 256, (8, 3, 24, 24), dtype=torch.uint8)
    adapt(model, images)
    gradients = []
    for wanted in (True, False):
        own = copy.deepcopy(model).train()
        torch.manual_seed(1)
        with accelerated(own, CPU, torch.float32) if wanted else contextlib.nullcontext():
            logits = own(images)
        F.cross_entropy(logits, torch.arange(8) % 3).backward()
        gradients.append([p.grad for p in own.parameters() if p.grad is not None])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel"), [(16, 8, 3), (16, 8, 5), (3, 24, 3)], ids=["3x3", "5x5", "colours"]
)
def test_a_convolution_with_a_bias_gets_all_three_gradients(inputs, outputs, kernel):
    layer, x = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), maps(4, inputs, 6, 6).requires_grad_()
    with accelerated(layer, CPU, torch.float32):
        y = layer(x)
    assert taken(y)
    towards = maps(4, outputs, 6, 6, seed=2)
    found = torch.autograd.grad(y, [x, layer.weight, layer.bias], towards)
    exact = copy.deepcopy(layer).double()
    z = x.detach().double().requires_grad_()
    expected = torch.autograd.grad(exact(z), [z, exact.weight, exact.bias], towards.double())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def taken(out):
    """Whether the kernels compute this convolution."""
    return type(out.grad_fn).__name__ == "_ConvolutionBackward"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        pytest.param(nn.Conv2d(3, 8, 3, padding=1), (2, 3, 8, 8), id="three inputs"),
        pytest.param(nn.Conv2d(8, 6, 3, padding=1), (2, 8, 8, 8), id="six outputs"),
        pytest.param(nn.Conv2d(8, 8, 3, stride=2), (2, 8, 16, 16), id="a stride"),
        pytest.param(nn.Conv2d(8, 8, 3, dilation=2), (2, 8, 16, 16), id="a dilation"),
        pytest.param(nn.Conv2d(16, 16, 3, groups=2), (2, 16, 8, 8), id="groups"),
        pytest.param(nn.Conv2d(8, 8, 3, padding="same"), (2, 8, 8, 8), id="padding by name"),
        pytest.param(nn.Conv2d(8, 8, 1), (2, 8, 8, 8), id="a kernel of one pixel"),
        pytest.param(nn.Conv2d(8, 8, 3, padding=1), (2, 8, 3, 3), id="a small map"),
        pytest.param(nn.Conv2d(8, 8, 3, padding=1).requires_grad_(False), (2, 8, 8, 8), id="frozen"),
        pytest.param(nn.Conv2d(8, 8, 3, padding=1).double(), (2, 8, 8, 8), id="float64"),
        pytest.param(nn.Conv2d(8, 8, 3, padding=1), (8, 8, 8), id="a single image without a batch axis"),
    ],
)
def test_what_does_not_fit_is_left_to_torch(layer, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(layer.weight.dtype).requires_grad_()
    with accelerated(layer, CPU, torch.float32):
        y = layer(x)
    assert not taken(y)
    assert torch.equal(y, layer(x))


def test_a_bias_of_another_type_is_torchs_error_and_is_never_read_as_float32():
    layer = nn.Conv2d(8, 8, 3, padding=1)
    layer.bias = nn.Parameter(torch.zeros(8, dtype=torch.float64))
    with accelerated(layer, CPU, torch.float32), pytest.raises(RuntimeError, match="bias"):
        layer(maps(2, 8, 8, 8))


def test_nothing_is_taken_where_no_gradient_is_asked_for():
    layer = nn.Conv2d(8, 8, 3, padding=1)
    with accelerated(layer, CPU, torch.float32), torch.no_grad():
        assert layer(maps(2, 8, 8, 8)).grad_fn is None


@pytest.mark.parametrize("why", ["AVX-512", "bfloat16"])
def test_torch_computes_convolutions_where_it_is_faster(why, monkeypatch):
    if why == "AVX-512":
        monkeypatch.setattr(convolution, "is_avx2_only", lambda: False)
    layer = nn.Conv2d(8, 8, 3, padding=1)
    with accelerated(layer, CPU, torch.bfloat16 if why == "bfloat16" else torch.float32):
        assert not taken(layer(maps(2, 8, 8, 8)))
