"""`train --folds`: one run whose numbers are out-of-fold predictions and whose network was trained on all images."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

import foveola as fv
from foveola.errors import DataError, UsageError
from foveola.evaluation.intervals import wilson
from foveola.evaluation.out_of_fold import SHARED
from foveola.runs.cross_validation import kept_row, mean_rows
from foveola.runs.files import write_evaluation
from foveola.runs.progress import fold_sentence
from foveola.training.history import EpochLog, FoldLog, ProbeLog

N, K = 24, 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of 12 coloured noise images, red and blue."""
    root = tmp_path_factory.mktemp("folds") / "photos"
    for k in range(N):
        kind, rng = ("red", "blue")[k % 2], np.random.default_rng(k)
        image = rng.integers(0, 120, (16, 16, 3), np.uint8)
        image[..., 2 * (k % 2)] += np.uint8(100)
        path = root / kind / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pillow.fromarray(image).save(path)
    return root


def trained(photos, out, **options):
    settings = {"fit.batch_size": 8, "fit.micro_batch_size": 0, "fit.start_scale": 1.0, **options.pop("settings", {})}
    return fv.train(
        photos,
        **{"model": "fast", "size": "16x16", "epochs": 2, "folds": K, "threads": 1, **options},
        settings=settings,
        out=out,
    )


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    return trained(photos, tmp_path_factory.mktemp("run") / "run")


def test_every_image_is_tested_once_by_a_network_of_its_fold(run):
    evaluation = run.evaluation
    assert sorted(evaluation.ids) == sorted(f"{('red', 'blue')[k % 2]}/{k:02d}.png" for k in range(N))
    assert np.bincount(evaluation.out_of_fold.fold).tolist() == [8, 8, 8]
    for row in run.folds:
        mine = evaluation.out_of_fold.fold == row.fold - 1
        assert (row.n_train, row.n_val, row.n_test) == (14, 2, 8)
        assert row.right == int(evaluation.correct[mine].sum())


def test_the_result_has_one_accuracy_over_all_images(run):
    r = run.result
    assert (r["n_train"], r["n_val"], r["n_test"], r["files_used"]) == (N, 0, N, N)
    right = sum(row.right for row in run.folds)
    assert r["test_accuracy"] == right / N
    assert (r["test_accuracy_low"], r["test_accuracy_high"]) == pytest.approx(wilson(right / SHARED, N / SHARED)[:2])
    assert r["n_calibration"] == N
    assert r["calibration_part"] == "out-of-fold"
    assert [row["fold"] for row in r["folds"]] == [1, 2, 3]


def test_the_history_is_the_mean_over_the_folds(run):
    logs = [
        [
            json.loads(line)
            for line in (run.path / "folds" / f"repeat-1-fold-{k}" / "history.jsonl").read_text().splitlines()
        ]
        for k in (1, 2, 3)
    ]
    for epoch, row in enumerate(run.history):
        assert row.val_loss == pytest.approx(np.mean([log[epoch]["val_loss"] for log in logs]))
        assert row.val_accuracy == pytest.approx(np.mean([log[epoch]["val_accuracy"] for log in logs]))
    best = max(run.history, key=lambda row: (row.val_accuracy, -row.val_loss))
    assert run.result["best_epoch"] == best.epoch


def test_the_tables_have_the_fold_of_each_prediction(run):
    with (run.path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == N
    assert {row["repeat"] for row in rows} == {"1"}
    assert sorted({row["fold"] for row in rows}) == ["1", "2", "3"]
    lines = (run.path / "folds.jsonl").read_text().splitlines()
    assert [json.loads(line)["fold"] for line in lines] == [1, 2, 3]


def test_a_run_with_folds_is_opened_predicts_and_reports_as_any_other(run, photos):
    opened = fv.open_run(run.path)
    assert np.array_equal(opened.evaluation.logits, run.evaluation.logits)
    assert opened.folds == run.folds
    assert len(opened.predict([photos / "red" / "00.png"])) == 1
    assert fv.report(run.path).path.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert fv.evaluate(run.path).accuracy == run.evaluation.accuracy
    assert fv.runs(run.path)[0].images == N


def test_the_network_is_measured_on_its_own_images_as_trained_on_all_of_them(run, photos):
    found = fv.evaluate(run.path, photos)
    assert found.trained_on.all()
    assert not found.used_test
    assert "this accuracy says nothing about new images" in "\n".join(fv_headlines(found))


def fv_headlines(found):
    from foveola.evaluation.headline import headlines

    return headlines(found.to_json())


def test_the_lines_say_which_networks_were_tested(run):
    assert fv_headlines(run)[-1] == (
        "each image was tested by one of 3 networks that were not trained on it; the network in this folder was trained on "
        "all 24 images, and was not tested itself"
    )


def test_the_recipe_and_the_seed_repeat_the_run(run, photos, tmp_path):
    again = fv.train(photos, recipe=run.path / "recipe.toml", out=tmp_path / "again", threads=1)
    assert np.array_equal(again.evaluation.logits, run.evaluation.logits)
    assert (again.path / "weights.safetensors").read_bytes() == (run.path / "weights.safetensors").read_bytes()
    assert again.recipe.split.folds == K


def test_repeats_test_each_image_again_with_other_folds(photos, tmp_path, recorder):
    rows = []
    run = trained(photos, tmp_path / "run", repeats=2, epochs=1, progress=recorder(row=rows.append))
    evaluation = run.evaluation
    assert (len(evaluation), evaluation.images, run.result["n_test"]) == (2 * N, N, N)
    first, second = (evaluation.take(np.flatnonzero(evaluation.out_of_fold.repeat == k)) for k in (0, 1))
    assert first.ids == second.ids
    assert not np.array_equal(first.out_of_fold.fold, second.out_of_fold.fold)
    assert run.result["test_accuracy"] == pytest.approx((first.accuracy + second.accuracy) / 2)
    tests = [fold_sentence(row) for row in rows if isinstance(row, FoldLog)]
    assert len(tests) == 6
    assert tests[4].startswith("repeat 2 of 2, fold 2 of 3: accuracy ")
    steps = [row for row in rows if not isinstance(row, FoldLog)]
    assert [row.step for row in steps] == sorted(row.step for row in steps)
    assert steps[-1].step == steps[-1].total_steps


def test_a_training_that_stopped_early_keeps_its_last_row_in_the_mean():
    long = [ProbeLog(k, 3, 1 / k, 0.0, 1.0, loss, 0.5, 0.0) for k, loss in enumerate((0.6, 0.4, 0.2), start=1)]
    short = [ProbeLog(k, 3, 1 / k, 0.0, 1.0, loss, 1.0, 0.0) for k, loss in enumerate((0.2, 0.6), start=1)]
    found = mean_rows([short, long])
    assert [row.strength for row in found] == [1, 1 / 2, 1 / 3]
    assert [row.val_loss for row in found] == pytest.approx([0.4, 0.5, 0.4])
    assert [row.val_accuracy for row in found] == [0.75, 0.75, 0.75]


def head(strength, loss, accuracy=0.5):
    return ProbeLog(1, 1, strength, 0.0, 1.0, loss, accuracy, 0.0)


def epoch(number, loss, accuracy):
    return EpochLog(number, 1, 0.0, 1.0, loss, accuracy, 0.1, 0.0)


def networks_that_kept(*best_epochs):
    """The networks of the folds with the epochs that they kept, 0 for the last layer alone."""
    return [
        FoldLog(1, 1, k + 1, len(best_epochs), 9, 3, 3, 3, best, 1.0, None, 0.0) for k, best in enumerate(best_epochs)
    ]


HEADS, EPOCHS = [head(1.0, 0.5), head(0.1, 0.4)], [epoch(1, 0.6, 0.8), epoch(2, 0.3, 0.9), epoch(3, 0.7, 0.7)]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ((0, 0, 3, 0, 1), HEADS[1]),  # fine-tuning helped in two of five, although it is better on average
        ((1, 0, 3, 3, 0), EPOCHS[1]),  # in three of five: for the epochs that are best on average
        ((2, 2, 2), EPOCHS[1]),
        ((0, 0, 0), HEADS[1]),
        ((0, 2), EPOCHS[1]),  # equally often: the better one
    ],
)
def test_the_network_is_fine_tuned_if_most_networks_of_the_folds_were(kept, expected):
    assert kept_row(HEADS, EPOCHS, networks_that_kept(*kept), finetune=True) == expected


def test_if_both_are_kept_equally_often_fine_tuning_must_have_the_lower_loss_too():
    worse = [epoch(1, 0.9, 0.95)]
    assert kept_row(HEADS, worse, networks_that_kept(0, 1), finetune=True) == HEADS[1]
    assert kept_row(HEADS, worse, networks_that_kept(0, 1), finetune=False) == worse[0]


def test_an_interrupt_names_what_is_left(photos, tmp_path, recorder):
    def stop(row):
        if type(row).__name__ == "FoldLog" and row.fold == 2:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt) as caught:
        trained(photos, out, epochs=1, progress=recorder(row=stop))
    assert caught.value.__notes__ == [
        f"The unfinished run is in {out} and can't be continued: delete that folder, then run the command again. Until then, "
        f"{out / 'folds.jsonl'} has the results of 2 folds."
    ]
    assert len((out / "folds.jsonl").read_text().splitlines()) == 2


def test_check_finds_wrong_labels_with_the_predictions_of_the_run(run, photos, tmp_path):
    """Predictions are planted: all of the own class but one, which both of the images' networks are sure of."""
    shutil.copytree(run.path, tmp_path / "run")
    once = run.evaluation
    logits = np.where(np.arange(2) == once.labels[:, None], 3, -3).astype(np.float32)
    logits[5] = [9, -9] if once.labels[5] else [-9, 9]
    origin = replace(once.out_of_fold, temperatures=np.ones(N))
    write_evaluation(tmp_path / "run" / "predictions.npz", replace(once, logits=logits, out_of_fold=origin))
    found = fv.check(photos, run=tmp_path / "run")
    assert [one.ids for one in found.findings if one.kind == "suspect_label"] == [(once.ids[5],)]
    assert not any("wrong labels" in remark for remark in found.remarks)


def checked(photos, run, **options):
    with pytest.raises(UsageError) as caught:
        fv.check(photos, run=run, **options)
    return str(caught.value)


def test_check_refuses_a_run_of_other_images(run, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "fewer")
    (tmp_path / "fewer" / "red" / "00.png").unlink()
    assert checked(tmp_path / "fewer", run.path) == (
        f"the run {run.path} was trained on other images than fewer has now: train again with --folds, or leave out --run"
    )


def test_check_refuses_a_run_without_folds(photos, tmp_path):
    trained(photos, tmp_path / "plain", folds=None, epochs=1)
    assert checked(photos, tmp_path / "plain") == (
        f"the run {tmp_path / 'plain'} has predictions for its test images only, and --run needs one for every image: train "
        "with --folds, as in foveola train DATA --folds 5"
    )


def test_check_refuses_a_run_when_wrong_labels_are_not_searched_for(run, photos):
    assert checked(photos, run.path, suspects=False) == (
        "--run looks for wrong labels, and --no-suspects skips them: leave out one of the two"
    )


def refusal(photos, tmp_path, **options):
    with pytest.raises((UsageError, DataError)) as caught:
        trained(photos, tmp_path / "refused", **options)
    assert not (tmp_path / "refused").exists()
    return str(caught.value)


def test_a_budget_with_folds_is_refused(photos, tmp_path):
    assert refusal(photos, tmp_path, budget="5m", epochs=None) == (
        "--budget plans one network, and --folds 3 trains 4: leave out --budget, and set --epochs for less time"
    )


def test_repeats_without_folds_are_refused(photos, tmp_path):
    assert refusal(photos, tmp_path, folds=None, repeats=3) == (
        "--repeats 3 repeats a cross-validation: add --folds, as in --folds 5"
    )


@pytest.mark.parametrize(
    ("folds", "needed"), [(1, "2 or more, or 0 for one test set"), (-2, "greater than or equal to 0")]
)
def test_less_than_two_folds_are_refused(photos, tmp_path, folds, needed):
    assert refusal(photos, tmp_path, folds=folds) == (
        f"the settings, [split]: folds = {folds} can't be used: it must be {needed}"
    )


def test_more_folds_than_images_are_refused_before_decoding(photos, tmp_path):
    assert refusal(photos, tmp_path, folds=25) == (
        "--folds 25 needs at least 25 images, and photos has 24: give a smaller number of folds, or add images"
    )


def test_more_folds_than_images_of_a_class_are_refused(photos, tmp_path):
    assert refusal(photos, tmp_path, folds=13) == (
        "class 'blue' has 12 images, and 13 folds need at least 13 different images of each class, one for each fold: give "
        "--folds 12, or remove the class"
    )


def test_a_threshold_is_chosen_on_the_images_of_all_folds_and_decides_new_ones(run, photos, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    found = fv.threshold(tmp_path / "run", "red", min_sensitivity=0.5)
    opened = fv.open_run(tmp_path / "run")
    assert (found.threshold.part, found.threshold.n_positive, found.threshold.n_negative) == ("out-of-fold", 12, 12)
    assert len(found.decision["fold_thresholds"]) == K
    assert opened.decision == found.decision
    assert ", each fold decided by a threshold that the other folds gave: sensitivity " in found.lines[1]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "with a threshold for each fold, chosen in the same way on the other folds" in page
    for one in opened.predict(photos / "blue"):
        assert one.label == ("red" if one.to_dict()["red"] >= found.threshold.value else "blue")


def test_train_chooses_a_threshold_with_folds(photos, tmp_path):
    run = trained(photos, tmp_path / "run", epochs=1, positive="red", min_sensitivity=0.5)
    assert run.threshold == fv.threshold(run.path, "red", min_sensitivity=0.5).threshold


def test_a_threshold_that_the_images_outside_a_fold_can_not_give_is_refused_before_training(run, photos, tmp_path):
    text = (
        "min-sensitivity 0.8 needs at least 14 independent images of 'red' outside each fold, where copies and images of one "
        "group count as one, but outside one fold there are 8: give 0.687 or less, or train with more images, or with more "
        "folds"
    )
    assert refusal(photos, tmp_path, positive="red", min_sensitivity=0.8) == text
    with pytest.raises(UsageError) as caught:
        fv.threshold(run.path, "red", min_sensitivity=0.8)
    assert str(caught.value) == text
    assert not (run.path / "threshold.json").exists()


def test_a_comparison_with_folds_is_refused(photos, tmp_path):
    with pytest.raises(UsageError) as caught:
        fv.compare(photos, ["a:model=fast", "b:model=fast_m"], settings={"split.folds": 5}, runs=tmp_path, threads=1)
    assert str(caught.value) == (
        "a comparison trains one network for each seed, and split.folds = 5 trains several: leave out split.folds"
    )


def test_a_last_layer_alone_is_cross_validated(photos, tmp_path):
    """`transfer` without epochs: penalties instead of epochs, and the features are computed once."""
    from foveola.models.pretrained_weights import has_weights

    if not has_weights():
        pytest.skip("needs the ImageNet weights")
    run = trained(photos, tmp_path / "run", model="transfer", epochs=0, size="32x32")
    heads = [
        [
            json.loads(line)
            for line in (run.path / "folds" / f"repeat-1-fold-{k}" / "head.jsonl").read_text().splitlines()
        ]
        for k in (1, 2, 3)
    ]
    tried = [{(row["features"], row["strength"]) for row in one} for one in heads]
    assert [(row.features, row.strength) for row in run.head] == [
        (row["features"], row["strength"])
        for row in heads[0]
        if all((row["features"], row["strength"]) in one for one in tried)
    ]
    best = min(run.head, key=lambda row: row.val_loss)
    assert run.result["head_penalty"] == best.strength
    assert run.result["best_epoch"] == 0
    assert [row.head_penalty for row in run.folds] == [
        min(one, key=lambda row: row["val_loss"])["strength"] for one in heads
    ]
    assert Path(run.report).is_file()


def test_fine_tuning_is_cross_validated(photos, tmp_path):
    """The run's network is fine-tuned for the best epochs, or not at all, as most of the networks of the folds."""
    from foveola.models.pretrained_weights import has_weights

    if not has_weights():
        pytest.skip("needs the ImageNet weights")
    run = trained(
        photos, tmp_path / "run", model="transfer", epochs=1, size="32x32", finetune=True,
        settings={"model.finetune_stages": 1},
    )  # fmt: skip
    tuned = sum(row.best_epoch > 0 for row in run.folds)
    assert run.result["best_epoch"] == (1 if tuned >= 2 else 0)
    text = run.report.read_text("utf-8")
    assert ("did not fine-tune the network in this folder" in text) == (tuned < 2)
