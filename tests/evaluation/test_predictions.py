"""Predictions as a sequence, and what they convert to."""

import json
import sys

import numpy as np
import pytest

from foveola.errors import UsageError
from foveola.evaluation.predictions import Prediction, Predictions

NAMES = ("cat", "dog", "owl")


@pytest.fixture
def answers():
    """Of two images, one of which could not be read."""
    good = Prediction("a.png", "dog", np.array([0.2, 0.7, 0.1]), class_names=NAMES)
    bad = Prediction("b.png", "", np.zeros(3), "empty file", class_names=NAMES)
    return Predictions([good, bad], NAMES)


def test_they_are_a_sequence(answers):
    assert (len(answers), answers[0].label, answers[-1].problem) == (2, "dog", "empty file")
    assert [one.file for one in answers] == ["a.png", "b.png"]
    assert isinstance(answers[:1], Predictions) and answers[:1].class_names == NAMES


def test_a_prediction_knows_its_classes_the_likeliest_first(answers):
    assert list(answers[0].to_dict().items()) == [("dog", 0.7), ("cat", 0.2), ("owl", 0.1)]
    assert answers[1].to_dict() == {}


def test_the_array_has_no_number_for_what_could_not_be_read(answers):
    found = answers.to_array()
    assert found[0].tolist() == [0.2, 0.7, 0.1]
    assert np.isnan(found[1]).all() and found.shape == (2, 3)


def test_json_holds_every_probability_by_its_class(answers):
    assert json.loads(json.dumps(answers.to_json()))["predictions"] == [
        {"file": "a.png", "label": "dog", "probability": 0.7, "probabilities": {"cat": 0.2, "dog": 0.7, "owl": 0.1}},
        {"file": "b.png", "problem": "empty file"},
    ]


def test_csv_cells_that_would_run_as_formulas_are_made_harmless(tmp_path):
    names = ("away", "@home")
    answers = [
        Prediction("=1+1.png", "@home", np.array([0.25, 0.75]), class_names=names),
        Prediction("b.png", "", np.zeros(2), "empty file", class_names=names),
    ]
    assert Predictions(answers, names).to_csv(tmp_path / "out.csv") == tmp_path / "out.csv"
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "file,label,probability,away,'@home,problem",
        "'=1+1.png,'@home,0.750000,0.250000,0.750000,",
        "b.png,,,,,empty file",
    ]


def test_a_data_frame_is_made_where_pandas_is_installed(answers):
    pandas = pytest.importorskip("pandas")
    frame = answers.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.columns.tolist() == ["file", "label", "probability", *NAMES, "problem"]
    assert frame["dog"][0] == 0.7 and np.isnan(frame["dog"][1])


def test_without_pandas_it_says_what_to_install(answers, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError) as caught:
        answers.to_dataframe()
    assert str(caught.value) == "a data frame needs pandas, which is not installed: pip install pandas"


def test_what_is_shown_is_short_and_names_the_classes(answers):
    assert repr(answers[0]) == "Prediction('a.png': dog 70.0 %, cat 20.0 %, owl 10.0 %)"
    assert repr(answers) == ("Predictions for 2 images\na.png: dog 70.0 %, cat 20.0 %, owl 10.0 %\nb.png: empty file")
    many = Predictions([answers[0]] * 1000, NAMES)
    assert repr(many).endswith("\nand 980 more") and len(repr(many)) < 2000
    assert many._repr_html_().count("<tr>") == 21


def test_a_notebook_shows_names_and_no_markup_of_theirs():
    one = Prediction("<b>.png", "<i>", np.array([1.0]), class_names=("<i>",))
    assert "&lt;b&gt;.png" in Predictions([one], ("<i>",))._repr_html_()
