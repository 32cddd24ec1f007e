"""What `import foveola as fv` gives."""

import importlib

import pytest

import foveola as fv


@pytest.mark.parametrize("name", sorted(set(fv.__all__) - {"__version__"}))
def test_every_public_name_is_there_whatever_was_imported_before(name):
    for part in ("foveola.report.run_page", "foveola.filters.chain", "foveola.cli"):
        importlib.import_module(part)
    assert type(getattr(fv, name)).__name__ != "module"


def test_dir_lists_the_public_names():
    assert dir(fv) == sorted(fv.__all__)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"^module 'foveola' has no attribute 'trian'$"):
        _ = fv.trian
