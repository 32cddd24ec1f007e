"""Sets of features: which columns they take, and that each of their blocks weighs the same."""

import numpy as np

from foveola.models.feature_sets import Block, FeatureSet, feature_sets_of, in_words, places_of

ONE = (Block("top", 4), Block("stage7", 2), Block("stage5", 1))
OTHER = (Block("top", 4), Block("stage7", 3), Block("stage5", 2))


def test_a_set_is_the_first_blocks():
    first, all_of_them = feature_sets_of([ONE], (1, 3))
    assert (first.name, first.columns) == ("top", 4)
    assert (all_of_them.name, all_of_them.columns) == ("top + stage7 + stage5", 7)


def test_networks_side_by_side_have_the_features_of_a_layer_next_to_each_other():
    assert feature_sets_of([ONE, OTHER], (2,)) == (FeatureSet("top + stage7", (4, 4, 2, 3)),)
    one, other = places_of([ONE, OTHER])
    assert one.tolist() == [0, 1, 2, 3, 8, 9, 13]
    assert other.tolist() == [4, 5, 6, 7, 10, 11, 12, 14, 15]


def test_one_block_keeps_its_scale():
    assert np.array_equal(FeatureSet("top", (1280,)).scale, np.ones(1280))


def test_each_block_has_the_same_sum_of_variances_and_all_have_that_of_the_first_alone():
    scale = FeatureSet("a + b + c", (8, 4, 2)).scale
    variances = [np.square(block).sum() for block in np.split(scale, [8, 12])]  # of columns with variance 1
    np.testing.assert_allclose(variances, [8 / 3] * 3)


def test_a_set_that_foveola_did_not_name_stays_as_it_is():
    assert in_words("top + stage7 + stage5") == "the last stage and two earlier ones"
    assert in_words("left half") == "left half"
