"""The house's rules that a test can hold: nothing happens at import, and the doors start fast because torch stays out."""

import subprocess
import sys

import numpy as np
import pytest

import foveola
from foveola.imaging.decode import encode


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_foveola_imports_no_room():
    loaded = python("import sys, foveola; print(sorted(m for m in sys.modules if m.startswith('foveola')))")
    assert loaded == "['foveola']"


LIGHT = (
    "foveola.cli",
    "foveola.workflows",
    "foveola.data.folder",
    "foveola.data.prepare",
    "foveola.models.registry",
    "foveola.explanations",
    "foveola.recipes.recipe",
    "foveola.runs.run",
    "foveola.report.run_page",
)


@pytest.mark.parametrize("module", LIGHT)
def test_these_modules_do_not_import_torch_scipy_or_scikit_learn(module):
    heavy = "{'torch', 'scipy', 'sklearn', 'joblib', 'pandas', 'matplotlib'}"
    assert python(f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_importing_the_rooms_changes_no_setting_of_torch():
    state = "(torch.get_num_threads(), torch.initial_seed() == s, torch.is_grad_enabled(), torch.get_default_dtype())"
    rooms = "import foveola.runs.trainer, foveola.report.run_page"
    assert python(f"import torch; s = torch.initial_seed(); a = {state}; {rooms}; print(a == {state})") == "True"


def test_every_public_name_resolves():
    missing = [name for name in foveola.__all__ if not hasattr(foveola, name)]
    assert missing == []
    assert set(dir(foveola)) == set(foveola.__all__)


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'foveola' has no attribute 'trian'$"):
        foveola.trian  # noqa: B018


@pytest.mark.parametrize("command", [["check", "photos"], ["filter", "photos", "sharpened", "--chain", "sharpen"]])
def test_large_photos_are_decoded_checked_and_filtered_without_torch(command, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for i in range(4):
            path = tmp_path / "photos" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)))
    assert_no_torch(command, tmp_path)


@pytest.mark.parametrize("kind", ["models", "datasets", "filters", "explanations", "options"])
def test_lists_are_printed_without_torch(kind, tmp_path):
    assert_no_torch(["list", kind], tmp_path)


def assert_no_torch(command, folder):
    code = "import sys\nfrom foveola.cli import main\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=folder)
    assert done.stdout.endswith("\nFalse\n"), done.stdout + done.stderr
