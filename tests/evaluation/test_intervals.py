"""The interval of predictions that belong together, against counts by hand, special cases and simulated groups."""

import numpy as np
import pytest
from scipy.stats import t

from foveola.evaluation.intervals import clustered_wilson, wilson


def right(n_right, n):
    return np.arange(n) < n_right


def test_without_groups_it_is_wilsons():
    assert clustered_wilson(right(33, 40), 40, np.arange(40)) == wilson(33, 40)


def test_equal_predictions_of_all_copies_count_once_but_for_students_quantile():
    """Each of 40 images has five copies that are predicted alike: as 40 images, with n / (n - 1) and t instead of z."""
    units = np.repeat(np.arange(40), 5)
    found = clustered_wilson(np.repeat(right(30, 40), 5), 200, units)
    effective = 39 * (1.959963984540054 / t.ppf(0.975, 39)) ** 2
    assert found[:2] == pytest.approx(wilson(0.75 * effective, effective)[:2], abs=1e-12)


def test_independent_predictions_in_groups_count_nearly_one_by_one():
    rng = np.random.default_rng(0)
    hits = rng.random(4000) < 0.8
    found = clustered_wilson(hits, 4000, np.repeat(np.arange(400), 10))
    plain = wilson(int(hits.sum()), 4000)
    assert found[1] - found[0] == pytest.approx(plain[1] - plain[0], rel=0.1)


def test_predicting_each_image_again_adds_no_image():
    """Two repeats whose mistakes are on different images: the variance between images is half, the interval is not."""
    hits = np.concatenate([right(30, 40), ~right(10, 40)])
    found = clustered_wilson(hits, 40, np.tile(np.arange(40), 2))
    assert found == wilson(30, 40)


def test_a_spread_of_two_is_half_as_many_images():
    assert clustered_wilson(right(30, 40), 40, np.arange(40), spread=2) == wilson(15, 20)


@pytest.mark.parametrize("share", [0, 1])
def test_if_all_predictions_are_equal_the_groups_count(share):
    found = clustered_wilson(np.full(60, share == 1), 60, np.repeat(np.arange(6), 10))
    assert found == wilson(6 * share, 6)


def test_one_group_alone_counts_as_one_image():
    assert clustered_wilson(right(9, 10), 10, np.zeros(10, np.int64)) == wilson(0.9, 1)


def test_the_stated_share_of_intervals_contains_the_true_accuracy_of_groups():
    """30 groups of 5 to 15 images whose accuracies differ: Beta(8, 2), mean 0.8. Wilson's interval of images covers less."""
    rng = np.random.default_rng(1)
    found = np.zeros(2)
    draws = 600
    for _ in range(draws):
        sizes = rng.integers(5, 16, 30)
        units = np.repeat(np.arange(30), sizes)
        hits = rng.random(len(units)) < rng.beta(8, 2, 30)[units]
        intervals = clustered_wilson(hits, len(units), units), wilson(int(hits.sum()), len(units))
        found += [low <= 0.8 <= high for low, high, _ in intervals]
    clustered, plain = found / draws
    assert 0.93 <= clustered <= 0.98
    assert plain < 0.9
