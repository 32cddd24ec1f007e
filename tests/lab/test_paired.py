"""Paired statistics: against SciPy, against simulations with a known truth, and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from foveola.lab.paired import (
    Difference,
    bootstrap_difference,
    holm,
    mcnemar,
    paired_difference,
    seeds_needed,
    verdict,
)
from foveola.types import Interval


def test_the_interval_and_the_test_are_scipys():
    rng = np.random.default_rng(0)
    one, other = rng.normal(80, 1, 9), rng.normal(80.5, 1, 9)
    found, theirs = paired_difference(other - one), stats.ttest_rel(other, one)
    low, high = theirs.confidence_interval(0.95)
    assert (found.mean, found.p_value) == (pytest.approx((other - one).mean()), pytest.approx(theirs.pvalue))
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))


def test_splits_of_their_own_widen_the_interval_by_nadeau_and_bengio():
    values = [0.5, 1.0, 0.2, 0.9, -0.1, 0.4]
    plain, corrected = paired_difference(values), paired_difference(values, test_to_train=0.25)
    ratio = (corrected.interval.high - corrected.mean) / (plain.interval.high - plain.mean)
    assert ratio == pytest.approx(math.sqrt((1 / 6 + 0.25) / (1 / 6)))


def test_one_difference_has_no_scatter():
    assert paired_difference([3.0]) == Difference(3.0, Interval(-math.inf, math.inf, 0.95), 1.0, 1)


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.3, 0.0)])
def test_equal_differences_are_a_point(value, p):
    assert paired_difference([value] * 5) == Difference(value, Interval(value, value, 0.95), p, 5)


@pytest.mark.parametrize("n", [5, 10])
def test_without_a_difference_false_alarms_are_as_rare_as_stated(n):
    """1,000 comparisons of a method with itself: 5 % may cry; more than 6.4 % would be chance one time in forty."""
    rng = np.random.default_rng(1)
    said = [verdict(paired_difference(rng.normal(0, 0.4, n)), 0.5) for _ in range(1_000)]
    assert sum(word in ("helps", "hurts") for word in said) <= 64


@pytest.mark.parametrize(("n", "level"), [(5, 0.95), (10, 0.9)])
def test_intervals_hold_the_known_difference_as_often_as_they_say(n, level):
    rng = np.random.default_rng(2)
    found = [paired_difference(rng.normal(0.7, 0.4, n), level=level).interval for _ in range(1_000)]
    covered = sum(low <= 0.7 <= high for low, high, _ in found)
    assert stats.binomtest(covered, 1_000, level).pvalue > 0.01


def simulated(rng, seeds, pictures, gain):
    """Right or wrong for two methods: pictures are easy or hard, runs good or bad, and `other` is better by `gain`."""
    hardness, luck = rng.normal(0, 1, pictures), rng.normal(0, 0.1, (2, seeds, 1))
    noise = rng.normal(0, 0.5, (2, seeds, pictures))
    edge = 1.0 + luck + noise - hardness
    return edge[0] > 0, edge[1] + gain > 0


def test_the_bootstrap_over_seeds_and_pictures_covers_at_least_at_its_level():
    rng = np.random.default_rng(3)
    many = [simulated(rng, 400, 2_000, 0.1) for _ in range(5)]
    truth = 100 * np.mean([other.mean() - one.mean() for one, other in many])
    covered = 0
    for _ in range(200):
        low, high, _ = bootstrap_difference(*simulated(rng, 8, 400, 0.1), repeats=300)
        covered += low <= truth <= high
    assert covered >= 183  # 95 % of 200 are 190; fewer than 183 would be chance once in a hundred


def test_the_bootstrap_is_the_same_every_time():
    data = simulated(np.random.default_rng(0), 5, 100, 0.0)
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


def test_the_seeds_that_were_planned_reach_the_width():
    pilot = [0.2, 0.8]
    n, deviation = seeds_needed(pilot, 0.25), np.std(pilot, ddof=1)
    assert stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n) <= 0.25
    assert stats.t.ppf(0.975, n - 2) * deviation / math.sqrt(n - 1) > 0.25


def test_a_width_below_what_overlapping_splits_allow_is_never_reached():
    assert seeds_needed([0.0, 1.0], 0.1, test_to_train=0.25) is None
