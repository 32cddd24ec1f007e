"""The linear probe: scikit-learn's solution in the network's own units; cross-fitting answers each row without its label."""

import copy

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import nn

from foveola.errors import DivergedError
from foveola.evaluation.metrics import softmax
from foveola.models.feature_sets import FeatureSet
from foveola.training import linear_probe as linear
from foveola.training.linear_probe import STRENGTHS, Features, cross_fit, fit_linear_probe


def clouds(n, features, classes, seed=0, apart=1.0):
    """Overlapping classes; the features' scales go from 0.4 to 2.5, and none is so flat that the floor would matter."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, features)) * apart
    labels = np.arange(n) % classes
    values = centres[labels] + rng.normal(size=(n, features))
    scale = 10 ** np.linspace(-0.4, 0.4, features)
    return Features((values * scale + 3 * scale).astype(np.float32), labels.astype(np.int64))


def fitted(train, val, strengths, tolerance=5e-7, classes=None):
    """[(row, weight, bias)] along the path."""
    head = nn.Linear(train.values.shape[1], classes or int(train.labels.max()) + 1)
    return [
        (row, head.weight.detach().numpy().copy(), head.bias.detach().numpy().copy())
        for row in fit_linear_probe(head, train, val, strengths, tolerance=tolerance)
    ]


def standardised(features):
    values = features.values.astype(np.float64)
    deviation = values.std(axis=0)
    return (values - values.mean(axis=0)) / deviation, deviation


def logits(weight, bias, values):
    return values @ weight.T + bias


@pytest.mark.parametrize("n", [150, 30])  # more pictures than features, and fewer
@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_the_solution_is_scikit_learns(n, strength):
    train = clouds(n, 40, 3, apart=0.3)
    ((_, weight, bias),) = fitted(train, train, [strength], tolerance=1e-12)
    values, deviation = standardised(train)
    oracle = LogisticRegression(C=1 / (n * strength), tol=1e-10, max_iter=10_000).fit(values, train.labels)
    # The weights of all classes sum to 0 in both, so they can be compared one by one.
    np.testing.assert_allclose(weight * deviation, oracle.coef_, rtol=1e-4, atol=1e-6)
    mine = softmax(logits(weight, bias, train.values))
    np.testing.assert_allclose(mine, oracle.predict_proba(values), atol=2e-5)


def test_the_default_tolerance_gives_scikit_learns_probabilities_to_a_thousandth():
    train = clouds(150, 40, 3, apart=0.3)
    values, _ = standardised(train)
    for row, weight, bias in fitted(train, train, (1.0, 0.1, 0.01, 0.001)):
        oracle = LogisticRegression(C=1 / (150 * row.strength), tol=1e-10, max_iter=10_000).fit(values, train.labels)
        mine = softmax(logits(weight, bias, train.values))
        np.testing.assert_allclose(mine, oracle.predict_proba(values), atol=1e-3)


def test_two_pictures_of_two_classes_by_hand():
    # Standardised the pictures lie at -1 and 1. By symmetry the weights are -w and w, the biases 0, and the loss is
    # log(1 + exp(-2 w)) + strength * w^2: its slope is 0 where strength * w = 1 / (1 + exp(2 w)).
    train = Features(np.array([[3.0], [7.0]], np.float32), np.array([0, 1]))
    ((row, weight, bias),) = fitted(train, train, [0.5], tolerance=1e-13)
    w = brentq(lambda w: 0.5 * w - 1 / (1 + np.exp(2 * w)), 0, 2)
    np.testing.assert_allclose(weight[:, 0], [-w / 2, w / 2], rtol=1e-6)  # the deviation is 2
    np.testing.assert_allclose(bias, [5 * w / 2, -5 * w / 2], rtol=1e-6)  # the mean is 5
    assert row.train_loss == pytest.approx(np.log(1 + np.exp(-2 * w)), rel=1e-6)
    assert row.train_accuracy == 1.0


def test_a_warm_start_ends_where_a_cold_one_does():
    train = clouds(90, 30, 3, apart=0.3)
    path = fitted(train, train, (10.0, 1.0, 0.1, 0.01), tolerance=1e-12)
    for row, weight, bias in path:
        ((_, cold_weight, cold_bias),) = fitted(train, train, [row.strength], tolerance=1e-12)
        np.testing.assert_allclose(weight, cold_weight, rtol=1e-4, atol=1e-6 * np.abs(cold_weight).max())
        np.testing.assert_allclose(bias, cold_bias, rtol=1e-4, atol=1e-5)


def test_a_feature_that_is_almost_constant_counts_as_a_tenth_as_wide_as_the_others():
    train = clouds(90, 20, 3)
    values, wide = train.values.copy(), standardised(train)[1]
    values[:, 0] = np.arange(90) % 30 == 0  # silent but for three pictures, all of class 0
    values[:, 0] *= 1e-3
    ((_, weight, _),) = fitted(train._replace(values=values), train, [0.1], tolerance=1e-12)
    width = np.concatenate([[values[:, 0].std()], wide[1:]])
    width[0] = 0.1 * np.sqrt(np.square(width).mean())
    centred = (values - values.mean(axis=0, dtype=np.float64)) / width
    oracle = LogisticRegression(C=1 / 9, tol=1e-10, max_iter=10_000).fit(centred, train.labels)
    np.testing.assert_allclose(weight * width, oracle.coef_, rtol=1e-4, atol=1e-6)


def test_scale_and_origin_of_the_features_do_not_matter():
    train, val = clouds(90, 20, 3), clouds(30, 20, 3, seed=1)
    moved, moved_val = (Features(f.values * np.float32(64) + 8, f.labels) for f in (train, val))
    for (_, weight, bias), (_, other, other_bias) in zip(
        fitted(train, val, (1.0, 0.1)), fitted(moved, moved_val, (1.0, 0.1)), strict=True
    ):
        np.testing.assert_allclose(
            logits(weight, bias, val.values), logits(other, other_bias, moved_val.values), rtol=1e-3, atol=1e-3
        )


def test_the_row_tells_what_the_head_gives_on_features_as_they_are():
    train, val = clouds(90, 20, 3), clouds(30, 20, 3, seed=1)
    head = nn.Linear(20, 3)
    for number, row in enumerate(fit_linear_probe(head, train, val, (1.0, 0.1)), start=1):
        assert (row.number, row.total, row.strength) == (number, 2, (1.0, 0.1)[number - 1])
        for features, loss, accuracy in (
            (train, row.train_loss, row.train_accuracy),
            (val, row.val_loss, row.val_accuracy),
        ):
            given, labels = head(torch.from_numpy(features.values)).detach(), torch.from_numpy(features.labels)
            assert float(nn.functional.cross_entropy(given, labels)) == pytest.approx(loss, abs=1e-5)
            assert float((given.argmax(dim=1) == labels).double().mean()) == accuracy


def test_a_path_repeats_to_the_last_bit_whatever_the_head_began_with():
    train, val = clouds(90, 50, 3), clouds(30, 50, 3, seed=1)
    for (row, weight, bias), (again, weight2, bias2) in zip(
        fitted(train, val, STRENGTHS), fitted(train, val, STRENGTHS), strict=True
    ):
        assert row._replace(seconds=0.0) == again._replace(seconds=0.0)
        assert np.array_equal(weight, weight2) and np.array_equal(bias, bias2)


HALVES = (FeatureSet("left", (12,)), FeatureSet("left + right", (12, 8)))


def test_each_set_of_features_gets_a_path_and_a_set_that_is_all_features_is_as_without_sets():
    train, val = clouds(90, 20, 3), clouds(30, 20, 3, seed=1)
    head = nn.Linear(20, 3)
    rows = list(fit_linear_probe(head, train, val, (1.0, 0.1), sets=[FeatureSet("all", (20,)), *HALVES]))
    assert [(row.number, row.total, row.features) for row in rows] == [
        (k, 6, name) for k, name in enumerate(("all", "all", "left", "left", "left + right", "left + right"), start=1)
    ]
    alone = [row for row, *_ in fitted(train, val, (1.0, 0.1))]
    for row, other in zip(rows, alone, strict=False):
        assert row[2:-2] == pytest.approx(other[2:-2], abs=1e-5)


def test_features_outside_of_the_set_get_no_weight():
    train = clouds(90, 20, 3)
    head = nn.Linear(20, 3)
    (row,) = fit_linear_probe(head, train, train, [0.1], sets=HALVES[:1])
    left = train._replace(values=train.values[:, :12])
    ((alone, weight, bias),) = fitted(left, left, [0.1])
    assert np.array_equal(head.weight[:, 12:].detach(), np.zeros((3, 8)))
    np.testing.assert_allclose(head.weight[:, :12].detach(), weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.bias.detach(), bias, rtol=1e-4, atol=1e-5)
    assert row.val_loss == pytest.approx(alone.val_loss, abs=1e-6)


def test_blocks_of_a_set_weigh_the_same():
    # The oracle gets standardised features, each block divided by the root of its number of columns.
    train = clouds(150, 20, 3, apart=0.3)
    head = nn.Linear(20, 3)
    for _ in fit_linear_probe(head, train, train, [0.1], sets=HALVES[1:], tolerance=1e-12):
        pass
    values, deviation = standardised(train)
    scale = np.repeat(np.sqrt([12 / (2 * 12), 12 / (2 * 8)]), [12, 8])
    oracle = LogisticRegression(C=1 / (150 * 0.1), tol=1e-10, max_iter=10_000).fit(values * scale, train.labels)
    found = head.weight.detach().numpy() * deviation / scale
    np.testing.assert_allclose(found, oracle.coef_, rtol=1e-4, atol=1e-6)


def test_the_caller_can_keep_the_best_on_val():
    train, val = clouds(60, 200, 3, apart=0.1), clouds(60, 200, 3, seed=1, apart=0.1)
    head = nn.Linear(200, 3)
    best, state = None, {}
    for row in fit_linear_probe(head, train, val):
        if best is None or (row.val_accuracy, -row.val_loss) > (best.val_accuracy, -best.val_loss):
            best, state = row, copy.deepcopy(head.state_dict())
    head.load_state_dict(state)
    given = head(torch.from_numpy(val.values)).argmax(dim=1).numpy()
    assert float((given == val.labels).mean()) == best.val_accuracy


def test_the_path_ends_when_val_has_become_clearly_worse():
    train, val = clouds(60, 200, 3, apart=0.1), clouds(60, 200, 3, seed=1, apart=0.1)
    tried = [row for row, _, _ in fitted(train, val, STRENGTHS)]
    assert tried[0].strength == linear.BEGIN
    losses = [row.val_loss for row in tried if row.strength <= linear.BEGIN]
    assert len(losses) < len(STRENGTHS) / 2
    assert losses[-1] > linear.WORSE * min(losses)
    assert all(loss <= linear.WORSE * min(losses[: k + 1]) for k, loss in enumerate(losses[:-1]))


def test_stronger_penalties_are_tried_if_the_first_is_the_best():
    train, val = clouds(60, 200, 3, apart=0.02), clouds(60, 200, 3, seed=1, apart=0.02)
    tried = {row.strength: row.val_loss for row, _, _ in fitted(train, val, STRENGTHS)}
    alone = {strength: fitted(train, val, [strength])[0][0].val_loss for strength in STRENGTHS}
    best = min(alone, key=alone.__getitem__)
    assert best > linear.BEGIN
    assert min(tried, key=tried.__getitem__) == best
    assert tried[best] == pytest.approx(alone[best], abs=2e-4)


@pytest.mark.parametrize("n", [600, 90])  # more images than features, and fewer
def test_extrapolated_starts_give_scikit_learns_losses_also_with_weak_penalties(n):
    train, val = clouds(n, 120, 4, apart=0.25), clouds(200, 120, 4, seed=1, apart=0.25)
    values, deviation = standardised(train)
    others = (val.values - train.values.mean(axis=0, dtype=np.float64)) / deviation
    strengths = (1.0, 0.1, 0.01, 0.001, 0.0001)
    head = nn.Linear(120, 4)
    for row in fit_linear_probe(head, train, train, strengths):  # as val, train makes all strengths worth a try
        oracle = LogisticRegression(C=1 / (n * row.strength), tol=1e-10, max_iter=10_000).fit(values, train.labels)
        expected = log_loss(val.labels, oracle.predict_proba(others))
        with torch.no_grad():
            found = nn.functional.cross_entropy(head(torch.from_numpy(val.values)), torch.from_numpy(val.labels))
        assert float(found) == pytest.approx(expected, rel=1e-3)
    assert row.strength == strengths[-1]


def test_a_class_that_train_lacks_is_never_the_answer():
    train = clouds(60, 10, 3)
    for row, weight, bias in fitted(train, train, (1.0, 0.01), classes=5):
        given = softmax(logits(weight, bias, train.values))
        assert np.isfinite(weight).all() and np.isfinite(bias).all() and np.isfinite(row.val_loss)
        assert given[:, 3:].max() < 1e-3
        three = fitted(train, train, [row.strength])[0]
        np.testing.assert_allclose(given[:, :3], softmax(logits(*three[1:], train.values)), atol=2e-3)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6])  # 0.1 is no float32, its mean could differ from it
def test_a_constant_feature_gets_no_weight(level):
    train = clouds(60, 10, 3)
    values = np.concatenate([train.values, np.full((60, 1), level, np.float32)], axis=1)
    ((_, weight, bias),) = fitted(train._replace(values=values), train._replace(values=values), [0.1])
    ((_, without, bias_without),) = fitted(train, train, [0.1])
    assert np.array_equal(weight[:, -1], np.zeros(3))
    np.testing.assert_allclose(weight[:, :-1], without, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bias, bias_without, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(part, value):
    good, broken = clouds(60, 10, 3), clouds(60, 10, 3)
    broken.values[[4, 4, 7], [0, 1, 2]] = value
    with pytest.raises(DivergedError) as refusal:
        fitted(*((broken, good) if part == "train" else (good, broken)), [1.0])
    assert str(refusal.value) == (
        f"the features of 2 of 60 {part} images are not finite numbers: the precision is the likely cause; "
        "try --set fit.precision=float32"
    )


def test_read_only_features_are_taken_and_left_as_they_are():
    train = clouds(60, 10, 3)
    before = train.values.copy()
    train.values.flags.writeable = False
    fitted(train, train, [1.0])
    assert np.array_equal(train.values, before)


def rows(n=60, features=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    values = rng.normal(0, 1, (n, features)) + np.eye(classes, features)[labels]
    return Features(values.astype(np.float32), labels)


def test_all_folds_at_once_give_what_one_head_after_the_other_gives():
    data, folds = rows(), np.arange(60) // 6 % 5
    found = cross_fit(data, folds, data, 0.1, 3, tolerance=1e-12)
    values, mean, deviation = linear.standardise(data.values)
    for fold in range(5):
        held = folds == fold
        problem = linear.LogisticRegression(values[~held], data.labels[~held], 3)
        solution = problem.solve(0.1, problem.start(), 1e-12)
        weight = solution[:, :-1] / deviation
        alone = (data.values[held] - mean) @ weight.T + solution[:, -1]
        assert softmax(found[held]) == pytest.approx(softmax(alone), abs=1e-4)


def test_a_cross_fit_uses_the_features_of_its_set_alone():
    data, folds = rows(), np.arange(60) % 5
    left = Features(data.values[:, :4], data.labels)
    expected = cross_fit(left, folds, left, 0.1, 3, used=FeatureSet("left", (3, 1)), tolerance=1e-12)
    found = cross_fit(data, folds, data, 0.1, 3, used=FeatureSet("left", (3, 1)), tolerance=1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_rows_own_label_has_no_say_in_its_answer():
    data, folds = rows(), np.arange(60) % 5
    before = cross_fit(data, folds, data, 0.1, 3, tolerance=1e-12)
    labels = data.labels.copy()
    labels[folds == 2] = (labels[folds == 2] + 1) % 3
    changed = Features(data.values, labels)
    after = cross_fit(changed, folds, changed, 0.1, 3, tolerance=1e-12)
    assert np.abs(after - before)[folds == 2].max() < 1e-3
    assert np.abs(after - before)[folds != 2].max() > 0.1


def test_both_views_of_a_picture_are_held_out_together():
    data, folds = rows(), np.arange(60) % 5
    labels = data.labels.copy()
    labels[folds == 1] = (labels[folds == 1] + 1) % 3
    found = []
    for some in (data.labels, labels):
        twice = Features(np.concatenate([data.values, data.values[:, ::-1]]), np.tile(some, 2))
        found.append(cross_fit(twice, folds, Features(data.values, some), 0.1, 3, tolerance=1e-12))
    assert np.abs(found[0] - found[1])[folds == 1].max() < 1e-3


@pytest.mark.parametrize("columns", [6, 2])  # two folds at a time; and one, whose classes alone are more
def test_many_classes_go_in_groups_of_folds(columns, monkeypatch):
    data, folds = rows(), np.arange(60) % 5
    whole = cross_fit(data, folds, data, 0.1, 3, tolerance=1e-11)
    monkeypatch.setattr("foveola.training.linear_probe._COLUMNS", columns)
    assert cross_fit(data, folds, data, 0.1, 3, tolerance=1e-11) == pytest.approx(whole, abs=1e-3)
