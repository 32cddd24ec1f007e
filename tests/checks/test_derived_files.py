from dataclasses import replace

import numpy as np
import pytest

from foveola.checks.derived_files import derived_file_findings, derived_groups
from foveola.checks.duplicates import DuplicateGroups, duplicate_findings
from foveola.data.arrays import from_arrays


def families(*names, labels=None):
    """Sets of the files that are derived files, by names alone."""
    n = len(names)
    dataset = from_arrays(np.zeros((n + 2, 8, 8), np.uint8), [*(labels or [0] * n), 0, 1])
    dataset = replace(dataset, ids=(*names, "a/zzz1.png", "b/zzz2.png"))
    units = derived_groups(dataset)
    found = {}
    for name, unit in zip(dataset.ids, units.tolist(), strict=True):
        found.setdefault(unit, set()).add(name)
    return [group for group in found.values() if len(group) > 1]


@pytest.mark.parametrize(
    "names",
    [
        ("cats/7.jpg", "cats/7_mask.png"),
        ("cats/image.jpg", "cats/mask.png"),
        ("cats/007/image.jpg", "cats/007/mask.png"),
        ("cats/orig/7.jpg", "cats/rotated/7.jpg"),
        ("cats/7.jpg", "cats/rotated/7.jpg"),
        ("cats/img_7.jpg", "cats/img_7-rot90.jpg", "cats/img_7-flipped.jpg"),
        ("cats/IMG_7.JPG", "cats/img_7_gray.jpg"),
        ("cats/7.jpg", "cats/7_aug_1.jpg", "cats/7_aug_2.jpg"),
        ("images/001.jpg", "masks/001.png"),
        ("train/cats/7_hflip.jpg", "test/cats/7.jpg"),
    ],
)
def test_files_made_of_one_another_are_told_by_their_names(names):
    assert families(*names) == [set(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("cats/7.jpg", "cats/8_mask.png"),
        ("cats/0 (105).jpg", "cats/0 (106).jpg", "cats/0.jpg"),
        ("cats/rot90_1.jpg", "cats/rot90_2.jpg"),
        ("cats/a/7.jpg", "cats/b/7.jpg"),
        ("with_mask/1.jpg", "without_mask/1.jpg"),
        ("blurred/1.jpg", "sharp/1.jpg"),
        ("cats/unmasked7.jpg", "cats/7.jpg"),
        ("train/cats/7.jpg", "test/cats/7.jpg"),
        ("cats/crops.jpg", "cats/crop.jpg"),
    ],
)
def test_other_names_are_no_twins(names):
    assert families(*names) == []


def test_where_numbering_starts_anew_in_each_part_twins_are_of_one_part():
    names = ("train/cats/7.jpg", "train/cats/7_mask.png", "test/cats/7.jpg", "test/cats/7_mask.png")
    assert families(*names) == [set(names[:2]), set(names[2:])]


def test_a_name_that_a_whole_class_comes_down_to_is_an_accident():
    names = ["cats/dog.jpg", *(f"cats/dog_aug_{n}.jpg" for n in range(20))]
    assert families(*names) == []


def test_of_copies_the_original_is_kept_and_what_is_made_of_it_is_left_out():
    names = ("cats/aug/7.png", "cats/original/7.png", "cats/orig/8.png", "cats/8_flip.png")
    dataset = replace(
        from_arrays(np.zeros((6, 8, 8), np.uint8), [0, 0, 0, 0, 0, 1]), ids=(*names, "a/1.png", "b/2.png")
    )
    content = np.array([0, 1, 2, 3, 4, 5])
    # What is made of the second original has more pixels, which alone would have kept it.
    sizes = np.array([[40, 40], [40, 40], [40, 40], [60, 60], [40, 40], [40, 40]], np.int32)
    near = np.array([[0, 1, 1], [2, 3, 1]])
    relations = DuplicateGroups(content, near, derived_groups(dataset), sizes)
    listed = {name for f in duplicate_findings(dataset, relations) for name in f.leave_out}
    listed |= {name for f in derived_file_findings(dataset, relations.derived) for name in f.leave_out}
    assert listed == {"cats/aug/7.png", "cats/8_flip.png"}


def test_bytes_that_are_no_text_are_written_as_escapes():
    names = ("cats/fl\udcfcgel.png", "cats/fl\udcfcgel_mask.png")
    dataset = replace(from_arrays(np.zeros((4, 8, 8), np.uint8), [0, 0, 0, 1]), ids=(*names, "a/1.png", "b/2.png"))
    (found,) = derived_file_findings(dataset, derived_groups(dataset))
    assert found.message.encode()  # what no terminal can write raises
    assert found.leave_out == (names[1],)


def test_what_is_made_of_a_train_picture_and_lies_in_test_stays_there():
    names = ("train/cats/7.png", "test/cats/7_flip.png", "train/cats/8.png", "train/cats/8_flip.png")
    dataset = replace(
        from_arrays(np.zeros((6, 8, 8), np.uint8), [0, 0, 0, 0, 0, 1]),
        ids=(*names, "train/a/1.png", "train/b/2.png"),
        parts=np.array([0, 2, 0, 0, 0, 0]),
    )
    (found,) = derived_file_findings(dataset, derived_groups(dataset))
    assert found.leave_out == ("train/cats/8_flip.png",)
