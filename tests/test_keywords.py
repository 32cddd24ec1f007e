"""Every verb answers a misspelt keyword with the one that was meant."""

import inspect

import pytest

import foveola as fv
from foveola.errors import FoveolaError, KeywordError

VERBS = (
    "check",
    "compare",
    "demo",
    "evaluate",
    "explain",
    "filter",
    "predict",
    "report",
    "runs",
    "show",
    "show_data",
    "threshold",
)


@pytest.mark.parametrize("name", [*VERBS, "train"])
def test_a_misspelt_keyword_is_answered_with_the_nearest(name):
    verb = getattr(fv, name)
    known = list(inspect.signature(verb).parameters)
    meant = max(known, key=len)
    with pytest.raises(FoveolaError) as caught:
        verb(**{meant[:-1]: 1})
    assert str(caught.value).startswith(f"{name}: unknown keyword '{meant[:-1]}' (did you mean '{meant}'?); ")


def test_it_is_a_type_error_too():
    assert issubclass(KeywordError, TypeError)


def test_train_says_how_to_give_an_option_of_the_recipe():
    with pytest.raises(KeywordError) as caught:
        fv.train("photos", momentum=0.8)
    assert str(caught.value).endswith('; momentum is an option of the recipe: settings={"fit.momentum": ...}')


def test_train_has_the_options_of_the_command():
    from foveola.cli.application import READING
    from foveola.cli.train import train

    ours = set(inspect.signature(fv.train).parameters)
    commands = {name.rstrip("_") for name in inspect.signature(train).parameters}
    assert commands - ours - {"set", "open", "json", "plugin"} == set()
    assert set(READING) <= ours


def test_keywords_go_into_the_recipe(plant, noise, tmp_path):
    files = {f"{kind}-{i}.png": noise(10 * k + i) for k, kind in enumerate(("cat", "dog")) for i in range(8)}
    run = fv.train(
        plant(tmp_path / "pets", files), model="fast", epochs=1, size=(32, 32), batch_size=7, lr=0.02, flip=False,
        label_pattern="(cat|dog)", device="cpu", precision="float32", out=tmp_path / "run",
        augment="text", settings={"model.width1": 8, "model.width2": 8, "model.width3": 8},
    )  # fmt: skip
    fit, data = run.recipe.fit, run.recipe.data
    assert (fit.batch_size, fit.lr_peak, fit.flip, fit.device, fit.precision) == (7, 0.02, False, "cpu", "float32")
    assert (fit.augment, fit.translate_px) == ("text", 0)
    assert (data.size, data.label_pattern, run.class_names) == ("32x32", "(cat|dog)", ("cat", "dog"))
