"""The main job from end to end on small folders: what a user's folder goes through, and every way it is refused."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as pillow
from safetensors.torch import load_file

import foveola as fv
from foveola import workflows
from foveola.data.folder import open_folder
from foveola.errors import DataError, ImageProblem, ResourceError, UsageError
from foveola.runs.predictor import match_classes, save_network
from foveola.training.history import EpochLog

FAST = {"model.width1": 8, "model.width2": 8, "model.width3": 8, "fit.flip": False, "fit.batch_size": 16}


@pytest.fixture(scope="session")
def stripes_folder(tmp_path_factory):
    """Two classes of striped 16x16 pictures, 30 each, easy to tell apart; and things that are no pictures."""
    from foveola.imaging.decode import encode

    root, rng = tmp_path_factory.mktemp("stripes") / "stripes", np.random.default_rng(0)
    for k, name in enumerate(("across", "down")):
        (root / name).mkdir(parents=True)
        for i in range(30):
            image = rng.integers(0, 100, (16, 16, 3)).astype(np.uint8)
            image[(slice(None, None, 4), slice(None))[:: 1 - 2 * k]] += 130
            (root / name / f"{i:02d}.png").write_bytes(encode(image))
    (root / "across" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (root / "down" / "page.jpg").write_text("<!DOCTYPE html><html></html>")
    (root / "down" / "Thumbs.db").write_text("x")
    (root / ".hidden").write_text("x")
    return root


def train(folder, out, **options):
    options.setdefault("epochs", 3)
    return fv.train(folder, model="fast", settings={**FAST, **options.pop("settings", {})}, out=out, **options)


@pytest.fixture(scope="session")
def run(stripes_folder, tmp_path_factory):
    """A finished run on the stripes."""
    base = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(base / "cache"))
        return train(stripes_folder, base / "run", epochs=6)


def test_a_folder_becomes_a_network_that_was_measured(run):
    assert run.evaluation.accuracy >= 0.9
    assert run.result["test_accuracy"] == run.evaluation.accuracy
    assert run.result["test_accuracy_low"] <= run.evaluation.accuracy <= run.result["test_accuracy_high"]
    assert (run.result["n_train"], run.result["n_val"], run.result["n_test"]) == (44, 4, 12)


def test_files_found_are_used_or_listed_or_ignored(run):
    result = run.result
    assert (result["files_found"], result["files_used"], result["files_ignored"]) == (64, 60, 2)
    assert result["problems"] == [
        {"file": "across/broken.jpg", "reason": "cut short (Truncated File Read)"},
        {"file": "down/page.jpg", "reason": "not an image: looks like HTML"},
    ]


def test_the_run_folder_holds_everything_and_nothing_half(run):
    assert sorted(path.name for path in run.path.iterdir()) == [
        "augmentation_preview.npz",
        "calibration.npz",
        "data.json",
        "data_preview.npz",
        "environment.json",
        "fingerprints.npz",
        "history.jsonl",
        "images.npz",
        "network.json",
        "network_preview.npz",
        "predictions.csv",
        "predictions.npz",
        "recipe.toml",
        "report.html",
        "result.json",
        "weights.safetensors",
    ]


@pytest.mark.parametrize("settings", [{}, {"data.chain": "blur(size=3)"}])
def test_the_report_of_a_folder_is_the_one_that_training_wrote(stripes_folder, tmp_path, settings):
    run = train(stripes_folder, tmp_path / "run", epochs=2, settings=settings)
    written = run.report.read_bytes()
    fv.report(run.path)
    assert run.report.read_bytes() == written


def test_training_reads_no_file_that_it_writes(stripes_folder, tmp_path):
    code = f"""if True:
        import sys
        import foveola as fv
        read = []

        def note(event, arguments):
            if event == "open" and isinstance(arguments[0], str) and not arguments[2] & 3:  # O_RDONLY is 0
                read.append(arguments[0])

        sys.addaudithook(note)
        fv.train({str(stripes_folder)!r}, model="fast", epochs=1, settings={FAST!r}, out="run")
        read.append("then")
        fv.open_run("run").evaluation
        print(*read, sep="\\n")"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    read = map(Path, done.stdout.splitlines())
    names = [path.name for path in read if path.parent.name == "run" or path.name == "then"]
    assert names[0] == "then"
    assert {"result.json", "predictions.npz"} <= set(names)  # a file that is read is noted


def test_a_run_stands_for_its_folder_in_every_verb(run, stripes_folder, tmp_path):
    picture = stripes_folder / "down" / "00.png"
    assert fv.open_run(run).result == fv.open_run(str(run.path)).result == run.result
    assert fv.predict(run, [picture])[0].label == fv.predict(str(run.path), [picture])[0].label
    assert fv.report(run).path == run.report
    assert fv.explain(run, picture, tmp_path / "why.png").label == "down"


def test_an_evaluation_is_shown_in_two_lines_at_most(run):
    for found in (run.evaluation, fv.evaluate(run)):
        assert "accuracy 100.0 % (95 % interval 75.8 to 100.0 %), n = 12, 2 classes: across, down" in repr(found)
        assert len(repr(found)) < 160


def test_the_answers_to_the_test_part_are_a_table_too(run):
    with (run.path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = run.evaluation
    assert [row["image"] for row in rows] == list(found.ids)
    assert [row["true_class"] for row in rows] == [found.class_names[k] for k in found.labels]
    assert [row["predicted_class"] for row in rows] == [found.class_names[k] for k in found.predicted]
    assert [float(row["probability"]) for row in rows] == pytest.approx(found.confidence.tolist(), abs=1e-6)


def test_a_run_opened_again_is_the_run_that_was_made(run):
    again = fv.open_run(run.path)
    assert again.result == run.result
    assert np.array_equal(again.evaluation.logits, run.evaluation.logits)
    assert again.recipe == run.recipe
    assert again.history == run.history


def test_the_kept_weights_are_those_of_the_best_epoch(run):
    best = max(run.history, key=lambda row: (row.val_accuracy, -row.val_loss))
    assert run.result["best_epoch"] == best.epoch


def test_prediction_from_files_gives_the_logits_of_the_evaluation(run, stripes_folder):
    answers = run.predict([stripes_folder / name for name in run.evaluation.ids])
    found = np.array([answer.probabilities for answer in answers])
    assert np.abs(found - run.evaluation.probabilities).max() < 1e-5


def test_arrays_and_pillow_images_are_answered_as_their_files_are(run, stripes_folder):
    path = stripes_folder / "down" / "03.png"
    pixels = np.asarray(pillow.open(path))
    answers = fv.predict(run, [path, path.read_bytes(), pillow.open(path), pixels, pixels[None]])
    assert np.abs(answers.to_array() - answers[0].probabilities).max() < 1e-6
    assert (answers[0].class_names, answers.class_names) == (run.class_names, ("across", "down"))
    assert answers[3].to_dict()["down"] == answers[3].probabilities[1] > 0.5


@pytest.mark.parametrize("kind", ["run", "sharpened"])
def test_the_module_answers_prepared_images_as_predict_does(kind, stripes_folder, request):
    run = request.getfixturevalue(kind)
    files = [stripes_folder / name for name in run.evaluation.ids]
    model, images = run.model(), run.preprocessing(files)
    assert isinstance(model, torch.nn.Module) and not model.training
    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (len(files), 3, 32, 32))
    with torch.no_grad():
        found = model(images).softmax(dim=1).numpy()
        floats = model(images.float()).softmax(dim=1).numpy()
    assert np.abs(found - run.predict(files).to_array()).max() < 1e-5
    assert np.abs(floats - found).max() < 1e-6


def test_the_preprocessing_says_what_it_does(sharpened):
    assert repr(sharpened.preprocessing) == (
        "Preprocessing: resized to 32x32 (width x height), pad (proportions kept, black around); the filters blur|sharpen; "
        "RGB, values 0 to 255, shape (n, 3, 32, 32); the network normalises"
    )


def test_preprocessing_names_an_image_that_can_t_be_read(run, stripes_folder):
    with pytest.raises(ImageProblem) as caught:
        run.preprocessing([stripes_folder / "down" / "page.jpg"])
    assert str(caught.value) == f"{stripes_folder / 'down' / 'page.jpg'} can't be read: not an image: looks like HTML"


def test_completion_shows_what_a_user_needs(run):
    assert {"class_names", "evaluation", "model", "predict", "preprocessing", "report"} <= set(dir(run))
    assert set(dir(run)).isdisjoint(
        {"card", "head", "data_preview", "images", "network", "network_preview", "require_whole"}
    )
    assert all(hasattr(run, name) for name in dir(run))


def test_a_bad_file_among_the_predicted_carries_its_reason(run, stripes_folder):
    good, bad = run.predict([stripes_folder / "across" / "00.png", stripes_folder / "down" / "page.jpg"])
    assert good.label == "across"
    assert (bad.label, bad.problem) == ("", "not an image: looks like HTML")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_that_leads_nowhere_among_the_predicted_carries_its_reason(run, stripes_folder, tmp_path):
    shutil.copy(stripes_folder / "across" / "00.png", tmp_path / "b.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    first, second = run.predict([tmp_path])
    assert (Path(first.file).name, first.label, bool(first.problem)) == ("a.png", "", True)
    assert (Path(second.file).name, second.label) == ("b.png", "across")


def test_evaluating_on_the_runs_own_data_asks_only_the_pictures_it_kept_aside(run, stripes_folder):
    found = workflows.evaluate(run.path, stripes_folder)
    assert sorted(found.ids) == sorted(run.evaluation.ids)
    assert found.accuracy == run.evaluation.accuracy


def test_the_runs_own_data_in_another_state_is_recognised_image_by_image(run, stripes_folder, tmp_path):
    changed = tmp_path / stripes_folder.name
    shutil.copytree(stripes_folder, changed)
    shutil.copy(changed / "down" / "00.png", changed / "down" / "new.png")
    found = workflows.evaluate(run.path, changed)
    trained = run.result["n_train"] + run.result["n_val"]
    original = dict(zip(found.ids, found.copy_of, strict=True))
    assert found.trained_on.sum() == trained + (original["down/new.png"] == "down/00.png")
    assert found.used_test


def test_a_run_with_groups_knows_its_own_data(stripes_folder, tmp_path):
    run = train(stripes_folder, tmp_path / "run", settings={"data.group_by": r"(\d|broken|page)"})
    found = workflows.evaluate(run.path, stripes_folder)
    assert sorted(found.ids) == sorted(run.evaluation.ids)
    assert run.environment["groups"]


def test_other_data_of_the_same_name_is_nothing_to_tell_of(run, stripes_folder, tmp_path, recorder):
    other, told = tmp_path / stripes_folder.name, []
    shutil.copytree(stripes_folder, other)
    for path in sorted(other.glob("*/*.png")):
        path.rename(path.with_stem(f"other-{path.stem}"))
    workflows.evaluate(run.path, other, progress=recorder(told))
    assert told == []


def test_evaluating_on_other_data_matches_classes_by_name(run, stripes_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(stripes_folder / "down", other / "down")
    shutil.copytree(stripes_folder / "across", other / "across")
    (other / "across" / "00.png").unlink()
    found = fv.evaluate(run, other)
    assert len(found) == found.files_used == 59
    assert (found.data, found.files_found, found.files_ignored) == ("other", 62, 1)
    assert [problem.file for problem in found.problems] == ["across/broken.jpg", "down/page.jpg"]
    assert found.accuracy >= 0.9


def flat_copy(stripes_folder, place):
    """The stripes without class folders: all images in one folder, and a table of their classes next to it."""
    place.mkdir()
    files = sorted(stripes_folder.glob("*/[0-9]*.png"))
    for path in files:
        shutil.copy(path, place / f"{path.parent.name}-{path.name}")
    rows = [f"{path.parent.name}-{path.name},{path.parent.name}" for path in files]
    place.with_suffix(".csv").write_text("\n".join(["file,label", *rows]))
    return place


@pytest.mark.parametrize("how", ["table", "pattern"])
def test_evaluating_on_data_that_a_table_or_a_pattern_labels(run, stripes_folder, tmp_path, how):
    flat = flat_copy(stripes_folder, tmp_path / "flat")
    table, pattern = {"data.labels": str(tmp_path / "flat.csv")}, {"data.label_pattern": r"^(\w+)-"}
    found = workflows.evaluate(run.path, flat, settings=table if how == "table" else pattern)
    assert found.confusion.sum(axis=1).tolist() == [30, 30]
    assert found.accuracy >= 0.9


def test_evaluating_leaves_out_what_a_list_names(run, stripes_folder, tmp_path):
    other = shutil.copytree(stripes_folder, tmp_path / "other")
    (tmp_path / "list.txt").write_text("across/00.png\ndown/07.png\n")
    found = workflows.evaluate(run.path, other, settings={"data.exclude": str(tmp_path / "list.txt")})
    assert len(found) == 58
    assert {"across/00.png", "down/07.png"}.isdisjoint(found.ids)


def test_options_for_other_data_without_any_are_refused(run):
    with pytest.raises(UsageError) as error:
        workflows.evaluate(run.path, settings={"data.label_pattern": "(x)"})
    assert (
        str(error.value)
        == "--label-pattern sets how foveola reads other data, but no data is given: use foveola evaluate RUN DATA"
    )


def test_one_seed_repeats_the_history_and_another_does_not(stripes_folder, tmp_path):
    runs = [train(stripes_folder, tmp_path / str(k), seed=seed) for k, seed in enumerate((0, 0, 1))]
    first, again, other = ([row._replace(seconds=0, val_seconds=0) for row in run.history] for run in runs)
    assert first == again
    assert first != other
    assert np.array_equal(runs[0].evaluation.logits, runs[1].evaluation.logits)
    weights = [(run.path / "weights.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1]


def test_the_history_repeats_when_the_pictures_come_from_the_cache(stripes_folder, tmp_path, monkeypatch):
    cold = train(stripes_folder, tmp_path / "cold")

    def never(*_, **__):
        raise AssertionError("the second run must not decode")

    monkeypatch.setattr("foveola.data.decode_workers.decode_all", never)
    warm = train(stripes_folder, tmp_path / "warm")
    assert [r.train_loss for r in warm.history] == [r.train_loss for r in cold.history]


def test_patience_stops_a_run_that_gets_no_better(stripes_folder, tmp_path):
    run = train(stripes_folder, tmp_path / "run", epochs=40, settings={"fit.patience": 2})
    assert run.result["epochs"] < 40
    assert run.result["epochs"] - run.result["best_epoch"] == 2


def test_a_recipe_file_and_the_run_it_made_agree(run, stripes_folder, tmp_path):
    again = fv.train(stripes_folder, recipe=run.path / "recipe.toml", out=tmp_path / "again")
    assert [r.train_loss for r in again.history] == [r.train_loss for r in run.history]


def test_the_progress_sees_the_plan_before_the_first_row(stripes_folder, tmp_path, recorder):
    seen = []
    progress = recorder(plan=lambda plan: seen.append("plan"), row=lambda row: seen.append(type(row).__name__))
    train(stripes_folder, tmp_path / "run", epochs=1, progress=progress)
    assert (seen[0], seen[-1]) == ("plan", EpochLog.__name__)


def test_a_recipe_whose_data_is_not_here_asks_for_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text('[data]\nsource = "../photos"\n')
    with pytest.raises(UsageError) as caught:
        fv.train(recipe="a.toml")
    assert str(caught.value) == (
        "the recipe a.toml names the data ../photos, which does not exist: name the data before the recipe, as "
        "in foveola train "
        "DATA --recipe a.toml"
    )


def test_a_run_folder_that_can_not_be_made_is_refused_before_data_is_read(tmp_path):
    (tmp_path / "runs").write_text("a file in the way")
    for options in ({"runs": tmp_path / "runs"}, {"out": tmp_path / "runs" / "one"}):
        with pytest.raises(ResourceError, match="not a directory: choose another folder"):
            fv.train(tmp_path / "no data", **options)


def test_runs_go_below_their_base_and_are_never_written_over(stripes_folder, tmp_path):
    options = {"model": "fast", "epochs": 1, "settings": FAST, "runs": tmp_path / "runs"}
    first, second = fv.train(stripes_folder, **options), fv.train(stripes_folder, **options)
    assert first.path.parent == second.path.parent
    assert (first.path.name, second.path.name) == ("seed-0000", "seed-0000-2")
    assert [line.status for line in fv.runs(tmp_path / "runs")] == ["finished", "finished"]


def test_arrays_train_as_folders_do(tmp_path):
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    images = (rng.integers(0, 60, (60, 16, 16)) + 150 * labels[:, None, None]).astype(np.uint8)
    run = train(fv.from_arrays(images, labels[:, None], ["dark", "bright"]), tmp_path / "run")
    assert run.evaluation.class_names == ("dark", "bright")
    assert run.evaluation.accuracy >= 0.9


def test_an_npz_file_trains(tmp_path):
    rng = np.random.default_rng(1)
    y = (np.arange(60) % 2).astype(np.uint8)
    x = (rng.integers(0, 60, (60, 16, 16, 3)) + 150 * y[:, None, None, None]).astype(np.uint8)
    np.savez(tmp_path / "toy.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    run = train(tmp_path / "toy.npz", tmp_path / "run")
    assert (run.result["n_train"] + run.result["n_val"], run.result["n_test"]) == (40, 20)


def test_a_notebook_shows_the_number_and_the_report(run):
    shown = run._repr_html_()
    assert f"{100 * run.evaluation.accuracy:.1f} %" in shown
    assert "report.html" in shown


def test_a_failed_training_leaves_an_unfinished_run_and_says_so(stripes_folder, tmp_path):
    with pytest.raises(UsageError, match=r"^the loss became nan"):
        train(stripes_folder, tmp_path / "run", settings={"fit.lr_peak": 1e30, "fit.warmup_fraction": 0.0})
    with pytest.raises(UsageError) as refusal:
        fv.open_run(tmp_path / "run")
    assert str(refusal.value) == f"the run {tmp_path / 'run'} is not finished: it has no result.json; train again"


# Bad input: the whole sentence, and that nothing was written.


def refused(kind, folder, tmp_path, **options):
    out = tmp_path / "out"
    with pytest.raises(kind) as caught:
        train(folder, out, **options)
    assert not out.exists()
    return str(caught.value)


def test_a_missing_folder(tmp_path):
    folder = tmp_path / "none"
    assert refused(DataError, folder, tmp_path) == f"the folder {folder} does not exist: check the path"


def test_an_empty_folder(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert refused(DataError, folder, tmp_path) == (
        f"the folder {folder} is empty: put the images of each class in their own folder in it"
    )


def test_one_class(tmp_path, plant, noise):
    folder = plant(tmp_path / "one", {f"cats/{i}.png": noise(i) for i in range(5)})
    assert refused(DataError, folder, tmp_path) == (
        f"{folder} contains one class, 'cats': a classifier needs at least two, each in its own folder"
    )


def test_an_empty_class(two_classes, tmp_path):
    folder = two_classes()
    (folder / "birds").mkdir()
    assert refused(DataError, folder, tmp_path) == (
        f"{folder}: class 'birds' contains no usable image: add images to it, or remove the class"
    )


def test_a_class_whose_pictures_are_all_damaged(two_classes, plant, tmp_path):
    folder = plant(two_classes(), {"birds/1.jpg": "no picture", "birds/2.jpg": "nor this"})
    assert refused(DataError, folder, tmp_path) == (
        f"{folder.name}: class 'birds' contains no usable image: none of the 2 files can be used: not an image: "
        "looks like text"
    )


def test_one_image_in_a_class(two_classes, plant, noise, tmp_path):
    folder = plant(two_classes(), {"birds/1.png": noise(99)})
    assert refused(DataError, folder, tmp_path) == (
        "class 'birds' has 1 image: at least 3 are needed, one each for training, validation and "
        "test; add images, or remove the class"
    )


def test_an_unreadable_file_is_listed_and_the_others_go_on(two_classes, tmp_path, monkeypatch):
    from foveola.data import hashes as digests

    folder, real = two_classes(10), digests.read_file

    def read_file(path):
        if path.endswith("cats/3.png"):
            raise ImageProblem("no permission to read it")
        return real(path)

    monkeypatch.setattr(digests, "read_file", read_file)
    run = train(folder, tmp_path / "out", epochs=1)
    assert run.result["problems"] == [{"file": "cats/3.png", "reason": "no permission to read it"}]
    assert (run.result["files_found"], run.result["files_used"]) == (20, 19)


def test_an_unknown_model(two_classes, tmp_path):
    with pytest.raises(UsageError) as caught:
        fv.train(two_classes(), model="fats", out=tmp_path / "out")
    assert (
        str(caught.value)
        == "unknown model 'fats' (did you mean 'fast'?); known: alexnet_mini, fast, fast_l, fast_m, transfer, "
        "transfer_pair, vgg6"
    )
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_in_a_recipe(two_classes, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text("[split]\ntest_share = 0.3\n")
    assert refused(UsageError, two_classes(), tmp_path, recipe=recipe) == (
        f"the recipe {recipe}, [split]: unknown option 'test_share' (did you mean 'test_fraction'?); "
        "known: folds, near_duplicates_together, repeats, test_fraction, val_fraction"
    )


@pytest.mark.parametrize("verb", [workflows.report, workflows.evaluate, lambda run: workflows.predict(run, [run])])
def test_a_run_folder_that_is_not_one(verb, tmp_path):
    (tmp_path / "holiday.jpg").write_text("x")
    with pytest.raises(UsageError) as caught:
        verb(tmp_path)
    assert str(caught.value) == f"{tmp_path} is not a run folder: it has no recipe.toml; foveola runs lists the runs"


def test_a_run_folder_that_is_not_there(tmp_path):
    with pytest.raises(UsageError) as caught:
        fv.open_run(tmp_path / "none")
    assert str(caught.value) == (
        f"there is no run {tmp_path / 'none'}: no folder and no run in runs has this name; foveola runs lists the runs"
    )


def test_an_output_folder_in_use_is_refused_before_the_data_is_read(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(UsageError) as caught:
        fv.train(tmp_path / "no-data", out=out)
    assert (
        str(caught.value) == f"the output folder {out} already contains files: choose a new folder, or delete it first"
    )
    assert (out / "precious.txt").read_text() == "mine"


def test_no_data_at_all(tmp_path):
    with pytest.raises(UsageError) as caught:
        fv.train(out=tmp_path / "out")
    assert str(caught.value) == (
        "no data is given: name a folder of class folders, an .npz file, or one of cifar10, digits"
    )


@pytest.mark.parametrize(
    ("recipe", "settings", "said"),
    [
        ("", {}, []),
        ("[data]\nsource = 'gone'", {}, ["reading gone ..."]),
        ("data = 3", {}, []),
        ("", {"data.source": "lost"}, ["reading lost ..."]),
    ],
)
def test_the_first_line_names_the_data_if_there_are_any(tmp_path, recipe, settings, said):
    class Told(fv.Progress):
        lines = ()

        def tell(self, line):
            self.lines += (line,)

    (tmp_path / "r.toml").write_text(recipe)
    with pytest.raises(UsageError):
        fv.train(recipe=tmp_path / "r.toml", settings=settings, runs=tmp_path, progress=(told := Told()))
    assert list(told.lines) == said


def test_nothing_to_predict(run, tmp_path):
    with pytest.raises(UsageError) as caught:
        run.predict([])
    assert str(caught.value) == "there are no images to predict: give image files, or folders of images"


def test_a_file_to_predict_that_is_not_there(run, tmp_path):
    with pytest.raises(UsageError) as caught:
        run.predict(tmp_path / "none.jpg")
    assert str(caught.value) == f"there is no file {tmp_path / 'none.jpg'}: check the path"


def test_data_with_a_class_that_the_run_does_not_know(run, two_classes):
    with pytest.raises(UsageError) as caught:
        workflows.evaluate(run.path, two_classes())
    assert str(caught.value) == (
        "pets has class 'cats' and 1 more class that the run was not trained on: unknown class 'cats'; known: across, down"
    )


def test_classes_are_matched_by_their_letters(two_classes):
    dataset = open_folder(two_classes(2))
    composed, decomposed = ("p\xe8che", "pomme"), ("pe\u0300che", "pomme")
    found = match_classes(replace(dataset, class_names=decomposed), composed)
    assert found.tolist() == dataset.labels.tolist()
    with pytest.raises(UsageError, match=r"unknown class 'Pomme' \(did you mean 'pomme'\?\); known: pomme, p\xe8che$"):
        match_classes(replace(dataset, class_names=("Pomme", "p\xe8che")), composed)


def test_damaged_weights_are_refused(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    (copy / "weights.safetensors").write_bytes((run.path / "weights.safetensors").read_bytes()[:-100])
    with pytest.raises(UsageError) as caught:
        fv.predict(copy, [copy])
    assert str(caught.value) == f"the weights of the run {copy} can't be read: the file is damaged; train again"


def test_a_damaged_result_is_refused(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    (copy / "result.json").write_text("{")
    with pytest.raises(UsageError) as caught:
        fv.open_run(copy)
    assert str(caught.value) == f"the run {copy} is damaged: its result.json can't be read; train again"


def test_an_unknown_listing():
    with pytest.raises(UsageError) as caught:
        workflows.catalog("model")
    assert (
        str(caught.value)
        == "unknown listing 'model' (did you mean 'models'?); known: datasets, explanations, filters, models, options"
    )


def test_a_summary_for_one_class_is_refused():
    with pytest.raises(UsageError) as caught:
        workflows.show("fast", fv.Size(32, 32), 1)
    assert str(caught.value) == "the number of classes must be from 2 to 100,000; got 1"


def test_a_result_is_json(run):
    assert json.loads(json.dumps(run.result)) == run.result


def test_a_seed_out_of_range(two_classes, tmp_path):
    assert refused(UsageError, two_classes(), tmp_path, seed=-1) == (
        "seed -1 is out of range: give a whole number from 0 to 4,294,967,295"
    )


def test_names_that_are_no_text_train_and_are_shown_escaped(plant, noise, tmp_path):
    strange = os.fsdecode(b"h\xe4nde")
    files = {f"{kind}/{i}.png": noise(10 * k + i) for k, kind in enumerate((strange, "<b>")) for i in range(6)}
    run = train(plant(tmp_path / os.fsdecode(b"f\xfcr"), files), tmp_path / "run", epochs=1)
    assert set(run.evaluation.class_names) == {strange, "<b>"}
    assert fv.open_run(run.path).recipe.title == "f\\xfcr, fast"
    assert "h\\xe4nde" in run.report.read_text("utf-8")
    assert run.predict(tmp_path / os.fsdecode(b"f\xfcr"))[0].label in run.evaluation.class_names


def test_digits_are_not_mirrored_unless_the_user_wants_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a folder named digits where the tests are started would be taken for the data
    widths = {key: value for key, value in FAST.items() if key != "fit.flip"}
    for k, (said, flip) in enumerate((({}, False), ({"fit.flip": True}, True))):
        run = fv.train("digits", model="fast", epochs=1, settings={**widths, **said}, out=tmp_path / str(k))
        assert run.recipe.fit.flip is flip


@pytest.fixture(scope="session")
def sharpened(stripes_folder, tmp_path_factory):
    """A finished run on the stripes, every picture through a chain."""
    base = tmp_path_factory.mktemp("sharpened")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(base / "cache"))
        return train(stripes_folder, base / "run", chain=" blur(size=3) | sharpen()", epochs=2)


def test_a_chain_is_kept_in_the_recipe_in_its_one_form(sharpened):
    assert sharpened.recipe.data.chain == "blur|sharpen"


def test_prediction_sends_pictures_through_the_chain_too(sharpened, stripes_folder):
    answers = fv.predict(sharpened.path, [stripes_folder / name for name in sharpened.evaluation.ids])
    found = np.array([answer.probabilities for answer in answers])
    np.testing.assert_allclose(found, sharpened.evaluation.probabilities, atol=1e-5)


def test_other_data_is_evaluated_through_the_chain(sharpened, stripes_folder):
    found = workflows.evaluate(sharpened.path, stripes_folder)
    np.testing.assert_allclose(found.logits, sharpened.evaluation.logits, atol=1e-4)


def test_the_network_was_trained_on_filtered_pictures(run, sharpened, stripes_folder):
    """Without its chain the same network answers differently: the chain is not an ornament of the recipe."""
    from dataclasses import replace

    from foveola.filters.chain import Chain
    from foveola.runs.predictor import Predictor

    network = Predictor.open(sharpened.path)
    data = (stripes_folder / sharpened.evaluation.ids[0]).read_bytes()
    with_it, without = (one.see(data)[None] for one in (network, replace(network, chain=Chain())))
    assert np.abs(network.probabilities(with_it) - network.probabilities(without)).max() > 1e-3


def test_a_chain_changes_nothing_in_the_split(run, sharpened):
    assert sharpened.evaluation.ids == run.evaluation.ids


def test_a_typo_in_a_chain_is_told_before_any_work(stripes_folder, tmp_path):
    with pytest.raises(UsageError, match=r"^chain 'blur\|sharpn', position 6: unknown filter 'sharpn'"):
        train(stripes_folder, tmp_path / "run", chain="blur|sharpn")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("key", "value"), [("group_by", r"(\d)"), ("labels", "t.csv"), ("label_pattern", "(a)")])
def test_what_only_a_folder_s_files_can_tell_is_refused_for_other_data(tmp_path, key, value):
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4) % 2)
    with pytest.raises(UsageError) as refused:
        fv.train(tmp_path / "a.npz", settings={f"data.{key}": value}, out=tmp_path / "r")
    assert str(refused.value) == (
        f"data.{key} needs a folder of images, and {tmp_path / 'a.npz'} is not a folder: leave it out, or give the images as "
        "a folder"
    )
    assert not (tmp_path / "r").exists()


def test_a_layer_under_two_names_is_kept_under_both(run, tmp_path):
    layer = torch.nn.Linear(2, 2)
    save_network(tmp_path / "w.safetensors", torch.nn.Sequential(layer, layer), run.recipe, ("a", "b"), 1.0)
    found = load_file(tmp_path / "w.safetensors")
    assert torch.equal(found["0.weight"], layer.weight) and torch.equal(found["1.weight"], layer.weight)


def test_what_only_a_folder_s_files_can_tell_is_refused_for_arrays(tmp_path):
    data = fv.from_arrays(np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2)
    with pytest.raises(UsageError) as refused:
        fv.train(data, settings={"data.group_by": "x"}, out=tmp_path / "r")
    assert str(refused.value) == (
        "data.group_by needs a folder of images, and arrays is not a folder: leave it out, or give the images as a folder"
    )


def test_very_unequal_classes_are_named_before_the_first_step(plant, noise, tmp_path, recorder):
    names = [*(f"common/{i}.png" for i in range(60)), *(f"rare/{i}.png" for i in range(4))]
    root, plans = plant(tmp_path / "set", {name: noise(k) for k, name in enumerate(names)}), []
    fv.train(root, model="fast", epochs=1, size="16x16", out=tmp_path / "run", progress=recorder(plan=plans.append))
    assert (
        "class 'common' has 15.0 times as many images as 'rare' (60 and 4): always predicting 'common' is right for 93.8 %"
        in plans[0].remarks
    )


def test_a_class_that_the_test_part_lacks_is_named_once(plant, noise, tmp_path, recorder):
    names = [f"{where}/{i}.png" for where in ("train/a", "train/b", "test/a") for i in range(6)]
    root, plans = plant(tmp_path / "set", {name: noise(k) for k, name in enumerate(names)}), []
    fv.train(root, model="fast", epochs=1, size="16x16", out=tmp_path / "run", progress=recorder(plan=plans.append))
    assert [line for line in plans[0].remarks if "test set" in line] == [
        "the test set has no image of b: the accuracy says nothing about it"
    ]
