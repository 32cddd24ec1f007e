"""The verb `compare`: arms over the same seeds, continued where it was, and every way it is refused."""

import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tomli_w
import torch
from PIL import Image as pillow

import foveola as fv
from foveola import cli
from foveola.comparison.arms import parse_arm
from foveola.comparison.statistics import corrected_accuracy
from foveola.config import parse_setting
from foveola.errors import DataError, ResourceError, UsageError
from foveola.imaging.decode import encode
from foveola.recipes.recipe import recipe_from_tables
from foveola.runs import time_budget, trainer
from foveola.runs.progress import Progress
from foveola.text import show_time
from foveola.workflows import open_data
from foveola.workflows.comparison_runner import FinishedRun, Trials, _opened

ARMS = ["plain", "blurred: chain=blur(size=5)", "inverted: chain=invert"]
SMALL = {
    "model.name": "fast",
    "model.width1": 8,
    "model.width2": 8,
    "model.width3": 8,
    "fit.batch_size": 16,
    "fit.epochs": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of noisy 16x16 pictures."""
    root, rng = tmp_path_factory.mktemp("compare") / "noisy", np.random.default_rng(0)
    for name, shift in (("dark", 0), ("light", 25)):
        (root / name).mkdir(parents=True)
        for i in range(30):
            image = rng.integers(shift, 220 + shift, (16, 16, 3)).astype(np.uint8)
            (root / name / f"{i:02d}.png").write_bytes(encode(image))
    return root


@pytest.fixture(scope="module")
def compared(folder, tmp_path_factory, recorder):
    """A finished comparison of three arms over five seeds, what it told, and where its runs are."""
    base, told = tmp_path_factory.mktemp("compared"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(base / "cache"))
        arms = ["plain", "blurred: chain=blur(size=5)", {"name": "inverted", "chain": "invert"}]
        found = fv.compare(
            folder, arms, seeds=5, settings=SMALL, half_width=10, runs=base / "runs", jobs=1, progress=recorder(told)
        )
        return found, told, base / "runs"


def test_all_arms_are_trained_with_all_seeds(compared):
    found, _, runs = compared
    assert found.accuracy.shape == (3, 5)
    assert [[run.seed for run in row] for row in found.runs] == [[0, 1, 2, 3, 4]] * 3
    assert [row[0].recipe.data.chain for row in found.runs] == ["", "blur(size=5)", "invert"]
    assert len(fv.runs(runs)) == 15


def test_arms_of_a_seed_are_measured_on_the_same_pictures(compared):
    for pair in zip(*compared[0].runs, strict=True):
        assert len({run.evaluation.ids for run in pair}) == 1


def test_seeds_with_splits_of_their_own_are_corrected_for(compared):
    found = compared[0]
    assert not found.one_test_part
    result = found.runs[0][0].result
    assert found.test_to_train == result["n_test"] / (60 - result["n_test"])


def test_the_differences_are_those_of_the_runs(compared):
    found = compared[0]
    by_hand = 100 * (found.accuracy[1] - found.accuracy[0])
    one = found.against_baseline()[0]
    assert (one.arm, one.baseline, one.difference.n) == ("blurred", "plain", 5)
    assert one.difference.mean == pytest.approx(by_hand.mean())


def test_progress_and_outlook_are_told(compared):
    _, told, _ = compared
    assert sum(line.startswith("seed 3, blurred: ") for line in told) == 1
    assert told[6].startswith("after 2 seeds: an interval of ±10 points ")


def test_runs_that_are_there_are_not_repeated(compared, folder, monkeypatch, recorder):
    found, _, runs = compared
    monkeypatch.setattr("foveola.workflows.comparison_runner.train_and_report", lambda *_: pytest.fail("trained again"))
    told = []
    arms = ["plain", "blurred: chain=blur(size=5)"]
    again = fv.compare(folder, arms, seeds=5, settings=SMALL, runs=runs, progress=recorder(told))
    np.testing.assert_array_equal(again.accuracy, found.accuracy[:2])
    assert all(line.endswith("(already finished)") for line in told)


def test_a_finished_comparison_is_planned_without_building_a_network(compared, folder, monkeypatch):
    found, _, runs = compared
    monkeypatch.setattr(trainer, "build", lambda *_, **__: pytest.fail("a network was built"))
    again = fv.compare(folder, ["plain", "blurred: chain=blur(size=5)"], seeds=5, settings=SMALL, runs=runs)
    np.testing.assert_array_equal(again.accuracy, found.accuracy[:2])


def test_an_unfinished_run_is_trained_again(compared, folder):
    found, _, runs = compared
    path = found.runs[0][4].path
    (path / "result.json").rename(path / "was-result.json")
    try:
        again = fv.compare(folder, ["plain", "blurred: chain=blur(size=5)"], seeds=5, settings=SMALL, runs=runs)
    finally:
        (path / "was-result.json").rename(path / "result.json")
    assert again.accuracy[0, 4] == found.accuracy[0, 4]
    assert again.runs[0][4].path != path


def test_the_json_has_arms_and_differences(compared):
    told = compared[0].to_json()
    assert [arm["name"] for arm in told["arms"]] == ["plain", "blurred", "inverted"]
    assert {"name", "mean_accuracy", "seconds"} < set(told["arms"][0])
    assert set(told["differences"][0]) > {
        "arm", "baseline", "mean_points", "low_points", "high_points", "p_value", "n_seeds", "verdict",
    }  # fmt: skip
    assert told["differences"][0]["verdict"] in ("helps", "hurts", "no_difference", "not_enough_evidence")
    assert (told["question"], told["arms"][1]["changes"]) == (["data.chain"], {"data.chain": "blur(size=5)"})


def test_every_arm_has_the_interval_of_its_mean(compared):
    """Every seed has its own split: the corrected t, of the accuracies in the JSON."""
    found = compared[0]
    for k, arm in enumerate(found.to_json()["arms"]):
        n_test = found.runs[0][0].result["n_test"]
        expected = corrected_accuracy(arm["accuracies"], n_test, test_to_train=found.test_to_train)
        assert (arm["low_accuracy"], arm["high_accuracy"]) == (expected.low, expected.high) == found.intervals[k][:2]
        assert arm["low_accuracy"] < arm["mean_accuracy"] < arm["high_accuracy"]


def test_every_line_about_a_run_has_its_interval(compared):
    found, told, _ = compared
    result = found.runs[1][3].result
    share, low, high = (100 * result[f"test_accuracy{end}"] for end in ("", "_low", "_high"))
    line = next(line for line in told if line.startswith("seed 3, blurred: "))
    assert line.startswith(f"seed 3, blurred: {share:.2f} %, 95 % interval {low:.2f} to {high:.2f} (")


SAME = "arms 'one' and 'other' have the same settings: change one of them, for example 'other: chain=sharpen'"


@pytest.mark.parametrize(
    ("arms", "options", "said"),
    [
        (
            ["plain"],
            {},
            "a comparison needs at least two arms, such as --arm plain --arm 'x: chain=sharpen'; got 1",
        ),
        (["plain", "plain: chain=blur"], {}, "two arms are called 'plain': give each arm a different name"),
        (["one", "other"], {}, SAME),
        (["one", "other: fit.flip=true"], {}, SAME),
        (
            ["plain", "sharp: chain=sharpen; epochs=2"],
            {"question": ["data.chain"]},
            "the arms also differ in fit.epochs, but the question is data.chain: make them equal, or permit it with --allow "
            "fit.epochs",
        ),
        (
            ["plain", "x: chain=sharpn"],
            {},
            "chain 'sharpn', position 1: unknown filter 'sharpn' (did you mean 'sharpen'?); known: ",
        ),
        (["plain", "x:"], {}, "arm 'x:' has no setting after the colon: write, for example, sharpened: chain=sharpen"),
        (
            ["plain", "chain=sharpen"],
            {},
            "arm 'chain=sharpen' has no name: write, for example, sharpened: chain=sharpen",
        ),
        (
            ["plain", "sharp: chain=sharpen; epochs=2"],
            {"question": ["chain"]},
            "the arms also differ in fit.epochs, but the question is data.chain: make them equal, or permit it with --allow "
            "fit.epochs",
        ),
        (
            ["plain", "x: chain=blur"],
            {"question": ["chian"]},
            "--question chian: unknown setting 'chian' (did you mean 'data.chain'?); the nearest of ",
        ),
        (
            ["plain", "x: chain=blur"],
            {"allow": ["fit.epoch"]},
            "--allow fit.epoch: unknown setting 'fit.epoch' (did you mean 'fit.epochs'?); the nearest of ",
        ),
        (
            ["plain", "x: split.test_fraction=0.4"],
            {},
            "with seed 0 arms 'plain' and 'x' have different test images (12 and 24), so their runs can't be paired: "
            "give all arms the same data and split",
        ),
        (
            ["plain", "x: data.group_by=(.)"],
            {},
            "the arms differ in data.group_by, so their data differs: give all arms the same data.group_by",
        ),
        (
            ["plain", "x: chain=blur"],
            {"margin": -1},
            "margin must be 0 or more percentage points, such as 0.5; got -1",
        ),
        (
            ["plain", "x: chain=blur"],
            {"half_width": 0},
            "half-width must be above 0 percentage points, such as 0.5; got 0",
        ),
        (["plain", "x: chain=blur"], {"jobs": -1}, "--jobs must be 1 or more, or 0 to let foveola choose; got -1"),
        (
            ["plain", "x: chain=blur"],
            {"seeds": "0-x"},
            "seeds '0-x' can't be read: write a number (10), a range (0-9) or a list (1,4,7)",
        ),
        (["plain", "x: chain=blur"], {"seeds": 0}, "there is no seed: give at least one, or five for a verdict"),
        (["plain", "x: chain=blur"], {"seeds": [1, 2, 1]}, "seed 1 is given twice: give each seed once"),
    ],
)
def test_what_is_refused(folder, tmp_path, monkeypatch, arms, options, said):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError) as error:
        fv.compare(folder, arms, settings=SMALL, runs=tmp_path / "runs", **{"seeds": 5, **options})
    assert str(error.value).startswith(said)
    assert not (tmp_path / "runs").exists()


def test_a_difference_that_was_allowed_is_told(folder, tmp_path, monkeypatch, recorder):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    told = []
    arms = ["plain", "sharp: chain=sharpen; epochs=2"]
    options = {"question": ["data.chain"], "allow": ["fit.epochs"], "seeds": 1, "settings": SMALL}
    found = fv.compare(folder, arms, runs=tmp_path / "runs", progress=recorder(told), **options)
    assert told[0] == "warning: the arms also differ in fit.epochs, which you allowed: it may cause the difference"
    assert found.against_baseline()[0].verdict == "not_enough_evidence"


def test_fewer_than_five_seeds_are_warned_of_before_they_are_trained(compared, folder, recorder):
    told = []
    found = fv.compare(folder, ARMS[:2], seeds=2, settings=SMALL, runs=compared[2], progress=recorder(told))
    assert told[0] == (
        "warning: a verdict needs 5 seeds, and this comparison has 2: it shows differences without a verdict; "
        "give --seeds 5 or more"
    )
    assert found.against_baseline()[0].sentence.endswith("2 seeds; a verdict needs 5 seeds")


def test_one_seed_gives_json_that_is_json(compared, folder):
    found = fv.compare(folder, ARMS[:2], seeds=1, settings=SMALL, runs=compared[2])
    one = json.loads(json.dumps(found.to_json(), allow_nan=False))["differences"][0]
    assert (one["low_points"], one["high_points"], one["p_value"]) == (None, None, 1.0)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when the test says so."""
    now = [1000.0]
    monkeypatch.setattr("foveola.workflows.comparing.monotonic", lambda: now[0])
    monkeypatch.setattr("foveola.workflows.comparison_series.monotonic", lambda: now[0])
    return now


def test_a_budget_too_small_for_one_pair_is_refused_before_training(folder, tmp_path, monkeypatch, clock):
    monkeypatch.setattr(time_budget, "expected_seconds", lambda _: 30.0)
    with pytest.raises(UsageError) as error:
        fv.compare(folder, ARMS[:2], settings=SMALL, budget="50s", runs=tmp_path / "runs")
    assert str(error.value) == (
        "a budget of 50s is too small for one pair: training 2 arms once takes about 1m here: give --budget 1m6s or more, "
        "or 5m30s for the 5 seeds that a verdict needs"
    )
    assert not (tmp_path / "runs").exists()


def test_a_real_measurement_refuses_a_hundredth_of_a_second(folder, tmp_path):
    with pytest.raises(
        UsageError, match=r"a budget of 0s is too small for one pair: training 2 arms once takes about \d+s"
    ):
        fv.compare(folder, ARMS[:2], settings=SMALL, budget=0.01, runs=tmp_path / "runs")


@pytest.mark.parametrize(
    ("budget", "n", "missing"),
    [
        ("100s", 3, "a verdict needs 5 seeds"),
        ("3m20s", 6, "more seeds would narrow the interval"),
    ],
)
def test_a_budget_ends_after_the_pairs_that_fit(
    folder, compared, tmp_path, monkeypatch, clock, budget, n, missing, recorder
):
    """Every run takes 15 seconds by the clock, so every pair 30."""

    def trained(*_):
        clock[0] += 15
        return compared[0].runs[0][0]

    monkeypatch.setattr(time_budget, "expected_seconds", lambda _: 10.0)
    monkeypatch.setattr("foveola.workflows.comparison_runner.train_and_report", trained)
    told = []
    found = fv.compare(
        folder,
        ARMS[:2],
        seeds=20,
        settings=SMALL,
        budget=budget,
        runs=tmp_path / "runs",
        jobs=1,
        progress=recorder(told),
    )
    assert len(found.seeds) == n
    assert told[-1] == (
        f"the budget of {budget.replace('100s', '1m40s')} ended after {n} of 20 seeds: {missing}; the "
        f"remaining {20 - n} take about {show_time((20 - n) * 30)}"
    )
    assert found.notes == (told[-1],)


def test_a_group_that_goes_side_by_side_is_no_larger_than_the_budget(folder, compared, tmp_path, monkeypatch, clock):
    """Three arms, two jobs: two seeds go together, but after five seconds of start one pair of 30 fits in 50, not two."""
    groups = []

    def rows(self, seeds):
        groups.append(list(seeds))
        clock[0] += 30 * len(seeds)
        self.trained += 3 * len(seeds)
        return ((FinishedRun(row[0], False) for row in compared[0].runs) for _ in seeds)

    monkeypatch.setattr(time_budget, "expected_seconds", lambda _: 10.0)
    monkeypatch.setattr(Trials, "rows", rows)
    found = fv.compare(folder, ARMS, seeds=8, settings=SMALL, budget="50s", runs=tmp_path / "runs", jobs=2)
    assert groups == [[0]] and len(found.seeds) == 1
    groups.clear()
    fv.compare(folder, ARMS, seeds=8, settings=SMALL, budget="2m8s", runs=tmp_path / "more", jobs=2)
    assert groups == [[0, 1], [2, 3]]


def test_runs_that_are_there_cost_no_budget_and_the_page_stays_as_large(compared, folder, tmp_path, recorder):
    out = tmp_path / "page"
    fv.compare(folder, ARMS[:2], seeds=5, settings=SMALL, runs=compared[2], out=out)
    told = []
    found = fv.compare(
        folder, ARMS[:2], seeds=6, settings=SMALL, runs=compared[2], out=out, budget=0.5, progress=recorder(told)
    )
    assert len(found.seeds) == 5
    assert "the budget of 0s ended after 5 of 6 seeds" in told[-1] or "1s ended after 5 of 6 seeds" in told[-1]
    assert json.loads((out / "comparison.json").read_text("utf-8"))["seeds"] == [0, 1, 2, 3, 4]


def test_recipes_are_arms_and_name_their_data(folder, compared, tmp_path, recorder):
    _, _, runs = compared
    paths = recipes(tmp_path, folder, {}, {"data": {"chain": "blur(size=5)"}})
    told = []
    found = fv.compare(None, paths, seeds="0-4", runs=runs, progress=recorder(told))
    assert [arm.name for arm in found.arms] == ["one", "two"]
    assert all(line.endswith("(already finished)") for line in told)  # the same as the inline arms
    assert found.question == ("data.chain",)
    np.testing.assert_array_equal(found.accuracy, compared[0].accuracy[:2])


def test_recipes_that_differ_in_more_are_refused_with_the_list(folder, tmp_path):
    paths = recipes(tmp_path, folder, {}, {"data": {"chain": "blur(size=5)"}, "fit": {"epochs": 2}})
    with pytest.raises(UsageError) as error:
        fv.compare(None, paths, runs=tmp_path / "runs")
    assert str(error.value) == (
        "the recipes differ in data.chain, fit.epochs, and a comparison asks about one setting: name it, such as --question "
        "data.chain, and make the others equal or permit them with --allow"
    )
    with pytest.raises(UsageError) as error:
        fv.compare(None, paths, question=["chain"], runs=tmp_path / "runs")
    assert str(error.value).startswith("the arms also differ in fit.epochs, but the question is data.chain: ")


def test_recipes_of_different_data_are_refused(folder, tmp_path):
    paths = recipes(tmp_path, folder, {}, {"data": {"source": "digits"}})
    with pytest.raises(UsageError) as error:
        fv.compare(None, paths)
    assert str(error.value) == (
        f"recipe one reads {folder} and recipe two reads digits, but a comparison takes one data set: name it before the "
        "recipes"
    )


def recipes(place, folder, *changes):
    """Recipe files "one" and "two": the small one with changes laid over its tables."""
    base = {"data": {"source": str(folder)}, "model": {}, "fit": {}}
    for key, value in SMALL.items():
        table, name = key.split(".")
        base[table][name] = value
    paths = []
    for name, change in zip(("one", "two"), changes, strict=True):
        tables = {table: {**values, **change.get(table, {})} for table, values in base.items()}
        (place / f"{name}.toml").write_text(tomli_w.dumps(tables))
        paths.append(place / f"{name}.toml")
    return paths


def test_a_folder_with_a_comparison_of_other_data_is_refused(compared, folder, plant, noise, tmp_path):
    found = compared[0]
    other = plant(
        tmp_path / "other", {f"{kind}/{i}.png": noise(40 * k + i) for k, kind in enumerate("ab") for i in range(20)}
    )
    with pytest.raises(UsageError) as error:
        fv.compare(other, ARMS, settings=SMALL, out=found.path, runs=tmp_path / "runs")
    mine, theirs = fingerprint(found), open_data(recipe_from_tables({"data": {"source": str(other)}})).fingerprint
    assert str(error.value) == (
        f"{found.path} contains a comparison of other data (noisy, fingerprint {mine[:8]}; given is other, {theirs[:8]}), "
        "and runs of different data can't be paired: choose another --out, or give the same data"
    )


def fingerprint(found):
    return found.runs[0][0].card.fingerprint


def test_a_folder_with_another_comparison_is_refused(compared, folder, tmp_path):
    found = compared[0]
    with pytest.raises(UsageError) as error:
        fv.compare(folder, ["plain", "x: chain=sharpen"], settings=SMALL, out=found.path, runs=tmp_path / "runs")
    assert str(error.value) == (
        f"{found.path} contains a different comparison (plain, blurred, inverted): choose another --out, or give the same "
        "arms and options to continue it"
    )


def test_data_that_changed_since_is_told(compared, folder, tmp_path, plant, noise, recorder):
    """The same folder with one picture more: no old run is taken, and it is said why."""
    found, _, runs = compared
    more = tmp_path / "noisy"
    shutil.copytree(folder, more)
    plant(more, {"dark/more.png": noise(1, 16, 16)})
    told = []
    again = fv.compare(more, ARMS, seeds=1, settings=SMALL, runs=runs, progress=recorder(told))
    assert told[1] == (
        f"warning: {found.path} contains the same comparison of an older version of noisy (fingerprint "
        f"{fingerprint(found)[:8]}, now "
        f"{fingerprint(again)[:8]}): its runs can't be paired with new ones, so foveola trains all runs again"
    )
    assert not any("already finished" in line for line in told)


def test_a_folder_with_anything_else_is_refused(folder, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="already contains files"):
        fv.compare(folder, ARMS, settings=SMALL, out=tmp_path / "full", runs=tmp_path / "runs")


def sessions(folder, tmp_path, arms, seed=3):
    """Planned runs of these arms with one seed."""
    trials = Trials.open(folder, [parse_arm(arm) for arm in arms], SMALL, tmp_path / "runs", 1, 0, Progress())
    return [trials.plan(arm, seed)[0] for arm in trials.arms]


def test_arms_of_a_seed_start_from_the_same_weights_to_the_last_bit(folder, tmp_path):
    plain, blurred, slow = sessions(folder, tmp_path, [*ARMS[:2], "slow: fit.lr_peak=0.001"])
    for other in (blurred, slow):
        assert weights(plain) == weights(other)
    plain.ready(), slow.ready()  # the same pictures: the same even after the network has seen some
    assert weights(plain) == weights(slow)


def test_two_runs_that_were_planned_at_once_get_a_folder_each(folder, tmp_path):
    planned = [sessions(folder, tmp_path, ["plain"])[0] for _ in range(2)]
    assert planned[0].folder == planned[1].folder
    for one in planned:
        one.claim_folder()
    assert [one.folder.name for one in planned] == ["seed-0003", "seed-0003-2"]


def test_a_disk_without_room_for_a_run_is_said_before_its_first_step(folder, tmp_path, monkeypatch):
    one = sessions(folder, tmp_path, ["plain"])[0]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(
        ResourceError, match="has 1 MB free and 5 MB are needed: free some space, or choose a folder on"
    ):
        one.claim_folder()
    assert not one.folder.exists()


def weights(session):
    return {name: value.numpy().tobytes() for name, value in session.model.state_dict().items()}


def test_another_seed_starts_from_other_weights(folder, tmp_path):
    one, other = (sessions(folder, tmp_path, ["plain"], seed)[0] for seed in (3, 4))
    assert weights(one) != weights(other)


def test_arms_of_a_seed_see_the_same_pictures_in_the_same_order_flipped_and_shifted_alike(folder, tmp_path):
    """Inverting commutes with flips and shifts: the inverted arm's batches are the plain ones inverted, byte by byte."""
    arms = ["plain", "inverted: chain=invert", "slow: fit.lr_peak=0.001"]
    plain, inverted, slow = sessions(folder, tmp_path, arms)
    assert plain.recipe.fit.flip and plain.recipe.fit.translate_px  # there is something to draw
    for epoch in (1, 2):
        for one, other, same in zip(*(s.train.epoch(epoch) for s in (plain, inverted, slow)), strict=True):
            assert one[0].numpy().tobytes() == (255 - other[0]).numpy().tobytes() == same[0].numpy().tobytes()
            assert one[1].tolist() == other[1].tolist() == same[1].tolist()


def test_arms_of_a_seed_have_the_same_split(folder, tmp_path):
    plain, blurred = sessions(folder, tmp_path, ARMS[:2])
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(plain.split, part), getattr(blurred.split, part))


def test_a_run_of_another_version_is_not_taken_for_one_of_this(compared, folder, tmp_path):
    """Arms made by different versions differ in more than the question."""
    found, _, runs = compared
    path = found.runs[0][4].path / "environment.json"
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), "torch": "1.0"}))
    try:
        again = fv.compare(folder, ARMS[:2], seeds=5, settings=SMALL, runs=runs, jobs=1)
    finally:
        path.write_text(before)
    assert again.runs[0][4].path != found.runs[0][4].path
    assert again.runs[1][4].path == found.runs[1][4].path


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the entry point: gives exit code, stdout and stderr."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["foveola", "compare", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, *capsys.readouterr()

    return run


def test_recipes_on_the_command_line_and_json_on_stdout_alone(compared, folder, tmp_path, call):
    paths = recipes(tmp_path, "elsewhere", {}, {"data": {"chain": "blur(size=5)"}})
    code, out, err = call(folder, *paths, "--seeds", "0-4", "--question", "chain", "--runs", compared[2], "--json")
    assert (code, err.count("(already finished)")) == (0, 10)
    told = json.loads(out)
    assert [(one["arm"], one["baseline"], one["n_seeds"]) for one in told["differences"]] == [("two", "one", 5)]
    assert Path(told["page"]).is_file()


def test_the_screen_says_the_numbers_the_verdict_and_what_differs(compared, folder, call):
    runs = compared[2]
    small = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    arms = [word for arm in ARMS[:2] for word in ("--arm", arm)]
    code, out, _ = call(folder, *arms, *small, "--seeds", 5, "--runs", runs)
    assert code == 0
    lines = out.splitlines()
    assert re.fullmatch(r"arm +mean accuracy +95 % interval +lowest to highest +per run +seeds", lines[0])
    range_ = r"\d+\.\d\d to \d+\.\d\d %"
    assert re.fullmatch(rf"blurred +\d+\.\d\d % +{range_} +{range_} +\d+ s +5", lines[2])
    assert lines[3].startswith("blurred against plain: ")
    assert lines[4] == "    data.chain = blur(size=5) (plain: none)"
    assert lines[5].startswith("page    ")


def test_an_allowed_difference_stands_above_the_table(compared, folder, tmp_path, call):
    paths = recipes(tmp_path, folder, {}, {"data": {"chain": "blur(size=5)"}, "fit": {"lr_peak": 0.1}})
    options = ["--seeds", 1, "--question", "chain", "--allow", "fit.lr_peak", "--runs", compared[2]]
    code, out, _ = call(*paths, *options)
    assert code == 0
    assert out.startswith(
        "warning: the arms also differ in fit.lr_peak, which you allowed: it may cause the difference\n"
    )


def test_two_data_sets_are_refused(call):
    code, _, err = call("photos", "others", "--arm", "plain")
    assert (code, err) == (
        2,
        "foveola: photos and others are 2 data sets, but a comparison takes one: give the arms with --arm\n",
    )


def test_the_command_on_the_page_asks_the_same_again(compared, folder):
    """Read back as a shell would, it has the same arms, seeds and options."""
    found = compared[0]
    command = re.search(r"<code>(foveola compare .*?)</code>", found.page.read_text("utf-8"))[1]
    command = html.unescape(re.sub(r"<[^>]+>", "", command))
    words = shlex.split(command)
    assert [words[i + 1] for i, word in enumerate(words) if word == "--arm"] == [
        "plain",
        "blurred: data.chain=blur(size=5)",
        "inverted: data.chain=invert",
    ]
    assert words[words.index("--seeds") + 1] == "0-4"
    settings = dict(parse_setting(words[i + 1]) for i, word in enumerate(words) if word == "--set")
    assert settings == SMALL


INTERRUPTED = """
import sys, time
from pathlib import Path
import foveola as fv
from foveola.runs.trainer import Trainer

finished, finish = [], Trainer.finish

def stuck(self):
    if len(finished) == 3:
        print("in the middle", flush=True)
        time.sleep(600)
    finished.append(self)
    return finish(self)

Trainer.finish = stuck
folder, runs = sys.argv[1:]
fv.compare(folder, {arms!r}, seeds=3, settings={small!r}, runs=runs, jobs=1)
"""


SO_FAR = (
    "{done} of 3 seeds are finished, and the page shows them: run the same command to continue, and wait for "
    "all seeds before "
    "you rely on a verdict"
)


def test_a_killed_comparison_goes_on_and_repeats_nothing(folder, tmp_path, cache, recorder):
    """Killed with the fourth of six runs trained and not yet written down."""
    runs, script = tmp_path / "runs", INTERRUPTED.format(arms=ARMS[:2], small=SMALL)
    with subprocess.Popen([sys.executable, "-c", script, str(folder), str(runs)], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline().strip() == b"in the middle"
        child.kill()  # SIGKILL: nothing can be tidied up
    finished = {path: path.stat().st_mtime_ns for path in runs.glob("*/seed-*/result.json")}
    assert len(finished) == 3
    left = json.loads(next(runs.glob("comparisons/*/comparison.json")).read_text("utf-8"))
    assert (left["seeds"], [len(arm["accuracies"]) for arm in left["arms"]]) == ([0], [1, 1])
    assert left["notes"] == [SO_FAR.format(done=1)]
    assert SO_FAR.format(done=1)[1:] in next(runs.glob("comparisons/*/comparison.html")).read_text("utf-8")
    told = []
    found = fv.compare(folder, ARMS[:2], seeds=3, settings=SMALL, runs=runs, jobs=1, progress=recorder(told))
    assert ["already finished" in line for line in told[1:]] == [True, True, True, False, False, False]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert found.accuracy.shape == (2, 3)
    assert found.page.is_file()
    whole = json.loads((found.path / "comparison.json").read_text("utf-8"))
    assert (whole["seeds"], whole["notes"]) == ([0, 1, 2], [])


def test_ctrl_c_leaves_a_page_of_what_is_known_and_its_command_asks_for_all(compared, folder, monkeypatch):
    """Stopped with the second arm of the third seed under way: two seeds are whole."""
    one = Trials._one

    def stopped(self, arm, seed):
        if (arm.name, seed) == ("blurred", 2):
            raise KeyboardInterrupt
        return one(self, arm, seed)

    monkeypatch.setattr(Trials, "_one", stopped)
    out = compared[2] / "stopped"
    with pytest.raises(KeyboardInterrupt) as stop:
        fv.compare(folder, ARMS[:2], seeds=3, settings=SMALL, runs=compared[2], out=out, jobs=1)
    assert stop.value.__notes__ == [
        "5 of 6 runs are finished: run the same command again to train only the rest. "
        f"{out / 'comparison.html'} shows 2 of 3 seeds."
    ]
    page = (out / "comparison.html").read_text("utf-8")
    assert SO_FAR.format(done=2) in page
    assert "--seeds 0-2" in html.unescape(page)
    numbers = json.loads((out / "comparison.json").read_text("utf-8"))
    assert (numbers["seeds"], numbers["notes"]) == ([0, 1], [SO_FAR.format(done=2)])


def test_ctrl_c_before_the_first_seed_is_done_leaves_no_page(compared, folder, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trials, "_one", stopped)
    out = compared[2] / "never"
    with pytest.raises(KeyboardInterrupt) as stop:
        fv.compare(folder, ARMS[:2], seeds=3, settings=SMALL, runs=compared[2], out=out, jobs=1)
    assert stop.value.__notes__ == ["No run is finished: run the same command to start again."]
    assert not out.exists()


def test_ctrl_c_says_what_becomes_of_runs_in_other_processes(compared, folder, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trials, "_side_by_side", stopped)
    with pytest.raises(KeyboardInterrupt) as stop:
        fv.compare(folder, ARMS[:2], seeds=3, settings=SMALL, runs=compared[2], out=compared[2] / "apart", jobs=2)
    assert stop.value.__notes__ == [
        "No run is finished: run the same command to start again. Runs that were being trained are unfinished: foveola runs "
        "lists them, and you can delete their folders."
    ]


def test_the_page_of_a_comparison_that_went_further_is_not_replaced_by_less(compared, folder, monkeypatch):
    """All runs are there and Ctrl-C comes after the third seed: the page of five stays."""
    options = {"seeds": 5, "settings": SMALL, "runs": compared[2], "out": compared[2] / "further", "jobs": 1}
    before = {path: path.read_bytes() for path in fv.compare(folder, ARMS[:2], **options).path.iterdir()}
    one = Trials._one

    def stopped(self, arm, seed):
        if seed == 3:
            raise KeyboardInterrupt
        return one(self, arm, seed)

    monkeypatch.setattr(Trials, "_one", stopped)
    with pytest.raises(KeyboardInterrupt):
        fv.compare(folder, ARMS[:2], **options)
    assert len(before) == 2
    assert {path: path.read_bytes() for path in before} == before


def test_progress_counts_runs_and_knows_the_time_once_one_was_trained(folder, tmp_path, monkeypatch, recorder):
    seen, now = [], [0.0]
    monkeypatch.setattr("foveola.workflows.comparison_series.monotonic", lambda: now[0])
    one = Trials._one

    def slow(self, arm, seed):
        now[0] += 10
        return one(self, arm, seed)

    monkeypatch.setattr(Trials, "_one", slow)
    options = {"seeds": 2, "settings": SMALL, "runs": tmp_path, "jobs": 1}
    fv.compare(folder, ARMS[:2], **options, progress=recorder(runs=lambda *about: seen.append(about)))
    assert seen == [(0, 4, None), (1, 4, 30.0), (2, 4, 20.0), (3, 4, 10.0), (4, 4, 0.0)]
    seen.clear()
    fv.compare(folder, ARMS[:2], **options, progress=recorder(runs=lambda *about: seen.append(about)))
    assert seen == [(done, 4, None) for done in range(5)]  # nothing was trained, so nothing is known


def test_each_run_is_told_when_it_is_done_and_not_with_its_seed(folder, tmp_path, monkeypatch, recorder):
    told, one, before = [], Trials._one, []

    def noted(self, arm, seed):
        before.append(len(told))
        return one(self, arm, seed)

    monkeypatch.setattr(Trials, "_one", noted)
    fv.compare(folder, ARMS, seeds=1, settings=SMALL, runs=tmp_path, jobs=1, progress=recorder(told))
    assert before == [1, 2, 3]  # the first line is the warning of few seeds


def test_a_run_is_the_same_however_many_seeds_there_are_and_however_many_go_at_a_time(folder, tmp_path):
    alone = fv.compare(folder, ARMS[:2], seeds=[1], settings=SMALL, runs=tmp_path / "alone", jobs=1)
    several = fv.compare(folder, ARMS[:2], seeds=2, settings=SMALL, runs=tmp_path / "several", jobs=2)
    assert [[run.seed for run in row] for row in several.runs] == [[0, 1], [0, 1]]
    for mine, theirs in zip(alone.runs, several.runs, strict=True):
        assert mine[0].result["threads"] == theirs[1].result["threads"]
        np.testing.assert_array_equal(mine[0].evaluation.logits, theirs[1].evaluation.logits)


def test_every_run_of_a_comparison_has_the_number_of_threads_that_was_asked_for(folder, tmp_path):
    options = {"seeds": 1, "settings": SMALL, "runs": tmp_path, "jobs": 1}
    one = fv.compare(folder, ARMS[:2], threads=1, **options)
    two = fv.compare(folder, ARMS[:2], threads=2, **options)
    assert [run.result["threads"] for row in two.runs for run in row] == [[2], [2]]
    assert {run.path for row in one.runs for run in row}.isdisjoint({run.path for row in two.runs for run in row})
    again = fv.compare(folder, ARMS[:2], threads=1, **options)
    assert [run.path for row in again.runs for run in row] == [run.path for row in one.runs for run in row]


def test_a_run_whose_number_of_threads_changed_on_the_way_is_trained_again(folder, tmp_path):
    options = {"seeds": 1, "settings": SMALL, "runs": tmp_path, "jobs": 1, "threads": 1}
    path = fv.compare(folder, ARMS[:2], **options).runs[0][0].path
    result = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps({**result, "threads": [2, 1]}))
    assert fv.compare(folder, ARMS[:2], **options).runs[0][0].path != path


def test_a_network_of_the_users_own_does_not_go_to_other_processes(folder, tmp_path):
    def mine(size, classes):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size.height_px * size.width_px * 3, classes))

    arms, settings = ["plain", "x: chain=invert"], {"model.name": "mine"}
    fv.MODELS.register("mine", mine)
    try:
        with pytest.raises(UsageError) as error:
            fv.compare(folder, arms, settings=settings, runs=tmp_path / "runs", jobs=2)
    finally:
        fv.MODELS.unregister("mine")
    assert str(error.value) == (
        "--jobs 2 trains in separate processes, which don't know the network or filter of arm 'plain', because "
        "it is registered "
        "in this process only: give --jobs 1"
    )


def test_the_figure_has_a_line_for_each_seed_and_an_interval_for_each_arm(compared):
    from foveola.figures.runs import paired

    found = compared[0]
    left, right = paired(found).axes
    assert [line.get_ydata().tolist() for line in left.lines] == (100 * found.accuracy.T).tolist()
    low, high, _ = found.against_baseline()[1].difference.interval
    assert list(right.lines[-1].get_xdata()) == [low, high]
    assert [label.get_text() for label in right.get_yticklabels()] == ["blurred", "inverted"]


def test_a_process_that_lives_on_reads_data_anew_that_has_changed(folder, tmp_path):
    own = tmp_path / "noisy"
    shutil.copytree(folder, own)

    def fingerprint():
        return open_data(recipe_from_tables({"data": {"source": str(own)}})).fingerprint

    before = fingerprint()
    assert _opened(str(own), None, "{}", before, str(tmp_path)).fingerprint == before
    (own / "dark" / "00.png").unlink()
    after = fingerprint()
    assert _opened(str(own), None, "{}", after, str(tmp_path)).fingerprint == after != before
    with pytest.raises(DataError) as refused:
        _opened(str(own), None, "{}", before, str(tmp_path))
    assert str(refused.value) == f"{own} has changed during the comparison: run the same command again"


def test_pictures_of_the_page_are_those_of_their_names_where_files_are_left_out(folder, tmp_path):
    own, listed = tmp_path / "noisy", tmp_path / "list.txt"
    shutil.copytree(folder, own)
    (own / "dark" / "00.png").write_bytes(b"no picture")
    listed.write_text("dark/01.png\n")
    arms, common = (
        [parse_arm("plain"), parse_arm("slow: fit.lr_peak=0.1")],
        {**SMALL, "data.exclude": str(listed), "data.size": "16x16"},
    )
    trials = Trials.open(own, arms, common, tmp_path / "runs", 1, 0, Progress())
    trials.first(0)
    for name in ("dark/02.png", "light/29.png"):
        expected = np.asarray(pillow.open(own / name))
        for k in range(2):
            np.testing.assert_array_equal(trials.image(k, name), expected)


def test_another_comparison_that_can_t_be_read_is_none_of_this_one_s_business(folder, tmp_path):
    for name, text in (("broken", "{"), ("list", "[1, 2]")):
        (tmp_path / "comparisons" / name).mkdir(parents=True)
        (tmp_path / "comparisons" / name / "comparison.json").write_text(text)
    found = fv.compare(folder, ARMS[:2], seeds=2, settings=SMALL, runs=tmp_path, jobs=1)
    assert len(found.runs[0]) == 2
