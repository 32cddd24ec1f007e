"""What `import foveola as fv` gives."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import foveola as fv

VERBS = (
    "catalog", "check", "compare", "demo", "evaluate", "explain", "filter", "predict", "report", "runs", "show", "show_data",
    "threshold", "train", "write_course",
)  # fmt: skip
DATA = ("Dataset", "Size", "from_arrays", "open_dataset", "prepare", "read_image", "resize", "split")
RUNS = ("Predictor", "Progress", "Run", "build", "open_run")
TABLES = ("DATASETS", "EXPLANATIONS", "FILTERS", "MODELS", "load_plugin")
ERRORS = ("DataError", "FoveolaError", "ResourceError", "UsageError")
PUBLIC = {*VERBS, *DATA, *RUNS, *TABLES, *ERRORS, "Chain", "figures", "__version__"}

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "python.md").read_text("utf-8")


def test_the_public_names():
    assert set(fv.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_every_public_name_is_on_the_page_about_python(name):
    assert re.search(rf"`fv\.{name}\b", PAGE)


def test_the_page_names_nothing_else():
    assert set(re.findall(r"\bfv\.(\w+)", PAGE)) <= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__", "figures"}))
def test_every_public_name_is_there_whatever_was_imported_before(name):
    for part in ("foveola.report.run_page", "foveola.filters.chain", "foveola.cli"):
        importlib.import_module(part)
    assert type(getattr(fv, name)).__name__ != "module"


@pytest.mark.parametrize("name", sorted(set(VERBS) - {"catalog", "runs", "show", "write_course"}))
def test_every_verb_that_takes_long_takes_a_progress(name):
    assert inspect.signature(getattr(fv, name)).parameters["progress"].default is None


@pytest.mark.parametrize("name", fv.figures.__all__)
def test_every_figure_is_there(name):
    assert callable(getattr(fv.figures, name))


def test_dir_lists_the_public_names():
    assert dir(fv) == sorted(fv.__all__)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"^module 'foveola' has no attribute 'trian'$"):
        _ = fv.trian
