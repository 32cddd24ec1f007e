"""Folds: each image is tested once a repeat, groups and copies stay in one fold, and what can't be divided is refused."""

from dataclasses import replace

import numpy as np
import pytest

from foveola.data.dataset import Arrays, Dataset
from foveola.data.folds import assign_folds, fold_splits
from foveola.data.split import SplitSpec
from foveola.errors import DataError


def data(labels, *, parts=None, groups=None):
    labels = np.asarray(labels, np.int64)
    names = tuple(f"c{k}" for k in range(labels.max() + 1))
    ids = tuple(str(i) for i in range(len(labels)))
    parts, groups = (None if x is None else np.asarray(x, np.int64) for x in (parts, groups))
    return Dataset("d", names, ids, labels, Arrays(np.zeros((len(labels), 1, 1, 3), np.uint8)), "f", parts, groups)


def folds_of(dataset, k=5, repeats=1, *, content=None, related=None, seed=0, **options):
    content = np.arange(len(dataset)) if content is None else np.asarray(content, np.int64)
    return fold_splits(dataset, content, SplitSpec(folds=k, repeats=repeats, **options), seed, related=related)


def refusal(*arguments, **options):
    with pytest.raises(DataError) as caught:
        folds_of(*arguments, **options)
    return str(caught.value)


def numbers(made, n, repeat=0):
    """The fold of every image, after checking that train, val and test of each fold are all images, once."""
    out = np.full(n, -1)
    for fold, one in enumerate(made.splits[repeat]):
        assert sorted([*one.train, *one.val, *one.test]) == list(range(n))
        assert (out[one.test] == -1).all()
        out[one.test] = fold
    return out


def test_every_image_is_tested_once_in_each_repeat():
    made = folds_of(data([0, 1] * 50), repeats=3)
    found = [numbers(made, 100, repeat) for repeat in range(3)]
    assert [len(several) for several in made.splits] == [5, 5, 5]
    for one in found:
        assert np.bincount(one).tolist() == [20] * 5
    assert not np.array_equal(found[0], found[1])


def test_the_final_network_trains_on_all_images():
    made = folds_of(data([0, 1] * 50))
    assert made.whole.train.tolist() == list(range(100))
    assert len(made.whole.val) == len(made.whole.test) == 0
    assert (
        made.whole.rule
        == "5 folds, 10 % of the other folds val; stratified by class, seed 0, copies in the same fold, near-duplicates too"
    )
    assert made.whole.notes == ()
    assert "5 folds, 3 times, 10 %" in folds_of(data([0, 1] * 50), repeats=3).whole.rule


@pytest.mark.parametrize("seed", range(10))
def test_every_class_is_spread_evenly_over_folds_and_val(seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(4), rng.integers(7, 60, 4)))
    k = int(rng.integers(3, 8))
    made = folds_of(data(labels), k, seed=seed, val_fraction=0.2)
    fold, n = numbers(made, len(labels)), np.bincount(labels)
    for one in range(k):
        test = np.bincount(labels[fold == one], minlength=4)
        assert np.abs(test - n / k).max() < 1
        val = np.bincount(labels[made.splits[0][one].val], minlength=4)
        assert np.abs(val - 0.2 * (n - test)).max() <= 1
    assert np.bincount(fold).max() - np.bincount(fold).min() <= 2


@pytest.mark.parametrize("seed", range(10))
def test_groups_copies_and_near_duplicates_are_in_one_fold_and_one_side_of_it(seed):
    rng = np.random.default_rng(seed)
    n = 300
    labels, groups, content, related = rng.integers(0, 3, n), rng.integers(0, 120, n), np.arange(n), np.arange(n)
    content[:20] = content[20:40]
    labels[:20] = labels[20:40]
    related[:40], related[50:60] = content[:40], related[60:70]
    made = folds_of(data(labels, groups=groups), content=content, related=related, seed=seed)
    side = np.zeros(n, int)
    for one in made.splits[0]:
        side[one.train], side[one.val], side[one.test] = 0, 1, 2
        for keys in (groups, content, related, made.units):
            assert all(len(set(side[keys == key])) == 1 for key in np.unique(keys))
        assert not len(one.leaked)


def test_groups_of_unequal_sizes_make_folds_of_about_equal_sizes():
    sizes = [40, 30, 20, 10, 10, 10, 10, 10, 5, 5]
    groups = np.repeat(np.arange(10), sizes)
    fold = assign_folds(np.zeros(150, np.int64), groups, 3, np.random.default_rng(0))
    assert sorted(np.bincount(fold).tolist()) == [50, 50, 50]


def test_the_same_seed_repeats_and_others_differ():
    found = [numbers(folds_of(data([0, 1] * 40), seed=seed), 80).tolist() for seed in (3, 3, 4)]
    assert found[0] == found[1] != found[2]


def test_images_with_two_labels_are_tested_and_never_used_for_validation():
    content = np.arange(60)
    content[1] = content[0]
    made = folds_of(data([0, 1] * 30), content=content)
    fold = numbers(made, 60)
    assert fold[0] == fold[1]
    assert not any({0, 1} & set(one.val.tolist()) for one in made.splits[0])
    assert made.whole.notes == (
        "1 image with the same content as another one; copies were kept in the same fold",
        "2 images with the same content have different labels: a network can't be right for all of them",
        "with random folds, 2 of 60 images (3.3 %) would have a copy, near-duplicate or derived image in another fold",
    )


def test_near_duplicates_that_link_too_many_images_are_divided_and_counted():
    related = np.where(np.arange(40) % 2 == 0, 0, np.arange(40))  # all images of class 0 are near-duplicates
    made = folds_of(data([0, 1] * 20), related=related)
    numbers(made, 40)
    assert made.whole.notes == (
        "near-duplicates and derived images could not be kept in the same fold as the original: too many images are linked",
        "20 of 40 images have a copy, near-duplicate or derived image outside the fold: the accuracy will be too high",
    )
    assert made.whole.leaked.tolist() == list(range(0, 40, 2))
    assert len(np.unique(made.units)) == 21


def test_the_number_of_groups_is_a_note():
    made = folds_of(data([0, 1] * 40, groups=np.arange(80) // 4))
    assert made.whole.notes == ("80 images in 20 groups; the images of a group stay in one set",)


def test_two_folds_keep_enough_images_for_training_and_validation():
    made = folds_of(data([0, 1] * 4), 2)
    for one in made.splits[0]:
        assert len(one.val) == 2 and len(one.train) == 2


def test_a_class_with_fewer_images_than_folds_is_refused():
    assert refusal(data([0] * 20 + [1] * 3)) == (
        "class 'c1' has 3 images, and 5 folds need at least 5 different images of each class, one for each fold: give "
        "--folds 3, or remove the class"
    )
    assert refusal(data([0] * 20 + [1] * 3), 2) == (
        "class 'c1' has 3 images, and 2 folds need at least 4 different images of each class, two for each fold: give "
        "--folds 3, or remove the class"
    )


def test_a_class_with_one_image_is_refused():
    assert refusal(data([0] * 20 + [1])) == (
        "class 'c1' has 1 image, and 5 folds need at least 5 different images of each class, one for each fold: add images, "
        "or remove the class"
    )


def test_a_class_of_copies_is_refused():
    content = np.r_[np.arange(20), np.full(6, 20)]
    assert refusal(data([0] * 20 + [1] * 6), content=content) == (
        "class 'c1' has 6 images, 1 of them different, and 5 folds need at least 5 different images of each class, one for "
        "each fold: add images, or remove the class"
    )


def test_classes_that_are_all_one_group_are_refused():
    assert refusal(data([0] * 20 + [1] * 20, groups=[0] * 20 + [1] * 20)) == (
        "class 'c0' has 20 images in 1 group, and 5 folds need at least 5 groups of each class, one for each fold: use "
        "finer groups, or remove the class"
    )


def test_more_folds_than_images_are_refused():
    assert refusal(data([0, 1] * 20), 50) == (
        "--folds 50 needs at least 50 images, and d has 40: give a smaller number of folds, or add images"
    )


@pytest.mark.parametrize(("part", "what"), [(2, "test"), (1, "validation")])
def test_data_with_its_own_test_or_validation_set_is_refused(part, what):
    parts = np.where(np.arange(40) < 8, part, 0)
    assert refusal(data([0, 1] * 20, parts=parts)) == (
        f"d has its own {what} set (8 images), and --folds divides all images: give only the training images, as in foveola "
        "train d/train --folds 5, or leave out --folds"
    )


def test_train_folders_alone_can_be_divided():
    dataset = data([0, 1] * 20)
    found = numbers(folds_of(replace(dataset, parts=np.zeros(40, np.int64))), 40)
    assert np.bincount(found).tolist() == [8] * 5
