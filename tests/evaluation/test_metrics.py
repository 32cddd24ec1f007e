"""Every number against scikit-learn, SciPy or a count by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax as scipy_softmax
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
)

from foveola.evaluation.intervals import wilson
from foveola.evaluation.metrics import Evaluation, against_baseline, softmax


def evaluation(logits, labels, names=("a", "b", "c")):
    ids = tuple(f"{i}.png" for i in range(len(labels)))
    return Evaluation(np.asarray(logits, np.float32), np.asarray(labels, np.int64), ids, names, "test")


@pytest.fixture
def random_evaluation():
    rng = np.random.default_rng(3)
    return evaluation(rng.normal(0, 2, (200, 3)), rng.integers(0, 3, 200))


def test_accuracy_and_loss_agree_with_scikit_learn(random_evaluation):
    e = random_evaluation
    assert e.accuracy == accuracy_score(e.labels, e.predicted)
    assert e.loss == pytest.approx(log_loss(e.labels, e.probabilities), rel=1e-9)


def test_the_confusion_matrix_has_true_classes_as_rows(random_evaluation):
    e = random_evaluation
    assert np.array_equal(e.confusion, confusion_matrix(e.labels, e.predicted))
    assert evaluation([[0, 1, 0]], [2]).confusion.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_shares_of_the_confusion_matrix_are_of_the_true_class(random_evaluation):
    e = random_evaluation
    assert e.confusion_shares == pytest.approx(confusion_matrix(e.labels, e.predicted, normalize="true"))
    assert evaluation([[0, 1, 0]], [2]).confusion_shares.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("true", "most", "expected"),
    [(1, 3, [1, 2, 3]), (6, 5, [1, 2, 3, 0, 6]), (6, 1, [6]), (4, 10, [1, 2, 3, 0, 5, 4, 6])],
)
def test_the_likely_classes_include_the_true_one(true, most, expected):
    probabilities = [0.1, 0.4, 0.2, 0.15, 0.05, 0.06, 0.04]
    found = evaluation([np.log(probabilities)], [true], names=tuple("abcdefg"))
    assert found.likely_classes(0, most) == expected


def test_per_class_numbers_agree_with_scikit_learn(random_evaluation):
    e = random_evaluation
    expected = precision_recall_fscore_support(e.labels, e.predicted)
    found = np.array([row[1:5] for row in e.per_class]).T
    assert found == pytest.approx(np.array(expected))


def test_a_class_that_is_never_called_nor_there_has_zeros():
    rows = evaluation([[1, 0, 0], [0, 1, 0]], [0, 0]).per_class
    assert rows[2] == ("c", 0.0, 0.0, 0.0, 0, 0.0, 1.0)
    assert rows[1] == ("b", 0.0, 0.0, 0.0, 0, 0.0, 1.0)


def test_recall_has_the_wilson_interval_of_its_class():
    row = evaluation([[1, 0, 0], [0, 1, 0], [1, 0, 0]], [0, 0, 0]).per_class[0]
    assert (row.recall_low, row.recall_high) == wilson(2, 3)[:2]


def test_the_wilson_interval_is_scipys_and_its_formula_s():
    low, high, level = wilson(132, 160)
    expected = binomtest(132, 160).proportion_ci(0.95, method="wilson")
    z, n, p = 1.959963984540054, 160, 132 / 160
    middle, half = (p + z * z / (2 * n)), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (low, high, level) == pytest.approx((expected.low, expected.high, 0.95), rel=1e-12)
    assert (low, high) == pytest.approx(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (1, 1), (0, 1), (3, 10_000)])
@pytest.mark.parametrize("level", [0.9, 0.99])
def test_the_wilson_interval_is_scipys_at_the_ends_and_other_levels(right, n, level):
    expected = binomtest(right, n).proportion_ci(level, method="wilson")
    assert wilson(right, n, level)[:2] == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-15)


def test_the_temperature_scales_probabilities_and_loss_and_no_answer(random_evaluation):
    cold = replace(random_evaluation, temperature=2.5)
    assert cold.probabilities == pytest.approx(softmax(random_evaluation.logits / np.float32(2.5)), abs=1e-6)
    assert cold.loss == pytest.approx(log_loss(cold.labels, cold.probabilities), rel=1e-9)
    assert np.array_equal(cold.predicted, random_evaluation.predicted)


def test_the_interval_of_a_perfect_score_does_not_reach_below_what_n_allows():
    low, high, _ = wilson(20, 20)
    assert (round(low, 3), high) == (0.839, 1.0)


def test_the_majority_baseline_is_the_share_of_the_most_frequent_class_of_the_images_measured():
    found = evaluation(np.zeros((4, 3)), [1, 1, 2, 0])
    assert (found.majority, found.majority_accuracy) == (1, 0.5)


def test_balanced_accuracy_and_macro_f1_are_scikit_learns(random_evaluation):
    for e in (random_evaluation, replace(random_evaluation, labels=np.where(random_evaluation.labels == 2, 0, 1))):
        assert e.balanced_accuracy == pytest.approx(
            recall_score(e.labels, e.predicted, labels=np.unique(e.labels), average="macro")
        )
        assert e.macro_f1 == pytest.approx(f1_score(e.labels, e.predicted, average="macro"))


def test_balanced_accuracy_by_hand():
    # 9 of 9 images of class a are right and 0 of 1 of class b: (1 + 0) / 2
    found = evaluation([[1, 0, 0]] * 10, [0] * 9 + [1])
    assert (found.accuracy, found.balanced_accuracy) == (0.9, 0.5)


@pytest.mark.parametrize(
    ("right", "n", "baseline", "expected"),
    [(19, 20, 0.5, "better"), (12, 20, 0.5, "no_better"), (7, 20, 0.9, "worse"), (20, 20, 1.0, None)],
)
def test_an_accuracy_is_better_or_worse_than_the_baseline_only_if_its_whole_interval_is(right, n, baseline, expected):
    assert against_baseline(wilson(right, n), baseline) == expected


def test_the_worst_mistakes_come_with_the_least_probability_for_the_truth_first():
    e = evaluation([[5, 0, 0], [0, 1, 0], [9, 0, 0], [0, 3, 0]], [1, 2, 2, 1])
    assert e.worst(10).tolist() == [2, 0, 1]
    assert e.worst(1).tolist() == [2]


def test_softmax_is_scipys_also_for_huge_logits():
    logits = np.array([[1000.0, 999.0, 0.0], [-5.0, 0.0, 5.0]], np.float32)
    assert softmax(logits) == pytest.approx(scipy_softmax(logits.astype(np.float64), axis=1))
    assert softmax(logits).sum(axis=1) == pytest.approx([1, 1])
