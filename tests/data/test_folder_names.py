import pytest

from foveola.data.folder_names import is_ambiguous, is_companion, is_no_class, is_storage, is_unlabelled, part_of


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(
            (name, "train")
            for name in ("train", "Train", "TRAINING", "trn", "train_set", "train-data", "training images", "train2")
        ),
        *((name, "train") for name in ("my train", "Final_Training", "seg_train", "trainA", "trainval", "train_val")),
        *((name, "val") for name in ("val", "valid", "validation", "dev", "ValSet", "dev_split")),
        *(
            (name, "test")
            for name in ("test", "testing", "tst", "test imgs", "TESTSET", "test1", "Test Images", "test__set")
        ),
        *((name, "test") for name in ("eval", "evaluation", "evaluate", "Evaluation_Set")),
        *((name, None) for name in ("", "cats", "trainer", "tests", "trains", "contest", "valley", "validity")),
        *((name, None) for name in ("train_masks", "test_labels", "train_test_split")),
    ],
)
def test_a_folders_name_stands_for_a_part(name, part):
    assert part_of(name) == part


@pytest.mark.parametrize(
    "name", ["fold_0", "Fold1", "session 2", "Session1", "2024", "2024-05-01", "batch-12", "part II"]
)
def test_a_name_that_only_tells_batches_apart_is_storage(name):
    assert is_storage(name) and is_ambiguous(name)


@pytest.mark.parametrize(
    "name", ["cats", "00042", "7", "10", "n01440764", "party 2b", "fold", "ABBOTTS BABBLER", "12345"]
)
def test_names_of_classes_are_not_doubted(name):
    assert not is_ambiguous(name) and not is_storage(name)


@pytest.mark.parametrize(
    "name", ["with_mask", "labelled_box", "raw_fish", "image_of_cat", "target_practice", "predator"]
)
def test_a_word_of_a_role_in_a_longer_name_is_no_role(name):
    assert not is_companion(name) and not is_unlabelled(name) and not is_no_class(name) and not is_ambiguous(name)


@pytest.mark.parametrize("name", ["seg_pred", "unlabeled", "unlabelled images", "Predictions"])
def test_images_without_labels_are_known_by_name(name):
    assert is_unlabelled(name) and is_no_class(name)
