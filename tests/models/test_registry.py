"""The table of networks: what foveola chooses for each, and that a user's network can bring the same."""

import pytest
import torch
from torch import nn

from foveola.errors import ResourceError, UsageError
from foveola.models.build import build
from foveola.models.registry import MODELS, ModelEntry, require_model
from foveola.recipes.defaults import max_pixels, resolve_defaults
from foveola.recipes.recipe import options
from foveola.training.config import FitSpec
from foveola.training.loop import min_input_size
from foveola.types import Size
from foveola.workflows.listings import show_defaults


def refuse():
    raise ResourceError("the weights of mean are missing")


@pytest.fixture
def mean():
    """A user's network "mean" that brings all that foveola's own have."""

    @MODELS.register(
        "mean",
        fit={"lr_peak": 0.5, "batch_size": 8, "start_scale": 0.5},
        average_flips=True,
        average_shift_px=2,
        min_px=6,
        any_size=True,
        max_auto_px=320,
        epochs_by_pixels=True,
        larger=("vgg6",),
        pretrained_on="pebbles",
        requires=refuse,
        show_size="48x40",
        show_classes=3,
    )
    def make(*, size, classes):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))

    yield make
    MODELS.unregister("mean")


def test_a_users_network_brings_the_settings_that_it_is_trained_with(mean):
    recipe = resolve_defaults({"model": {"name": "mean"}}, Size(64, 64), 10_000, "t").recipe
    assert (recipe.fit.lr_peak, recipe.fit.batch_size, recipe.fit.start_scale) == (0.5, 8, 0.5)
    assert recipe.fit.epochs == 8  # the pixels of 200,000 images of 32x32 are seen in 5 epochs; the fewest are 8
    assert (recipe.model.average_flips, recipe.model.average_shift_px) == (True, 2)


def test_what_a_recipe_says_goes_before_the_entry(mean):
    tables = {"model": {"name": "mean", "average_flips": False}, "fit": {"lr_peak": 0.1}}
    recipe = resolve_defaults(tables, Size(64, 64), 10_000, "t").recipe
    assert (recipe.fit.lr_peak, recipe.model.average_flips) == (0.1, False)


def test_a_users_network_brings_its_sizes(mean):
    assert max_pixels("mean") == 320
    assert show_defaults("mean") == ("48x40", 3)
    model = build("mean", Size(6, 6), 2)
    assert min_input_size(model, FitSpec(start_scale=0.5)) == 6
    assert model(torch.zeros((1, 3, 9, 7), dtype=torch.uint8)).shape == (1, 2)
    with pytest.raises(UsageError) as refused:
        build("mean", Size(6, 5), 2)
    assert str(refused.value) == "model mean needs images of at least 6x6; got 5x6: choose a larger --size"


def test_a_users_network_refuses_what_it_lacks_before_images_are_read(mean):
    with pytest.raises(ResourceError, match=r"^the weights of mean are missing$"):
        require_model("mean")


def test_the_list_of_options_names_a_users_network(mean):
    (found,) = [option for option in options() if option.name == "fit.lr_peak"]
    assert "0.5 for mean" in found.default


def test_a_network_without_facts_has_the_defaults():
    MODELS.register("bare", lambda *, size, classes: nn.Sequential(nn.Flatten(), nn.LazyLinear(classes)))
    try:
        assert MODELS.entry("bare") == ModelEntry()
    finally:
        MODELS.unregister("bare")


def test_a_name_is_free_again_after_it_is_removed(mean):
    MODELS.unregister("mean")
    MODELS.register("mean", mean)
    assert MODELS.entry("mean") == ModelEntry()


def test_an_unknown_fact_is_refused():
    with pytest.raises(UsageError) as refused:
        MODELS.register("mean", average_flip=True)
    assert str(refused.value) == (
        "a model can't be registered: unknown fact 'average_flip' (did you mean 'average_flips'?); known: any_size, "
        "average_flips, average_shift_px, epochs_by_pixels, finetune, finetune_options, fit, larger, max_auto_px, min_px, "
        "pretrained_on, requires, show_classes, show_size"
    )
    assert "mean" not in MODELS


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS.entry(name).any_size])
def test_a_network_for_any_size_takes_its_smallest_and_one_pixel_more(name):
    least = MODELS.entry(name).min_px
    model = build(name, Size(least, least), 2).eval()
    assert model(torch.zeros((1, 3, least + 1, least), dtype=torch.uint8)).shape == (1, 2)


def test_larger_versions_are_networks_of_the_table():
    assert [name for entry in map(MODELS.entry, MODELS) for name in entry.larger if name not in MODELS] == []
