"""Confidence from end to end: one temperature in every answer, "don't know" at a stated rate, openings of test counted."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

import foveola as fv
from foveola import cli, workflows
from foveola.data.split import split
from foveola.errors import UsageError
from foveola.evaluation.calibration import fit_temperature
from foveola.evaluation.conformal import label_sets
from foveola.evaluation.metrics import softmax
from foveola.runs.files import count_test_uses
from foveola.runs.predictor import Predictor
from foveola.types import no_tick

SETTINGS = {"model.width1": 8, "model.width2": 8, "model.width3": 8, "fit.batch_size": 16, "split.val_fraction": 0.3}


@pytest.fixture(scope="session")
def hazy(tmp_path_factory):
    """Two classes of stripes in much noise, 75 pictures each: a network is wrong now and then."""
    from foveola.imaging.decode import encode

    root, rng = tmp_path_factory.mktemp("hazy") / "hazy", np.random.default_rng(0)
    for k, name in enumerate(("across", "down")):
        (root / name).mkdir(parents=True)
        for i in range(75):
            image = rng.integers(0, 200, (16, 16, 3)).astype(np.uint8)
            image[(slice(None, None, 4), slice(None))[:: 1 - 2 * k]] += np.uint8(rng.integers(0, 40))
            (root / name / f"{i:02d}.png").write_bytes(encode(image))
    return root


@pytest.fixture(scope="session")
def run(hazy, tmp_path_factory):
    base = tmp_path_factory.mktemp("confident")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(base / "cache"))
        return fv.train(hazy, model="fast", epochs=3, settings=SETTINGS, out=base / "run")


def files_of(run, hazy):
    return [hazy / name for name in run.evaluation.ids]


def test_the_temperature_is_that_of_val_and_in_all_of_the_runs_files(run):
    kept = run.calibration
    assert (kept.how, len(kept)) == ("val", run.result["n_val"])
    assert kept.temperature == fit_temperature(kept.logits, kept.labels) != 1
    assert run.result["temperature"] == kept.temperature == run.evaluation.temperature
    assert Predictor.open(run.path).temperature == kept.temperature


def test_val_is_answered_for_calibration_as_new_pictures_are(run, hazy):
    from foveola.data.prepare import prepare
    from foveola.recipes.recipe import recipe_from_tables
    from foveola.workflows import open_data

    network = Predictor.open(run.path)
    assert network.views.flips  # the network averages over mirror images, and so must calibration
    prepared = prepare(
        open_data(recipe_from_tables({"data": {"source": str(hazy)}}), no_tick), network.size, network.resize
    )
    val = split(prepared.dataset, prepared.content, run.recipe.split, run.seed).val
    assert np.array_equal(run.calibration.labels, prepared.dataset.labels[val])
    assert np.abs(network.logits(prepared.pixels[val]) - run.calibration.logits).max() < 1e-4


def test_predict_evaluate_and_explain_give_the_same_calibrated_probabilities(run, hazy, tmp_path):
    chances = softmax(run.evaluation.logits, run.calibration.temperature)
    answers = run.predict(files_of(run, hazy))
    assert np.abs(np.array([a.probabilities for a in answers]) - chances).max() < 1e-5
    again = workflows.evaluate(run.path, hazy)
    assert np.abs(again.probabilities - chances).max() < 1e-5
    found = fv.explain(run.path, files_of(run, hazy)[0], tmp_path / "why.png")
    assert found.probability == pytest.approx(answers[0].probability)


def test_the_result_has_error_and_reliability_of_the_calibrated_answers(run):
    result, evaluation = run.result, run.evaluation
    assert sum(one["n"] for one in result["reliability"]) == result["n_test"]
    assert result["ece"] == pytest.approx(
        sum(abs(b["confidence"] - b["accuracy"]) * b["n"] for b in result["reliability"]) / result["n_test"]
    )
    assert result["ece_low"] <= result["ece_high"]
    assert result["test_loss"] == evaluation.loss != result["test_loss_uncalibrated"]


def test_abstaining_answers_where_one_class_is_left(run, hazy):
    answers = run.predict(files_of(run, hazy), abstain=0.2)
    sets = label_sets(np.array([a.probabilities for a in answers]), run.calibration.limit(0.2))
    assert [len(a.label_set) for a in answers] == sets.sum(axis=1).tolist()
    assert all(a.label == (a.label_set[0] if len(a.label_set) == 1 else "") for a in answers)
    assert {a.label == "" for a in answers} == {True, False}


def test_what_the_result_says_of_abstaining_is_what_predict_does(run, hazy):
    answers = run.predict(files_of(run, hazy), abstain=0.2)
    true = [run.evaluation.class_names[k] for k in run.evaluation.labels]
    (said,) = (one for one in run.result["abstain"] if one["error"] == 0.2)
    n = len(answers)
    assert said["coverage"] == sum(t in a.label_set for a, t in zip(answers, true, strict=True)) / n
    assert said["answered"] == sum(bool(a.label) for a in answers) / n
    wrong = sum(bool(a.label) and a.label != t for a, t in zip(answers, true, strict=True))
    assert said["wrong"] == wrong / n
    assert said["wrong_of_answered"] == wrong / sum(bool(a.label) for a in answers)
    assert answers.abstention == answers.to_json()["abstain"] == said


def test_too_few_calibration_pictures_say_what_is_possible(run, hazy):
    n = run.result["n_val"]
    with pytest.raises(UsageError) as caught:
        run.predict(files_of(run, hazy), abstain=0.02)
    assert str(caught.value) == (
        f"abstain 0.02 needs at least 49 calibration images, but the run has {n}: give 0.028 or more, or train with more "
        "validation images (split.val_fraction)"
    )


def test_a_temperature_that_is_no_number_is_damage(run, tmp_path):
    folder = tmp_path / "bent"
    shutil.copytree(run.path, folder)
    with safe_open(folder / "weights.safetensors", "pt") as file:
        meta = json.loads(file.metadata()["foveola"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    save_file(tensors, folder / "weights.safetensors", {"foveola": json.dumps({**meta, "temperature": 0})})
    with pytest.raises(UsageError, match=r"can't be read: the file is damaged; train again$"):
        Predictor.open(folder)


def test_weights_of_another_format_are_refused(run, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "other")
    with safe_open(folder / "weights.safetensors", "pt") as file:
        meta = json.loads(file.metadata()["foveola"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    save_file(tensors, folder / "weights.safetensors", {"foveola": json.dumps({**meta, "format": 9})})
    with pytest.raises(UsageError) as refused:
        fv.Predictor.open(folder)
    assert str(refused.value) == (
        f"the weights of the run {folder} have format 9, but this version of foveola reads format 1 only: train again"
    )


def test_predict_reads_each_file_of_the_run_once(run, hazy, monkeypatch):
    read, read_text = [], Path.read_text

    def noted(path, *how):
        read.append(path.name)
        return read_text(path, *how)

    monkeypatch.setattr(Path, "read_text", noted)
    fv.Predictor.open(fv.open_run(run.path)).predict(files_of(run, hazy)[:1], abstain=0.2)
    assert {name: read.count(name) for name in read if name != "result.json"} == {"data.json": 1}


def test_every_evaluation_of_its_own_test_part_is_counted_and_told(run, hazy, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    (folder / "test_opened_again.jsonl").unlink(missing_ok=True)
    workflows.evaluate(folder)
    workflows.evaluate(folder, hazy)  # the same pictures, by their folder
    assert fv.open_run(folder).test_opened == count_test_uses(folder) == 3
    assert "used <strong>3 times</strong>" in (folder / "report.html").read_text("utf-8")


def test_evaluating_on_other_data_opens_nothing(run, plant, noise, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    (folder / "test_opened_again.jsonl").unlink(missing_ok=True)
    other = {f"{name}/{i}.png": noise(900 + 10 * k + i) for k, name in enumerate(("across", "down")) for i in range(3)}
    workflows.evaluate(folder, plant(tmp_path / "other", other))
    assert count_test_uses(folder) == 1


@pytest.fixture
def unwritable(run, tmp_path, monkeypatch):
    """The run in a folder that takes no file: root may write anywhere, so the writing itself is made to fail."""

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    folder = shutil.copytree(run.path, tmp_path / "archive")
    (folder / "test_opened_again.jsonl").unlink(missing_ok=True)
    monkeypatch.setattr("os.open", refuse)
    monkeypatch.setattr("foveola.storage._beside", refuse)
    return folder


def not_counted(folder):
    return (
        f"this use of the test set of {folder} could not be recorded (read-only file system). The result is shown anyway; "
        "keep count yourself"
    )


def test_a_run_that_can_t_be_written_is_evaluated_and_it_is_said_that_nothing_was_counted(run, unwritable, recorder):
    before, told = (unwritable / "report.html").read_bytes(), []
    found = workflows.evaluate(unwritable, progress=recorder(told))
    assert found.accuracy == run.evaluation.accuracy
    assert told == [not_counted(unwritable)]
    assert count_test_uses(unwritable) == 1
    assert (unwritable / "report.html").read_bytes() == before


def test_in_python_it_is_a_warning(unwritable):
    with pytest.warns(UserWarning) as caught:
        workflows.evaluate(unwritable)
    assert [str(one.message) for one in caught] == [not_counted(unwritable)]
    assert caught[0].filename == __file__  # the caller's line, and not ours


def test_on_the_command_line_it_stands_on_stderr_and_in_the_json(unwritable, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["foveola", "evaluate", str(unwritable), "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert (end.value.code, result["notes"], result["test_opened"]) == (0, [not_counted(unwritable)], 1)
    assert said.err.splitlines()[-1] == f"note: {not_counted(unwritable)}"


def test_an_opening_that_is_counted_needs_no_report_to_count(run, tmp_path, monkeypatch, recorder):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    folder, told = shutil.copytree(run.path, tmp_path / "run"), []
    (folder / "test_opened_again.jsonl").unlink(missing_ok=True)
    monkeypatch.setattr("foveola.storage._beside", refuse)
    workflows.evaluate(folder, progress=recorder(told))
    assert count_test_uses(folder) == 2
    assert told == [
        f"this use of the test set of {folder} is recorded, but its report could not be updated (no space left on device): "
        "run foveola report to update it"
    ]


def test_laying_out_the_test_part_with_its_labels_opens_it(run, hazy, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / "test_opened_again.jsonl").unlink(missing_ok=True)
    fv.explain(folder, hazy, tmp_path / "embedding.png", "embedding", how="pca")
    lines = (folder / "test_opened_again.jsonl").read_text().splitlines()
    assert [json.loads(line)["by"] for line in lines] == ["explain --method embedding"]
    assert "used <strong>2 times</strong>" in (folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("method", ["gradcam", "max_activating"])
def test_explanations_without_answers_to_the_test_part_open_nothing(run, hazy, tmp_path, method):
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / "test_opened_again.jsonl").unlink(missing_ok=True)
    picture = hazy if method == "max_activating" else hazy / "across" / "00.png"
    fv.explain(folder, picture, tmp_path / "figure.png", method)
    assert count_test_uses(folder) == 1


def test_laying_out_other_data_opens_nothing(run, hazy, tmp_path):
    folder, other = shutil.copytree(run.path, tmp_path / "run"), shutil.copytree(hazy, tmp_path / "other")
    (folder / "test_opened_again.jsonl").unlink(missing_ok=True)
    (other / "across" / "00.png").unlink()
    fv.explain(folder, other, tmp_path / "embedding.png", "embedding", how="pca")
    assert count_test_uses(folder) == 1
