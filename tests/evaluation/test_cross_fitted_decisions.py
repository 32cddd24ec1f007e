"""Thresholds of a cross-validation: chosen on out-of-fold predictions, measured by cross-fitting, groups counted as one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from foveola.errors import UsageError
from foveola.evaluation.calibration import Calibration
from foveola.evaluation.decisions import choose_by_folds, choose_threshold, decision_numbers
from foveola.evaluation.intervals import wilson
from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.out_of_fold import SHARED, OutOfFold
from foveola.evaluation.roc import roc_curve
from foveola.evaluation.threshold_choice import Goal, choose_value

NAMES = ("healthy", "sick")


def scored(rng, labels, apart=2.0):
    """Logits float32 (n, 2) whose difference is normal, `apart` higher for the second class."""
    z = rng.normal(0, 1, len(labels)) + apart * labels
    return np.stack([np.zeros(len(labels)), z], axis=1).astype(np.float32)


def cross_validated(logits, labels, folds=5, units=None, temperatures=None, repeats=1):
    """An evaluation whose folds are every `folds`-th unit; each repeat has the same predictions."""
    n = len(labels) // repeats
    units = np.tile(np.arange(n), repeats) if units is None else units
    fold = units % folds
    temperatures = np.ones(len(labels)) if temperatures is None else temperatures
    origin = OutOfFold(np.repeat(np.arange(repeats), n), fold, units, temperatures)
    ids = tuple(str(i % n) for i in range(len(labels)))
    return Evaluation(logits, labels, ids, NAMES, "test", out_of_fold=origin)


def chosen(evaluation, goal):
    once = evaluation.once
    return choose_by_folds(evaluation, Calibration(once.logits, once.labels, "out-of-fold", 1.0), "sick", goal)


def many(seed=0, n=300, **options):
    rng, labels = np.random.default_rng(seed), np.arange(n) % 2
    return cross_validated(scored(rng, labels), labels, **options)


GOALS = [Goal(min_sensitivity=0.9), Goal(min_specificity=0.9), Goal(cost_false_positive=1, cost_false_negative=4)]


@pytest.mark.parametrize("goal", GOALS)
def test_each_fold_is_decided_by_the_threshold_that_its_other_folds_give(goal):
    temperatures = 1 + 0.1 * (np.arange(300) % 5)
    evaluation = many(temperatures=temperatures)
    found, decided = chosen(evaluation, goal), np.zeros(300, bool)
    values = []
    for fold in range(5):
        mine = evaluation.out_of_fold.fold == fold
        others = Calibration(evaluation.logits[~mine], evaluation.labels[~mine], "out-of-fold", 1 + 0.1 * fold)
        values.append(choose_threshold(others, NAMES, "sick", goal).value)
        decided[mine] = evaluation.probabilities[mine, 1] >= values[-1]
    numbers = decision_numbers(found, evaluation)
    assert numbers["fold_thresholds"] == values
    assert numbers["sensitivity"] == decided[evaluation.labels == 1].mean()
    assert numbers["specificity"] == (~decided[evaluation.labels == 0]).mean()


def test_the_predictions_of_a_fold_have_no_influence_on_its_threshold():
    before = many()
    fold = before.out_of_fold.fold
    after = replace(before, logits=np.where((fold == 2)[:, None], -before.logits, before.logits))
    found = chosen(before, GOALS[0])
    old, new = (list(found.fold_values(one)) for one in (before, after))
    assert new[2] == old[2]
    assert new[:2] != old[:2]


def test_the_threshold_of_the_run_is_chosen_on_all_out_of_fold_predictions():
    evaluation = many()
    found = chosen(evaluation, GOALS[0])
    all_of_them = Calibration(evaluation.logits, evaluation.labels, "out-of-fold", 1.0)
    assert found == choose_threshold(all_of_them, NAMES, "sick", GOALS[0])
    assert (found.part, found.n_positive, found.n_negative) == ("out-of-fold", 150, 150)


def test_new_images_are_decided_by_the_threshold_of_the_run():
    evaluation = many()
    found = chosen(evaluation, GOALS[0])
    numbers = decision_numbers(found, replace(evaluation, out_of_fold=None))
    called = evaluation.probabilities[:, 1] >= found.value
    assert numbers["fold_thresholds"] is None
    assert numbers["sensitivity"] == called[evaluation.labels == 1].mean()


def test_repeats_count_each_image_once():
    evaluation = many()
    twice = cross_validated(np.tile(evaluation.logits, (2, 1)), np.tile(evaluation.labels, 2), repeats=2)
    assert decision_numbers(chosen(twice, GOALS[0]), twice) == decision_numbers(
        chosen(evaluation, GOALS[0]), evaluation
    )
    assert roc_curve(twice, "sick").to_json() == roc_curve(evaluation, "sick").to_json()
    for again, one in zip(twice.class_average_intervals, evaluation.class_average_intervals, strict=True):
        assert again == pytest.approx(one, abs=0.01)


def test_the_rates_have_the_interval_of_a_cross_validation():
    evaluation = many()
    rate = chosen(evaluation, GOALS[0]).measure(evaluation).sensitivity
    assert rate.n == 150
    assert rate.interval == pytest.approx(wilson(rate.share * 150 / SHARED, 150 / SHARED))


@pytest.mark.parametrize("goal", GOALS[:2])
def test_copies_of_each_image_give_the_threshold_of_the_images(goal):
    rng = np.random.default_rng(3)
    positive = np.arange(200) % 2 == 1
    scores = norm.cdf(rng.normal(positive, 1))
    again = choose_value(np.repeat(scores, 4), np.repeat(positive, 4), np.repeat(np.arange(200), 4), goal)
    assert again == choose_value(scores, positive, None, goal)


@pytest.mark.parametrize("kind", ["sensitivity", "balanced accuracy", "area", "band", "abstaining"])
def test_images_of_one_group_make_every_interval_wider(kind):
    """Each image has three copies with the same predictions: not narrower than without the copies, but for rounding."""
    rng, labels = np.random.default_rng(4), np.arange(120) % 2
    logits = scored(rng, labels, 1.0)
    alone = cross_validated(logits, labels)
    copied = cross_validated(np.repeat(logits, 4, axis=0), np.repeat(labels, 4), units=np.repeat(np.arange(120), 4))

    def width(evaluation):
        if kind == "sensitivity":
            low, high, _ = chosen(evaluation, Goal(min_sensitivity=0.8)).measure(evaluation).sensitivity.interval
        elif kind == "balanced accuracy":
            low, high, _ = evaluation.class_average_intervals.balanced_accuracy
        elif kind == "abstaining":
            held_out = Calibration(evaluation.logits, evaluation.labels, "out-of-fold", 1.0)
            low, high, _ = held_out.abstention(evaluation, 0.2).covered.interval
        elif kind == "area":
            low, high, _ = roc_curve(evaluation, "sick").auc_interval
        else:
            band = roc_curve(evaluation, "sick").roc_band(np.array([0.3]))
            low, high = band.low[0], band.high[0]
        return high - low

    assert width(copied) >= 0.97 * width(alone)


def test_a_goal_that_the_images_outside_a_fold_can_not_give_is_refused():
    evaluation = many(n=140)  # 70 images of each class, 56 of them outside a fold
    with pytest.raises(UsageError) as caught:
        chosen(evaluation, Goal(min_sensitivity=0.95))
    assert str(caught.value) == (
        "min-sensitivity 0.95 needs at least 59 independent images of 'sick' outside each fold, where copies and images of "
        "one group count as one, but outside one fold there are 56: give 0.947 or less, or train with more images, or with "
        "more folds"
    )


def test_many_images_of_few_groups_do_not_make_a_goal_possible():
    labels = np.repeat(np.arange(60) % 2, 20)  # 600 images of each class, of 30 groups
    evaluation = cross_validated(scored(np.random.default_rng(0), labels), labels, units=np.repeat(np.arange(60), 20))
    with pytest.raises(UsageError, match=r"outside one fold there are 24: give 0\.882 or less"):
        chosen(evaluation, Goal(min_sensitivity=0.95))


def test_a_class_whose_images_are_all_in_one_fold_is_refused():
    labels = (np.arange(100) % 5 == 0).astype(np.int64)
    evaluation = cross_validated(scored(np.random.default_rng(0), labels), labels)
    with pytest.raises(UsageError) as caught:
        chosen(evaluation, GOALS[2])
    assert str(caught.value) == (
        "the run has no held-out image of 'sick' to choose a threshold on: train with more images"
    )


def grouped(rng, groups, images, alike):
    """Scores of both classes whose groups have a share `alike` of the variance in common; labels and groups."""
    label, group = np.arange(groups) % 2, np.repeat(np.arange(groups), images)
    common, own = rng.normal(0, alike**0.5, groups), rng.normal(0, (1 - alike) ** 0.5, groups * images)
    return norm.cdf(common[group] + own + 1.5 * label[group]), label[group], group


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.95])
def test_thresholds_reach_the_sensitivity_on_new_images_of_groups_too(alike):
    rng, reached, plain = np.random.default_rng(5), [], []
    for _ in range(300):
        scores, labels, group = grouped(rng, 120, 5, alike)
        for units, out in ((group, reached), (None, plain)):
            value = choose_value(scores, labels == 1, units, Goal(min_sensitivity=0.9))
            out.append(norm.sf(norm.ppf(value) - 1.5) >= 0.9)
    assert np.mean(reached) >= 0.94
    if alike > 0.9:
        assert np.mean(plain) < 0.9  # what images counted one by one would give


@pytest.mark.parametrize("alike", [0.0, 0.8])
def test_the_intervals_of_cross_fitted_rates_contain_the_true_rates(alike):
    """Fixed networks: the true sensitivity is that of the folds' thresholds on new images, on average over the folds."""
    rng, covered = np.random.default_rng(6), []
    for _ in range(150):
        scores, labels, group = grouped(rng, 120, 3, alike)
        logits = np.stack([np.zeros(len(scores)), np.log(scores / (1 - scores))], axis=1).astype(np.float32)
        evaluation = cross_validated(logits, labels, units=group)
        found = chosen(evaluation, Goal(min_sensitivity=0.8))
        true = np.mean([norm.sf(norm.ppf(value) - 1.5) for value in found.fold_values(evaluation)])
        low, high, _ = found.measure(evaluation).sensitivity.interval
        covered.append(low <= true <= high)
    assert np.mean(covered) >= 0.93
