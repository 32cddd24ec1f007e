"""The calibration part: folds that tear nothing apart, refusals word for word, what is written is what is read."""

import numpy as np
import pytest

from foveola.errors import UsageError
from foveola.evaluation.calibration import Calibration, assign_folds, sample_rows
from foveola.evaluation.calibration_report import CalibrationReport
from foveola.evaluation.metrics import Evaluation


def calibration(n, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    logits = (rng.normal(0, 1, (n, 3)) + 2 * np.eye(3)[labels]).astype(np.float32)
    return Calibration.of(logits * np.float32(scale), labels, "val")


def evaluation(n, temperature=1.0):
    found = calibration(n, seed=1)
    ids = tuple(f"{k}.png" for k in range(n))
    return Evaluation(found.logits, found.labels, ids, ("a", "b", "c"), "test", temperature)


def test_folds_keep_units_whole_and_classes_even():
    units = np.repeat(np.arange(60), 2)
    labels = np.repeat(np.arange(60) % 3, 2)
    folds = assign_folds(units, labels, seed=4)
    assert all(len(set(folds[units == unit])) == 1 for unit in range(60))
    assert np.array([np.bincount(labels[folds == k], minlength=3) for k in range(10)]).tolist() == [[4, 4, 4]] * 10


def test_fewer_units_than_folds_are_a_fold_each():
    folds = assign_folds(np.array([7, 7, 3, 5]), np.zeros(4, np.int64), 0)
    assert (len(set(folds)), folds[0] == folds[1]) == (3, True)


def test_no_more_val_pictures_are_answered_than_is_worth_it():
    rows = np.arange(100, 9_100)
    found = sample_rows(rows, seed=0)
    assert len(found) == len(set(found)) == 5_000
    assert np.isin(found, rows).all()
    assert np.array_equal(sample_rows(rows[:40], 0), rows[:40])


def test_what_is_saved_is_what_is_loaded(tmp_path):
    kept = calibration(30)
    kept.save(tmp_path / "calibration.npz")
    again = Calibration.load(tmp_path / "calibration.npz")
    assert (again.how, again.temperature) == ("val", kept.temperature)
    assert np.array_equal(again.logits, kept.logits) and np.array_equal(again.labels, kept.labels)


@pytest.mark.parametrize("error", [0, 1, -0.1, 5, float("nan")])
def test_an_error_rate_lies_between_0_and_1(error):
    with pytest.raises(UsageError) as caught:
        calibration(30).limit(error)
    assert str(caught.value) == (
        f"abstain must be an error rate above 0 and below 1, not {error:g}: for example 0.05 for at most one wrong "
        "prediction in 20 images"
    )


def test_too_few_pictures_for_the_error_rate_are_said_with_what_is_possible():
    with pytest.raises(UsageError) as caught:
        calibration(8).limit(0.05)
    assert str(caught.value) == (
        "abstain 0.05 needs at least 19 calibration images, but the run has 8: give 0.112 or more, or train with more "
        "validation images (split.val_fraction)"
    )
    assert calibration(8).limit(0.112) < 1


def test_scores_are_those_of_the_calibrated_probabilities():
    # logits times three, with three times the temperature, are the same probabilities
    plain, loud = calibration(3_000), calibration(3_000, scale=3)
    assert loud.temperature == pytest.approx(3 * plain.temperature, rel=0.02)
    assert loud.limit(0.1) == pytest.approx(plain.limit(0.1), abs=0.01)


def test_only_error_rates_that_are_possible_are_measured():
    assert [one["error"] for one in CalibrationReport(evaluation(50), calibration(8)).numbers()["abstain"]] == [0.2]
    assert [one["error"] for one in CalibrationReport(evaluation(50), calibration(19)).numbers()["abstain"]] == [
        0.05,
        0.1,
        0.2,
    ]
