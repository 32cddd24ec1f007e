"""Conformal sets: the rank in exact arithmetic, coverage by simulation, counts by hand."""

import numpy as np
import pytest
from scipy.stats import beta

from foveola.evaluation.conformal import (
    abstention,
    coverage_range,
    label_sets,
    min_calibration_images,
    min_error_rate,
    nonconformity_scores,
    quantile_rank,
    threshold,
)


@pytest.mark.parametrize("error", [0.01, 0.05, 0.07, 0.1, 0.15, 0.29, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("n", [5, 19, 99, 100, 999])
def test_the_rank_is_the_least_that_covers(error, n):
    # in whole hundredths: k of n + 1 places cover 1 - error exactly when 100 k >= (100 - 100 error) (n + 1)
    k, wanted = quantile_rank(n, error), (100 - round(100 * error)) * (n + 1)
    assert 100 * k >= wanted > 100 * (k - 1)


def test_the_threshold_is_the_score_of_that_rank():
    scores = np.array([0.9, 0.1, 0.5, 0.3])
    assert threshold(scores, 0.2) == 0.9  # ceil(5 * 0.8) = 4
    assert threshold(scores, 0.4) == 0.5  # ceil(5 * 0.6) = 3
    assert threshold(scores, 0.1) == 1.0  # ceil(5 * 0.9) = 5: there is no fifth


@pytest.mark.parametrize("error", [0.05, 0.1, 0.2, 0.3, 0.07])
def test_the_least_number_of_pictures_is_just_enough(error):
    n = min_calibration_images(error)
    assert quantile_rank(n, error) <= n
    assert quantile_rank(n - 1, error) > n - 1


@pytest.mark.parametrize("n", [1, 2, 4, 8, 18, 19, 200])
def test_the_error_that_is_said_to_be_possible_is(n):
    assert quantile_rank(n, min_error_rate(n)) <= n
    assert n == 1 or quantile_rank(n, min_error_rate(n) - 0.0011) > n


@pytest.mark.parametrize("error", [0.05, 0.1, 0.2])
def test_coverage_of_exchangeable_scores_follows_vovks_beta_law(error):
    n, draws = 99, 1_000
    scores = np.random.default_rng(11).random((draws, n))
    coverage = np.array([threshold(row, error) for row in scores])  # of uniform scores: the threshold itself
    law = beta(quantile_rank(n, error), n + 1 - quantile_rank(n, error))
    assert coverage.mean() == pytest.approx(law.mean(), abs=4 * law.std() / np.sqrt(draws))
    assert law.mean() == pytest.approx(1 - error)
    low, high, _ = coverage_range(n, error)
    assert (low, high) == pytest.approx(law.ppf([0.025, 0.975]))
    assert ((low <= coverage) & (coverage <= high)).mean() == pytest.approx(0.95, abs=0.03)


def test_answered_wrongly_is_never_more_than_uncovered_and_on_average_at_most_the_stated_rate():
    rng = np.random.default_rng(3)
    wrong, uncovered = [], []
    for _ in range(300):
        chances = rng.dirichlet([0.4] * 4, 260)
        labels = rng.integers(0, 4, 260)  # an oracle that knows nothing: the statement holds for every network
        sure = rng.random(260) < 0.7
        labels[sure] = chances[sure].argmax(axis=1)
        limit = threshold(nonconformity_scores(chances[:60], labels[:60]), 0.1)
        found = abstention(chances[60:], labels[60:], 0.1, limit)
        wrong.append(found.wrong.share)
        uncovered.append(1 - found.covered.share)
        assert found.wrong.many <= found.wrong.n - found.covered.many
    assert np.mean(uncovered) == pytest.approx(0.1, abs=0.01)
    assert np.mean(wrong) <= 0.1


def test_a_set_holds_the_classes_up_to_the_limit_that_one_included():
    chances = np.array([[0.75, 0.25], [0.5, 0.5]])
    assert label_sets(chances, 0.5).tolist() == [[True, False], [True, True]]
    assert label_sets(chances, 0.2).tolist() == [[False, False], [False, False]]


def test_abstaining_is_counted_by_hand():
    chances = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    found = abstention(chances, np.array([0, 1, 1, 2, 2]), 0.1, 0.6)
    # sets: {0}, {0}, {0, 1}, {0}, {2}; right: yes, no, (two), no, yes
    assert (found.covered.many, found.answered.many, found.wrong.many) == (3, 4, 2)
    assert (found.wrong.share, found.wrong_answers.share) == (0.4, 0.5)


def test_where_nothing_is_answered_the_share_of_wrong_answers_is_no_number():
    found = abstention(np.full((3, 2), 0.5), np.zeros(3, np.int64), 0.1, 0.9)
    assert found.answered.many == 0
    assert np.isnan(found.wrong_answers.share)
    assert found.wrong_answers.interval[:2] == (0, 1)
