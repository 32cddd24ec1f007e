"""The run that a word means, and the list of runs; on folders that hold only what these look at."""

import json
import os
import shutil
from pathlib import Path

import pytest

from foveola.errors import DamagedRunError, OtherFormatError, UsageError
from foveola.recipes.recipe import recipe_from_tables
from foveola.runs.folders import FORMAT, find_run, list_runs, run_folder


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make the folder of a run, finished at this second of a day, or not finished; tests stand where `runs` is."""
    monkeypatch.chdir(tmp_path)

    def run(name, second=None):
        path = tmp_path / name
        path.mkdir(parents=True)
        (path / "recipe.toml").write_text('[model]\nname = "fast"\n')
        (path / "data.json").write_text(
            json.dumps(
                {
                    "name": "pets",
                    "class_names": ["cat", "dog"],
                    "files_used": 14,
                    "counts": {"train": [5, 6], "test": [2, 1]},
                }
            )
        )
        if second is not None:
            numbers = {"test_accuracy": 0.9, "test_accuracy_low": 0.8, "test_accuracy_high": 0.95, "seconds": 12.5}
            finished = f"2026-11-30T08:00:{second:02d}+00:00"
            (path / "result.json").write_text(json.dumps({"format": FORMAT, **numbers, "finished": finished}))
        return path

    return run


def test_a_run_s_folder_is_that_run(make):
    path = make("runs/pets-fast-1234/seed-0000", 1)
    assert find_run(path) == path
    assert find_run(str(path)) == path


def test_a_folder_that_holds_one_finished_run_is_that_run(make):
    path = make("runs/pets-fast-1234/seed-0000", 1)
    make("runs/pets-fast-1234/seed-0000-2")
    assert find_run("runs/pets-fast-1234") == path.relative_to(path.parents[2])


@pytest.mark.parametrize("word", ["pets", "fast-1234", "PETS-FAST", "pets-fast-1234/seed-0000", "runs/pets"])
def test_a_part_of_a_name_that_no_other_run_has_is_that_run(make, word):
    path = make("runs/pets-fast-1234/seed-0000", 1)
    make("runs/faces-fast-5678/seed-0001", 2)
    assert find_run(word).resolve() == path


def test_a_folder_of_images_with_the_name_s_word_does_not_hide_the_run(make, tmp_path):
    path = make("runs/pets-fast-1234/seed-0000", 1)
    (tmp_path / "pets" / "cats").mkdir(parents=True)
    assert find_run("pets").resolve() == path


def test_a_word_that_fits_several_lists_them_the_newest_first(make):
    make("runs/pets-fast-1/seed-0000", 1)
    make("runs/pets-vgg6-2/seed-0000", 3)
    make("runs/pets-vgg6-2/seed-0001")
    with pytest.raises(UsageError) as caught:
        find_run("pets")
    assert str(caught.value).replace(os.sep, "/") == (
        "'pets' matches 2 runs: runs/pets-vgg6-2/seed-0000, runs/pets-fast-1/seed-0000: give the name of one"
    )


def test_a_whole_name_does_not_mean_the_run_next_to_it(make):
    make("runs/pets-fast-1/seed-0000-2", 1)
    with pytest.raises(
        UsageError, match=r"^there is no run runs/pets-fast-1/seed-0000: no folder and no run in runs has this name"
    ):
        find_run("runs/pets-fast-1/seed-0000")


def test_a_whole_name_is_that_run_and_not_the_longer_ones(make):
    path = make("runs/pets-fast-1/seed-0000", 1)
    make("runs/pets-fast-1/seed-0000-2", 2)
    assert find_run("pets-fast-1/seed-0000").resolve() == path


def test_latest_is_the_run_that_was_finished_last_here_and_elsewhere(make):
    make("runs/b/seed-0000", 7)
    newest = make("runs/a/seed-0000", 9)
    make("runs/c/seed-0000")
    elsewhere = make("demo/runs/d/seed-0000", 3)
    assert find_run("latest").resolve() == newest
    assert find_run("demo/latest").resolve() == elsewhere


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("latest", "there is no finished run in runs: foveola train creates one"),
        (
            "cars",
            "there is no run cars: no folder and no run in runs has this name; foveola runs lists the runs",
        ),
        ("photos", "photos is not a run folder: it has no recipe.toml; foveola runs lists the runs"),
        ("pets", f"the run {os.path.join('runs', 'pets')} is not finished: it has no result.json; train again"),  # noqa: PTH118
    ],
)
def test_what_no_finished_run_is_meant_by(make, tmp_path, word, said):
    make("runs/pets")
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError) as caught:
        find_run(word)
    assert str(caught.value) == said


def test_the_list_is_the_newest_first_with_what_each_run_is(make):
    make("runs/pets-fast-1/seed-0000", 5)
    make("runs/pets-fast-1/seed-0000-10", 8)
    (make("runs/pets-fast-1/seed-0000-2", 1) / "result.json").write_text("{")
    make("runs/pets-fast-1/seed-0001")
    found = {line.path.name: line for line in list_runs(make("runs/x", 59).parent)}
    assert [name for name in found if name in ("x", "seed-0000-10", "seed-0000")] == ["x", "seed-0000-10", "seed-0000"]
    line = found["seed-0000-10"]
    assert (line.status, line.date) == ("finished", "2026-11-30T08:00:08+00:00")
    assert (line.data, line.images, line.classes, line.model) == ("pets", 14, 2, "fast")
    assert (line.accuracy, line.low, line.high, line.seconds) == (0.9, 0.8, 0.95, 12.5)
    assert found["seed-0001"].status == "unfinished" and found["seed-0001"].model == "fast"
    assert found["seed-0000-2"].status == "damaged"


def test_a_damaged_result_is_named(make):
    path = make("runs/a", 1)
    (path / "result.json").write_text("[1]")
    with pytest.raises(DamagedRunError) as caught:
        find_run(path)
    assert str(caught.value) == f"the run {path} is damaged: its result.json can't be read; train again"


def test_a_folder_whose_path_is_too_long_hides_no_run(make, tmp_path, monkeypatch):
    path = make("runs/pets-fast-1234/seed-0000", 1)
    monkeypatch.chdir(tmp_path)
    for _ in range(45):  # each step is allowed, the whole path is not
        os.mkdir("d" * 100)  # noqa: PTH102
        os.chdir("d" * 100)
    monkeypatch.chdir(tmp_path)
    try:
        assert [line.path for line in list_runs(tmp_path)] == [path]
    finally:
        shutil.rmtree(tmp_path / ("d" * 100))  # by handles: pytest would stumble over it


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("My photos (2024)", "my-photos-2024"),
        ("照片", "照片"),
        ("กระต่าย", "กระต่าย"),
        ("../..", "data"),
        ("x" * 60, "x" * 40),
    ],
)
def test_a_run_s_folder_is_called_like_its_data_in_any_script(name, folder):
    recipe = recipe_from_tables({"model": {"name": "fast"}})
    assert run_folder(Path("runs"), name, recipe, "0123456789", 7) == Path(f"runs/{folder}-fast-01234567/seed-0007")


@pytest.mark.parametrize(("found", "has"), [({}, "no format number"), ({"format": 1}, "format 1")])
def test_a_run_of_another_format_is_refused_with_what_to_do(make, found, has):
    path = make("runs/pets-fast-1/seed-0000", 1)
    (path / "result.json").write_text(json.dumps(found))
    with pytest.raises(OtherFormatError) as refused:
        find_run(path)
    assert str(refused.value) == (
        f"the run {path} has {has}, but this version of foveola reads format {FORMAT} only: train again"
    )
    assert [line.status for line in list_runs(path.parent)] == ["damaged"]
