"""That the kernels are really used where they should be, so that a numba or torch that breaks them fails here."""

import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

import foveola_kernels
from foveola.models.build import build
from foveola.types import Size

X86 = platform.machine() in ("x86_64", "AMD64")

CODE = """
import torch, foveola_kernels
from torch import nn
layers = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1))
with foveola_kernels.accelerated(layers, torch.device("cpu"), torch.float32):
    out = layers(torch.zeros(2, 8, 8, 8))
node, names = out.grad_fn, []
while node:
    names.append(type(node).__name__.removesuffix("Backward"))
    node = node.next_functions[0][0]
print(*names[:3])
"""


def used(capability):
    """The operations of a small network from last to first, with the instructions that torch is allowed to use."""
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not X86, reason="the kernels are made for x86")
def test_there_is_no_problem_on_linux():
    assert foveola_kernels.problem() == ""


@pytest.mark.skipif(not X86, reason="the kernels are made for x86")
def test_norms_are_used_on_any_processor():
    assert used("default")[1:] == ["_ReluNorm", "ConvolutionBackward0"]


@pytest.mark.skipif(not torch.cpu.get_capabilities().get("avx2"), reason="this processor has no AVX2")
def test_convolutions_are_used_with_avx2():
    assert used("avx2") == ["_Convolution", "_ReluNorm", "_Convolution"]


def test_on_another_device_nothing_changes():
    layers = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))
    with foveola_kernels.accelerated(layers, torch.device("meta"), torch.float32):
        assert "forward" not in vars(layers)


def test_max_pooling_inside_a_network_is_replaced():
    model = build("fast", Size(16, 16), 2).train().to(memory_format=torch.channels_last)
    with foveola_kernels.accelerated(model, torch.device("cpu"), torch.bfloat16):
        out = model(torch.zeros((2, 3, 16, 16), dtype=torch.uint8))
    seen, todo = set(), [out.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    assert sum(type(node).__name__ == "_MaxPoolBackward" for node in seen) == 3


def test_a_network_in_evaluation_mode_is_computed_by_torch():
    model = build("vgg6", Size(8, 8), 2).eval()
    images = torch.zeros((2, 3, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        expected = model(images)
        with foveola_kernels.accelerated(model, torch.device("cpu"), torch.float32):
            assert torch.equal(model(images), expected)
