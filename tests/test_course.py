"""The course: every notebook runs from a clean kernel on few pictures, and speaks of nothing that is not there."""

import ast
import os
import re
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

import foveola as fv
from foveola import cli

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
from notebooks import SHORTER, shorter  # noqa: E402 - beside the project, not in it

NOTEBOOKS = sorted((ROOT / "course").glob("*.py"))


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory):
    """No real data, a cache of its own; and whatever the kernel inherits is put back."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("FOVEOLA_")]:
            patch.delenv(name)
        patch.setenv("FOVEOLA_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        yield


def test_there_are_six():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_", "4_", "5_", "6_"]


def test_every_lesson_that_trains_has_a_shorter_form():
    lessons = [path.read_text("utf-8") for path in NOTEBOOKS]
    assert [long for long in SHORTER if not any(long in text for text in lessons)] == []
    assert [path.name[0] for path, text in zip(NOTEBOOKS, lessons, strict=True) if shorter(text) != text] == list(
        "23456"
    )


def draws(cell):
    """Whether a code cell's last line is a call that draws."""
    if cell.cell_type != "code":
        return False
    last = ast.parse(cell.source).body[-1]
    called = ast.unparse(last.value.func) if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) else ""
    return called.startswith("fv.figures.")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_public_names_only(path):
    tree = ast.parse(path.read_text("utf-8"))
    imported = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [name for name in (*imported, *modules) if name.startswith("foveola")] == ["foveola"]
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fv"
    }
    assert used <= set(fv.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_figures(path, tmp_path):
    notebook = jupytext.reads(shorter(path.read_text("utf-8")), "py:percent")
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    figures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert figures == sum(map(draws, notebook.cells)) > 0
    assert [output for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_commands_that_a_notebook_names_are_there(path):
    names = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    blocks = re.findall(r"^# ```\n(.*?)^# ```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    used = set(re.findall(r"^# foveola ([a-z-]+)", "".join(blocks), re.MULTILINE))
    assert used <= names
