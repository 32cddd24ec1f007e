"""Temperature, reliability, calibration error and the calibration part against SciPy, scikit-learn and numbers by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import bootstrap
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from foveola.errors import UsageError
from foveola.evaluation.calibration import Calibration, CalibrationReport, assign_folds, fit_temperature, sample_rows
from foveola.evaluation.metrics import Evaluation, softmax
from foveola.evaluation.reliability import bin_numbers, calibration_error, reliability


def answers(n, classes=4, scale=1.0, seed=0):
    """Logits float32 and labels drawn from their softmax, then the logits times `scale`: true probabilities at scale 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes)).astype(np.float32)
    chances = softmax(logits)
    labels = (rng.random((n, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    return logits * np.float32(scale), labels


def test_without_the_prior_the_temperature_is_the_one_scikit_learns_loss_is_least_at():
    logits, labels = answers(2_000, scale=1.7)
    least = minimize_scalar(
        lambda t: log_loss(labels, softmax(logits, t)), bounds=(0.2, 8), method="bounded", options={"xatol": 1e-9}
    )
    assert fit_temperature(logits, labels, spread=np.inf) == pytest.approx(least.x, rel=1e-4)


def test_logits_times_three_ask_for_three_times_the_temperature():
    logits, labels = answers(3_000)
    assert fit_temperature(logits, labels) == pytest.approx(1, abs=0.06)
    exact = [fit_temperature(logits * np.float32(k), labels, spread=np.inf) for k in (1, 3)]
    assert exact[1] == pytest.approx(3 * exact[0], rel=1e-4)
    assert fit_temperature(logits * np.float32(3), labels) == pytest.approx(
        3 * fit_temperature(logits, labels), rel=0.02
    )


def test_eight_right_answers_do_not_pull_the_temperature_to_nothing():
    logits = np.tile(np.array([[2.0, 0.0]], np.float32), (8, 1))
    found = fit_temperature(logits, np.zeros(8, np.int64))
    # the minimum of 8 log(1 + exp(-2/T)) + 8 (log T)^2, by hand: its slope in log T is 0
    pull = 8 * (2 / found) / (1 + np.exp(2 / found))
    assert pull == pytest.approx(-16 * np.log(found), rel=1e-4)
    assert 0.5 < found < 1


@pytest.mark.parametrize("wrong", [1, 8])
def test_eight_answers_however_wrong_keep_the_temperature_within_its_bounds(wrong):
    logits = np.tile(np.array([[60.0, 0.0]], np.float32), (8, 1))
    labels = (np.arange(8) < wrong).astype(np.int64)
    assert 1 < fit_temperature(logits, labels) <= 20


def test_no_picture_leaves_probabilities_as_they_are():
    assert fit_temperature(np.zeros((0, 3), np.float32), np.zeros(0, np.int64)) == 1.0


def test_a_temperature_changes_no_answer():
    logits = answers(5_000)[0]
    for temperature in (0.05, 0.7, 20):
        assert np.array_equal(softmax(logits, temperature).argmax(axis=1), logits.argmax(axis=1))


def test_the_error_is_the_one_counted_by_hand():
    # two bins of two: said 0.55 on average, one of two right; said 0.85, both right: (|0.55 - 0.5| + |0.85 - 1|) / 2
    found = calibration_error(np.array([0.9, 0.5, 0.8, 0.6]), np.array([True, True, True, False]), 2)
    assert found.value == pytest.approx(0.1)


def test_bins_of_equal_mass_are_scikit_learns_quantile_bins():
    rng = np.random.default_rng(2)
    confidence = rng.random(300)
    correct = rng.random(300) < confidence
    right, said = calibration_curve(correct, confidence, n_bins=15, strategy="quantile")
    bins = reliability(confidence, correct)
    assert [one.n for one in bins] == [20] * 15
    assert [one.accuracy for one in bins] == pytest.approx(right)
    assert [one.confidence for one in bins] == pytest.approx(said)


@pytest.mark.parametrize(("n", "bins"), [(4, 1), (20, 2), (149, 14), (150, 15), (5_000, 15)])
def test_every_bin_has_ten_answers_or_there_are_fewer_bins(n, bins):
    numbers = bin_numbers(np.linspace(0.2, 1, n))
    assert numbers.max() + 1 == bins
    assert n < 20 or np.bincount(numbers).min() >= 10


def test_the_interval_is_scipys_basic_bootstrap_in_the_same_bins():
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0.3, 1, 400)
    correct = rng.random(400) < confidence - 0.25
    numbers = bin_numbers(confidence)

    def error(bins, gaps):
        return np.abs(np.bincount(bins.astype(int), weights=gaps, minlength=15)).sum() / len(bins)

    found = calibration_error(confidence, correct).interval
    theirs = bootstrap(
        (numbers, confidence - correct), error, paired=True, vectorized=False, method="basic", n_resamples=2_000, rng=1
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(
        (theirs.low, theirs.high), abs=0.008
    )  # a tenth of its width: chance


def test_a_perfect_network_shows_about_the_error_of_chance_and_an_interval_from_0():
    confidence = np.random.default_rng(0).uniform(0.2, 1, 500)
    found = [
        calibration_error(confidence, np.random.default_rng(seed).random(500) < confidence) for seed in range(1, 21)
    ]
    assert np.mean([one.value for one in found]) == pytest.approx(found[0].by_chance, rel=0.1)
    assert sum(one.interval.low == 0 for one in found) >= 18


def test_a_network_that_is_surer_than_right_has_an_interval_above_chance():
    logits, labels = answers(2_000, scale=3)
    chances = softmax(logits)
    found = calibration_error(chances.max(axis=1), chances.argmax(axis=1) == labels)
    assert found.interval.low > found.by_chance
    after = softmax(logits, fit_temperature(logits, labels))
    assert calibration_error(after.max(axis=1), after.argmax(axis=1) == labels).value < found.value / 4


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
