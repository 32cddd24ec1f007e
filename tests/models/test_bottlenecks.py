"""Our inverted bottlenecks against torch's layers in float64, one by one, and where they are taken."""

import numpy as np
import pytest
import torch

from foveola.models import bottlenecks, fused
from foveola.models.bottlenecks import MANY, bottleneck, fits, own_bottlenecks
from foveola.models.efficientnet import STAGES, Bottleneck, EfficientNetLite0, Stage

pytestmark = pytest.mark.skipif(fused.loops() is None, reason="the loops need Linux and numba")

CASES = [
    pytest.param((2, 16, 24, 6, 3, 2, (16, 16)), id="3x3, stride 2, an odd pixel of padding"),
    pytest.param((1, 24, 24, 6, 3, 1, (13, 30)), id="3x3, adds the input, no square, rows that fill no tile"),
    pytest.param((3, 24, 40, 6, 5, 2, (15, 17)), id="5x5, stride 2, odd sides"),
    pytest.param((2, 40, 40, 6, 5, 1, (9, 7)), id="5x5, adds the input, 40 outputs"),
    pytest.param((2, 32, 16, 1, 3, 1, (10, 12)), id="nothing to widen"),
    pytest.param((1, 8, 8, 6, 5, 1, (1, 1)), id="one pixel"),
    pytest.param((1, 8, 16, 6, 5, 2, (2, 3)), id="a map smaller than the kernel"),
    pytest.param((70, 8, 16, 2, 3, 2, (3, 5)), id="more rows than chunks"),
]


def made(n, inputs, outputs, expansion, kernel, stride, size):
    """A block whose wide maps reach beyond both ends of ReLU6, and images for it."""
    torch.manual_seed(0)
    block = Bottleneck(inputs, Stage(1, kernel, stride, expansion, outputs), stride).eval().requires_grad_(False)
    for name, weight in block.named_parameters():
        weight.mul_(20 if "depthwise" in name else 4)
    images = torch.randn((n, inputs, *size)).contiguous(memory_format=torch.channels_last)
    return block, images


def layers(block):
    return getattr(block, "expand", None) and block.expand.conv, block.depthwise.conv, block.project


@pytest.mark.parametrize("case", CASES)
def test_a_block_is_that_of_its_layers_in_float64(case):
    block, images = made(*case)
    want = block.double()(images.double())
    got = bottleneck(images, *layers(block.float()), block.adds)
    assert got.shape == want.shape and got.is_contiguous(memory_format=torch.channels_last)
    assert (got - want).abs().max() < 2e-6 * want.abs().max()


def test_both_ends_of_relu6_are_met_by_the_cases():
    block, images = made(*CASES[0].values[0])
    for layer, x in ((block.expand.conv, images), (block.depthwise.conv, block.expand(images))):
        assert layer(x).min() < 0 and layer(x).max() > 6


@torch.inference_mode()
def test_the_number_of_threads_changes_no_bit():
    block, images = made(3, 24, 40, 6, 5, 2, (15, 17))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(bottleneck(images, *layers(block), block.adds).numpy())
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_what_is_not_a_number_stays_so():
    block, images = made(1, 16, 24, 6, 3, 1, (8, 8))
    images[0, 3, 4, 4] = torch.nan
    want, got = block(images).isnan(), bottleneck(images, *layers(block), block.adds).isnan()
    assert want.any() and not want.all()
    assert torch.equal(want, got)


@pytest.fixture
def calls(avx2_only, monkeypatch):
    """The shapes of the maps that the loops were given, on whatever processor."""
    found = []
    original = fused.loops().bottleneck
    monkeypatch.setattr(fused.loops(), "bottleneck", lambda *words: (found.append(words[3:9]), original(*words))[1])
    return found


@torch.inference_mode()
def test_a_network_that_answers_many_pictures_takes_them_for_its_first_stages(calls):
    network = EfficientNetLite0(2).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with own_bottlenecks(MANY):
        got = network.features(images)
    inner = [width for *_, width, _ in calls]
    assert inner == [32, 96, 144, 144, 240, 240, 480, 480]
    assert (got - network.features(images)).abs().max() < 1e-5
    assert len(calls) == len(inner)


@torch.inference_mode()
def test_a_few_pictures_do_not_load_the_loops(calls, monkeypatch):
    block, images = made(1, 16, 24, 6, 3, 1, (8, 8))
    with own_bottlenecks(MANY - 1):
        assert not fits(images, *layers(block))
    with own_bottlenecks(MANY), own_bottlenecks(1):
        assert fits(images, *layers(block))
    assert not fits(images, *layers(block))


def test_the_way_names_the_compiler_where_the_loops_are_taken(calls):
    cpu = torch.device("cpu")
    assert bottlenecks.way(cpu, torch.float32, MANY) == f"numba {fused.compiler()}"
    assert bottlenecks.way(cpu, torch.float32, MANY - 1) == "torch"
    assert bottlenecks.way(cpu, torch.bfloat16, MANY) == "torch"


def test_what_learns_and_other_numbers_are_left_to_torch(calls):
    block, images = made(1, 16, 24, 6, 3, 1, (8, 8))
    with own_bottlenecks(MANY):
        assert not fits(images, *layers(block))  # gradients are kept
        with torch.inference_mode():
            assert not fits(images.double(), *layers(block))
            assert not fits(images, *layers(block.double()))


@torch.inference_mode()
def test_blocks_of_many_weights_and_odd_channels_are_left_to_torch(calls):
    with own_bottlenecks(MANY):
        for inputs, stage in ((192, STAGES[5]), (20, STAGES[1]), (16, Stage(1, 7, 1, 6, 24))):
            block, images = made(1, inputs, stage.width, stage.expansion, stage.kernel, 1, (8, 8))
            assert not fits(images, *layers(block))
    assert bottlenecks.LARGEST >= 480 * (80 + 80)
