"""A classic network's layers taken together do what they do one by one: torch's own are the oracle, in float64."""

import collections
import copy
import functools
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from foveola.models.course import vgg6
from foveola.models.layers import ConvSame, Dropout
from foveola.types import Size
from foveola_kernels import convolution
from foveola_kernels.accelerate import accelerated
from foveola_kernels.fuse import conv_relu_bn, fuse_layers

pytestmark = pytest.mark.usefixtures("avx2_only")

CPU = torch.device("cpu")


def maps(*shape, seed=0):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last)


def layers_of(*widths, kernel=3, kind=ConvSame):
    """Convolutions with [ReLU, batch norm] behind each; the norms' scales have both signs."""
    torch.manual_seed(1)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        more = {} if kind is ConvSame else {"padding": kernel // 2}
        layers += [kind(inputs, outputs, kernel, **more), nn.ReLU(), norm]
    return nn.Sequential(*layers)


def pairs_of(layers):
    return list(zip(layers[::3], layers[2::3], strict=True))


def functions(tensor):
    """How many of each of our functions a tensor has come through, by name."""
    seen, found, todo = set(), collections.Counter(), [tensor.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (name := type(node).__name__).startswith("_"):
            found[name.removesuffix("Backward")] += 1
        todo += [next_node for next_node, _ in node.next_functions]
    return dict(found)


def with_gradients(function, x, layers):
    """What comes out, the gradients of what needs one, and the running statistics."""
    x = x.detach().requires_grad_(x.requires_grad)
    y = function(x)
    wanted = [t for t in (x, *layers.parameters()) if t.requires_grad]
    towards = maps(*y.shape, seed=7).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, wanted, towards), *(b.double() for b in layers.buffers())]


def ours(x, layers):
    with accelerated(layers, CPU, torch.float32):
        return layers(x)


def assert_the_same(layers, exact, x):
    """Ours and the layers in float64: outputs, gradients, running statistics."""
    found = with_gradients(lambda x: ours(x, layers), x, layers)
    for one, other in zip(found, with_gradients(exact, x.double(), exact), strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-3, atol=1e-4 * float(other.abs().max()))


ALL = {"_NormConvolution": 1, "_ReluNorm": 1}

CASES = [
    pytest.param(layers_of(3, 32, 16), (5, 3, 12, 12), ALL, id="colours first"),
    pytest.param(layers_of(8, 16, 24, 8), (3, 8, 9, 11), {**ALL, "_Convolution": 1, "_NormConvolution": 2}, id="three"),
    pytest.param(layers_of(3, 24, 8, kind=nn.Conv2d), (2, 3, 8, 8), ALL, id="torch's own layer"),
    pytest.param(layers_of(8, 16), (2, 8, 8, 8), {"_Convolution": 1, "_ReluNorm": 1}, id="one alone"),
    pytest.param(layers_of(8, 8, 8), (2, 8, 36, 120), {**ALL, "_Convolution": 1}, id="a strip without rows"),
    pytest.param(layers_of(3, 32, 8, kernel=5), (2, 3, 8, 8), {"_Convolution": 2, "_ReluNorm": 2}, id="5x5 taps"),
    pytest.param(layers_of(3, 32, 8), (2, 3, 3, 3), {"_ReluNorm": 2}, id="small maps"),
    pytest.param(layers_of(3, 32, 6), (2, 3, 8, 8), {"_Convolution": 1, "_ReluNorm": 2}, id="six outputs"),
]


@pytest.mark.parametrize("needed", [False, True], ids=["pixels", "pixels with a gradient"])
@pytest.mark.parametrize(("layers", "shape", "expected"), CASES)
def test_outputs_gradients_and_statistics_are_those_of_the_layers_in_float64(layers, shape, expected, needed):
    layers, x = copy.deepcopy(layers), maps(*shape).requires_grad_(needed)
    exact = copy.deepcopy(layers).double()
    assert_the_same(layers, exact, x)
    if not needed:
        assert functions(ours(x, layers)) == expected


def test_a_first_convolution_that_is_frozen_stays_so():
    layers = layers_of(3, 32, 8)
    layers[0].requires_grad_(False)
    exact, x = copy.deepcopy(layers).double(), maps(4, 3, 8, 8)
    assert_the_same(layers, exact, x)


def test_without_biases_there_are_no_gradients_of_biases():
    layers = layers_of(3, 32, 8)
    layers[0].bias = layers[3].bias = None
    exact, x = copy.deepcopy(layers).double(), maps(4, 3, 8, 8)
    assert_the_same(layers, exact, x)
    assert functions(ours(x, layers)) == ALL


def test_a_norm_that_the_kernels_do_not_compute_runs_as_a_layer_between_them():
    layers = layers_of(8, 8, 8)
    layers[2] = nn.BatchNorm2d(8, affine=False)
    exact, x = copy.deepcopy(layers).double(), maps(4, 8, 8, 8)
    assert functions(ours(x, layers)) == {"_Convolution": 2, "_ReluNorm": 1}
    torch.testing.assert_close(ours(x, layers).double(), exact(x.double()), rtol=1e-3, atol=1e-4)


def test_the_number_of_threads_changes_no_bit():
    layers, x, threads, found = layers_of(3, 32, 16, 24), maps(13, 3, 9, 9), torch.get_num_threads(), []
    try:
        for many in (1, 2, 3, 32):
            torch.set_num_threads(many)
            own = copy.deepcopy(layers)
            found.append(with_gradients(lambda x, own=own: ours(x, own), x, own))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("first", [3, 8], ids=["colours", "many channels"])
def test_what_is_not_a_number_stays_so(first):
    layers, x = layers_of(first, 32, 8), maps(2, first, 8, 8)
    x[0, 0, 4, 4] = float("nan")
    assert ours(x, layers).isnan().all()
    assert all(gradient.isnan().any() for gradient in torch.autograd.grad(ours(x, layers).sum(), layers[0].weight))


@pytest.mark.parametrize("number", [0, 1, 2], ids=["convolution", "ReLU", "batch norm"])
def test_a_layer_with_a_hook_is_called(number):
    layers, seen = layers_of(8, 8), []
    layers[number].register_forward_hook(lambda *_: seen.append(number))
    assert functions(ours(maps(2, 8, 8, 8), layers)) == {"_Convolution": 1}
    assert seen == [number]


def test_a_layer_of_a_class_with_its_own_forward_is_called():
    class Doubled(nn.Conv2d):
        def forward(self, images):
            return 2 * super().forward(images)

    layers = nn.Sequential(Doubled(8, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(8))
    x, plain = maps(2, 8, 8, 8), copy.deepcopy(layers)
    assert functions(ours(x, layers)) == {"_Convolution": 1}
    torch.testing.assert_close(ours(x, layers), plain(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [3, 8])
def test_convolutions_with_another_padding_than_zeros_keep_it(channels):
    layers = layers_of(channels, 32, 8, kind=functools.partial(nn.Conv2d, padding_mode="reflect"))
    assert_the_same(layers, copy.deepcopy(layers).double(), maps(2, channels, 8, 8))


def test_a_norm_in_evaluation_mode_keeps_its_statistics():
    layers = layers_of(8, 8)
    layers[2].eval()
    x, before = maps(2, 8, 8, 8), copy.deepcopy(layers[2].state_dict())
    torch.testing.assert_close(ours(x, layers), layers(x), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in layers[2].state_dict().items())


def test_a_single_value_per_channel_is_torchs_error():
    layers = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ours(maps(1, 8, 3, 3), layers)


def test_after_the_context_the_layers_are_as_before():
    layers, x = layers_of(8, 8, 8), maps(2, 8, 8, 8)
    with pytest.raises(ZeroDivisionError), accelerated(layers, CPU, torch.float32):
        1 / 0  # noqa: B018
    assert functions(layers(x)) == {}
    assert "forward" not in vars(layers)


def test_layers_that_belong_together_are_taken_together():
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.BatchNorm2d(8)]
    layers += [nn.MaxPool2d(2), Dropout(0.3), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Flatten(), nn.ReLU()]
    found = list(fuse_layers(layers))
    assert [getattr(piece, "func", type(piece)) for piece in found] == [conv_relu_bn, conv_relu_bn, nn.Flatten, nn.ReLU]
    pairs = [(layers[0], layers[2]), (layers[3], layers[5])]
    assert found[0].keywords == {"pairs": pairs, "behind": (layers[6], layers[7]), "dropout": 0.3}
    assert found[1].keywords == {"pairs": [(layers[8], layers[10])]}


def test_a_pooling_of_another_kind_stays_on_its_own():
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.MaxPool2d(3, 2), Dropout(0.3)]
    assert [getattr(piece, "func", type(piece)) for piece in fuse_layers(layers)] == [
        conv_relu_bn,
        nn.MaxPool2d,
        Dropout,
    ]


def test_vgg6_has_one_map_for_two_convolutions():
    model = vgg6(size=Size(32, 32), classes=10).to(memory_format=torch.channels_last).train()
    with accelerated(model, CPU, torch.float32):
        logits = model(torch.zeros((2, 3, 32, 32), dtype=torch.uint8))
    found = functions(logits)
    assert found == {"_NormConvolution": 3, "_Convolution": 2, "_ReluNorm": 3}


def learned(model, images):
    model.zero_grad()
    logits = model(images)
    F.cross_entropy(logits, torch.arange(len(images)) % 10).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("torchs", [False, True], ids=["our convolutions", "torch's"])
def test_a_step_of_vgg6_has_the_gradients_of_its_layers_one_by_one(torchs, monkeypatch):
    """Within 2 % of a gradient's length: rounding lets another pixel win where two in a pooling are nearly equal."""
    torch.manual_seed(0)
    model = vgg6(size=Size(16, 16), classes=10, pixels="unit").to(memory_format=torch.channels_last).train()
    for layer in model:
        if isinstance(layer, Dropout):
            layer.p = 0.0
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (16, 16, 16, 3), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
    other = copy.deepcopy(model)
    if torchs:
        monkeypatch.setattr(convolution, "is_avx2_only", lambda: False)
    with accelerated(model, CPU, torch.float32):
        found = learned(model, images)
    for name, expected in learned(other, images).items():
        assert (found[name] - expected).norm() <= 0.02 * expected.norm(), name


def test_answers_are_given_by_the_layers_one_by_one():
    model = vgg6(size=Size(8, 8), classes=2).eval()
    seen = []
    model.norm1.register_forward_hook(lambda *_: seen.append("norm1"))
    model(torch.zeros((2, 3, 8, 8), dtype=torch.uint8))
    assert seen == ["norm1"]
