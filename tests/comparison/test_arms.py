"""Arms: what differs between recipes, and what of it passes."""

from dataclasses import replace
from pathlib import Path

import pytest

from foveola.comparison.arms import AllowedDifferences, Arm, Change, changes, differences, parse_arm, require_fair
from foveola.errors import UsageError
from foveola.recipes.recipe import recipe_from_tables

PLAIN = recipe_from_tables({"model": {"name": "fast"}, "fit": {"epochs": 2}})
SHARP = recipe_from_tables({"model": {"name": "fast"}, "fit": {"epochs": 2}, "data": {"chain": "sharpen"}})
LONG = recipe_from_tables({"model": {"name": "fast"}, "fit": {"epochs": 4}, "data": {"chain": "sharpen"}})


def test_an_arm_may_name_several_settings():
    assert parse_arm("x: chain=sharpen ; fit.lr_peak=0.01; flip=true").settings == {
        "data.chain": "sharpen",
        "fit.lr_peak": 0.01,
        "flip": True,
    }


def test_a_recipe_file_is_an_arm_called_as_the_file():
    assert parse_arm("some/place/sharp.toml") == Arm("sharp", {}, Path("some/place/sharp.toml"))


def test_title_and_place_of_the_data_are_no_differences():
    other = replace(PLAIN, title="another", data=replace(PLAIN.data, source="elsewhere"))
    assert differences([PLAIN, other]) == []


def test_changes_are_told_with_both_values():
    assert changes(PLAIN, LONG) == [Change("data.chain", None, "sharpen"), Change("fit.epochs", 2, 4)]
    assert changes(LONG, PLAIN)[0] == Change("data.chain", "sharpen", None)


def arms(*named):
    return [Arm(f"arm {k}", dict.fromkeys(keys, 0)) for k, keys in enumerate(named)]


def test_what_the_arms_name_is_the_question():
    assert require_fair(arms((), ("data.chain",)), [PLAIN, SHARP], (), ()) == AllowedDifferences(("data.chain",), ())


@pytest.mark.parametrize("allow", ["epochs", "fit.epochs", "fit"])
def test_what_is_allowed_passes_and_is_told(allow):
    found = require_fair(arms((), ()), [PLAIN, LONG], ["chain"], [allow])
    assert found == AllowedDifferences(("data.chain",), ("fit.epochs",))


def test_recipes_that_differ_in_one_thing_ask_about_it():
    assert require_fair(arms((), ()), [SHARP, LONG], (), ()) == AllowedDifferences(("fit.epochs",), ())


def test_a_question_that_no_arm_answers_is_refused():
    with pytest.raises(UsageError) as error:
        require_fair(arms((), ()), [SHARP, LONG], ["chain"], ["epochs"])
    assert str(error.value) == (
        "all arms have the same data.chain, so there is nothing to compare: change it in one arm, or use "
        "--question fit.epochs"
    )


def test_another_network_has_other_options_of_its_own_but_must_be_trained_alike():
    other = recipe_from_tables({"model": {"name": "fast", "width1": 16}, "fit": {"epochs": 2}})
    assert require_fair(arms((), ("model.name",)), [PLAIN, other], (), ()).question == ("model.width1",)
    with pytest.raises(
        UsageError, match=r"the arms also differ in fit\.epochs, but the question is model, model\.name: "
    ):
        require_fair(arms((), ("model.name",)), [SHARP, LONG], (), ())
