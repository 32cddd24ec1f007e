"""Where arms differ: flips and classes, by hand, on answers that were made up."""

from types import SimpleNamespace

import numpy as np
import pytest

from foveola.comparison.arms import Arm
from foveola.comparison.disagreements import changed_predictions, class_differences
from foveola.comparison.result import Comparison
from foveola.comparison.statistics import holm, paired_difference
from foveola.errors import UsageError
from foveola.evaluation.metrics import Evaluation

CLASSES = ("cat", "dog", "owl")


def run(labels, predicted, ids=None):
    """A finished run that answered so."""
    labels, predicted = np.array(labels), np.array(predicted)
    logits = np.eye(len(CLASSES), dtype=np.float32)[predicted]
    ids = tuple(ids or (f"{i}.png" for i in range(len(labels))))
    answers = Evaluation(logits, labels, ids, CLASSES, "test")
    n = len(labels)
    return SimpleNamespace(
        evaluation=answers, result={"test_accuracy": answers.accuracy, "n_test": n, "n_train": 3 * n, "n_val": n}
    )


def comparison(*rows):
    arms = tuple(Arm(name, {}) for name in "abc"[: len(rows)])
    return Comparison(arms, tuple(range(len(rows[0]))), tuple(map(tuple, rows)))


LABELS = [0, 1, 2, 0]


def test_a_flip_is_a_picture_that_one_side_gets_right_in_most_seeds_and_the_other_does_not():
    """Four pictures, three seeds: 0 gained (1 to 3 right), 1 lost (2 to 1), 2 always right, 3 never."""
    base = [run(LABELS, p) for p in ([0, 1, 2, 1], [2, 1, 2, 1], [2, 0, 2, 1])]
    other = [run(LABELS, p) for p in ([0, 0, 2, 1], [0, 1, 2, 2], [0, 0, 2, 2])]
    found = changed_predictions(comparison(base, other), 1)
    assert [tuple(one) for one in found.gained] == [("0.png", "cat", "owl", 3, 1, 3)]
    assert [tuple(one) for one in found.lost] == [("1.png", "dog", "cat", 3, 2, 1)]
    assert found.asked == 4


def test_half_of_the_seeds_is_not_most():
    base = [run([0], [1]), run([0], [0])]
    other = [run([0], [0]), run([0], [0])]
    assert [tuple(one) for one in changed_predictions(comparison(base, other), 1).gained] == [
        ("0.png", "cat", "dog", 2, 1, 2)
    ]
    assert changed_predictions(comparison(other, [run([0], [1]), run([0], [0])]), 1).lost[0].arm == 1
    assert changed_predictions(comparison(base, base), 1).gained == ()


def test_the_clearest_flips_come_first():
    labels = [0, 0, 0]
    base = [run(labels, [1, 1, 1]), run(labels, [0, 1, 1]), run(labels, [1, 1, 1])]
    other = [run(labels, [0, 0, 0]), run(labels, [0, 0, 1]), run(labels, [0, 0, 0])]
    assert [one.id for one in changed_predictions(comparison(base, other), 1).gained] == ["1.png", "0.png", "2.png"]


def test_of_equal_flips_the_surer_one_comes_first():
    labels = [0, 0]
    base = [run(labels, [1, 1])]
    other = [run(labels, [0, 0])]
    other[0].evaluation.logits[1] *= 5
    assert [one.id for one in changed_predictions(comparison(base, other), 1).gained] == ["1.png", "0.png"]


def test_where_every_seed_has_a_test_part_of_its_own_a_picture_counts_as_often_as_it_was_asked():
    base = [run([0, 1], [1, 1], ["x", "y"]), run([0, 2], [1, 2], ["x", "z"])]
    other = [run([0, 1], [0, 1], ["x", "y"]), run([0, 2], [0, 0], ["x", "z"])]
    found = changed_predictions(comparison(base, other), 1)
    assert [tuple(one) for one in found.gained] == [("x", "cat", "dog", 2, 0, 2)]
    assert [tuple(one) for one in found.lost] == [("z", "owl", "cat", 1, 1, 0)]
    assert found.asked == 3


def test_class_differences_are_those_of_the_recalls():
    labels = [0, 0, 1, 1, 1, 1]
    base = [run(labels, [0, 1, 1, 1, 1, 0]), run(labels, [0, 0, 1, 1, 0, 0])]
    other = [run(labels, [0, 0, 1, 1, 0, 0]), run(labels, [0, 0, 1, 1, 1, 0])]
    cat, dog = class_differences(comparison(base, other), 1)  # no test picture is an owl
    assert (cat.name, cat.images, dog.name, dog.images) == ("cat", 2, "dog", 4)
    assert cat.difference == paired_difference([50.0, 0.0], images=2)
    assert dog.difference == paired_difference([-25.0, 25.0], images=4)
    assert [cat.corrected_p, dog.corrected_p] == holm([cat.difference.p_value, dog.difference.p_value])


def test_class_differences_know_of_splits_of_their_own():
    base = [run([0, 0], [0, 1], ["x", "y"]), run([0, 0], [1, 1], ["x", "z"])]
    other = [run([0, 0], [0, 0], ["x", "y"]), run([0, 0], [1, 1], ["x", "z"])]
    (cat,) = class_differences(comparison(base, other), 1)
    assert cat.difference == paired_difference([50.0, 0.0], images=2, test_to_train=2 / 8)


def test_runs_of_a_seed_on_different_pictures_are_no_pair():
    with pytest.raises(UsageError) as error:
        comparison([run([0], [0], ["x"])], [run([0], [0], ["y"])])
    assert str(error.value) == (
        "with seed 0 arms 'a' and 'b' have different test images (1 and 1), so their runs can't be paired: give all "
        "arms the same data and split"
    )


def test_of_several_arms_a_verdict_needs_the_corrected_p():
    """By hand: one arm's p is 0.03 alone, and 0.06 among two."""
    labels = [0] * 200
    wrong = [40, 42, 38, 41, 39, 40]

    def arm(counts):
        return [run(labels, [1] * k + [0] * (200 - k)) for k in counts]

    better = arm([38, 43, 35, 39, 35, 38])
    alone, both = comparison(arm(wrong), better), comparison(arm(wrong), better, arm([40, 41, 40, 40, 40, 40]))
    p = alone.against_baseline()[0].corrected_p
    assert 0.025 < p < 0.05
    assert alone.against_baseline()[0].verdict == "helps"
    assert both.against_baseline()[0].corrected_p == pytest.approx(2 * p)
    assert both.against_baseline()[0].verdict == "not_enough_evidence"
