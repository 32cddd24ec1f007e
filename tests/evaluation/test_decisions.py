"""Thresholds of one class: by hand, by the binomial law, by simulation on new images; and every goal that can't be met."""

import json
import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from foveola.errors import OtherFormatError, UsageError
from foveola.evaluation.calibration import Calibration
from foveola.evaluation.decisions import Threshold, choose_threshold, decision_numbers
from foveola.evaluation.intervals import Proportion
from foveola.evaluation.metrics import Evaluation, softmax
from foveola.evaluation.threshold_choice import Goal, max_rate, min_images, tolerance_rank

NAMES = ("healthy", "sick")


def held_out(probabilities, labels, how="val"):
    """Held-out predictions with these probabilities of the second class of two, at temperature 1."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-30, 1 - 1e-15)
    logits = np.stack([np.zeros(len(p)), np.log(p / (1 - p))], axis=1).astype(np.float32)
    return Calibration(logits, np.asarray(labels, np.int64), how, 1.0)


def evaluation_of(probabilities, labels, names):
    labels = np.asarray(labels, np.int64)
    logits = np.log(np.asarray(probabilities, np.float64)).astype(np.float32)
    return Evaluation(logits, labels, tuple(map(str, range(len(labels)))), names, "test")


def rule(value, positive="sick", goal=None):
    return Threshold(positive, value, goal or Goal(min_sensitivity=0.9), "val", 40, 60)


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [59, 100, 777])
def test_the_rank_is_the_largest_with_the_binomial_guarantee(n, rate):
    k = tolerance_rank(n, rate)
    assert k == 0 or binom.sf(k - 1, n, 1 - rate) >= 0.95 - 1e-9  # at least k of n among the smallest 1 - rate
    assert binom.sf(k, n, 1 - rate) < 0.95


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.8, 0.9, 0.95, 0.98, 0.999])
def test_the_smallest_number_of_images_is_just_enough(rate):
    n = min_images(rate)
    assert tolerance_rank(n, rate) >= 1
    assert n == 1 or tolerance_rank(n - 1, rate) == 0


@pytest.mark.parametrize("n", [1, 2, 10, 58, 59, 400])
def test_the_largest_rate_can_be_reached_and_the_next_can_not(n):
    assert min_images(max_rate(n)) <= n < min_images(max_rate(n) + 0.001)


def test_the_threshold_for_a_sensitivity_is_an_order_statistic_of_the_class():
    rng = np.random.default_rng(0)
    p, labels = rng.random(200), np.arange(200) % 2
    found = choose_threshold(held_out(p, labels), NAMES, "sick", Goal(min_sensitivity=0.9))
    k = tolerance_rank(100, 0.9)
    assert (k, found.n_positive, found.n_negative, found.part) == (5, 100, 100, "val")
    assert found.value == pytest.approx(np.sort(p[labels == 1])[4], abs=1e-6)


def test_the_threshold_for_a_specificity_leaves_that_image_out():
    rng = np.random.default_rng(0)
    p, labels = rng.random(200), np.arange(200) % 2
    calibration = held_out(p, labels)
    found = choose_threshold(calibration, NAMES, "sick", Goal(min_specificity=0.9))
    called = calibration.labels[1 / (1 + np.exp(-calibration.logits[:, 1].astype(float))) >= found.value]
    assert (called == 0).sum() == 4  # the fifth largest of the 100 is not called, although it is the limit


def test_equal_probabilities_keep_the_guarantee():
    p, labels = np.repeat([0.2, 0.7], 50), np.repeat([0, 1], 50)
    calibration = held_out(p, labels)
    low_p, high_p = np.unique(softmax(calibration.logits)[:, 1])
    high = choose_threshold(calibration, NAMES, "sick", Goal(min_specificity=0.9))
    low = choose_threshold(calibration, NAMES, "sick", Goal(min_sensitivity=0.9))
    assert high.value == np.nextafter(low_p, 1)  # all 50 of the other class are left alone
    assert low.value == high_p  # all 50 of the class are called


@pytest.mark.parametrize("kind", ["min_sensitivity", "min_specificity"])
@pytest.mark.parametrize("rate", [0.8, 0.95])
def test_the_stated_rate_is_reached_on_new_images_for_95_of_100_thresholds(kind, rate):
    rng, reached = np.random.default_rng(1), []
    for _ in range(400):
        z = np.concatenate([rng.normal(0, 1, 120), rng.normal(1.5, 1, 80)])
        found = choose_threshold(
            held_out(norm.cdf(z), np.repeat([0, 1], [120, 80])), NAMES, "sick", Goal(**{kind: rate})
        )
        at = norm.ppf(found.value)
        true = norm.sf(at, 1.5) if kind == "min_sensitivity" else norm.cdf(at)
        reached.append(true >= rate)
    n = 80 if kind == "min_sensitivity" else 120
    expected = binom.sf(tolerance_rank(n, rate) - 1, n, 1 - rate)
    assert expected >= 0.95
    assert np.mean(reached) == pytest.approx(expected, abs=0.03)


def cost_of(threshold, p, labels, false_positive, false_negative):
    called = np.asarray(p) >= threshold
    labels = np.asarray(labels, bool)
    return false_positive * (called & ~labels).sum() + false_negative * (~called & labels).sum()


@pytest.mark.parametrize(("false_positive", "false_negative"), [(1, 1), (1, 5), (20, 1), (0.5, 0.1)])
@pytest.mark.parametrize("digits", [1, 6])
def test_no_threshold_costs_less_on_the_held_out_images(false_positive, false_negative, digits):
    rng = np.random.default_rng(digits)
    labels = rng.integers(0, 2, 90)
    p = np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0.01, 0.99).round(digits)
    calibration = held_out(p, labels)
    goal = Goal(cost_false_positive=false_positive, cost_false_negative=false_negative)
    found = choose_threshold(calibration, NAMES, "sick", goal).value
    exact = 1 / (1 + np.exp(-calibration.logits[:, 1].astype(float)))
    least = min(cost_of(t, exact, labels, false_positive, false_negative) for t in [0, *exact, *(exact + 1e-9), 1.1])
    assert cost_of(found, exact, labels, false_positive, false_negative) == pytest.approx(least)


def test_of_equally_cheap_thresholds_it_is_the_nearest_to_the_best_one_for_exact_probabilities():
    apart = held_out([0.01, 0.02, 0.9, 0.95], [0, 0, 1, 1])
    goal = Goal(cost_false_positive=1, cost_false_negative=4)
    assert choose_threshold(apart, NAMES, "sick", goal).value == pytest.approx(1 / 5)
    closer = held_out([0.01, 0.3, 0.9, 0.95], [0, 0, 1, 1])
    assert choose_threshold(closer, NAMES, "sick", goal).value == pytest.approx(0.3, abs=1e-6)


def test_the_positive_class_wins_from_its_threshold_on_else_the_most_probable_other():
    probabilities = np.array([[0.5, 0.2, 0.3], [0.5, 0.19, 0.31], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]])
    decided = rule(0.2, "b").decide(probabilities, ("a", "b", "c"))
    assert decided.tolist() == [1, 0, 1, 2]


def test_a_high_threshold_gives_the_most_probable_other_class():
    probabilities = np.array([[0.05, 0.8, 0.15]])
    assert rule(0.81, "b").decide(probabilities, ("a", "b", "c")).tolist() == [2]


def test_rates_are_counted_by_hand():
    probabilities = [[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8], [0.95, 0.05]]
    found = rule(0.3).measure(evaluation_of(probabilities, [0, 0, 1, 1, 1], NAMES))
    counts = {name: n for name, n in found.numbers().items() if name.endswith("tives")}
    assert counts == {"true_positives": 2, "false_positives": 1, "true_negatives": 1, "false_negatives": 1}
    assert (found.sensitivity, found.specificity) == (Proportion(2, 3), Proportion(1, 2))
    assert (found.precision, found.negative_predictive_value) == (Proportion(2, 3), Proportion(1, 2))
    assert found.accuracy == Proportion(3, 5)


def test_a_rate_of_no_images_is_null_in_the_json():
    found = decision_numbers(rule(0.3), evaluation_of([[0.9, 0.1]], [0], NAMES))
    assert (found["sensitivity"], found["sensitivity_low"], found["sensitivity_high"]) == (None, 0.0, 1.0)
    assert (found["specificity"], found["precision"]) == (1.0, None)
    assert decision_numbers(None, evaluation_of([[0.9, 0.1]], [0], NAMES)) is None


@pytest.mark.parametrize(
    "goal", [Goal(min_sensitivity=0.95), Goal(min_specificity=0.9), Goal(cost_false_positive=1, cost_false_negative=5)]
)
def test_a_threshold_is_read_as_it_was_written(goal, tmp_path):
    written = rule(0.1 + 1e-16, "gr\udcffn", goal)
    written.save(tmp_path / "threshold.json")
    assert Threshold.load(tmp_path / "threshold.json", ("healthy", "gr\udcffn")) == written


def test_a_threshold_of_another_format_is_refused(tmp_path):
    path = tmp_path / "threshold.json"
    rule(0.5).save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    with pytest.raises(OtherFormatError) as caught:
        Threshold.load(path, NAMES)
    assert str(caught.value) == (
        f"{path} has format 9, but this version of foveola reads format 1 only: choose the threshold again with foveola "
        "threshold"
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {},
            "a threshold needs a goal: give --min-sensitivity, --min-specificity, or both --cost-false-positive and "
            "--cost-false-negative",
        ),
        (
            {"min_sensitivity": 0.9, "min_specificity": 0.9},
            "a threshold has one goal, not min-sensitivity and min-specificity: give only one of them",
        ),
        (
            {"min_sensitivity": 0.9, "cost_false_negative": 5},
            "a threshold has one goal, not min-sensitivity and cost-false-negative: give only one of them",
        ),
        (
            {"min_sensitivity": 95},
            "min-sensitivity must be a number above 0 and below 1, not 95: for example 0.95 for 95 % of the images",
        ),
        (
            {"min_specificity": 0},
            "min-specificity must be a number above 0 and below 1, not 0: for example 0.95 for 95 % of the images",
        ),
        (
            {"min_sensitivity": math.nan},
            "min-sensitivity must be a number above 0 and below 1, not nan: for example 0.95 for 95 % of the images",
        ),
        (
            {"min_sensitivity": "high"},
            "min-sensitivity must be a number above 0 and below 1, not high: for example 0.95 for 95 % of the images",
        ),
        (
            {"cost_false_positive": -1, "cost_false_negative": 5},
            "cost-false-positive must be a number above 0, not -1: only the ratio of the two costs matters",
        ),
        (
            {"cost_false_positive": 1, "cost_false_negative": math.inf},
            "cost-false-negative must be a number above 0, not inf: only the ratio of the two costs matters",
        ),
        (
            {"cost_false_negative": 5},
            "cost-false-negative is given alone: give both --cost-false-positive and --cost-false-negative, for example 1 "
            "and 5",
        ),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused_in_one_sentence(given, text):
    with pytest.raises(UsageError) as caught:
        Goal(**given)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("labels", "positive", "goal", "text"),
    [
        (
            [0, 1] * 20,
            "sik",
            Goal(min_sensitivity=0.9),
            "unknown class 'sik' (did you mean 'sick'?); known: healthy, sick",
        ),
        (
            [0, 1] * 20,
            "sick",
            Goal(min_sensitivity=0.95),
            "min-sensitivity 0.95 needs at least 59 held-out images of 'sick', but the run has 20: give 0.86 or less, or "
            "train with more images, or with more validation images (split.val_fraction)",
        ),
        (
            [0] + [1] * 40,
            "sick",
            Goal(min_specificity=0.9),
            "min-specificity 0.9 needs at least 29 held-out images of classes other than 'sick', but the run has 1: give "
            "0.05 or less, or train with more images, or with more validation images (split.val_fraction)",
        ),
        (
            [0] * 9,
            "sick",
            Goal(cost_false_positive=1, cost_false_negative=1),
            "the run has no held-out image of 'sick' to choose a threshold on: train with more images, or with more "
            "validation images (split.val_fraction)",
        ),
        (
            [1] * 9,
            "sick",
            Goal(min_sensitivity=0.5),
            "the run has no held-out image of classes other than 'sick' to choose a threshold on: train with more images, "
            "or with more validation images (split.val_fraction)",
        ),
    ],
)
def test_a_threshold_that_the_held_out_images_can_not_give_is_refused(labels, positive, goal, text):
    with pytest.raises(UsageError) as caught:
        choose_threshold(held_out(np.full(len(labels), 0.5), labels), NAMES, positive, goal)
    assert str(caught.value) == text
