"""The example recipes mean what they say: each is complete, opens with its cost, and trains, shortened, as it stands."""

import tomllib
from pathlib import Path

import pytest

import foveola as fv
from foveola.recipes.recipe import read_tables, recipe_from_tables

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))


def test_there_are_examples():
    assert [path.name for path in EXAMPLES] == [
        "course_cifar10.toml",
        "course_faces.toml",
        "fast_cifar10.toml",
        "fast_m_cifar10.toml",
        "transfer_photos.toml",
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_recipe_opens_with_its_cost_and_result(path):
    comment = [line for line in path.read_text("utf-8").splitlines() if line.startswith("# Cost and result: ")]
    assert len(comment) == 1
    assert "seconds" in comment[0]
    assert "test accuracy" in comment[0]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_option_of_a_recipe_arrives_in_the_composed_one(path):
    written = tomllib.loads(path.read_text("utf-8"))
    composed = recipe_from_tables(read_tables(path)).tables()
    for table in ("data", "split", "model", "fit"):
        for key, value in written.get(table, {}).items():
            assert composed[table][key] == value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_recipe_trains_shortened(path, two_classes, tmp_path):
    run = fv.train(two_classes(10), recipe=path, epochs=1, out=tmp_path / "run")
    assert run.recipe.model.name == recipe_from_tables(read_tables(path)).model.name
    assert len(run.history) == 1
