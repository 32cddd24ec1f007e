"""The training settings of a recipe: named choices, what they imply, and what contradicts them."""

import pytest

from foveola.errors import UsageError
from foveola.models.registry import MODELS
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


def test_fine_tuning_sets_what_it_needs_and_gives_way_to_what_is_given():
    fit = resolve_defaults(
        {"model": {"name": "transfer"}, "fit": {"finetune": True}}, Size(64, 64), 100, "t"
    ).recipe.fit
    settings = MODELS.entry("transfer").finetune
    assert {name: getattr(fit, name) for name in settings} == settings
    assert (
        (fit.augment, fit.flip) == ("photo", True) and fit.epochs > 0 and fit.stage_lr_factor < 1 and fit.patience > 0
    )
    fit = completed("transfer", finetune=True, augment="text", lr_peak=0.5).fit
    assert (fit.epochs, fit.augment, fit.flip, fit.lr_peak, fit.patience) == (
        1,
        "text",
        False,
        0.5,
        settings["patience"],
    )


def test_fine_tuning_trains_more_stages_unless_their_number_is_given():
    tables = {"model": {"name": "transfer"}, "fit": {"finetune": True}}
    assert recipe_from_tables(tables).model.options == {"finetune_stages": 6}
    assert recipe_from_tables({**tables, "model": {"name": "transfer", "finetune_stages": 2}}).model.options == {
        "finetune_stages": 2
    }
    assert recipe_from_tables({"model": {"name": "transfer"}}).model.options == {}


def test_without_fine_tuning_a_pre_trained_network_trains_as_before():
    fit = resolve_defaults({"model": {"name": "transfer"}}, Size(64, 64), 100, "t").recipe.fit
    assert (fit.finetune, fit.epochs, fit.augment, fit.lr_peak, fit.stage_lr_factor) == (False, 0, "auto", 1e-4, 1.0)


def test_fine_tuning_chooses_a_pre_trained_network_for_small_images_too():
    found = resolve_defaults({"fit": {"finetune": True}}, Size(32, 32), 100, "t")
    assert found.recipe.model.name == "transfer"
    assert found.remark == "chose the network transfer: fine-tuning needs a pre-trained network"


def test_a_completed_recipe_of_fine_tuning_is_read_back_as_it_is():
    recipe = resolve_defaults({"model": {"name": "transfer"}, "fit": {"finetune": True}}, Size(64, 64), 100, "t").recipe
    assert recipe_from_tables(recipe.tables()) == recipe


def test_fine_tuning_of_a_network_from_scratch_is_refused():
    others = ", ".join([name for name, entry in MODELS.entries() if entry.finetune][:-1]) + " or timm"
    assert refusal({"fit": {"finetune": True}, "model": {"name": "fast"}}) == (
        "the recipe: fit.finetune = true trains a pre-trained network further, but fast is trained from scratch: leave out "
        f"fine-tuning, or choose another network ({others})"
    )


def test_fine_tuning_without_epochs_is_refused():
    assert refusal({"fit": {"finetune": True, "epochs": 0}, "model": {"name": "transfer"}}) == (
        "the recipe: fit.finetune = true trains the last stages for some epochs, but fit.epochs = 0 trains only the last "
        "layer: leave out one of the two"
    )


def test_learning_rates_by_stage_are_refused_for_muon():
    assert refusal({"fit": {"stage_lr_factor": 0.5}, "model": {"name": "fast"}}) == (
        "the recipe: fit.stage_lr_factor = 0.5 has no effect on the convolutions with fit.optimizer = muon: choose adamw, "
        "adam or sgd"
    )
