"""Paired statistics: against SciPy, against simulations with a known truth, and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from foveola.comparison.statistics import (
    Difference,
    _redrawn,
    bootstrap_accuracy,
    bootstrap_difference,
    corrected_accuracy,
    deviation_of_changes,
    holm,
    mcnemar,
    paired_difference,
    seeds_needed,
    share_interval,
    smallest_half_width,
    verdict,
)
from foveola.evaluation.intervals import wilson
from foveola.types import Interval


def test_the_interval_and_the_test_are_scipys():
    rng = np.random.default_rng(0)
    one, other = rng.normal(80, 1, 9), rng.normal(80.5, 1, 9)
    found, theirs = paired_difference(other - one, images=MANY), stats.ttest_rel(other, one)
    low, high = theirs.confidence_interval(0.95)
    assert (found.mean, found.p_value) == (pytest.approx((other - one).mean()), pytest.approx(theirs.pvalue))
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))


def test_splits_of_their_own_widen_the_interval_by_nadeau_and_bengio():
    values = [0.5, 1.0, 0.2, 0.9, -0.1, 0.4]
    plain, corrected = (paired_difference(values, images=MANY, test_to_train=share) for share in (0, 0.25))
    ratio = (corrected.interval.high - corrected.mean) / (plain.interval.high - plain.mean)
    assert ratio == pytest.approx(math.sqrt((1 / 6 + 0.25) / (1 / 6)))


def test_one_difference_has_no_scatter():
    assert paired_difference([3.0], images=MANY) == Difference(3.0, Interval(-math.inf, math.inf, 0.95), 1.0, 1)


@pytest.mark.parametrize("values", [[0.0] * 5, [1.25] * 5, [1.25, 1.25, 0.0, 1.25, 1.25]])
def test_seeds_that_agree_to_the_picture_are_no_proof(values):
    """Their deviation counts as one picture's worth: of 80 pictures 1.25 points."""
    found = paired_difference(values, images=80)
    error = 1.25 / math.sqrt(5)
    assert found.interval.high - found.mean == pytest.approx(stats.t.ppf(0.975, 4) * error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(found.mean / error, 4))
    assert verdict(found, 0.5) == "not_enough_evidence"


def test_the_interval_for_new_pictures_is_no_point_either_where_all_agree():
    right = np.ones((5, 80), bool)
    assert bootstrap_difference(right, right) == pytest.approx(paired_difference([0.0] * 5, images=80).interval)


@pytest.mark.parametrize(("pictures", "seeds"), [(12, 5), (40, 5), (40, 10)])
def test_on_few_test_pictures_no_verdict_is_wrong_more_often_than_stated(pictures, seeds):
    """2,000 comparisons of methods that are right on 99 and 97 %, measured on the same few pictures, answers independent: a
    difference of 2 points is neither "none larger than 0.5" nor does the other method help."""
    rng, wrong = np.random.default_rng(9), 0
    for _ in range(2_000):
        gaps = 100 * (rng.binomial(pictures, 0.97, seeds) - rng.binomial(pictures, 0.99, seeds)) / pictures
        wrong += verdict(paired_difference(gaps, images=pictures), 0.5) in ("no_difference", "helps")
    assert wrong <= rate_may_be(0.05, 2_000)


def test_of_four_arms_at_the_margin_none_is_called_smaller_more_often_than_stated():
    """2,000 comparisons; without the correction some arm is in more than twice as many."""
    rng, corrected, plain = np.random.default_rng(10), 0, 0
    for _ in range(2_000):
        found = [paired_difference(row, images=10_000) for row in rng.normal(0.5, 0.2, (4, 10))]
        corrected += any(verdict(one, 0.5, 1.0, arms=4) == "no_difference" for one in found)
        plain += any(verdict(one, 0.5, 1.0) == "no_difference" for one in found)
    assert corrected <= rate_may_be(0.05, 2_000)
    assert plain > 1.5 * rate_may_be(0.05, 2_000)


MANY = 10_000
"""So many test pictures that one of them is nothing."""


def rate_may_be(most, of=1_000):
    """More than that many of 1,000 would be chance once in a hundred, if the rate is `most`."""
    return int(stats.binom.ppf(0.99, of, most))


@pytest.mark.parametrize("n", [5, 10])
def test_without_a_difference_false_alarms_are_as_rare_as_stated(n):
    """1,000 comparisons of a method with itself."""
    rng = np.random.default_rng(1)
    said = [verdict(paired_difference(rng.normal(0, 0.4, n), images=MANY), 0.5) for _ in range(1_000)]
    assert sum(word in ("helps", "hurts") for word in said) <= rate_may_be(0.05)


def families(arms, n, runs=1_000):
    """For 1,000 comparisons of a baseline with arms that do the same: whether any arm is said to help or hurt, and
    whether one would be without the correction for their number."""
    rng, corrected, plain = np.random.default_rng(4), 0, 0
    for _ in range(runs):
        accuracy = rng.normal(80, 0.4, (arms + 1, n))
        found = [paired_difference(row - accuracy[0], images=MANY) for row in accuracy[1:]]
        p_values = holm([one.p_value for one in found])
        loud = ("helps", "hurts")
        corrected += any(verdict(one, 0.5, p) in loud for one, p in zip(found, p_values, strict=True))
        plain += any(verdict(one, 0.5) in loud for one in found)
    return corrected, plain


def test_of_four_arms_that_do_nothing_any_one_is_said_to_work_no_more_often_than_stated():
    corrected, plain = families(4, 6)
    assert corrected <= rate_may_be(0.05)
    assert plain > 2 * rate_may_be(0.05)  # or the simulation could not tell a correction from none


@pytest.mark.parametrize(("n", "level"), [(5, 0.95), (10, 0.9)])
def test_intervals_hold_the_known_difference_as_often_as_they_say(n, level):
    rng = np.random.default_rng(2)
    found = [paired_difference(rng.normal(0.7, 0.4, n), images=MANY, level=level).interval for _ in range(1_000)]
    covered = sum(low <= 0.7 <= high for low, high, _ in found)
    assert stats.binomtest(covered, 1_000, level).pvalue > 0.01


def resampled(rng, sets, splits, noise):
    """Differences in points of two learners over random splits, float64 (sets, splits): see `learned`."""
    accuracy = learned(rng, sets, splits, noise)
    return 100 * (accuracy[1] - accuracy[0])


def learned(rng, sets, splits, noise):
    """Accuracies of two learners over random splits, float64 (2, sets, splits), n_test / n_train = 1/4.

    A set has 100 pictures, a split is 80 to learn from and 20 to judge by, as `foveola compare` draws one for each seed. Each
    learner sees one number of a picture, its class plus noise, and puts its border half way between the two classes' means.
    The second one's number has `noise` times as much of it: at 1 they are equally good.
    """
    n, n_test = 100, 20
    labels = np.arange(n) % 2
    values = labels + rng.normal(0, 1, (2, sets, n)) * np.array([1.0, noise])[:, None, None]
    order = rng.permuted(np.broadcast_to(np.arange(n), (sets, splits, n)), axis=2)
    drawn = np.take_along_axis(values[:, :, None, :], order[None], axis=3)
    train, test = drawn[..., n_test:], drawn[..., :n_test]
    is_one = labels[order]
    ones = is_one[..., n_test:]
    means = [(train * side).sum(axis=3) / side.sum(axis=2) for side in (ones, 1 - ones)]
    right = (test > (means[0] + means[1])[..., None] / 2) == is_one[..., :n_test]
    return right.mean(axis=3)


def test_with_splits_by_seed_false_alarms_are_rare_by_the_correction_and_frequent_without():
    gaps = resampled(np.random.default_rng(5), 1_000, 10, 1.0)
    corrected = sum(paired_difference(row, images=20, test_to_train=0.25).p_value < 0.05 for row in gaps)
    plain = sum(paired_difference(row, images=20).p_value < 0.05 for row in gaps)
    assert corrected <= rate_may_be(0.05)
    assert plain > 3 * rate_may_be(0.05)


def test_with_splits_by_seed_the_corrected_intervals_hold_the_known_difference():
    truth = resampled(np.random.default_rng(6), 20_000, 1, 1.3).mean()
    assert truth < -3  # there is one
    gaps = resampled(np.random.default_rng(7), 1_000, 10, 1.3)
    found = [paired_difference(row, images=20, test_to_train=0.25).interval for row in gaps]
    missed = sum(not low <= truth <= high for low, high, _ in found)
    assert missed <= rate_may_be(0.05)


def simulated(rng, seeds, pictures, gain, luck, noise, varied):
    """Right or wrong for two methods, bool (seeds, pictures) each: a picture is hard or easy, and more so for the one or the
    other (varied), a run good or bad by luck, an answer noisy; `other` is better by `gain`. At 0 there is no difference."""
    hardness = rng.normal(0, 1, pictures) + varied * rng.normal(0, 1, (2, 1, pictures))
    edge = 1.0 + luck * rng.normal(0, 1, (2, seeds, 1)) + noise * rng.normal(0, 1, (2, seeds, pictures)) - hardness
    return edge[0] > 0, edge[1] + gain > 0


KINDS = {"seeds": (0.15, 0.2, 0.0), "pictures": (0.02, 0.1, 0.5), "answers": (0.0, 0.7, 0.0)}
"""Where chance comes from: luck, noise, varied."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_the_bootstrap_over_seeds_and_pictures_misses_no_more_often_than_stated(kind, gain):
    """1,000 comparisons of five seeds, whatever chance comes from; `gain` 0 is no difference, its misses false alarms."""
    rng = np.random.default_rng(3)
    many = [simulated(rng, 100, 4_000, gain, *KINDS[kind]) for _ in range(20 if gain else 0)]
    truth = 100 * np.mean([other.mean() - one.mean() for one, other in many]) if gain else 0.0
    missed = 0
    for _ in range(1_000):
        low, high, _ = bootstrap_difference(*simulated(rng, 5, 100, gain, *KINDS[kind]), repeats=60)
        missed += not low <= truth <= high
    assert missed <= rate_may_be(0.05)


def test_an_interval_over_seeds_alone_does_not_know_of_new_pictures():
    """What the bootstrap is for: where pictures differ, the t interval misses far too often."""
    rng, missed = np.random.default_rng(3), 0
    for _ in range(300):
        one, other = simulated(rng, 5, 100, 0.0, *KINDS["pictures"])
        missed += paired_difference(100 * (other.mean(axis=1) - one.mean(axis=1)), images=100).p_value < 0.05
    assert missed > 3 * rate_may_be(0.05, 300)


def test_where_pictures_add_nothing_the_bootstrap_interval_is_the_paired_t():
    """All pictures alike: each run is right on all or on none."""
    one = np.repeat([[True], [False], [True], [False], [True]], 40, axis=1)
    other = np.repeat([[True], [True], [True], [False], [True]], 40, axis=1)
    found = bootstrap_difference(one, other, repeats=2_000)
    expected = paired_difference(100 * (other.mean(axis=1) - one.mean(axis=1)), images=40).interval
    assert found == pytest.approx(expected)


def test_one_seed_has_no_interval_for_new_pictures():
    assert bootstrap_difference(np.ones((1, 9), bool), np.zeros((1, 9), bool)) == Interval(-math.inf, math.inf, 0.95)


def test_the_redrawn_means_are_those_of_the_drawn_tables():
    """By hand: one picture and one seed drawn again is that one; the mean over many draws is the table's own."""
    gain = np.random.default_rng(0).normal(3, 1, (6, 50))
    means = _redrawn(gain, 4_000, np.random.default_rng(1))
    assert means.shape == (4_000,)
    assert means.mean() == pytest.approx(gain.mean(), abs=0.02)
    assert _redrawn(np.array([[7.0]]), 3, np.random.default_rng(1)).tolist() == [7.0] * 3


def test_the_bootstrap_is_the_same_every_time():
    data = simulated(np.random.default_rng(0), 5, 100, 0.0, *KINDS["answers"])
    assert bootstrap_difference(*data, repeats=100) == bootstrap_difference(*data, repeats=100)


def test_mcnemar_by_hand():
    one = np.array([True] * 6 + [False] * 2)
    other = np.array([False] * 5 + [True] * 3)  # 5 only the first, 2 only the other
    assert mcnemar(one, other) == pytest.approx(2 * (1 + 7 + 21) / 2**7)


def test_mcnemar_of_two_that_agree():
    assert mcnemar(np.array([True, False]), np.array([True, False])) == 1.0


def test_holm_by_hand_and_in_the_order_given():
    assert holm([0.04, 0.001, 0.5, 0.02]) == pytest.approx([0.08, 0.004, 0.5, 0.06])


def test_holm_never_passes_one():
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("low", "high", "n", "word"),
    [
        (0.1, 0.9, 5, "helps"),
        (-0.9, -0.1, 5, "hurts"),
        (-0.4, 0.3, 5, "no_difference"),
        (-0.6, 0.3, 5, "not_enough_evidence"),
        (-0.3, 0.6, 5, "not_enough_evidence"),
        (0.1, 0.9, 4, "not_enough_evidence"),
        (0.01, 0.02, 5, "helps"),
        (0.0, 0.4, 5, "no_difference"),
    ],
)
def test_the_verdict_is_what_the_interval_shows(low, high, n, word):
    assert verdict(Difference((low + high) / 2, Interval(low, high, 0.95), 0.5, n), 0.5) == word


@pytest.mark.parametrize(("p", "word"), [(0.05, "helps"), (0.06, "not_enough_evidence")])
def test_among_several_arms_the_corrected_p_must_be_small_too(p, word):
    assert verdict(Difference(0.5, Interval(0.1, 0.9, 0.95), 0.02, 5), 0.5, p) == word


def test_a_small_difference_that_does_not_survive_the_correction_can_still_be_within_the_margin():
    assert verdict(Difference(0.2, Interval(0.1, 0.3, 0.95), 0.03, 5), 0.5, 0.09) == "no_difference"


def test_the_seeds_that_were_planned_reach_the_width():
    pilot = [0.2, 0.8]
    n, deviation = seeds_needed(pilot, 0.25), np.std(pilot, ddof=1)
    assert stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n) <= 0.25
    assert stats.t.ppf(0.975, n - 2) * deviation / math.sqrt(n - 1) > 0.25


def test_a_width_below_what_overlapping_splits_allow_is_never_reached():
    assert seeds_needed([0.0, 1.0], 0.1, test_to_train=0.25) is None


def test_no_number_of_seeds_gets_below_the_narrowest():
    pilot = [0.0, 1.0]
    reach = smallest_half_width(pilot, test_to_train=0.25)
    assert reach == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(0.5) * 0.5)
    assert seeds_needed(pilot, 0.99 * reach, test_to_train=0.25, most=5_000) is None
    assert seeds_needed(pilot, 1.02 * reach, test_to_train=0.25) is not None
    assert smallest_half_width(pilot) == 0.0


def test_two_differences_that_happen_to_be_alike_do_not_promise_five_seeds():
    assert seeds_needed([0.3, 0.31], 0.2) == 5
    assert seeds_needed([0.3, 0.31], 0.2, least_deviation=0.5) == seeds_needed([0.0, math.sqrt(0.5)], 0.2) > 20


def test_the_deviation_of_flips_by_hand():
    """4 of 100 pictures flip: each is +1 or -1 by a coin, variance 4, deviation 2 pictures or 2 points."""
    one, other = np.ones(100, bool), np.ones(100, bool)
    one[:2], other[2:4] = False, False
    assert deviation_of_changes(one, other) == pytest.approx(2.0)


@pytest.mark.parametrize(("share", "n"), [(0.825, 160), (0.5, 40), (0.9975, 400)])
def test_the_interval_of_a_share_is_wilsons_where_the_pictures_are_all_there_is(share, n):
    found = share_interval(share, share * (1 - share) / n, math.inf, n)
    assert found == pytest.approx(wilson(round(share * n), n))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_answers_without_any_variance_are_no_proof(share):
    """All right on 80 pictures with every seed: as sure as 80 pictures make it."""
    found = bootstrap_accuracy(np.full((5, 80), share, bool))
    assert found == pytest.approx(wilson(round(80 * share), 80))


def test_the_ends_are_where_t_says():
    """Wilson's ends solve |share - end| = t √(end (1 - end) / n_eff), with the corrected variance in n_eff."""
    values, ratio = np.array([0.94, 0.97, 0.95, 0.99, 0.96]), 0.25
    share, variance = values.mean(), values.var(ddof=1) * (1 / 5 + ratio)
    effective = share * (1 - share) / variance
    found = corrected_accuracy(values, 80, test_to_train=ratio)
    for end in found[:2]:
        assert abs(share - end) == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(end * (1 - end) / effective))
    assert 0 < found.low < share < found.high < 1


def test_in_the_middle_the_interval_of_a_share_is_the_paired_t_of_one_arm():
    values = np.array([0.801, 0.812, 0.808, 0.795, 0.803, 0.81])
    plain = paired_difference(100 * values, images=MANY, test_to_train=0.2).interval
    found = corrected_accuracy(values, 10_000, test_to_train=0.2)
    assert (100 * found.low, 100 * found.high) == pytest.approx((plain.low, plain.high), abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gain", [0.0, 1.2])
def test_the_interval_of_an_arms_accuracy_misses_no_more_often_than_stated(kind, gain):
    """1,000 arms of five seeds and 100 test pictures, whatever chance comes from, at accuracies of about 0.8 and 0.97."""
    rng = np.random.default_rng(8)
    truth = np.mean([simulated(rng, 100, 4_000, gain, *KINDS[kind])[1].mean() for _ in range(20)])
    missed = 0
    for _ in range(1_000):
        low, high, _ = bootstrap_accuracy(simulated(rng, 5, 100, gain, *KINDS[kind])[1], repeats=60)
        missed += not low <= truth <= high
    assert missed <= rate_may_be(0.05)


def test_with_splits_by_seed_the_corrected_interval_of_an_arms_accuracy_holds_it_and_the_plain_one_does_not():
    truth = learned(np.random.default_rng(6), 20_000, 1, 1.0)[0].mean()
    accuracy = learned(np.random.default_rng(7), 1_000, 10, 1.0)[0]
    missed = dict.fromkeys((0.25, 0.0), 0)
    for ratio in missed:
        for row in accuracy:
            low, high, _ = corrected_accuracy(row, 20, test_to_train=ratio)
            missed[ratio] += not low <= truth <= high
    assert missed[0.25] <= rate_may_be(0.05)
    assert missed[0.0] > 3 * rate_may_be(0.05)


def test_equal_accuracies_have_no_variance_however_their_mean_is_rounded():
    assert sum([0.7] * 3) / 3 != 0.7
    assert corrected_accuracy([0.7] * 3, 20) == pytest.approx(share_interval(0.7, 0.0, 2, 20))
