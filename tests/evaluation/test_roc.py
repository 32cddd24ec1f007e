"""ROC and precision-recall curves against scikit-learn; intervals and bands by hand, by properties and by simulation."""

import numpy as np
import pytest
from scipy.stats import beta, norm
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from foveola.errors import UsageError
from foveola.evaluation.intervals import wilson
from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.roc import (
    exact_interval,
    main_class,
    one_against_rest,
    roc_curve,
    roc_numbers,
    roc_of,
)


def draw(seed, n_positive, n_negative, distance=1.0, digits=None):
    """Scores of two normal distributions, rounded to make ties."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(distance, 1, n_positive), rng.normal(0, 1, n_negative)])
    return scores if digits is None else scores.round(digits), np.arange(n_positive + n_negative) < n_positive


def evaluation_of(probabilities, labels, names):
    logits = np.log(np.asarray(probabilities, np.float32))
    labels = np.asarray(labels, np.int64)
    return Evaluation(logits, labels, tuple(map(str, range(len(labels)))), tuple(names), "test")


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize(("n_positive", "n_negative"), [(1, 1), (3, 50), (40, 60), (200, 7)])
def test_curves_and_areas_are_those_of_scikit_learn(n_positive, n_negative, digits):
    scores, is_positive = draw(n_positive, n_positive, n_negative, digits=digits)
    roc = roc_of(scores, is_positive)
    false, true, thresholds = sklearn_roc_curve(is_positive, scores, drop_intermediate=False)
    assert np.array_equal(roc.thresholds, thresholds)
    assert (roc.false_positive_rate, roc.true_positive_rate) == (pytest.approx(false), pytest.approx(true))
    precision, recall, _ = precision_recall_curve(is_positive, scores)
    assert (roc.precision[::-1], roc.true_positive_rate[::-1]) == (pytest.approx(precision), pytest.approx(recall))
    assert roc.auc == pytest.approx(roc_auc_score(is_positive, scores))
    assert roc.average_precision == pytest.approx(average_precision_score(is_positive, scores))


def test_a_class_of_several_is_measured_against_all_others():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(3), 60), rng.integers(0, 3, 60)
    found = evaluation_of(probabilities, labels, ("cat", "dog", "owl"))
    for k, roc in enumerate(one_against_rest(found)):
        assert roc.auc == pytest.approx(roc_auc_score(labels == k, probabilities[:, k]))
    assert [one["positive"] for one in roc_numbers(found)] == ["cat", "dog", "owl"]


def test_a_class_without_images_has_no_curve():
    found = evaluation_of([[0.5, 0.3, 0.2], [0.2, 0.7, 0.1]], [0, 1], ("cat", "dog", "owl"))
    assert [roc is None for roc in one_against_rest(found)] == [False, False, True]
    with pytest.raises(UsageError) as caught:
        roc_curve(found, "owl")
    assert str(caught.value) == (
        "a ROC curve needs images of the class 'owl' and images of other classes: there are 0 images of the class and 2 of "
        "others"
    )


def test_an_unknown_class_is_answered_with_those_that_exist():
    found = evaluation_of([[0.5, 0.5], [0.2, 0.8]], [0, 1], ("healthy", "sick"))
    with pytest.raises(UsageError) as caught:
        roc_curve(found, "sik")
    assert str(caught.value) == "unknown class 'sik' (did you mean 'sick'?); known: healthy, sick"


@pytest.mark.parametrize(
    ("names", "labels", "chosen", "shown"),
    [
        (("no", "yes"), [0, 0, 1], None, "yes"),
        (("no", "yes"), [0, 1, 1], None, "no"),
        (("no", "yes"), [0, 1, 0, 1], None, "yes"),
        (("no", "yes"), [0, 0, 1], "no", "no"),
        (("no", "yes"), [0, 0, 0], None, None),
        (("a", "b", "c"), [0, 1, 2], None, None),
        (("a", "b", "c"), [0, 1, 2], "b", "b"),
    ],
)
def test_the_class_whose_curves_are_shown(names, labels, chosen, shown):
    found = evaluation_of(np.full((len(labels), len(names)), 1 / len(names)), labels, names)
    assert main_class(found, chosen) == shown


def test_corners_leave_out_what_is_on_a_straight_line_and_keep_the_area():
    scores, is_positive = draw(5, 80, 90, digits=1)
    roc = roc_of(scores, is_positive)
    x, y = roc.false_positive_rate[roc.corners], roc.true_positive_rate[roc.corners]
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(roc.auc)
    slopes = np.arctan2(np.diff(y), np.diff(x))
    assert (np.abs(np.diff(slopes)) > 1e-9).all()
    assert len(roc_of(*draw(5, 20, 20, distance=9)).corners) == 3


def test_the_json_has_the_corners_with_their_bands():
    scores, is_positive = draw(1, 30, 40)
    roc = roc_of(scores, is_positive, "sick")
    said = roc.to_json()
    lists = [value for value in said.values() if isinstance(value, list)]
    assert len(lists) == 8
    assert {len(one) for one in lists} == {len(roc.corners)}
    assert (said["thresholds"][0], said["positive"], said["auc"]) == (None, "sick", roc.auc)
    assert all(a <= b <= c for a, b, c in zip(
        said["true_positive_rate_low"], said["true_positive_rate"], said["true_positive_rate_high"], strict=True
    ))  # fmt: skip


def test_the_intervals_of_the_areas_are_wilsons_and_have_a_width_without_mistakes():
    roc = roc_of(*draw(0, 20, 30, distance=9))
    assert (roc.auc, roc.average_precision) == (1, 1)
    assert roc.auc_interval == roc.average_precision_interval == wilson(20, 20)
    worst = roc_of(*draw(0, 20, 30, distance=-9))
    assert (worst.auc, worst.auc_interval) == (0, wilson(0, 20))
    assert roc_of(*draw(0, 30, 20, distance=9)).auc_interval == wilson(20, 20)


@pytest.mark.parametrize("hidden", [0.0, 0.1])
def test_the_intervals_of_the_areas_cover_at_least_at_their_rate(hidden):
    """hidden: the share of the class whose scores are like those of the other images."""
    rng = np.random.default_rng(4)

    def sample(p, n):
        low = rng.random(p) < hidden
        scores = np.concatenate([rng.normal(np.where(low, 0, 2.5), 1), rng.normal(0, 1, n)])
        return roc_of(scores, np.arange(p + n) < p)

    everything = sample(5_000, 20_000)
    areas, precisions = [], []
    for _ in range(300):
        roc = sample(25, 100)
        areas.append(roc.auc_interval.low <= everything.auc <= roc.auc_interval.high)
        low, high, _level = roc.average_precision_interval
        precisions.append(low <= everything.average_precision <= high)
    assert np.mean(areas) >= 0.94
    assert np.mean(precisions) >= 0.94


def test_exact_intervals_are_those_of_clopper_and_pearson():
    low, high = exact_interval(np.array([0, 3, 10]), 10)
    assert (low[0], high[2]) == (0, 1)
    assert (low[1], high[1]) == pytest.approx(
        (0.0667, 0.6525), abs=1e-4
    )  # scipy.stats.binomtest(3, 10).proportion_ci()
    assert high[0] == pytest.approx(1 - 0.025 ** (1 / 10))
    assert high[1] == pytest.approx(beta.ppf(0.975, 4, 7))


def test_the_bands_hold_the_curves_and_have_a_width_without_mistakes():
    for scores, is_positive in (draw(3, 30, 50), draw(3, 30, 50, distance=9)):
        roc = roc_of(scores, is_positive)
        x, recall = roc.false_positive_rate, roc.true_positive_rate
        low, high = roc.roc_band(x)
        assert (low <= roc.true_positive_rate).all()
        assert (high >= roc.true_positive_rate).all()
        low, high = roc.precision_band(recall)
        assert (low <= roc.precision + 1e-12).all()
        assert (high >= roc.precision - 1e-12).all()
    assert roc.auc == 1
    assert 0.7 < roc.roc_band(np.array([0.1])).low[0] < 1


def test_the_bands_cover_the_true_curves_at_least_at_the_stated_rate():
    places, distance, p, n = np.array([0.1, 0.3, 0.6]), 1.5, 60, 90
    true_rate = norm.sf(norm.isf(places) - distance)
    false_rate = norm.sf(norm.isf(places) + distance)  # at these recalls
    true_precision = p * places / (p * places + n * false_rate)
    inside, precise = [], []
    for seed in range(250):
        roc = roc_of(*draw(seed, p, n, distance))
        low, high = roc.roc_band(places)
        inside.append((low <= true_rate) & (true_rate <= high))
        low, high = roc.precision_band(places)
        precise.append((low <= true_precision) & (true_precision <= high))
    assert (np.mean(inside, axis=0) >= 0.94).all()
    assert (np.mean(precise, axis=0) >= 0.94).all()
    # and they are not so wide that they say nothing
    assert np.mean(roc.roc_band(places).high - roc.roc_band(places).low) < 0.5
