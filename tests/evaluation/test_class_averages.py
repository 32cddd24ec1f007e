"""Intervals of balanced accuracy and macro F1: by hand for one class, by properties, by simulation."""

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.metrics import balanced_accuracy_score, f1_score

from foveola.evaluation.class_averages import class_average_intervals


def averages(confusion):
    true = np.repeat(np.arange(len(confusion)), confusion.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(len(confusion)), row) for row in confusion])
    return balanced_accuracy_score(true, predicted), f1_score(true, predicted, average="macro")


@pytest.mark.parametrize("seed", range(4))
def test_the_intervals_contain_the_estimates_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    confusion = rng.integers(0, 9, (3, 3)) + 30 * np.eye(3, dtype=int)
    found = class_average_intervals(confusion)
    for interval, value in zip(found, averages(confusion), strict=True):
        assert 0 <= interval.low < value < interval.high <= 1
        assert interval.level == 0.95


def test_one_class_has_the_interval_of_its_recall():
    # the other class has no images, so the balanced accuracy is one recall, whose posterior is a Beta distribution
    low, high, _ = class_average_intervals(np.array([[18, 2], [0, 0]])).balanced_accuracy
    assert (low, high) == pytest.approx(beta.ppf([0.025, 0.975], 18.5, 2.25), abs=0.03)


def test_a_network_without_mistakes_has_an_interval_and_more_images_make_it_narrow():
    few, many = (class_average_intervals(np.diag([n, n])) for n in (10, 1000))
    assert few.balanced_accuracy.high == few.macro_f1.high == 1
    assert 0.8 < few.balanced_accuracy.low < 0.97
    assert many.balanced_accuracy.low > 0.995
    assert many.macro_f1.low > 0.995


def test_a_class_without_images_and_predictions_changes_little():
    small = np.array([[20, 3], [1, 9]])
    large = np.zeros((3, 3), int)
    large[:2, :2] = small
    for a, b in zip(class_average_intervals(small), class_average_intervals(large), strict=True):
        assert a[:2] == pytest.approx(b[:2], abs=0.05)


def test_a_hundred_classes_are_possible():
    low, high, _ = class_average_intervals(10 * np.eye(100, dtype=int)).balanced_accuracy
    assert 0.95 < low < high == 1


def test_the_intervals_cover_about_at_the_stated_rate():
    counts, recalls = np.array([80, 30, 15]), np.array([0.95, 0.85, 0.7])
    chances = np.repeat((1 - recalls)[:, None] / 2, 3, axis=1)
    np.fill_diagonal(chances, recalls)
    expected = chances * counts[:, None]
    f1 = (2 * np.diag(expected) / (expected.sum(axis=0) + expected.sum(axis=1))).mean()
    rng, inside = np.random.default_rng(0), []
    for _ in range(300):
        confusion = np.stack([rng.multinomial(n, p) for n, p in zip(counts, chances, strict=True)])
        balanced, macro_f1 = class_average_intervals(confusion)
        inside.append((balanced.low <= recalls.mean() <= balanced.high, macro_f1.low <= f1 <= macro_f1.high))
    assert np.mean(inside, axis=0) == pytest.approx([0.94, 0.94], abs=0.035)
