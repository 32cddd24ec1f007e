"""Training without foveola-kernels, and with a broken one. Each test starts its own process."""

import os
import subprocess
import sys

import pytest

WITHOUT_KERNELS = """
import sys

class Without:  # a finder that does not find foveola_kernels and numba
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        absent = name.partition(".")[0] in ("foveola_kernels", "numba")
        return None if absent else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""

TRAIN = """
import sys, warnings
import torch
from foveola.models.accelerate import accelerated, backend_id
from foveola.models.build import build
from foveola.types import Size

model = build("vgg6", Size(8, 8), 2).train()
images = torch.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8).remainder(256).to(torch.uint8)
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    for _ in range(2):
        with accelerated(model, torch.device("cpu"), torch.float32):
            model(images).sum().backward()
print(backend_id(), "numba" in sys.modules, len(found))
for warning in found:
    print(warning.message)
"""


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_without_the_package_torch_trains():
    assert python(WITHOUT_KERNELS + TRAIN) == ["torch False 0"]


def test_a_whole_run_is_trained_without_the_package(two_classes, tmp_path):
    code = f"""
import json
from pathlib import Path
import foveola as fv
fv.train({str(two_classes(8))!r}, model="vgg6", epochs=1, size="16x16", out={str(tmp_path / "run")!r})
print(json.loads(Path({str(tmp_path / "run")!r}, "environment.json").read_text())["backend"])
"""
    assert python(WITHOUT_KERNELS + code)[-1] == "torch"


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("raise ImportError('no numba here')", "torch"),
        ("problem = lambda: 'no numba here'\nbackend_id = lambda: 'foveola-kernels 9'", "foveola-kernels 9"),
    ],
    ids=["its import fails", "it reports a problem"],
)
def test_a_broken_package_warns_once_and_torch_trains(plant, tmp_path, text, backend):
    plant(tmp_path, {"foveola_kernels/__init__.py": text})
    path = os.pathsep.join([str(tmp_path), *sys.path])
    first, *sentences = python(TRAIN, PYTHONPATH=path)
    assert first == f"{backend} False 1"
    assert sentences == [
        "foveola-kernels is installed but does not work: no numba here. Training continues with torch alone and takes "
        "longer; install foveola-kernels again, or remove it"
    ]


def test_the_command_line_prints_the_warning_as_one_sentence(plant, two_classes, tmp_path):
    plant(tmp_path / "broken", {"foveola_kernels/__init__.py": "raise ImportError('no numba here')"})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "broken"), *sys.path])}
    options = ["--model", "vgg6", "--size", "16x16", "--epochs", "2", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "foveola", "train", str(two_classes(8)), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "kernels" in line] == [
        "foveola: warning: foveola-kernels is installed but does not work: no numba here. Training continues with torch "
        "alone and takes longer; install foveola-kernels again, or remove it"
    ]
    assert done.returncode == 0
