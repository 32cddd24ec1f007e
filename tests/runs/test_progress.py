"""The words of a run's progress: what is trained, in sentences that a newcomer understands."""

from pathlib import Path

import pytest

from foveola.recipes.recipe import recipe_from_tables
from foveola.runs.progress import Plan, row_seconds, row_sentence
from foveola.training.history import EpochLog, ProbeLog


def plan(name, epochs, ready_features=False):
    recipe = recipe_from_tables({"model": {"name": name}, "data": {"size": "64x64"}, "fit": {"epochs": epochs}})
    parts = {"train": 1200, "val": 40, "test": 300}
    return Plan(
        "photos: 1,540 images", recipe, 3, parts, 7000, "cpu", "float32", Path("run"), ("a note",), ready_features
    )


def test_the_plan_in_words():
    assert list(plan("fast", 12).lines()) == [
        "photos: 1,540 images",
        "split: 1,200 train, 40 val, 300 test, seed 3",
        "network: fast, 7,000 parameters, images of 64x64, on cpu in float32",
        "training: 12 epochs",
        "note: a note",
    ]


@pytest.mark.parametrize(
    ("name", "epochs", "ready", "words"),
    [
        ("fast", 1, False, "1 epoch"),
        (
            "transfer",
            0,
            True,
            "using features of a network pre-trained on ImageNet; fitting the classifier (its last layer)",
        ),
        (
            "transfer",
            1,
            True,
            "using features of a network pre-trained on ImageNet; fitting the classifier (its last layer), then 1 epoch of "
            "fine-tuning",
        ),
        ("fast", 0, True, "using features of a pre-trained network; fitting the classifier (its last layer)"),
    ],
)
def test_how_it_is_trained(name, epochs, ready, words):
    assert f"training: {words}" in plan(name, epochs, ready).lines()


def test_a_fit_of_the_last_layer_is_called_so():
    row = ProbeLog(1, 9, 3.16, 0.204, 1.0, 0.683, 0.5, 2.7)
    assert row_sentence(row, 4, 2.7) == (
        "last layer, regularisation 3.2: train loss 0.204, accuracy 100.0 %; val loss 0.683, accuracy 50.0 % (15.0 to 85.0); "
        "2.7 s"
    )


def test_seconds_are_those_of_the_row_in_both_kinds():
    heads = [ProbeLog(k, 3, 1.0, 0, 0, 0, 0, seconds) for k, seconds in enumerate((0.5, 0.75, 2.0), 1)]
    assert [row_seconds(row, before) for row, before in zip(heads, [None, *heads], strict=False)] == [0.5, 0.25, 1.25]
    epoch = EpochLog(1, 10, 0, 0, 0, 0, 0, 4.0)
    assert row_seconds(epoch, heads[-1]) == 4.0
