"""The verb `compare`: arms over the same seeds, continued where it was, and every way it is refused."""

import numpy as np
import pytest

import foveola as fv
from foveola.errors import UsageError
from foveola.images import encode

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
def compared(folder, tmp_path_factory):
    """A finished comparison of three arms over five seeds, what it told, and where its runs are."""
    base, told = tmp_path_factory.mktemp("compared"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(base / "cache"))
        arms = ["plain", "blurred: chain=blur(size=5)", {"name": "inverted", "chain": "invert"}]
        found = fv.compare(folder, arms, seeds=5, settings=SMALL, precision=10, runs=base / "runs", tell=told.append)
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
    assert any(line.startswith("after 2 seeds: an interval of ±10 points takes ") for line in told)


def test_runs_that_are_there_are_not_repeated(compared, folder, monkeypatch):
    found, _, runs = compared
    monkeypatch.setattr("foveola.workflows.comparing.run_session", lambda *_: pytest.fail("trained again"))
    told = []
    arms = ["plain", "blurred: chain=blur(size=5)"]
    again = fv.compare(folder, arms, seeds=5, settings=SMALL, runs=runs, tell=told.append)
    np.testing.assert_array_equal(again.accuracy, found.accuracy[:2])
    assert all(line.endswith("(was there)") for line in told)


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
    assert set(told["differences"][0]) == {
        "arm", "baseline", "mean_points", "low_points", "high_points", "p_value", "n_seeds", "verdict",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arms", "options", "said"),
    [
        (
            ["plain"],
            {},
            "1 arm is no comparison: give --arm twice or more, such as --arm plain --arm 'x: chain=sharpen'",
        ),
        (["plain", "plain: chain=blur"], {}, "two arms are called 'plain': give every arm a name of its own"),
        (["one", "other"], {}, "arms 'one' and 'other' do the same: let them differ in something"),
        (["one", "other: fit.flip=true"], {}, "arms 'one' and 'other' do the same: let them differ in something"),
        (
            ["plain", "sharp: chain=sharpen; epochs=2"],
            {"question": ["data.chain"]},
            "the arms differ in fit.epochs too, and the question is data.chain: make them equal, or allow it with --allow "
            "fit.epochs",
        ),
        (
            ["plain", "x: chain=sharpn"],
            {},
            "chain 'sharpn', position 1: unknown filter 'sharpn' (did you mean 'sharpen'?); known: ",
        ),
        (["plain", "x:"], {}, "arm 'x:' names nothing behind the colon: write for example sharpened: chain=sharpen"),
        (["plain", "chain=sharpen"], {}, "arm 'chain=sharpen' has no name: write for example sharpened: chain=sharpen"),
        (
            ["plain", "x: chain=blur"],
            {"seeds": "0-x"},
            "seeds '0-x' can't be read: write a number (10), a range (0-9) or a list (1,4,7)",
        ),
        (["plain", "x: chain=blur"], {"seeds": 0}, "no seed is left: give at least one, and five for a verdict"),
        (["plain", "x: chain=blur"], {"seeds": [1, 2, 1]}, "seed 1 is there twice: a repeated run proves nothing"),
    ],
)
def test_what_is_refused(folder, tmp_path, monkeypatch, arms, options, said):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError) as error:
        fv.compare(folder, arms, settings=SMALL, runs=tmp_path / "runs", **{"seeds": 5, **options})
    assert str(error.value).startswith(said)
    assert not (tmp_path / "runs").exists()


def test_a_difference_that_was_allowed_is_told(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    told = []
    arms = ["plain", "sharp: chain=sharpen; epochs=2"]
    options = {"question": ["data.chain"], "allow": ["fit.epochs"], "seeds": 1, "settings": SMALL}
    found = fv.compare(folder, arms, runs=tmp_path / "runs", tell=told.append, **options)
    assert told[0] == "warning: the arms differ in fit.epochs too, which was allowed: a difference may come from it"
    assert found.against_baseline()[0].verdict == "not_enough_evidence"


def test_a_budget_ends_after_the_pairs_that_fit(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    told = []
    found = fv.compare(
        folder,
        ["plain", "x: chain=blur"],
        seeds=50,
        settings=SMALL,
        budget=0.01,
        runs=tmp_path / "runs",
        tell=told.append,
    )
    assert found.seeds == (0, 1)
    assert told[-1] == "the budget ends here: 2 of 50 seeds; what takes more of them is not known"


def test_the_figure_has_a_line_for_each_seed_and_an_interval_for_each_arm(compared):
    from foveola.plots.comparisons import paired

    found = compared[0]
    left, right = paired(found).axes
    assert [line.get_ydata().tolist() for line in left.lines] == (100 * found.accuracy.T).tolist()
    low, high, _ = found.against_baseline()[1].difference.interval
    assert list(right.lines[-1].get_xdata()) == [low, high]
    assert [label.get_text() for label in right.get_yticklabels()] == ["blurred", "inverted"]
