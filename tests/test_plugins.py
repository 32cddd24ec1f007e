"""A user's own network on the command line."""

import json
import subprocess
import sys

import pytest

import foveola as fv
from foveola.errors import UsageError
from foveola.runs.run import require_registered

TINY = """
import torch
import foveola as fv

@fv.MODELS.register("tiny")
def tiny(*, size, classes, width: int = 4):
    return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.Flatten(), torch.nn.LazyLinear(classes))
"""


def test_a_command_knows_what_a_plugin_registers(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    command = [sys.executable, "-m", "foveola", "show", "tiny", "--plugin", str(tmp_path / "tiny.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "tiny"


def test_a_plugin_is_run_once(tmp_path):
    (tmp_path / "counts.py").write_text(
        f"import pathlib\nlog = pathlib.Path({str(tmp_path / 'log')!r})\n"
        "log.write_text((log.read_text() if log.exists() else '') + 'x')"
    )
    fv.load_plugin(tmp_path / "counts.py")
    fv.load_plugin(str(tmp_path / "counts.py"))
    assert (tmp_path / "log").read_text() == "x"


def test_a_plugin_that_is_not_there_or_fails_is_named(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0")
    with pytest.raises(UsageError) as caught:
        fv.load_plugin(bad)
    assert str(caught.value) == f"the plugin {bad} fails: ZeroDivisionError: division by zero"
    with pytest.raises(
        UsageError, match=r"is not a Python file: give a \.py file that registers your network or filter"
    ):
        fv.load_plugin(tmp_path / "none.py")


def test_a_run_says_which_file_registered_its_network(tmp_path):
    (tmp_path / "environment.json").write_text(json.dumps({"own_files": {"tiny": "/home/me/tiny.py"}}))
    with pytest.raises(UsageError) as caught:
        require_registered(tmp_path, "tiny", "")
    assert str(caught.value) == (
        f"the run {tmp_path} uses the network 'tiny', which is not part of foveola, registered by /home/me/tiny.py: add "
        "--plugin /home/me/tiny.py to the command, or run that file first in Python"
    )
    require_registered(tmp_path, "fast", "blur|sharpen(amount=2)")


def test_a_run_says_which_file_registered_its_filter(tmp_path):
    (tmp_path / "environment.json").write_text(json.dumps({"own_files": {"mine": "/home/me/mine.py"}}))
    with pytest.raises(UsageError) as caught:
        require_registered(tmp_path, "fast", "blur|mine(amount=2)")
    assert str(caught.value) == (
        f"the run {tmp_path} uses the filter 'mine', which is not part of foveola, registered by /home/me/mine.py: add "
        "--plugin /home/me/mine.py to the command, or run that file first in Python"
    )
    with pytest.raises(
        UsageError, match=r"uses the filter 'other', which is not part of foveola: add --plugin FILE\.py"
    ):
        require_registered(tmp_path, "fast", "other")
