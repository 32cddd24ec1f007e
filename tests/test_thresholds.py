"""Thresholds from end to end: chosen while training or later, carried into predict, evaluate, explain and the report."""

import csv
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image as pillow

import foveola as fv
from foveola import cli
from foveola.errors import UsageError
from foveola.runs.files import count_test_uses

SETTINGS = {"model.width1": 8, "model.width2": 8, "model.width3": 8, "fit.batch_size": 16, "split.val_fraction": 0.4}
NAMES = ("across", "down", "noise")


def stripes(folder, names, n):
    """Classes of stripes in much noise, and of noise alone: a network is wrong now and then."""
    rng = np.random.default_rng(0)
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            image = rng.integers(0, 200, (16, 16, 3)).astype(np.uint8)
            strength = np.uint8(rng.integers(0, 50) if name != "noise" else 0)
            image[(slice(None, None, 4), slice(None))[:: 1 - 2 * (k % 2)]] += strength
            pillow.fromarray(image).save(folder / name / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return stripes(tmp_path_factory.mktemp("data") / "stripes", NAMES[:2], 70)


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """A run without a threshold."""
    return fv.train(data, model="fast", epochs=2, settings=SETTINGS, out=tmp_path_factory.mktemp("plain") / "run").path


@pytest.fixture
def run(plain, tmp_path):
    return shutil.copytree(plain, tmp_path / "run")


@pytest.fixture
def call(monkeypatch, capsys):
    def run_cli(*words):
        monkeypatch.setattr(sys, "argv", ["foveola", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return run_cli


def choose_high(run, value=0.9):
    """A threshold so high that it changes predictions: whatever the network, most images of the class are missed."""
    fv.threshold(run, "down", cost_false_positive=1000, cost_false_negative=1)
    path = run / "threshold.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threshold": value}))
    return fv.open_run(run)


def test_a_threshold_is_written_into_the_run_and_its_rates_are_those_of_the_test_set(run):
    found = fv.threshold(run, "down", min_sensitivity=0.8)
    opened = fv.open_run(run)
    assert opened.threshold == found.threshold
    evaluation = opened.evaluation
    called = evaluation.probabilities[:, 1] >= found.threshold.value
    true = evaluation.labels == 1
    assert found.decision["sensitivity"] == (called & true).sum() / true.sum()
    assert found.decision["specificity"] == (~called & ~true).sum() / (~true).sum()
    assert found.decision == opened.decision == opened.to_json()["decision"]
    assert (found.decision["held_out_part"], found.decision["min_sensitivity"]) == ("val", 0.8)


def test_choosing_a_threshold_counts_as_a_use_of_the_test_set_and_updates_the_report(run):
    fv.threshold(run, "down", min_specificity=0.8)
    assert count_test_uses(run) == 2
    text = (run / "report.html").read_text("utf-8")
    assert "specificity on new images is at least <strong>80 %</strong>" in text
    assert "used <strong>2 times</strong>" in text


def test_predict_decides_by_the_threshold(run, data):
    before = fv.predict(run, data)
    opened = choose_high(run)
    after = opened.predict(data)
    assert np.array_equal(before.to_array(), after.to_array())
    for one, old in zip(after, before, strict=True):
        assert one.label == ("down" if one.to_dict()["down"] >= 0.9 else "across")
        assert one.probability == one.to_dict()[one.label]
        assert old.label == max(old.to_dict(), key=old.to_dict().get)
    assert [one.label for one in before] != [one.label for one in after]
    assert repr(after[0]).startswith(f"Prediction({after[0].file!r}: {after[0].label} ")


def test_the_csv_and_the_json_have_the_decided_label(run, data, tmp_path, call):
    choose_high(run)
    code, out, _ = call("predict", run, data / "down", "--csv", tmp_path / "out.csv", "--json")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    said = json.loads(out)
    assert code == 0
    assert [row["label"] for row in rows] == [one["label"] for one in said["predictions"]]
    assert {row["label"] for row in rows if float(row["down"]) < 0.9} == {"across"}
    assert said["decision"] == fv.open_run(run).decision
    decided = [one["label"] == "down" for one in said["predictions"]]
    assert said["by_folder"]["decision"]["sensitivity"] == np.mean(decided)


def test_predict_says_the_rule_and_its_rates(run, data, call):
    choose_high(run)
    code, out, _ = call("predict", run, data / "down" / "00.png")
    _, _, rule, rates = out.splitlines()
    assert code == 0
    assert rule == (
        "foveola predicts 'down' if its probability is at least 90 %, else the most probable other class (the lowest cost "
        "on the held-out images, if a false positive costs 1000 and a false negative 1)"
    )
    assert rates.startswith("on the test set, rates for 'down' with 95 % intervals: sensitivity ")


def test_abstaining_goes_before_the_threshold(run, data):
    before = fv.predict(run, data, abstain=0.3)
    after = choose_high(run).predict(data, abstain=0.3)
    assert [one.label_set for one in after] == [one.label_set for one in before]
    assert [one.label for one in after] == [one.label for one in before]
    assert after.decision is None


def test_explain_shows_the_decided_class(run, data, tmp_path):
    opened = choose_high(run, 1.0)
    found = opened.explain(data / "down" / "00.png", tmp_path / "why.png")
    assert found.label == opened.predict(data / "down" / "00.png")[0].label == "across"


def test_evaluate_measures_the_threshold_on_other_data(run, tmp_path, call):
    choose_high(run)
    other = stripes(tmp_path / "other", ("across", "down"), 9)
    found = fv.evaluate(run, other)
    decided = found.probabilities[:, 1] >= 0.9
    said = found.to_json()
    assert said["decision"]["sensitivity"] == decided[found.labels == 1].mean()
    assert said["decision"]["specificity"] == (~decided)[found.labels == 0].mean()
    assert said["roc"]["positive"] == "down"
    assert said["roc"]["auc"] == found.roc("down").auc
    _, out, _ = call("evaluate", run, other)
    assert "rates for 'down' with 95 % intervals: sensitivity " in out
    assert "'down' against the rest: area under the ROC curve " in out


def test_data_without_images_of_the_class_has_no_sensitivity(run, tmp_path, call):
    choose_high(run)
    other = stripes(tmp_path / "other", ("across", "down"), 6)
    for file in (other / "down").iterdir():
        file.unlink()
    _, out, _ = call("evaluate", run, other)
    assert "sensitivity unknown (no such images), specificity " in out


def test_train_chooses_a_threshold_at_the_end(data, tmp_path, call):
    code, out, _ = call(
        "train", data, "--model", "fast", "--epochs", 1, "--positive", "down", "--min-sensitivity", 0.8, "--out",
        tmp_path / "run", *[word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")],
    )  # fmt: skip
    run = fv.open_run(tmp_path / "run")
    assert code == 0
    assert run.threshold.goal == fv.open_run(tmp_path / "run").threshold.goal
    assert count_test_uses(run.path) == 1
    assert "foveola predicts 'down' if its probability is at least " in out
    assert "<strong>80 %</strong>" in run.report.read_text("utf-8")


def test_several_classes_have_a_threshold_for_one_against_the_rest(tmp_path):
    run = fv.train(
        stripes(tmp_path / "three", NAMES, 40), model="fast", epochs=1, settings=SETTINGS, out=tmp_path / "run",
        positive="noise", min_specificity=0.8,
    )  # fmt: skip
    found = run.decision
    assert found["n_held_out_negative"] > found["n_held_out_positive"] > 0
    assert [one["positive"] for one in run.result["one_against_rest"]] == list(NAMES)
    assert "<h3>All classes</h3>" in run.report.read_text("utf-8")
    for one in run.predict(tmp_path / "three" / "across"):
        rest = {name: p for name, p in one.to_dict().items() if name != "noise"}
        expected = "noise" if one.to_dict()["noise"] >= run.threshold.value else max(rest, key=rest.get)
        assert one.label == expected


def test_a_threshold_is_removed(run, data, call):
    choose_high(run)
    code, out, _ = call("threshold", run, "--remove")
    assert (code, out) == (0, "foveola predicts the most probable class: the run has no threshold\n")
    assert fv.open_run(run).threshold is None
    assert "threshold.json" not in {path.name for path in run.iterdir()}
    assert call("threshold", run, "--remove")[0] == 0
    assert fv.predict(run, data / "down" / "00.png").decision is None


def test_the_command_prints_the_rule_and_the_rates(run, call):
    code, out, _ = call("threshold", run, "--positive", "down", "--min-sensitivity", 0.8)
    assert code == 0
    assert tuple(out.splitlines()) == fv.threshold(run, "down", min_sensitivity=0.8).lines
    assert "(chosen for a sensitivity of at least 80 % on new images, at 95 % confidence)" in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--min-sensitivity", "0.9"], "a threshold needs the class that it is for: give --positive CLASS"),
        ([], "a threshold needs the class that it is for: give --positive CLASS"),
        (["--positive", "dwn", "--min-sensitivity", "0.8"],
         "unknown class 'dwn' (did you mean 'down'?); known: across, down"),
        (["--remove", "--positive", "down"],
         "--remove removes the threshold: give it without --positive and without a goal"),
        (["--positive", "down", "--min-sensitivity", "0.999"],
         "min-sensitivity 0.999 needs at least 2,995 held-out images of 'down', but the run has 22: give 0.872 or less, or "
         "train with more images, or with more validation images (split.val_fraction)"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_refused_in_one_sentence_and_changes_nothing(run, call, words, text):
    code, out, err = call("threshold", run, *words)
    assert (code, out, err) == (2, "", f"foveola: {text}\n")
    assert not (run / "threshold.json").exists()
    assert count_test_uses(run) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--positive", "down"],
         "a threshold needs a goal: give --min-sensitivity, --min-specificity, or both --cost-false-positive and "
         "--cost-false-negative"),
        (["--min-specificity", "0.9"], "a threshold needs the class that it is for: give --positive CLASS"),
        (["--positive", "dwn", "--min-sensitivity", "0.8"],
         "unknown class 'dwn' (did you mean 'down'?); known: across, down"),
        (["--positive", "down", "--min-sensitivity", "0.99"],
         "min-sensitivity 0.99 needs at least 299 held-out images of 'down', but the run has 6: give 0.606 or less, or "
         "train with more images, or with more validation images (split.val_fraction)"),
    ],
)  # fmt: skip
def test_train_refuses_an_impossible_threshold_before_training(data, tmp_path, call, words, text):
    code, _, err = call("train", data, "--model", "fast", "--epochs", 1, "--out", tmp_path / "run", *words)
    assert (code, err.splitlines()[-1]) == (2, f"foveola: {text}")
    assert not (tmp_path / "run").exists()


def test_a_damaged_threshold_is_one_sentence_from_every_verb(run, data):
    (run / "threshold.json").write_text("{")
    text = (
        f"the threshold of the run {run} can't be read: threshold.json is damaged; choose it again with foveola threshold, "
        "or delete that file"
    )
    for verb in (lambda: fv.predict(run, data), lambda: fv.evaluate(run), lambda: fv.report(run)):
        with pytest.raises(UsageError) as caught:
            verb()
        assert str(caught.value) == text
    assert fv.threshold(run, "down", min_sensitivity=0.8).threshold == fv.open_run(run).threshold


def test_a_test_set_without_the_class_can_not_measure_a_threshold(plant, noise, tmp_path):
    files = {f"train/{kind}/{i}.png": noise(10 * k + i) for k, kind in enumerate(("cat", "dog")) for i in range(9)}
    files |= {f"test/cat/{i}.png": noise(100 + i) for i in range(4)}
    with pytest.raises(UsageError) as caught:
        fv.train(
            plant(tmp_path / "pets", files), model="fast", epochs=1, positive="dog", min_sensitivity=0.2,
            out=tmp_path / "run",
        )  # fmt: skip
    assert str(caught.value) == (
        "the test set has no image of 'dog', so foveola can't measure a threshold for 'dog': train with more images, or with "
        "a larger test set (split.test_fraction)"
    )
    assert not (tmp_path / "run").exists()
