"""Recipes: what is said, what is chosen, what is refused, and that the file and the value are the same thing."""

import json
from dataclasses import fields

import pytest

from foveola.errors import UsageError
from foveola.models import pretrained_weights as pretrained
from foveola.recipes.defaults import choose_epochs, choose_model, choose_size, max_pixels, resolve_defaults
from foveola.recipes.recipe import merge_tables, read_recipe, read_tables, recipe_from_tables
from foveola.training.config import FitSpec
from foveola.types import Size


def refusal(tables, where="the recipe"):
    with pytest.raises(UsageError) as caught:
        recipe_from_tables(tables, where=where)
    return str(caught.value)


def test_a_recipe_survives_its_file(tmp_path):
    recipe = resolve_defaults({"model": {"name": "vgg6", "head_batchnorm": True}}, Size(32, 48), 1000, "a title").recipe
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    assert recipe_from_tables(read_tables(tmp_path / "recipe.toml")) == recipe


def test_a_complete_recipe_leaves_nothing_to_choose():
    recipe = resolve_defaults({}, Size(32, 32), 45_000, "t").recipe
    assert (recipe.model.name, recipe.data.size, recipe.fit.epochs, recipe.title) == ("fast", "32x32", 8, "t, fast")


def test_the_networks_recommendations_give_way_to_what_is_said():
    recipe = recipe_from_tables({"model": {"name": "fast"}, "fit": {"lr_peak": 0.05}})
    assert (recipe.fit.lr_peak, recipe.fit.optimizer, recipe.fit.label_smoothing) == (0.05, "muon", 0.2)


def test_settings_go_before_the_file():
    tables = merge_tables({"fit": {"epochs": 3, "flip": False}}, {"fit.epochs": 5, "model.name": None})
    assert tables == {"fit": {"epochs": 5, "flip": False}}


def test_merging_changes_neither_of_its_arguments():
    tables = {"fit": {"epochs": 3}}
    merge_tables(tables, {"fit.epochs": 5})
    assert tables == {"fit": {"epochs": 3}}


def test_the_fingerprint_ignores_title_and_place_and_sees_everything_else():
    base = recipe_from_tables({"model": {"name": "vgg6"}, "data": {"source": "a"}, "title": "x"})
    assert base.fingerprint == recipe_from_tables({"model": {"name": "vgg6"}, "data": {"source": "b"}}).fingerprint
    assert base.fingerprint != recipe_from_tables({"model": {"name": "vgg6", "head_batchnorm": True}}).fingerprint
    assert base.fingerprint != recipe_from_tables({"model": {"name": "vgg6"}, "fit": {"epochs": 7}}).fingerprint


def test_an_unknown_option_is_named_with_its_nearest():
    text = refusal({"fit": {"epoch": 3}}, "the recipe a.toml")
    known = len(fields(FitSpec))
    assert text == (
        f"the recipe a.toml, [fit]: unknown option 'epoch' (did you mean 'epochs'?); the nearest of {known}: epochs, "
        "epoch_images, device, schedule, patience"
    )


def test_all_mistakes_of_a_table_are_said_at_once():
    assert refusal({"split": {"test_fraction": 2.0, "val_share": 0.1}}) == (
        "the recipe, [split]: test_fraction = 2.0 can't be used: it must be less than 0.9; "
        "unknown option 'val_share'; known: folds, near_duplicates_together, repeats, test_fraction, val_fraction"
    )


@pytest.mark.parametrize(
    ("tables", "text"),
    [
        ({"fits": {}}, "the recipe: unknown table 'fits' (did you mean 'fit'?); known: data, fit, model, split, title"),
        ({"fit": 3}, "the recipe: fit must be a table: write [fit] above its options"),
        (
            {"model": {"name": "resnet"}},
            "unknown model 'resnet'; known: alexnet_mini, fast, fast_l, fast_m, transfer, transfer_pair, vgg6",
        ),
        (
            {"fit": {"epochs": -1}},
            "the recipe, [fit]: epochs = -1 can't be used: it must be greater than or equal to 0",
        ),
        (
            {"data": {"size": "big"}},
            "size 'big' is not WIDTHxHEIGHT with sides of 8 to 1024 pixels: write for example 224x224",
        ),
        (
            {"data": {"resize": "squeeze"}},
            "the recipe, [data]: resize = 'squeeze' can't be used: it must be 'pad', 'crop' or 'stretch'",
        ),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(tables, text):
    assert refusal(tables) == text


def test_a_setting_without_a_place_is_refused():
    with pytest.raises(UsageError) as caught:
        merge_tables({}, {"epochs": 3})
    assert str(caught.value) == (
        "unknown setting 'epochs': write title, or data., split., model. or fit. and the option"
    )


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_tables(tmp_path / "none.toml")
    assert str(caught.value) == f"there is no recipe {tmp_path / 'none.toml'}: check the path"


def test_a_recipe_that_is_no_toml_is_refused_with_line_and_column(tmp_path):
    (tmp_path / "bad.toml").write_text("[fit]\nepochs =\n")
    with pytest.raises(UsageError) as caught:
        read_tables(tmp_path / "bad.toml")
    assert str(caught.value) == f"the recipe {tmp_path / 'bad.toml'} is not TOML: Invalid value (at line 2, column 9)"


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ([(32, 32)], "32x32"),
        ([(28, 28)], "32x32"),
        ([(8, 8)], "32x32"),
        ([(100, 100)] * 9 + [(3024, 3024)], "96x96"),
        ([(128, 128)], "128x128"),
        ([(60, 40)], "64x64"),
        ([(480, 640)], "224x224"),
        ([], "224x224"),
    ],
)
def test_the_size_follows_the_median_longer_side(sides, expected):
    assert str(choose_size([h for h, _ in sides], [w for _, w in sides])) == expected


def test_photos_are_larger_for_transfer(monkeypatch):
    assert [max_pixels(name) for name in ("transfer", "auto", "vgg6")] == [256, 256, 224]
    assert str(choose_size([480], [640], max_pixels("transfer"))) == "256x256"
    monkeypatch.setattr(pretrained, "has_weights", lambda: False)
    assert max_pixels("auto") == 224


def test_small_pictures_take_the_fast_network():
    assert choose_model(Size(96, 96), 1000).name == "fast"


def test_photos_take_transfer_where_its_weights_are_there(monkeypatch):
    assert choose_model(Size(128, 128), 1000).name == "transfer"
    monkeypatch.setattr(pretrained, "has_weights", lambda: False)
    assert choose_model(Size(128, 128), 1000).name == "alexnet_mini"


@pytest.mark.parametrize(("n", "expected"), [(1, 40), (10_000, 40), (20_000, 20), (45_000, 9), (10**6, 8)])
def test_more_pictures_take_fewer_epochs(n, expected):
    assert choose_epochs(n) == expected


def test_flips_are_averaged_where_they_were_trained_on_and_where_it_pays():
    for name, flip, wanted in (("fast", True, True), ("fast", False, False), ("vgg6", True, False)):
        recipe = resolve_defaults({"model": {"name": name}, "fit": {"flip": flip}}, Size(32, 32), 1000, "t").recipe
        assert recipe.model.average_flips is wanted


def test_averaging_flips_is_a_wish_that_counts():
    recipe = resolve_defaults({"model": {"name": "vgg6", "average_flips": True}}, Size(32, 32), 1000, "t").recipe
    assert recipe.model.average_flips is True
    assert recipe_from_tables(recipe.tables()).fingerprint == recipe.fingerprint


def test_averaging_flips_takes_yes_no_or_auto():
    with pytest.raises(UsageError) as caught:
        recipe_from_tables({"model": {"name": "fast", "average_flips": "both"}})
    assert "average_flips = 'both' can't be used" in str(caught.value)


def test_a_shift_out_of_the_frame_is_refused_before_training():
    tables = {"model": {"name": "vgg6", "average_shift_px": 8}}
    with pytest.raises(UsageError) as refusal:
        resolve_defaults(tables, Size(8, 12), 100, "t")
    assert str(refusal.value) == (
        "model.average_shift_px = 8 moves images of 12x8 out of their frame: give less than their shorter side, "
        "or a larger --size"
    )


def test_the_paths_of_a_run_s_recipe_start_where_the_run_was_started(tmp_path, monkeypatch):
    for name in ("work/photos", "run", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "run" / "recipe.toml").write_text('[data]\nsource = "photos"\nlabels = "photos/../none.csv"\n')
    (tmp_path / "run" / "environment.json").write_text(json.dumps({"folder": str(tmp_path / "work")}))
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = read_recipe(tmp_path / "run" / "recipe.toml")["data"]
    assert data == {"source": str(tmp_path / "work" / "photos"), "labels": "photos/../none.csv"}
    (tmp_path / "elsewhere" / "photos").mkdir()  # other photos
    assert read_recipe(tmp_path / "run" / "recipe.toml")["data"] == data
    (tmp_path / "work" / "photos").rmdir()
    assert read_recipe(tmp_path / "run" / "recipe.toml")["data"]["source"] == "photos"


def test_the_paths_of_a_run_s_recipe_stay_as_they_are_where_the_run_was_started(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "recipe.toml").write_text('[data]\nsource = "photos"\n')
    (tmp_path / "environment.json").write_text(json.dumps({"folder": str(tmp_path)}))
    monkeypatch.chdir(tmp_path)
    assert read_recipe(tmp_path / "recipe.toml")["data"]["source"] == "photos"


def test_the_paths_of_a_recipe_may_start_in_its_own_folder(tmp_path, monkeypatch):
    (tmp_path / "project" / "photos").mkdir(parents=True)
    (tmp_path / "project" / "a.toml").write_text('[data]\nsource = "photos"\n')
    monkeypatch.chdir(tmp_path)
    source = read_recipe(tmp_path / "project" / "a.toml")["data"]["source"]
    assert source == str(tmp_path / "project" / "photos")
