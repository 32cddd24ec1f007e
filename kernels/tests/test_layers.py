"""ReLU and batch norm in two passes do what the layers do one by one: torch's own are the oracle, in float64."""

import copy
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from foveola.models.layers import Dropout
from foveola_kernels.layers import max_pool2d, relu_norm


def maps(b, c, h, w, dtype=torch.float32, seed=0, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn((b, c, h, w), generator=generator) + offset
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


def norm_of(channels, dtype=torch.float32):
    """A batch norm whose scales have both signs."""
    generator = torch.Generator().manual_seed(1)
    norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(channels, generator=generator))
        norm.bias.copy_(torch.randn(channels, generator=generator))
        norm.running_mean.fill_(0.3)
        norm.running_var.fill_(0.7)
    return norm.to(dtype)


def one_by_one(z, norm, pooled):
    y = norm(torch.relu(z))
    return F.max_pool2d(y, 2) if pooled else y


def with_gradients(function, z, norm):
    """The output and the gradients of input, weight and bias, for gradients that differ from place to place."""
    z = z.detach().requires_grad_()
    y = function(z, norm)
    towards = maps(*y.shape, dtype=torch.float32, seed=7).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, [z, norm.weight, norm.bias], towards)]


SHAPES = [
    pytest.param((4, 32, 8, 8), id="small"),
    pytest.param((3, 5, 6, 4), id="few channels, no power of two"),
    pytest.param((2, 600, 2, 2), id="more channels than lanes"),
    pytest.param((64, 32, 16, 16), id="many chunks"),
    pytest.param((1, 1, 2, 2), id="one channel"),
]


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_gradients_are_those_of_the_layers_in_float64(shape, pooled):
    z = maps(*shape)
    ours = with_gradients(lambda z, n: relu_norm(z, n, dropout=0.0 if pooled else None), z, norm_of(shape[1]))
    norm = norm_of(shape[1], torch.float64)
    theirs = with_gradients(lambda z, n: one_by_one(z, n, pooled), z.double(), norm)
    for found, expected in zip(ours, theirs, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=2e-4, atol=2e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("pooled", [False, True])
def test_running_statistics_move_as_torchs_do(pooled):
    z, ours, theirs = maps(8, 16, 8, 8), norm_of(16), norm_of(16)
    for k in range(3):
        relu_norm(z + k, ours, dropout=0.5 if pooled else None)
        theirs(torch.relu(z + k))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert ours.num_batches_tracked == 3


def test_the_variance_of_values_far_from_0_keeps_its_digits():
    z, norm = maps(16, 8, 8, 8, offset=1_000.0), norm_of(8)
    ours = relu_norm(z, norm)
    theirs = norm_of(8, torch.float64)(z.double())
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=2e-3)


@pytest.mark.parametrize("pooled", [False, True])
def test_bfloat16_is_float32_rounded_once(pooled):
    z = maps(8, 32, 8, 8, torch.bfloat16)
    dropout = 0.0 if pooled else None
    assert torch.equal(
        relu_norm(z, norm_of(32), dropout=dropout),
        relu_norm(z.float(), norm_of(32), dropout=dropout).to(torch.bfloat16),
    )


def test_gradients_in_bfloat16_are_float32s_rounded_once():
    z, norm = maps(8, 32, 8, 8, torch.bfloat16), norm_of(32)
    towards = maps(8, 32, 8, 8, torch.bfloat16, seed=3)
    found = []
    for values in (z, z.float()):
        values = values.detach().requires_grad_()
        found.append(torch.autograd.grad(relu_norm(values, norm), values, towards.to(values.dtype))[0])
    assert torch.equal(found[0], found[1].to(torch.bfloat16))


def test_what_is_not_a_number_stays_so():
    z = maps(2, 4, 4, 4)
    z[0, 1, 2, 2] = math.nan
    with_nan = relu_norm(z, norm_of(4), dropout=0.0)
    assert with_nan[:, 1].isnan().all()
    assert not with_nan[:, [0, 2, 3]].isnan().any()


@pytest.mark.parametrize("sides", [(7, 6), (6, 7), (7, 7)])
def test_odd_sides_are_pooled_as_torch_pools_them(sides):
    z, dropout = maps(4, 8, *sides), Dropout(0.0)
    behind = (nn.MaxPool2d(2), dropout)
    ours = with_gradients(lambda z, n: relu_norm(z, n, behind=behind, dropout=0.0), z, norm_of(8))
    theirs = with_gradients(lambda z, n: one_by_one(z, n, True), z, norm_of(8))
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def constant(channels=32):
    """A norm that gives 1 wherever its input is constant."""
    norm = nn.BatchNorm2d(channels)
    nn.init.ones_(norm.bias)
    return norm


def test_dropout_drops_its_share_and_scales_the_rest_by_the_exact_share_kept():
    torch.manual_seed(0)
    out = relu_norm(torch.zeros(16, 32, 20, 20), constant(), dropout=0.3)
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.7], rel=1e-6)
    n = out.numel()
    assert abs(int((out == 0).sum()) - 0.3 * n) < 5 * math.sqrt(n * 0.3 * 0.7)


def test_dropout_draws_images_channels_and_pixels_separately():
    torch.manual_seed(0)
    kept = (relu_norm(torch.zeros(16, 32, 20, 20), constant(), dropout=0.5) > 0).double()
    for dimension in range(4):
        many = kept.shape[dimension] - 1
        one, next_to_it = kept.narrow(dimension, 0, many), kept.narrow(dimension, 1, many)
        agree = float((one == next_to_it).double().mean())
        assert abs(agree - 0.5) < 5 * 0.5 / math.sqrt(one.numel())


def test_dropout_passes_the_gradient_to_the_winner_of_a_place_that_it_passed():
    torch.manual_seed(0)
    z = maps(4, 8, 8, 8).abs().requires_grad_()
    norm = nn.BatchNorm2d(8)
    out = relu_norm(z, norm, dropout=0.5)
    (dbias,) = torch.autograd.grad(out.sum(), norm.bias)
    expected = (out != 0).double().sum(dim=(0, 2, 3)) * 2
    torch.testing.assert_close(dbias.double(), expected)


def test_dropout_follows_torchs_seed():
    z, found = maps(4, 8, 8, 8), []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        found.append(relu_norm(z, norm_of(8), dropout=0.5))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def squares32(counter, key):
    """The paper's C code (arXiv:2004.06278, page 6), in Python's integers."""
    mask = 2**64 - 1
    x = y = counter * key & mask
    z = y + key & mask
    for plus in (y, z, y):
        x = x * x + plus & mask
        x = (x >> 32 | x << 32) & mask
    return (x * x + z & mask) >> 32


def test_draws_are_those_of_the_paper():
    from numba import njit

    from foveola_kernels.compiled import dtypes

    draw = njit(lambda key, counter: dtypes.draw(key, counter))  # numba code only: Python can't call it directly

    key = 0x548C9DECBCE65297
    for counter in (0, 1, 2, 12_345, 2**40 + 17):
        assert draw(np.uint64(key), np.uint64(counter)) == squares32(counter, key)


def test_the_number_of_threads_changes_no_bit():
    z, threads, found = maps(32, 32, 16, 16, torch.bfloat16), torch.get_num_threads(), []
    try:
        for many in (1, 2):
            torch.set_num_threads(many)
            torch.manual_seed(0)
            found.append(with_gradients(lambda z, n: relu_norm(z, n, dropout=0.3), z, norm_of(32)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, track_running_stats=False), nn.BatchNorm2d(4, momentum=None)],
    ids=["nothing learned", "no running means", "means of all batches"],
)
def test_norms_that_the_kernels_do_not_compute_run_as_layers(norm):
    z = maps(2, 4, 4, 4)
    assert torch.equal(relu_norm(z, copy.deepcopy(norm)), norm(torch.relu(z)))


def test_a_network_that_is_bfloat16_all_through_runs_as_layers():
    z, norm = maps(2, 4, 4, 4, torch.bfloat16), norm_of(4).to(torch.bfloat16)
    assert torch.equal(relu_norm(z, copy.deepcopy(norm)), norm(torch.relu(z)))


def test_what_was_compiled_is_kept_under_the_content_of_all_files():
    from foveola_kernels.compiled.compile_cache import FOLDER

    relu_norm(maps(2, 4, 4, 4), norm_of(4), dropout=0.5)
    kept = {path.name.split("-")[0] for path in FOLDER.rglob("*.nbi")}
    assert {f"batchnorm_forward.{name}" for name in ("add_relu", "normalise", "relu_norm_pool_drop")} | {
        "dtypes.draw"
    } <= kept


def test_the_way_back_calls_no_loop_that_the_process_which_compiled_it_has_from_elsewhere(tmp_path):
    # Of two functions of one name such a process takes the one it compiled first, by itself and not vectorised.
    code = "\n".join((
        "import re",
        "from foveola_kernels.compiled import relu_norm_back",
        "text = relu_norm_back.compiled(16)._library.get_llvm_str()",
        "print(*re.findall(r'^define .*compiled18batchnorm_backward[0-9]+([a-z_]+)B', text, re.MULTILINE))",
    ))  # fmt: skip
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "relu_norm_back" in done.stdout.split()
    assert "_back" not in done.stdout.split()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 8, 6, 6), (3, 5, 7, 4), (3, 5, 4, 7), (40, 24, 9, 9), (2, 3, 2, 2)])
def test_max_pooling_is_torchs_to_the_last_bit(shape, dtype):
    # Few different values, so that there are ties in most places; zeros of both signs.
    z = (maps(*shape).mul(2).round() / 2).to(dtype).requires_grad_()
    ours, theirs = max_pool2d(z, 2), F.max_pool2d(z, 2)
    towards = maps(*ours.shape, seed=5).to(dtype)
    assert ours.grad_fn.name() == "_MaxPoolBackward"
    assert torch.equal(ours, theirs)
    assert torch.equal(torch.autograd.grad(ours, z, towards)[0], torch.autograd.grad(theirs, z, towards)[0])


def test_max_pooling_lets_what_is_not_a_number_through_as_torch_does():
    z = maps(2, 4, 4, 4)
    z[1, 2, 3, 3] = math.nan
    z.requires_grad_()
    assert torch.equal(max_pool2d(z, 2).isnan(), F.max_pool2d(z, 2).isnan())


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": 2, "stride": 1},
        {"kernel_size": 2, "padding": 1},
        {"kernel_size": 2, "dilation": 2},
        {"kernel_size": (2, 3)},
    ],
)
def test_poolings_of_another_kind_are_torchs(options):
    z = maps(2, 4, 6, 6).requires_grad_()
    found = max_pool2d(z, **options)
    assert found.grad_fn.name() == "MaxPool2DWithIndicesBackward0"
    assert torch.equal(found, F.max_pool2d(z, **options))
