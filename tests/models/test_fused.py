"""Where the loops run and where not; max pooling by them is torch's to the last bit."""

import math
import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from foveola.models import fused
from foveola.models.course import vgg6
from foveola.models.fused import max_pool
from foveola.types import Size

pytestmark = pytest.mark.skipif(fused.loops() is None, reason="the loops need Linux and numba")


def maps(b, c, h, w, seed=0):
    values = torch.randn((b, c, h, w), generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 8, 6, 6), (3, 5, 7, 4), (3, 5, 4, 7), (40, 24, 9, 9), (2, 3, 2, 2)])
def test_max_pooling_is_torchs_to_the_last_bit(shape, dtype):
    # Few different values, so that there are ties in most places; zeros of both signs.
    z = (maps(*shape).mul(2).round() / 2).to(dtype).requires_grad_()
    ours, theirs = max_pool(z), F.max_pool2d(z, 2)
    towards = maps(*ours.shape, seed=5).to(dtype)
    assert ours.grad_fn.name() == "_MaxPoolBackward"
    assert torch.equal(ours, theirs)
    assert torch.equal(torch.autograd.grad(ours, z, towards)[0], torch.autograd.grad(theirs, z, towards)[0])


def test_max_pooling_lets_what_is_not_a_number_through_as_torch_does():
    z = maps(2, 4, 4, 4)
    z[1, 2, 3, 3] = math.nan
    z.requires_grad_()
    assert torch.equal(max_pool(z).isnan(), F.max_pool2d(z, 2).isnan())


def test_where_there_are_no_loops_the_layers_run_one_by_one(monkeypatch):
    monkeypatch.setattr(fused, "loops", lambda: None)
    z = maps(2, 4, 4, 4).requires_grad_()
    assert max_pool(z).grad_fn.name() == "MaxPool2DWithIndicesBackward0"
    model = vgg6(size=Size(8, 8), classes=2).train()
    assert model(torch.zeros((2, 3, 8, 8), dtype=torch.uint8)).shape == (2, 2)


def test_where_nothing_may_be_compiled_there_are_no_loops():
    code = "from foveola.models.fused import loops; print(loops())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"


def test_the_loops_take_as_many_threads_as_torch():
    from foveola.models.loops.threads import library

    threads = torch.get_num_threads()
    try:
        for many in (1, 2, 3):
            torch.set_num_threads(many)
            assert library().omp_get_max_threads() == many
    finally:
        torch.set_num_threads(threads)
