"""What the verbs return: every result is an object whose to_json gives what the command prints with --json."""

import json

import numpy as np
import pytest

import foveola as fv

SETTINGS = {"model.width1": 8, "model.width2": 8, "model.width3": 8, "fit.batch_size": 8}


@pytest.fixture(scope="module")
def data():
    images = np.random.default_rng(0).integers(0, 256, (80, 16, 16, 3), np.uint8)
    images[::2] //= 3
    return fv.from_arrays(images, np.arange(80) % 2, name="dark and light")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return fv.train(data, model="fast", epochs=2, out=tmp_path_factory.mktemp("results") / "run", settings=SETTINGS)


@pytest.fixture
def result(run, data, tmp_path, monkeypatch):
    """The result of a verb, by its name."""
    monkeypatch.chdir(tmp_path)
    image = np.zeros((16, 16, 3), np.uint8)
    verbs = {
        "train": lambda: run,
        "predict": lambda: fv.predict(run, image, abstain=0.3),
        "evaluate": lambda: fv.evaluate(run),
        "threshold": lambda: fv.threshold(run, "1", min_sensitivity=0.1),
        "explain": lambda: fv.explain(run, image, "why.png"),
        "report": lambda: fv.report(run),
        "runs": lambda: fv.runs(run.path.parent),
        "catalog": lambda: fv.catalog("filters"),
        "show": lambda: fv.show("fast"),
        "check": lambda: fv.check(data, suspects=False, out="check.html"),
        "show_data": lambda: fv.show_data(data, "figures"),
        "write_course": lambda: fv.write_course("course"),
    }
    return lambda verb: verbs[verb]()


@pytest.mark.parametrize(
    ("verb", "some"),
    [
        ("train", {"run", "report", "test_accuracy", "format"}),
        ("predict", {"run", "class_names", "predictions", "abstain"}),
        ("evaluate", {"run", "data", "test_accuracy", "used_test", "notes"}),
        ("threshold", {"run", "decision", "notes"}),
        ("explain", {"run", "method", "written", "label", "probability", "notes"}),
        ("report", {"run", "report"}),
        ("runs", {"runs"}),
        ("catalog", {"filters"}),
        ("show", {"model", "size", "classes", "layers", "parameters", "trainable"}),
        ("check", {"files_found", "findings", "remarks", "page", "list"}),
        ("show_data", {"written", "notes"}),
        ("write_course", {"notebooks"}),
    ],
)
def test_the_result_of_a_verb_is_json(result, verb, some):
    found = json.loads(json.dumps(result(verb).to_json()))
    assert some <= set(found)


def test_a_run_predicts_evaluates_and_explains_itself(run, tmp_path):
    image = np.zeros((16, 16, 3), np.uint8)
    assert run.predict(image)[0].label == fv.predict(run, image)[0].label
    assert run.evaluate().accuracy == run.evaluation.accuracy
    assert run.explain(image, tmp_path / "why.png").written == (tmp_path / "why.png",)


def test_a_run_in_a_notebook_shows_accuracy_curves_and_confusion_matrix(run):
    shown = run._repr_html_()
    assert "95 % interval" in shown
    assert shown.count("data:image/png;base64,") == 2


def test_a_predictor_answers_as_the_run_does(run):
    images = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    predictor = fv.Predictor.open(run.path)
    assert np.array_equal(predictor.predict(images).to_array(), run.predict(images).to_array())


def test_a_data_set_is_prepared_and_split_as_train_does(run, data):
    prepared = fv.prepare(data, run.recipe.data.size)
    parts = fv.split(prepared, seed=run.seed)
    assert [prepared.dataset.ids[i] for i in parts.test] == list(run.evaluation.ids)
