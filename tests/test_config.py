from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Lt

from foveola import config as specs
from foveola.errors import UsageError


@dataclass(frozen=True)
class Bake:
    minutes: Annotated[int, Ge(1), Lt(100)] = 30
    heat: float = 180.0
    oven: Literal["gas", "electric"] = "gas"
    fan: bool = False


def test_what_is_not_said_keeps_its_default():
    assert specs.build(Bake, {"minutes": 5}, where="recipe") == Bake(minutes=5)
    assert specs.build(Bake, {}, where="recipe") == Bake()


def test_a_whole_number_serves_where_a_fraction_may_stand():
    made = specs.build(Bake, {"heat": 200}, where="recipe")
    assert made.heat == 200.0


def test_every_mistake_is_named_in_one_sentence():
    with pytest.raises(UsageError) as caught:
        specs.build(Bake, {"minuts": 3, "minutes": 0, "oven": "wood", "fan": True}, where="recipe.toml [bake]")
    assert str(caught.value) == (
        "recipe.toml [bake]: unknown option 'minuts' (did you mean 'minutes'?); known: fan, heat, minutes, oven; "
        "minutes = 0 can't be used: it must be greater than or equal to 1; "
        "oven = 'wood' can't be used: it must be 'gas' or 'electric'"
    )


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("minutes", "8", "it must be a valid integer"),
        ("minutes", True, "it must be a valid integer"),
        ("minutes", 100, "it must be less than 100"),
        ("minutes", 2.5, "it must be a valid integer"),
        ("fan", 1, "it must be a valid boolean"),
        ("heat", "hot", "it must be a valid number"),
    ],
)
def test_a_slip_in_a_type_is_refused(key, value, reason):
    with pytest.raises(UsageError) as caught:
        specs.build(Bake, {key: value}, where="--set")
    assert str(caught.value) == f"--set: {key} = {value!r} can't be used: {reason}"


def test_a_factorys_options_are_its_parameters_with_a_default():
    def oven(n_classes, *, shelves: int = 2):
        return n_classes, shelves

    assert specs.check_options(oven, {"shelves": 3}, where="model") == {"shelves": 3}
    with pytest.raises(UsageError) as caught:
        specs.check_options(oven, {"n_classes": 3}, where="model")
    assert str(caught.value) == "model: unknown option 'n_classes'; known: shelves"


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("fit.epochs=3", ("fit.epochs", 3)),
        ("fit.lr=1e-3", ("fit.lr", 0.001)),
        (" a = b=c ", ("a", "b=c")),
        ("a=", ("a", "")),
        ('a="1"', ("a", "1")),
        ("a=[1, 2]", ("a", [1, 2])),
        ("a=false", ("a", False)),
    ],
)
def test_a_setting_is_toml_or_else_plain_text(text, setting):
    assert specs.parse_setting(text) == setting


@pytest.mark.parametrize("text", ["", "epochs", "=3", " =3"])
def test_a_setting_without_key_or_sign_is_refused(text):
    with pytest.raises(UsageError) as caught:
        specs.parse_setting(text)
    assert str(caught.value) == f"setting '{text}' is not KEY=VALUE: write for example fit.epochs=10"
