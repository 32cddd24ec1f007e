"""What values look like at the prompt and in a notebook: short, and text only."""

import json

import numpy as np
import pytest

import foveola as fv
from foveola.errors import UsageError
from foveola.evaluation.metrics import Evaluation
from foveola.registry import Registry
from foveola.runs.folders import FORMAT
from foveola.workflows import Checked


@pytest.mark.parametrize("size", ["48x64", (64, 48), [64, 48], fv.Size(64, 48)])
def test_show_takes_a_size_as_text_or_pair(size):
    assert fv.show("vgg6", size, 2).rows[0].shape[:2] == (64, 48)


@pytest.fixture
def tiny():
    """A network of a user, registered for one test."""
    import torch

    @fv.MODELS.register("tiny")
    def factory(*, size, classes, width: int = 4):
        return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.Flatten(), torch.nn.LazyLinear(classes))

    yield factory
    fv.MODELS.unregister("tiny")


def test_show_of_a_network_of_ones_own_takes_text(tiny):
    assert fv.show("tiny", "64x64", 2, {"width": 2}).rows[-1].shape == (2,)


@pytest.mark.parametrize("size", ["64,64", (64,), (64, 64, 3), (4, 4), None])
def test_what_is_no_size_is_refused_in_one_sentence(size):
    with pytest.raises(
        UsageError, match=r"is not WIDTHxHEIGHT with sides of 8 to 1024 pixels: write for example 224x224$"
    ):
        fv.Size.of(size)


def test_show_has_the_defaults_of_the_command():
    assert fv.show("vgg6").parameters == 552_362
    assert fv.show("alexnet_mini").parameters == 635_170


def test_a_network_s_table_is_one_line_at_the_prompt_and_rows_in_a_notebook():
    table = fv.show("vgg6")
    found = f"Summary({len(table.rows)} layers, 552,362 parameters, {table.trainable:,} of them trainable)"
    assert repr(table) == f"vgg6 for images of 32x32: {found}"
    assert table._repr_html_().count("<tr>") == len(table.rows[:20]) + 1


def test_a_registry_names_what_it_holds():
    fruit = Registry("fruit", {"pear": len, "apple": sorted})
    assert repr(fruit) == "2 fruits: apple, pear"
    assert "<td>pear</td><td>Return the number of items in a container.</td>" in fruit._repr_html_()
    assert repr(fv.MODELS).split(": ")[1].startswith("alexnet_mini, fast, ")


def test_an_evaluation_shows_its_classes_in_a_notebook():
    found = Evaluation(np.eye(2, dtype=np.float32), np.arange(2), ("a", "b"), ("<cat>", "dog"), "test")
    assert repr(found) == "Evaluation(accuracy 100.0 % (95 % interval 34.2 to 100.0 %), n = 2, 2 classes: <cat>, dog)"
    assert found._repr_html_().count("<tr>") == 3
    assert "&lt;cat&gt;" in found._repr_html_() and "<cat>" not in found._repr_html_()


def test_a_check_is_one_line(plant, noise, tmp_path):
    data = plant(
        tmp_path / "pets", {f"{kind}/{i}.png": noise(i + 9 * (kind == "b")) for kind in "ab" for i in range(6)}
    )
    found = fv.check(data, suspects=False)
    assert isinstance(found, Checked)
    assert repr(found) == f"Checked({found.headline})"
    assert found._repr_html_().count("<tr>") == len(found.findings[:20]) + 1


def test_the_list_of_runs_is_a_table(tmp_path):
    path = tmp_path / "runs" / "pets-fast-1" / "seed-0000"
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text('[model]\nname = "fast"\n')
    numbers = {"test_accuracy": 0.9, "test_accuracy_low": 0.6, "test_accuracy_high": 0.98, "seconds": 12.5}
    result = {"format": FORMAT, "finished": "2026-11-30T08:15:02+00:00", **numbers}
    (path / "result.json").write_text(json.dumps(result))
    found = fv.runs(tmp_path / "runs")
    assert repr(found) == f"RunList of 1 run\n{path}  2026-11-30 08:15    fast  90.0 %"
    assert found._repr_html_().count("<tr>") == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            "https://example.com/pets.zip",
            "is a web address, but foveola reads only files on this computer: download it first",
        ),
        ("pets.zip", "pets.zip is an archive, and foveola reads folders: unpack it and give the folder"),
        (7, "data of the type int can't be used: give a folder, a file, a data set's name, or arrays as "),
    ],
)
def test_what_is_no_data_is_named(data, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets.zip").write_bytes(b"PK\x03\x04")
    for verb in (fv.train, fv.check):
        with pytest.raises(UsageError) as caught:
            verb(data)
        assert said in str(caught.value)
