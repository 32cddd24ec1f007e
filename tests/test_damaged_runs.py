"""Runs with a damaged file: one sentence that names the run and what to do, from every verb; compare trains it again."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import foveola as fv
from foveola import cli, workflows
from foveola.errors import DamagedRunError, UsageError
from foveola.imaging.decode import encode
from foveola.runs.files import count_test_uses

SETTINGS = {
    "model.width1": 8, "model.width2": 8, "model.width3": 8, "model.name": "fast", "fit.batch_size": 16, "fit.epochs": 1,
    "split.val_fraction": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes of noisy 16x16 pictures, 40 each."""
    root, rng = tmp_path_factory.mktemp("damaged") / "noisy", np.random.default_rng(0)
    for name, shift in (("dark", 0), ("light", 25)):
        (root / name).mkdir(parents=True)
        for i in range(40):
            image = rng.integers(shift, 220 + shift, (16, 16, 3)).astype(np.uint8)
            (root / name / f"{i:02d}.png").write_bytes(encode(image))
    return root


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    base = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(base / "cache"))
        return fv.train(pictures, settings=SETTINGS, out=base / "run").path


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def flip(path):
    """One byte in the middle, where the logits are."""
    data = bytearray(path.read_bytes())
    data[data.index(b"NUMPY") + 200] ^= 0x55
    path.write_bytes(bytes(data))


def other_arrays(path):
    np.savez(path, nothing=np.zeros(3))


def other_run(path):
    """Whole, and of a run with three classes."""
    with np.load(path) as arrays:
        kept = dict(arrays)
    np.savez(path, **{**kept, "logits": np.zeros((len(kept["labels"]), 3), np.float32)})


def not_finite(path):
    with np.load(path) as arrays:
        kept = dict(arrays)
    np.savez(path, **{**kept, "logits": np.full_like(kept["logits"], np.nan)})


DAMAGE = {
    "cut": cut,
    "a byte": flip,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no archive"),
    "other arrays": other_arrays,
    "other run": other_run,
    "not finite": not_finite,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def sentence(run, name):
    return f"the run {run} is damaged: its {name} can't be read; train again"


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["predictions.npz", "calibration.npz"])
def test_however_it_is_damaged_it_is_one_sentence(run, name, damage):
    DAMAGE[damage](run / name)
    with pytest.raises(DamagedRunError) as caught:
        _ = fv.open_run(run).evaluation
    assert str(caught.value) == sentence(run, name)


def test_predictions_that_are_gone_are_damage_too(run):
    (run / "predictions.npz").unlink()
    with pytest.raises(DamagedRunError) as caught:
        workflows.evaluate(run)
    assert str(caught.value) == sentence(run, "predictions.npz")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("predictions.npz", ["evaluate", "RUN"]),
        ("predictions.npz", ["evaluate", "RUN", "DATA"]),
        ("predictions.npz", ["report", "RUN"]),
        ("predictions.npz", ["predict", "RUN", "DATA", "--abstain", "0.2"]),
        ("calibration.npz", ["evaluate", "RUN"]),
        ("calibration.npz", ["report", "RUN"]),
        ("calibration.npz", ["predict", "RUN", "DATA", "--abstain", "0.2"]),
        ("images.npz", ["report", "RUN"]),
        ("network_preview.npz", ["report", "RUN"]),
        ("data_preview.npz", ["report", "RUN"]),
        ("data.json", ["report", "RUN"]),
        ("network.json", ["report", "RUN"]),
        ("environment.json", ["report", "RUN"]),
        ("history.jsonl", ["report", "RUN"]),
    ],
)
def test_the_command_line_says_it_and_ends_with_2(run, pictures, name, words, monkeypatch, capsys):
    (run / name).write_bytes((run / name).read_bytes()[:-20])
    given = [{"RUN": str(run), "DATA": str(pictures)}.get(word, word) for word in words]
    monkeypatch.setattr(sys, "argv", ["foveola", *given])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"foveola: {sentence(run, name)}"


def test_a_damaged_run_was_not_opened(run):
    cut(run / "predictions.npz")
    with pytest.raises(DamagedRunError):
        workflows.evaluate(run)
    assert count_test_uses(run) == 1


def test_predict_needs_no_calibration_file_for_probabilities(run, pictures):
    expected = workflows.predict(run, [pictures / "dark" / "00.png"])[0].probabilities
    cut(run / "calibration.npz")
    assert workflows.predict(run, [pictures / "dark" / "00.png"])[0].probabilities.tolist() == expected.tolist()


def test_a_file_that_may_not_be_read_is_not_called_damaged(run, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(UsageError) as caught:
        _ = fv.open_run(run).evaluation
    assert str(caught.value) == f"{run / 'calibration.npz'} can't be read (permission denied): make it readable"


def test_a_comparison_trains_damaged_runs_again_and_says_so(pictures, tmp_path, recorder):
    arms = ["plain", "inverted: chain=invert"]
    found = fv.compare(pictures, arms, seeds=1, settings=SETTINGS, runs=tmp_path / "runs", jobs=1)
    damaged = found.runs[1][0].path
    cut(damaged / "predictions.npz")
    told = []
    again = fv.compare(
        pictures, arms, seeds=1, settings=SETTINGS, runs=tmp_path / "runs", jobs=1, progress=recorder(told)
    )
    assert (
        f"note: the run {damaged} is damaged: its predictions.npz can't be read; foveola trains it again in a new folder"
        in told
    )
    assert [run.path == old.path for (run,), (old,) in zip(again.runs, found.runs, strict=True)] == [True, False]
    assert json.loads((again.path / "comparison.json").read_text())["seeds"] == [0]
    told.clear()
    fv.compare(pictures, arms, seeds=1, settings=SETTINGS, runs=tmp_path / "runs", jobs=1, progress=recorder(told))
    assert not any("damaged" in line for line in told)  # the new one beside it is taken
