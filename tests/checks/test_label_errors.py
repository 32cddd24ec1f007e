import numpy as np
import pytest

from foveola.checks.label_errors import confident_joint, has_too_few_images, label_error_findings, suspects
from foveola.data.arrays import from_arrays


def test_the_confident_joint_of_six_pictures_worked_out_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.7])
    # t0 = (0.9 + 0.8 + 0.1) / 3 = 0.6, t1 = (0.8 + 0.7 + 0.3) / 3 = 0.6
    joint, likely = confident_joint(labels, np.stack([first, 1 - first], axis=1))
    assert joint.tolist() == [[2, 1], [1, 2]]
    assert likely.tolist() == [0, 0, 1, 1, 1, 0]


def test_a_picture_that_no_class_is_sure_of_is_not_counted():
    chances = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.5, 0.5]])
    joint, likely = confident_joint(np.array([0, 0, 1, 1]), chances)
    assert likely.tolist() == [0, -1, 1, -1]
    assert joint.sum() == 2


def test_suspects_come_in_order_of_the_margin():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    first = np.array([0.9, 0.9, 0.03, 0.01, 0.1, 0.1, 0.1, 0.97])
    rows, likely = suspects(labels, np.stack([first, 1 - first], axis=1))
    assert rows.tolist() == [3, 2, 7]
    assert likely.tolist() == [1, 1, 0]


def doubted(right, swapped, n=40):
    labels = np.arange(n) % 2
    chances = np.full((n, 2), 1 - right)
    chances[np.arange(n), labels] = right
    given = labels.copy()
    given[:swapped] = 1 - given[:swapped]
    dataset = from_arrays(np.zeros((n, 8, 8), np.uint8), given, ["cat", "dog"])
    return label_error_findings(dataset, chances)


def test_swapped_labels_are_found_and_named():
    [finding] = doubted(0.98, 2)
    assert set(finding.ids) == {"00000", "00001"}
    assert finding.captions == ("labelled dog, looks like cat: 98.0 %", "labelled cat, looks like dog: 98.0 %")
    assert finding.message == (
        "2 of 40 labels may be wrong: a classifier that was not trained on these images is sure of another class; it "
        "classifies 95.0 % of all images as labelled"
    )


@pytest.mark.parametrize(("right", "swapped"), [(0.98, 0), (0.6, 2), (0.98, 12)])
def test_a_classifier_that_agrees_or_is_unsure_or_doubts_too_much_says_nothing(right, swapped):
    assert doubted(right, swapped) == []


@pytest.mark.parametrize(
    ("units", "reason"),
    [
        (np.arange(40), ""),
        (np.repeat(np.arange(20), 2), ""),
        (
            np.repeat(np.arange(4), 10),
            "class 'cat' has only 2 different images, and each class needs 5",
        ),
        (
            np.concatenate([np.arange(20), np.full(20, 20)]),
            "class 'dog' has only 1 different image, and each class needs 5",
        ),
        (
            np.zeros(40, np.int64),
            "class 'cat' has only 1 different image, and each class needs 5",
        ),
    ],
    ids=["all different", "pairs", "two photos per class", "one photo twenty times", "all the same"],
)
def test_copies_of_one_image_count_once_when_there_is_enough_to_find_wrong_labels(units, reason):
    dataset = from_arrays(np.zeros((40, 8, 8), np.uint8), np.repeat([0, 1], 20), ["cat", "dog"])
    assert has_too_few_images(dataset, units) == reason


def test_too_few_images_of_a_class_are_said_plainly():
    dataset = from_arrays(np.zeros((18, 8, 8), np.uint8), np.repeat([0, 1], [10, 8]), ["cat", "dog"])
    assert has_too_few_images(dataset, np.arange(18)) == "class 'dog' has only 8 images, and each class needs 10"
