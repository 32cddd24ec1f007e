"""Progress in a notebook's cell: shown by itself in a kernel, never in a script."""

import inspect
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import foveola as fv
from foveola.jupyter import Cell, in_notebook, shown_in_notebooks
from foveola.recipes.recipe import recipe_from_tables
from foveola.runs.progress import Plan
from foveola.training.history import EpochLog, StepLog

TRAIN = """
import numpy as np
import foveola as fv
images = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), np.uint8)
images[::2] //= 3
data = fv.from_arrays(images, np.arange(60) % 2)
run = fv.train(data, model="fast", epochs=2, out="run", settings={"model.width1": 8, "model.width2": 8, "fit.batch_size": 8})
"""


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Run cells of code in a kernel of their own; gives the outputs of the last."""
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")

    def run(*sources, **how):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        NotebookClient(notebook, timeout=300, kernel_name="python3", **how).execute(cwd=str(tmp_path))
        return notebook.cells[-1].outputs

    return run


@pytest.fixture
def cell(monkeypatch):
    """A cell that draws nothing: what it would show is asked for."""
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    return Cell()


def plan(epochs=3):
    recipe = recipe_from_tables({"model": {"name": "fast"}, "data": {"size": "32x32"}, "fit": {"epochs": epochs}})
    parts = {"train": 10, "val": 40, "test": 5}
    return Plan("<b>: 55 images", recipe, 0, parts, 100, "cpu", "float32", "run", ())


def epoch(number, accuracy):
    return EpochLog(number, number, 0.5, 0.75, 0.6, accuracy, 1e-3, 2.0)


@pytest.mark.slow
def test_training_in_a_kernel_shows_plan_curves_and_the_last_epoch(kernel):
    outputs = kernel(TRAIN)
    (shown,) = [output for output in outputs if output.output_type == "display_data"]
    assert "training: 2 epochs" in shown.data["text/plain"]
    assert "epoch   2: train loss" in shown.data["text/plain"]
    assert shown.data["text/html"].count("<svg") == 2
    assert "<progress" not in shown.data["text/html"]  # it has ended
    assert [output for output in outputs if output.output_type == "stream"] == []


@pytest.mark.slow
def test_an_interrupt_in_a_kernel_names_the_unfinished_run(kernel):
    interrupt = (
        "\nfrom foveola.runs.trainer import Trainer\ndef stop(self): raise KeyboardInterrupt\nTrainer.finish = stop\n"
    )
    with pytest.raises(CellExecutionError, match="The unfinished run is in run and can't be continued"):
        kernel(interrupt + TRAIN)


def test_a_script_sees_nothing_of_it():
    code = "import sys, foveola as fv; fv.train; print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert not in_notebook()


def test_the_bar_moves_and_epochs_become_curves(cell):
    cell.plan(plan())
    cell.row(StepLog(1, 3, 30, 0.7))
    assert '<progress value="3" max="30">' in cell.as_html()
    cell.row(epoch(1, 0.5))
    assert "<svg" not in cell.as_html()  # one point is no curve
    cell.row(epoch(2, 0.9))
    cell.row(epoch(3, 0.8))
    assert "epoch 2, kept" in cell.as_html()
    assert "epoch   3: train loss 0.500, accuracy 75.0 %" in cell.as_text()


def test_names_of_the_users_can_not_break_the_page(cell):
    cell.plan(plan())
    assert "&lt;b&gt;: 55 images" in cell.as_html()
    assert "<b>" not in cell.as_html()


def test_a_quick_verb_leaves_the_cell_clean(monkeypatch):
    drawn = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **_: drawn.append(args))
    with Cell() as cell:
        cell.tick("Reading files", 1, 2)
        cell.tick("Reading files", 2, 2)
    assert drawn == []


def test_verbs_keep_their_signature_and_callers_who_watch_see_no_cell(monkeypatch):
    seen = []

    def verb(data, *, progress=None):
        seen.append(progress)

    shown = shown_in_notebooks(verb)
    assert inspect.signature(shown) == inspect.signature(verb)
    monkeypatch.setattr("foveola.jupyter.in_notebook", lambda: True)
    shown("data", progress=print)
    shown("data")
    assert seen[0] is print
    assert type(seen[1]) is Cell
    assert "progress" in inspect.signature(fv.train).parameters
