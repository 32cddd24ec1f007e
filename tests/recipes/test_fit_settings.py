"""The training settings of a recipe: named choices, what they imply, and what contradicts them."""

import pytest

from foveola.errors import UsageError
from foveola.recipes.defaults import resolve_defaults
from foveola.recipes.recipe import recipe_from_tables
from foveola.types import Size


def completed(model, *, mirror_safe=True, **fit):
    tables = {"model": {"name": model}, "fit": {"epochs": 1, **fit}}
    return resolve_defaults(tables, Size(32, 32), 100, "t", mirror_safe=mirror_safe).recipe


def changes(recipe):
    return recipe.fit.augment, recipe.fit.flip, recipe.fit.translate_px, recipe.fit.cutout_px


def refusal(tables):
    with pytest.raises(UsageError) as caught:
        recipe_from_tables(tables)
    return str(caught.value)


@pytest.mark.parametrize(("model", "translate_px"), [("vgg6", 0), ("fast", 2)])
def test_without_a_set_a_network_is_augmented_as_before(model, translate_px):
    assert changes(completed(model)) == changes(completed(model, augment="auto")) == ("auto", True, translate_px, 0)


@pytest.mark.parametrize(("name", "flip"), [("none", False), ("photo", True), ("flat", True), ("text", False)])
def test_a_set_replaces_the_changes_that_the_network_recommends(name, flip):
    assert changes(completed("fast", augment=name)) == (name, flip, 0, 0)


def test_shifts_and_cutout_that_are_given_come_on_top_of_a_set():
    assert changes(completed("fast", augment="text", translate_px=1, cutout_px=8)) == ("text", False, 1, 8)


def test_no_flips_takes_the_mirror_images_out_of_a_set():
    recipe = completed("fast", augment="photo", flip=False)
    assert changes(recipe) == ("photo", False, 0, 0)
    assert not recipe.views.flips


def test_digits_are_not_mirrored_by_a_set():
    assert changes(completed("fast", mirror_safe=False, augment="photo")) == ("photo", False, 0, 0)


@pytest.mark.parametrize(
    ("name", "flips"), [("auto", True), ("none", False), ("photo", True), ("flat", True), ("text", False)]
)
def test_predictions_are_averaged_over_mirror_images_only_if_training_shows_them(name, flips):
    assert completed("fast", augment=name).views.flips is flips


@pytest.mark.parametrize("name", ["none", "photo", "flat", "text"])
def test_a_completed_recipe_with_a_set_is_read_back_as_it_is(name):
    recipe = completed("fast", augment=name)
    assert recipe_from_tables(recipe.tables()) == recipe


def test_changes_that_a_set_excludes_are_refused():
    assert refusal({"fit": {"augment": "text", "flip": True}}) == (
        "the recipe: fit.augment = text never mirrors images, but fit.flip = true changes them: leave out one of the two"
    )
    assert refusal({"fit": {"augment": "none", "cutout_px": 8}}) == (
        "the recipe: fit.augment = none leaves the training images as they are, but fit.cutout_px = 8 changes them: leave "
        "out one of the two"
    )
    assert refusal({"fit": {"augment": "text"}, "model": {"name": "fast", "average_flips": True}}) == (
        "the recipe: fit.augment = text is for images that must not be mirrored, but model.average_flips = true predicts "
        "from mirrored images, too: leave out one of the two"
    )


def test_an_unknown_set_names_the_sets():
    assert refusal({"fit": {"augment": "photos"}}) == (
        "the recipe, [fit]: augment = 'photos' can't be used: it must be 'auto', 'none', 'photo', 'flat' or 'text'"
    )
