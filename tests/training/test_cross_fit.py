"""Cross-fitting: every row is answered by a head that was fitted without it."""

import numpy as np
import pytest

from foveola.evaluation.metrics import softmax
from foveola.training.linear_probe import Features, LogisticRegression, cross_fit, standardise


def rows(n=60, features=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    values = rng.normal(0, 1, (n, features)) + np.eye(classes, features)[labels]
    return Features(values.astype(np.float32), labels)


def test_all_folds_at_once_give_what_one_head_after_the_other_gives():
    data, folds = rows(), np.arange(60) // 6 % 5
    found = cross_fit(data, folds, data, 0.1, 3, tolerance=1e-7)
    values, mean, deviation = standardise(data.values)
    for fold in range(5):
        held = folds == fold
        problem = LogisticRegression(values[~held], data.labels[~held], 3)
        solution = problem.solve(0.1, problem.start(), 1e-8)
        weight = solution[:, :-1] / deviation
        alone = (data.values[held] - mean) @ weight.T + solution[:, -1]
        assert softmax(found[held]) == pytest.approx(softmax(alone), abs=1e-4)


def test_a_rows_own_label_has_no_say_in_its_answer():
    data, folds = rows(), np.arange(60) % 5
    before = cross_fit(data, folds, data, 0.1, 3, tolerance=1e-7)
    labels = data.labels.copy()
    labels[folds == 2] = (labels[folds == 2] + 1) % 3
    changed = Features(data.values, labels)
    after = cross_fit(changed, folds, changed, 0.1, 3, tolerance=1e-7)
    assert np.abs(after - before)[folds == 2].max() < 1e-3
    assert np.abs(after - before)[folds != 2].max() > 0.1


def test_both_views_of_a_picture_are_held_out_together():
    data, folds = rows(), np.arange(60) % 5
    labels = data.labels.copy()
    labels[folds == 1] = (labels[folds == 1] + 1) % 3
    found = []
    for some in (data.labels, labels):
        twice = Features(np.concatenate([data.values, data.values[:, ::-1]]), np.tile(some, 2))
        found.append(cross_fit(twice, folds, Features(data.values, some), 0.1, 3, tolerance=1e-7))
    assert np.abs(found[0] - found[1])[folds == 1].max() < 1e-3


@pytest.mark.parametrize("columns", [6, 2])  # two folds at a time; and one, whose classes alone are more
def test_many_classes_go_in_groups_of_folds(columns, monkeypatch):
    data, folds = rows(), np.arange(60) % 5
    whole = cross_fit(data, folds, data, 0.1, 3, tolerance=1e-6)
    monkeypatch.setattr("foveola.training.linear_probe._COLUMNS", columns)
    assert cross_fit(data, folds, data, 0.1, 3, tolerance=1e-6) == pytest.approx(whole, abs=1e-3)
