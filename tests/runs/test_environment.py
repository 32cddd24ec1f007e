"""What decides a run's numbers: a user's own network and filters too."""

import importlib.util

from foveola.filters.chain import FILTERS
from foveola.runs.environment import own_code


def written(tmp_path, body):
    """A function `mine` of a module of the user's."""
    tmp_path.mkdir()
    path = tmp_path / "users.py"
    path.write_text(f"def mine(image):\n    return {body}\n")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.mine


def test_foveolas_own_are_known_by_its_version():
    assert own_code({"blur": FILTERS["blur"]}) == {}


def test_a_users_function_is_known_by_its_text(tmp_path):
    first, again, other = (
        own_code({"mine": written(tmp_path / d, body)}) for d, body in zip("abc", ("1", "1", "2"), strict=True)
    )
    assert first == again != other
    assert list(first["own_code"]) == ["mine"]


def test_what_has_no_text_is_known_by_its_name():
    namespace = {}
    exec("def mine(image): return 1", namespace)
    found = own_code({"mine": namespace["mine"]})
    assert list(found["own_code"]) == ["mine"]
    assert found == own_code({"mine": namespace["mine"]})
