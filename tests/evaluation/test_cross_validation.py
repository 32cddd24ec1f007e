"""Out-of-fold predictions become one evaluation: order, temperatures, intervals, and numbers of repeats."""

import numpy as np
import pytest

from foveola.data.dataset import Arrays, Dataset
from foveola.evaluation.calibration import Calibration, CalibrationReport, fit_temperature
from foveola.evaluation.conformal import threshold
from foveola.evaluation.cross_validation import FoldPredictions, join_folds
from foveola.evaluation.intervals import wilson
from foveola.evaluation.metrics import result_numbers
from foveola.evaluation.out_of_fold import SHARED

N = 60
LABELS = np.arange(N) % 3


def dataset():
    ids = tuple(f"{i}.png" for i in range(N))
    return Dataset("d", ("a", "b", "c"), ids, LABELS, Arrays(np.zeros((N, 1, 1, 3), np.uint8)), "f", None, None)


def predictions(repeats=1, folds=4):
    """Noisy logits, the first fold far too sure; the folds of each repeat in another order of the images."""
    rng = np.random.default_rng(0)
    for repeat in range(repeats):
        for fold, rows in enumerate(np.array_split(rng.permutation(N), folds)):
            logits = 2 * np.eye(3)[LABELS[rows]] + rng.normal(0, 1, (len(rows), 3))
            yield FoldPredictions(repeat, fold, rows, (logits * (8 if fold == 0 else 1)).astype(np.float32))


def joined(repeats=1, units=None, leaked=()):
    return join_folds(
        dataset(), list(predictions(repeats)), np.arange(N) if units is None else units, np.array(leaked, np.int64)
    )


def test_the_predictions_are_in_the_order_of_the_images():
    evaluation, calibration = joined()
    assert evaluation.ids == dataset().ids
    assert np.array_equal(evaluation.labels, LABELS)
    for one in predictions():
        assert np.array_equal(evaluation.logits[one.rows], one.logits)
    assert np.array_equal(calibration.logits, evaluation.logits)
    assert calibration.how == "out-of-fold"


def test_the_temperature_of_an_image_comes_from_the_other_folds():
    evaluation, calibration = joined()
    fold = evaluation.out_of_fold.fold
    for k in range(4):
        others = fold != k
        expected = fit_temperature(evaluation.logits[others], evaluation.labels[others])
        assert evaluation.out_of_fold.temperatures[fold == k] == pytest.approx(expected)
    assert calibration.temperature == fit_temperature(evaluation.logits, LABELS)
    row = int(np.flatnonzero(fold == 0)[0])
    scaled = np.exp(evaluation.logits[row].astype(float) / evaluation.out_of_fold.temperatures[row])
    assert evaluation.probabilities[row] == pytest.approx(scaled / scaled.sum())


def test_the_loss_is_that_of_the_probabilities():
    evaluation, _ = joined()
    assert evaluation.loss == pytest.approx(-np.log(evaluation.probabilities[np.arange(N), LABELS]).mean())


def test_the_interval_is_wilsons_of_fewer_images_because_the_networks_share_training_images():
    evaluation, _ = joined()
    assert evaluation.interval == wilson(evaluation.accuracy * N / SHARED, N / SHARED)
    recalls = [row.recall for row in evaluation.per_class]
    assert evaluation.per_class[0].recall_low == wilson(recalls[0] * 20 / SHARED, 20 / SHARED).low


def test_images_that_belong_together_make_the_interval_wider():
    whole, _ = joined()
    pairs, _ = joined(units=np.arange(N) // 6)
    assert pairs.accuracy == whole.accuracy
    assert pairs.interval.high - pairs.interval.low > whole.interval.high - whole.interval.low


def test_repeats_average_the_accuracy_and_count_each_image_once():
    evaluation, calibration = joined(repeats=3)
    assert len(evaluation) == 3 * N
    assert evaluation.images == len(evaluation.once) == len(calibration) == N
    first, _ = joined()
    assert np.array_equal(evaluation.once.logits, first.logits)
    repeat = evaluation.out_of_fold.repeat
    assert evaluation.accuracy == pytest.approx(np.mean([evaluation.correct[repeat == k].mean() for k in range(3)]))
    assert [row.support for row in evaluation.per_class] == [20, 20, 20]
    assert evaluation.confusion.sum() == 3 * N
    assert "n = 60" in evaluation.sentence


def test_repeats_do_not_make_the_interval_narrower_than_that_of_the_images():
    evaluation, _ = joined(repeats=3)
    plain = wilson(evaluation.accuracy * N, N)
    assert evaluation.interval.high - evaluation.interval.low >= plain.high - plain.low - 1e-12


def test_images_with_a_copy_outside_their_fold_are_counted_once():
    numbers = result_numbers(joined(repeats=2, leaked=[3, 4])[0])
    assert numbers["n_trained_on"] == 2
    assert numbers["without_trained_on"]["n_test"] == N - 2


def test_the_confidence_is_measured_on_one_prediction_of_each_image():
    evaluation, calibration = joined(repeats=2)
    report = CalibrationReport(evaluation, calibration)
    assert sum(one.n for one in report.bins) == N
    assert report.numbers()["n_calibration"] == N


def test_abstaining_uses_the_limit_of_the_other_folds():
    evaluation, calibration = joined()
    found = calibration.abstention(evaluation, 0.2)
    scores = 1 - evaluation.probabilities[np.arange(N), LABELS]
    fold = evaluation.out_of_fold.fold
    covered = sum(int((scores[fold == k] <= threshold(scores[fold != k], 0.2)).sum()) for k in range(4))
    assert found.covered.many == covered
    assert found.covered.n == N


def test_the_calibration_of_a_run_with_folds_is_read_again(tmp_path):
    _, calibration = joined()
    calibration.save(tmp_path / "calibration.npz")
    assert Calibration.load(tmp_path / "calibration.npz").how == "out-of-fold"
