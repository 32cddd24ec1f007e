from dataclasses import replace

import numpy as np
import pytest

from foveola.data.dataset import Arrays, Dataset
from foveola.data.grouping import conflicting_labels, factorize, groups_of_pairs, merge_groups
from foveola.data.split import Split, SplitSpec, split
from foveola.errors import DataError


def data(labels, *, parts=None, groups=None):
    labels = np.asarray(labels, np.int64)
    names = tuple(f"c{k}" for k in range(labels.max() + 1))
    ids = tuple(str(i) for i in range(len(labels)))
    parts, groups = (None if x is None else np.asarray(x, np.int64) for x in (parts, groups))
    return Dataset("d", names, ids, labels, Arrays(np.zeros((len(labels), 1, 1, 3), np.uint8)), "f", parts, groups)


def cut(dataset, content=None, spec=None, seed=0):
    content = np.arange(len(dataset)) if content is None else np.asarray(content, np.int64)
    return split(dataset, content, spec or SplitSpec(), seed)


def sides(made: Split, n):
    """The side of every row, after checking that each row has exactly one."""
    side = np.full(n, -1)
    for k, rows in enumerate((made.train, made.val, made.test)):
        assert (side[rows] == -1).all()
        assert (np.diff(rows) > 0).all()
        side[rows] = k
    assert (side >= 0).all()
    return side


def refusal(*arguments, **options):
    with pytest.raises(DataError) as caught:
        cut(*arguments, **options)
    return str(caught.value)


def test_the_shares_are_as_asked_for():
    made = cut(data([0, 1] * 500))
    sides(made, 1000)
    assert (len(made.test), len(made.val), len(made.train)) == (200, 80, 720)
    assert made.rule == "20 % test, 10 % of the rest val; stratified by class, seed 0, copies in the same set"
    assert made.notes == ()


def test_what_a_given_val_part_has_a_copy_of_never_judges():
    """Train 0 to 59, val 60 to 79; the first 20 of train are copies of val's, the next 20 near-duplicates of them."""
    n = np.arange(80)
    dataset = data(n % 2, parts=[0] * 60 + [1] * 20)
    content, related = np.where(n < 20, n + 60, n), np.where(n < 40, n % 20 + 60, n)
    for seed in range(10):
        made = split(dataset, content, SplitSpec(), seed, related=related)
        assert made.test.min() >= 40 and len(made.test) == 12
        assert not len(made.leaked)
        assert "too high" not in " ".join(made.notes)
        assert made.rule == (
            f"20 % test, val as given; stratified by class, seed {seed}, copies in the same set, near-duplicates too"
        )
        assert made.naive_share > 0


@pytest.mark.parametrize("seed", range(20))
def test_every_class_gets_its_share_within_one(seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(6), rng.integers(5, 90, 6)))
    spec = SplitSpec(test_fraction=float(rng.uniform(0.05, 0.5)), val_fraction=float(rng.uniform(0.05, 0.5)))
    made = cut(data(labels), spec=spec, seed=seed)
    sides(made, len(labels))
    n = np.bincount(labels)
    test, val = (np.bincount(labels[rows], minlength=6) for rows in (made.test, made.val))
    assert np.abs(test - spec.test_fraction * n).max() <= 1
    assert np.abs(val - spec.val_fraction * (n - test)).max() <= 1


@pytest.mark.parametrize("seed", range(40))
def test_copies_and_groups_are_always_on_one_side(seed):
    rng = np.random.default_rng(seed)
    n = 400
    labels = rng.integers(0, 4, n)
    content = np.arange(n)
    copies = rng.choice(n, 80, replace=False)
    content[copies[:40]] = content[copies[40:]]
    groups = rng.integers(0, 150, n) if seed % 2 else None
    dataset = data(labels, groups=groups)
    made = cut(dataset, factorize(content.tolist()), seed=seed)
    side = sides(made, n)
    for keys in (content, *([] if groups is None else [groups])):
        for key in np.unique(keys):
            assert len(set(side[keys == key])) == 1
    assert abs(len(made.test) - 80) <= 12
    assert len(set(labels[made.test])) == len(set(labels[made.val])) == 4


def test_the_same_seed_repeats_and_others_differ():
    dataset = data([0, 1] * 100)
    tests = [tuple(cut(dataset, seed=seed).test) for seed in (3, 3, 4, 5)]
    assert tests[0] == tests[1]
    assert len(set(tests)) == 3


def test_every_picture_gets_into_the_test_part_under_some_seed():
    dataset = data([0, 1] * 10)
    assert set().union(*(cut(dataset, seed=seed).test.tolist() for seed in range(60))) == set(range(20))


def test_pictures_under_two_labels_stay_in_train_and_are_said():
    labels, content = [0, 1] * 20, np.arange(40)
    content[1] = content[0]
    for seed in range(20):
        made = cut(data(labels), content, seed=seed)
        assert {0, 1} <= set(made.train.tolist())
    assert made.notes == (
        "1 image with the same content as another one; copies were kept in the same set",
        "2 images with the same content have different labels; they are kept in train",
    )


def test_a_whole_group_with_a_contradiction_is_split_around_it():
    labels, content = [0, 1] * 30, np.arange(60)
    content[1] = content[0]
    made = cut(data(labels, groups=np.arange(60) // 4), content)
    assert {0, 1, 2, 3} <= set(made.train.tolist())
    assert (sides(made, 60).reshape(15, 4) == sides(made, 60)[::4, None]).all()


def test_official_parts_are_used_as_they_are():
    parts = np.array([0] * 10 + [1] * 4 + [2] * 6)
    made = cut(data([0, 1] * 10, parts=parts))
    assert (made.train.tolist(), made.val.tolist()) == (list(range(10)), list(range(10, 14)))
    assert made.test.tolist() == list(range(14, 20))
    assert made.rule == "test as given, val as given"


def test_a_missing_part_is_split_off_train_only():
    parts = np.array([0] * 30 + [2] * 10)
    made = cut(data([0, 1] * 20, parts=parts), spec=SplitSpec(val_fraction=0.2))
    assert made.test.tolist() == list(range(30, 40))
    assert len(made.val) == 6
    assert made.rule.startswith("test as given, 20 % of the rest val;")
    made = cut(data([0, 1] * 20, parts=np.where(parts == 2, 1, parts)), spec=SplitSpec(test_fraction=0.5))
    assert (made.val.tolist(), len(made.test)) == (list(range(30, 40)), 16)


def test_rows_without_a_part_join_the_pool():
    parts = np.array([-1] * 20 + [0] * 10 + [2] * 10)
    made = cut(data([0, 1] * 20, parts=parts))
    assert made.test.tolist() == list(range(30, 40))
    assert len(made.val) + len(made.train) == 30


def test_the_number_of_groups_is_told():
    labels, groups = [0, 1] * 30, np.arange(60) // 4
    assert cut(data(labels, groups=groups)).notes[0] == "60 images in 15 groups; the images of a group stay in one set"
    given = data(labels, groups=groups, parts=[0] * 40 + [2] * 20)
    assert cut(given).notes[0] == "60 images in 15 groups"


def test_a_leak_of_the_datas_own_parts_is_said():
    content = np.arange(20)
    content[[18, 19]] = content[[0, 11]]
    made = cut(data([0, 1] * 10, parts=[0] * 10 + [1] * 4 + [2] * 6), content)
    assert made.notes[-1] == (
        "2 of 6 test images are also in train or val, because the data comes with its own split: the accuracy will be "
        "too high"
    )


def test_a_class_that_the_test_part_lacks_is_said():
    made = cut(data([0, 1, 2] * 5 + [0, 1], parts=[0] * 12 + [1] * 3 + [2] * 2))
    assert made.notes == ("the test set has no image of c2: the accuracy says nothing about it",)


def test_a_class_that_the_train_part_lacks_is_refused():
    dataset = data([0, 1, 0, 1, 2, 0, 1], parts=[0, 0, 1, 1, 1, 2, 2])
    assert refusal(dataset) == ("class 'c2' has no image in the train set: add images to this class, or remove it")


def test_three_pictures_give_one_to_each_part():
    for fraction in (0.02, 0.2, 0.89):
        for seed in range(10):
            made = cut(data([0] * 3 + [1] * 30), spec=SplitSpec(fraction, fraction), seed=seed)
            side = sides(made, 33)
            assert sorted(side[:3]) == [0, 1, 2]


def test_too_few_pictures_are_refused():
    assert refusal(data([0] * 2 + [1] * 30)) == (
        "class 'c0' has 2 images: at least 3 are needed, one each for training, validation and "
        "test; add images, or remove the class"
    )


def test_a_rare_class_that_joins_labels_says_so():
    dataset = replace(data([0] * 2 + [1] * 30), class_names=("cat|dog", "cat"))
    assert refusal(dataset) == (
        "class 'cat|dog' has 2 images: at least 3 are needed, one each for training, validation and test; add images, or "
        "remove the class; its name joins several labels, but foveola needs one label per image"
    )


def test_copies_do_not_count_as_different_pictures():
    content = np.arange(40)
    content[:9] = 0
    assert refusal(data([0] * 10 + [1] * 30), factorize(content.tolist())) == (
        "class 'c0' has 10 images, 2 different ones: at least 3 are needed, one each for training, validation and "
        "test; add images, or remove the class"
    )


def test_a_class_whose_images_all_have_another_label_too_is_refused_with_that_label():
    content = [*range(10), *range(10), *range(10, 30)]
    assert refusal(data([0] * 10 + [1] * 30), content) == (
        "class 'c0' has 10 images, all with the same pixels as images of 'c1': at least 3 are needed, one each for "
        "training, validation and test; add images, or remove the class"
    )
    content = [*range(10), *range(8), *range(10, 32)]
    assert refusal(data([0] * 10 + [1] * 30), content).startswith(
        "class 'c0' has 10 images, 2 different ones (some with the same pixels as images of 'c1'): at least 3 are needed"
    )


def test_groups_that_the_parts_of_the_data_split_are_counted():
    made = cut(data([0, 1] * 30, parts=[0] * 40 + [2] * 20, groups=[0] * 20 + [3] * 20 + [3] * 10 + [4] * 10))
    assert made.notes[1] == (
        "1 group has images in test and in train or val, because the data comes with its own split: "
        "the accuracy will be too high"
    )
    assert cut(data([0, 1] * 30, parts=[0] * 40 + [2] * 20, groups=[0] * 20 + [1] * 20 + [2] * 20)).notes == (
        "60 images in 3 groups",
    )


def test_too_few_groups_are_refused():
    groups = [0] * 10 + list(range(1, 31))
    assert refusal(data([0] * 10 + [1] * 30, groups=groups)) == (
        "class 'c0' has 10 images, 1 group: at least 3 are needed, one each for training, validation and test; "
        "add images, or remove the class"
    )


def test_with_a_given_test_part_two_are_enough_and_one_is_refused():
    parts = [0] * 20 + [2] * 4
    cut(data([0] * 2 + [1] * 18 + [0, 1, 0, 1], parts=parts))
    assert refusal(data([0] + [1] * 19 + [0, 1, 0, 1], parts=parts)) == (
        "class 'c0' has 1 image: at least 2 are needed, one each for training and the set that "
        "is split off; add images, or remove the class"
    )


def test_groups_that_tie_the_classes_together_too_coarsely_are_refused():
    # Groups 2 and 3 alone can serve val for classes 1 and 2; but then class 0 has none to give without robbing train.
    labels, groups = [0, 1, 0, 2, 1, 2, 0, 1, 2], [0, 0, 1, 1, 2, 3, 4, 5, 6]
    outcomes = set()
    for seed in range(30):
        try:
            sides(cut(data(labels, groups=groups, parts=[0] * 6 + [2] * 3), seed=seed), 9)
        except DataError as error:
            outcomes.add(str(error))
    assert outcomes == {
        "class 'c0' can't be split: its images belong to too few groups to have some in val and keep some for "
        "the rest; use finer groups, or add images"
    }


def test_a_class_of_one_large_and_two_single_units_is_split():
    content = np.zeros(50, np.int64)
    content[18:] = np.arange(1, 33)
    for seed in range(20):
        made = cut(data([0] * 20 + [1] * 30), content, seed=seed)
        side = sides(made, 50)
        assert set(side[:20]) == {0, 1, 2}
        assert side[0] == 0


def test_a_class_mostly_under_two_labels_keeps_some_for_each_part():
    labels = np.array([0] * 20 + [1] * 40)
    content = np.arange(60)
    content[20:37] = content[:17]
    for seed in range(20):
        made = cut(data(labels), factorize(content.tolist()), seed=seed)
        assert (labels[made.test] == 0).any()
        assert (labels[made.val] == 0).any()


@pytest.mark.parametrize("seed", range(10))
def test_groups_of_ten_are_shared_out_fairly(seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(100), 10))
    labels = groups % 4
    made = cut(data(labels, groups=groups), seed=seed)
    assert np.abs(np.bincount(labels[made.test]) - 50).max() <= 5
    assert np.abs(np.bincount(labels[made.val]) - 20).max() <= 5


def test_few_large_groups_get_at_least_one_each():
    groups = np.repeat(np.arange(8), 50)
    for seed in range(10):
        made = cut(data(groups % 2, groups=groups), seed=seed)
        assert len(set(groups[made.test])) == len(set(groups[made.val])) == 2


def test_classes_of_a_large_data_set_with_large_groups_are_rescued():
    labels = np.array([0] * 30_000 + [1] * 3_000)
    groups = np.concatenate([np.arange(30_000), 30_000 + np.repeat(np.arange(3), 1000)])
    made = cut(data(labels, groups=groups))
    assert (labels[made.test] == 1).sum() == (labels[made.val] == 1).sum() == 1000


def test_join_gives_connected_components():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 60, 80), rng.integers(0, 60, 80)
    joined = merge_groups(a, b)
    linked = (a[:, None] == a) | (b[:, None] == b)
    for _ in range(7):
        linked = linked @ linked
    assert ((joined[:, None] == joined) == linked).all()


@pytest.mark.parametrize("n_pairs", [0, 1, 40])
def test_groups_of_pairs_are_connected_components_numbered_by_first_appearance(n_pairs):
    pairs = np.random.default_rng(1).integers(0, 60, (n_pairs, 2))
    linked = np.eye(60, dtype=bool)
    linked[pairs[:, 0], pairs[:, 1]] = linked[pairs[:, 1], pairs[:, 0]] = True
    for _ in range(6):
        linked = linked @ linked
    firsts = linked.argmax(axis=1)
    assert groups_of_pairs(60, pairs).tolist() == [sorted(set(firsts)).index(first) for first in firsts]


def test_merging_with_rows_that_are_each_alone_changes_no_group():
    assert merge_groups(np.array([7, 3, 7, 5]), np.array([2, 0, 1, 3])).tolist() == [0, 1, 0, 2]
    assert merge_groups(np.array([2, 0, 1, 3]), np.array([7, 3, 7, 5])).tolist() == [0, 1, 0, 2]
    assert merge_groups(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_contradictory_marks_every_picture_of_the_content():
    labels, content = np.array([0, 1, 1, 1, 0]), np.array([0, 0, 1, 1, 2])
    assert conflicting_labels(labels, content).tolist() == [True, True, False, False, False]
    assert conflicting_labels(labels[:0], content[:0]).tolist() == []


def test_the_data_set_is_left_as_it_was():
    dataset = data([0, 1] * 10, groups=np.arange(20))
    copy = replace(dataset, labels=dataset.labels.copy(), groups=dataset.groups.copy())
    cut(dataset)
    assert (dataset.labels == copy.labels).all()
    assert (dataset.groups == copy.groups).all()


def test_the_quick_way_for_single_pictures_takes_the_same_ones_as_the_way_for_groups(monkeypatch):
    labels = np.random.default_rng(0).choice(4, 300, p=[0.5, 0.3, 0.15, 0.05])
    dataset, content = data(labels), np.random.default_rng(1).permutation(300)
    quick = [split(dataset, content, SplitSpec(), seed) for seed in range(5)]
    monkeypatch.setattr("foveola.data.grouping.no_groups", lambda units: False)
    slow = [split(dataset, content, SplitSpec(), seed) for seed in range(5)]
    for one, other in zip(quick, slow, strict=True):
        assert np.array_equal(one.test, other.test)
        assert np.array_equal(one.val, other.val)


def related(*groups, n=40):
    """Units that hold each of some groups together: int64 (n,)."""
    units = np.arange(n)
    for rows in groups:
        units[list(rows)] = min(rows)
    return units


@pytest.mark.parametrize("seed", range(8))
def test_relatives_are_on_one_side_unless_that_is_switched_off(seed):
    dataset, content = data(np.arange(40) % 2), np.arange(40)
    units = related((0, 2), (1, 3), (4, 6, 8), (5, 9))
    together = sides(split(dataset, content, SplitSpec(), seed, related=units), 40)
    assert all(len(set(together[units == unit])) == 1 for unit in units)
    apart = split(dataset, content, SplitSpec(near_duplicates_together=False), seed, related=units)
    plain = split(dataset, content, SplitSpec(), seed)
    assert [apart.train.tolist(), apart.test.tolist()] == [plain.train.tolist(), plain.test.tolist()]


def test_test_pictures_with_a_relative_in_train_or_val_are_named_and_said():
    parts = np.repeat([0, 2], 20)
    made = split(
        data(np.arange(40) % 2, parts=parts), np.arange(40), SplitSpec(), 0, related=related((0, 20), (2, 30, 32))
    )
    assert made.leaked.tolist() == [20, 30, 32]
    assert made.notes == (
        "3 of 20 test images have a copy, near-duplicate or derived image in train or val, because the data comes with its "
        "own split: the accuracy will be too high",
    )


def test_relatives_that_hang_together_too_much_are_split_all_the_same_and_it_is_said():
    made = split(data(np.arange(40) % 2), np.arange(40), SplitSpec(), 0, related=related(range(0, 40, 2)))
    assert (np.bincount(np.arange(40)[made.test] % 2) == 4).all()
    assert made.notes[0] == (
        "19 near-duplicates or derived images could not be kept in the same set as the original: too many images are linked"
    )
    assert made.notes[1] == (
        "4 of 8 test images have a copy, near-duplicate or derived image in train or val: the accuracy will be too high"
    )
    assert len(made.leaked) == 4


def test_relatives_that_are_none_change_nothing():
    dataset = data(np.arange(40) % 2)
    plain = split(dataset, np.arange(40), SplitSpec(), 3)
    made = split(dataset, np.arange(40), SplitSpec(), 3, related=np.arange(40))
    assert made.test.tolist() == plain.test.tolist() and made.notes == plain.notes


@pytest.mark.parametrize(("parts", "made"), [(None, 2), ([0] * 10 + [2] * 10, 1), ([0] * 10 + [1] * 5 + [2] * 5, 0)])
def test_a_split_says_how_many_parts_it_made(parts, made):
    found = cut(data([0, 1] * 10, parts=parts))
    assert found.parts_made == made
    assert ("stratified" in found.rule) == (made > 0)
