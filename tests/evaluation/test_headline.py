"""The main numbers in words: whole lines."""

from foveola.evaluation.headline import balanced, goal, headline
from foveola.evaluation.intervals import wilson


def result(right, supports, names=("cat", "dog"), **numbers):
    n = sum(supports)
    low, high, _ = wilson(right, n)
    return {
        "test_accuracy": right / n,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "n_test": n,
        "per_class": [{"name": name, "support": k} for name, k in zip(names, supports, strict=True)],
        **numbers,
    }


def test_an_accuracy_above_the_baseline():
    assert headline(result(38, (20, 20))) == (
        "test accuracy 95.0 % (95 % interval 83.5 to 98.6 %, n = 40); always predicting 'cat' would give 50.0 %"
    )


def test_an_accuracy_whose_interval_holds_the_baseline():
    assert headline(result(22, (18, 22))) == (
        "test accuracy 55.0 % (95 % interval 39.8 to 69.3 %, n = 40): no better than always predicting 'dog', which gives "
        "55.0 %"
    )


def test_an_accuracy_below_the_baseline():
    assert headline(result(7, (2, 18))) == (
        "test accuracy 35.0 % (95 % interval 18.1 to 56.7 %, n = 20): worse than always predicting 'dog', which gives 90.0 %"
    )


def test_an_accuracy_on_images_of_one_class():
    assert headline(result(34, (40, 0))) == (
        "test accuracy 85.0 % (95 % interval 70.9 to 92.9 %, n = 40); all images are of class 'cat'"
    )


def test_the_baseline_that_an_older_version_stored_is_not_used():
    assert "which gives 90.0 %" in headline(result(7, (2, 18), majority_accuracy=0.1))


INTERVALS = {
    "balanced_accuracy_low": 0.4, "balanced_accuracy_high": 0.625, "macro_f1_low": 0.3, "macro_f1_high": 0.6,
}  # fmt: skip


def test_unequal_classes_get_the_balanced_accuracy():
    assert balanced(result(18, (2, 18), balanced_accuracy=0.5, macro_f1=0.4737, **INTERVALS)) == (
        "balanced accuracy 50.0 % (95 % interval 40.0 to 62.5 %; the mean recall of the classes), macro F1 0.474 (0.300 to "
        "0.600): these give each class the same weight, "
        "even if it has few images"
    )


def test_equal_classes_and_one_class_alone_get_no_balanced_accuracy():
    assert balanced(result(38, (20, 20), balanced_accuracy=0.95, macro_f1=0.95)) == ""
    assert balanced(result(38, (40, 0), balanced_accuracy=0.95, macro_f1=0.95)) == ""


def test_a_threshold_from_cross_validation_has_its_confidence_approximately():
    d = {"goal": "specificity", "min_specificity": 0.9, "confidence": 0.95, "held_out_part": "cross-fit"}
    assert goal(d) == "chosen for a specificity of at least 90 % on new images, at about 95 % confidence"
