"""How folder trees are read: the sentence, the classes and the parts, or the readings that are offered."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from foveola.data.layout import Reading, read_layout
from foveola.data.layout_errors import Refusal
from foveola.data.scan import FolderScan


def listing(files, sides=(), folders=()):
    """What listing a folder "set" would give that holds these files."""
    above = {name.rsplit("/", k)[0] for name in (*files, *sides) for k in range(1, name.count("/") + 1)}
    ids = tuple(sorted(files))
    everything = tuple(sorted({*above, *folders}))
    return FolderScan(Path("set"), ids, np.zeros((len(ids), 3), np.int64), everything, (), len(sides), tuple(sides))


def images(folders, n=3, name="{}.jpg"):
    """n images in each of the folders; "train|test/cat|dog" stands for four folders."""
    paths = [""]
    for level in folders.split("/"):
        paths = [f"{path}{one}/" for path in paths for one in level.split("|")]
    return [path + name.format(i) for path in paths for i in range(n)]


def read(files, level=None, **more):
    found = read_layout(listing(files, **more), level)
    assert isinstance(found, Reading), found
    return found


def refused(files, level=None, **more):
    found = read_layout(listing(files, **more), level)
    assert isinstance(found, Refusal), found
    return found.sentence


def counted(files, reading):
    """How many files each class has in each part."""
    places = [reading.places.get(name.rpartition("/")[0]) for name in files]
    return Counter((place.label, place.part) for place in places if place)


READ = {
    "class folders": (images("cats|dogs"), "", {("cats", None): 3, ("dogs", None): 3}),
    "one folder too high": (images("photos/cats|dogs"), "2 classes at level 2", {("cats", None): 3, ("dogs", None): 3}),
    "a nested zip folder": (
        images("photos/photos/cats|dogs"),
        "2 classes at level 3",
        {("cats", None): 3, ("dogs", None): 3},
    ),
    "Images": (images("Images/cats|dogs"), "2 classes at level 2", {("cats", None): 3, ("dogs", None): 3}),
    "the traffic signs": (
        images("Final_Training/Images/00000|00001") + images("Final_Test/Images", name="{}.ppm"),
        "2 classes at level 3; train and test from Final_Training and Final_Test; "
        "test has no labels and is left out (3 images)",
        {("00000", "train"): 3, ("00001", "train"): 3},
    ),
    "Training and Testing": (
        images("Training|Testing/glioma|healthy"),
        "2 classes at level 2; train and test from Training and Testing",
        {(k, part): 3 for k in ("glioma", "healthy") for part in ("train", "test")},
    ),
    "ImageNet's train and val": (
        images("train|val/n01440764|n01443537"),
        "2 classes at level 2; train and val as the folders give them",
        {(k, part): 3 for k in ("n01440764", "n01443537") for part in ("train", "val")},
    ),
    "ImageNet's train alone": (
        images("train/n01440764|n01443537"),
        "2 classes at level 2",
        {("n01440764", None): 3, ("n01443537", None): 3},
    ),
    "ImageNet with a flat val and test": (
        images("Data/CLS-LOC/train/n01|n02") + images("Data/CLS-LOC/val|test"),
        "2 classes at level 4; train, val and test as the folders give them; "
        "val and test have no labels and are left out (6 images)",
        {("n01", "train"): 3, ("n02", "train"): 3},
    ),
    "scenes": (
        images("seg_train/seg_train/sea|street") + images("seg_test/seg_test/sea|street") + images("seg_pred/seg_pred"),
        "2 classes at level 3; train and test from seg_train and seg_test; "
        "seg_pred has no labels and is left out (3 images)",
        {(k, part): 3 for k in ("sea", "street") for part in ("train", "test")},
    ),
    "training_set and test_set, each once more in itself": (
        images("training_set/training_set/cats|dogs") + images("test_set/test_set/cats|dogs"),
        "2 classes at level 3; train and test from training_set and test_set",
        {(k, part): 3 for k in ("cats", "dogs") for part in ("train", "test")},
    ),
    "a test1 without class folders": (
        images("train/cat|dog") + images("test1"),
        "2 classes at level 2; train and test from train and test1; test has no labels and is left out (3 images)",
        {("cat", "train"): 3, ("dog", "train"): 3},
    ),
    **{
        f"a test set with only {inner}": (
            images("train/cat|dog") + images(f"test/{inner}", n=6 // (inner.count("|") + 1)),
            "2 classes at level 2; train and test as the folders give them; test has no labels and is left out (6 images)",
            {("cat", "train"): 3, ("dog", "train"): 3},
        )
        for inner in ("unknown", "all_images", "unlabeled", "test", "Images", "imgs/batch1|batch2")
    },
    "train and evaluate": (
        images("train|evaluate/cat|dog"),
        "2 classes at level 2; train and test from train and evaluate",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "test")},
    ),
    "training, validation and evaluation": (
        images("training|validation|evaluation/cat|dog"),
        "2 classes at level 2; train, val and test from training, validation and evaluation",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "val", "test")},
    ),
    "train, eval and test": (
        images("train|eval|test/cat|dog"),
        "2 classes at level 2; train, val and test from train, eval and test",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "val", "test")},
    ),
    "val without test": (
        images("train|valid/cat|dog"),
        "2 classes at level 2; train and val from train and valid",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "val")},
    ),
    "two folders of train": (
        images("train1|train2|test/cat|dog"),
        "2 classes at level 2; train and test from train1, train2 and test",
        {("cat", "train"): 6, ("dog", "train"): 6, ("cat", "test"): 3, ("dog", "test"): 3},
    ),
    "a part deeper than the other": (
        images("train/Images/cat|dog") + images("test/cat|dog"),
        "2 classes at level 3; train and test as the folders give them",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "test")},
    ),
    "parts inside the classes": (
        images("cat|dog/train|test"),
        "2 classes at level 1; train and test from the folders inside them",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "test")},
    ),
    "images without labels next to classes": (
        images("cat|dog|unlabeled"),
        "2 classes at level 1; unlabeled has no labels and is left out (3 images)",
        {("cat", None): 3, ("dog", None): 3},
    ),
    "another folder next to the parts": (
        images("train|test|extra/cat|dog"),
        "2 classes at level 2; train and test as the folders give them; extra does not belong to the data and "
        "is left out (6 images)",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "test")},
    ),
    "masks next to the parts": (
        images("train|test|train_masks/cat|dog"),
        "2 classes at level 2; train and test as the folders give them; "
        "train_masks belongs to other images and is left out (6 images)",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "test")},
    ),
    "masks of Images": (
        images("Images|Annotation/cat|dog"),
        "2 classes at level 2; Annotation belongs to other images and is left out (6 images)",
        {("cat", None): 3, ("dog", None): 3},
    ),
    "masks inside the classes": (
        images("COVID|Normal/images|masks"),
        "2 classes at level 1; masks belong to other images and are left out (6 images)",
        {("COVID", None): 3, ("Normal", None): 3},
    ),
    "parts of images and labels": (
        images("images|labels/train|test/cat|dog"),
        "2 classes at level 3; train and test as the folders give them; "
        "labels belongs to other images and is left out (12 images)",
        {(k, part): 3 for k in ("cat", "dog") for part in ("train", "test")},
    ),
    "labelled and unlabelled images": (
        images("labeled/cat|dog") + images("unlabeled"),
        "2 classes at level 2; unlabeled has no labels and is left out (3 images)",
        {("cat", None): 3, ("dog", None): 3},
    ),
    "a class called train": (
        images("bus|train|bicycle"),
        "",
        {("bus", None): 3, ("train", None): 3, ("bicycle", None): 3},
    ),
    "years inside the classes": (
        images("cats|dogs/2023|2024"),
        "2 classes at level 1; the 4 folders inside the class folders are storage",
        {("cats", None): 6, ("dogs", None): 6},
    ),
    "one folder in each class": (images("cats|dogs/Images"), "", {("cats", None): 3, ("dogs", None): 3}),
    "images next to folders in a class": (
        images("apple") + images("apple/Gala|Fuji") + images("pear"),
        "2 classes at level 1; the 2 folders inside the class folders are storage",
        {("apple", None): 9, ("pear", None): 3},
    ),
}


@pytest.mark.parametrize(("files", "sentence", "classes"), READ.values(), ids=list(READ))
def test_a_tree_is_read(files, sentence, classes):
    reading = read(files)
    assert reading.sentence == sentence
    assert counted(files, reading) == classes
    assert set(reading.class_names) == {name for name, _ in classes}


GROCERIES = (
    images("train|test/Fruit/Apple/Golden|Gala") + images("train|test/Fruit/Melon") + images("train|test/Milk/Oat|Soy")
)

CHOICES = {
    "coarse and fine classes": (
        images("cats/persian|siamese") + images("dogs/pug|beagle"),
        "set: the class folders contain folders that may be classes, too. Choose how to read it. "
        "2 classes at level 1 (cats and dogs): foveola train set --class-level 1. "
        "4 classes at level 2 (beagle, persian, pug and siamese): foveola train set --class-level 2",
    ),
    "classes at depth 2 and 3": (
        GROCERIES,
        "set: the class folders contain folders that may be classes, too. Choose how to read it. "
        "2 classes at level 2 (Fruit and Milk): foveola train set --class-level 2. "
        "4 classes at level 3 (Apple, Melon, Oat and Soy): foveola train set --class-level 3. "
        "5 classes in the deepest folders (Gala, Golden, Melon and 2 more): foveola train set --class-level leaf",
    ),
    "two properties": (
        images("apple|pear/fresh|rotten"),
        "set: several class folders contain folders of the same names (fresh and rotten). Choose how to read it. "
        "2 classes at level 1 (apple and pear): foveola train set --class-level 1. "
        "2 classes at level 2 (fresh and rotten): foveola train set --class-level 2. "
        "4 classes in the deepest folders (apple/fresh, apple/rotten, pear/fresh and pear/rotten): "
        "foveola train set --class-level leaf",
    ),
    "folds": (
        images("fold_0|fold_1/cat|dog"),
        "set: fold_0 and fold_1 look like train and test sets, folds or stages of a data set, not like classes. "
        "Choose how to read it. 2 classes at level 1 (fold_0 and fold_1): foveola train set --class-level 1. "
        "2 classes at level 2 (cat and dog): foveola train set --class-level 2. "
        "4 classes in the deepest folders (fold_0/cat, fold_0/dog, fold_1/cat and fold_1/dog): "
        "foveola train set --class-level leaf",
    ),
    "a part and a folder of another name": (
        images("train/cat|dog") + images("pictures_of_mine"),
        "set: train does not look like a class. Choose how to read it. "
        "2 classes at level 1 (pictures_of_mine and train): foveola train set --class-level 1. "
        "2 classes in train alone (cat and dog): foveola train set/train",
    ),
}


@pytest.mark.parametrize(("files", "sentence"), CHOICES.values(), ids=list(CHOICES))
def test_two_readings_are_shown_with_their_commands(files, sentence):
    assert refused(files) == sentence


NO_CLASSES = {
    "folds of images": images("fold_0|fold_1"),
    "sessions": images("Session1|Session2"),
    "sessions of classes": images("Session1|Session2/cat|dog"),
    "years": images("2023|2024"),
    "query and gallery": images("query|gallery"),
    "raw and processed": images("raw|processed/cat|dog"),
    "good and ground_truth": images("good|ground_truth"),
    "a pair of folders": images("A|B"),
    "test and val alone": images("test|val"),
    "splits": images("split1|split2|split3/cat|dog"),
    "images and another folder": images("images/cat|dog") + images("other"),
    "source and target": images("source|target"),
}


@pytest.mark.parametrize("files", NO_CLASSES.values(), ids=list(NO_CLASSES))
def test_folders_that_are_hardly_classes_are_refused_until_the_user_says_so(files):
    assert "--class-level 1" in refused(files)
    tops = {name.split("/")[0] for name in files}
    assert set(read(files, 1).class_names) == tops


FLAT = {
    "images and masks": (images("images|masks"), "set contains 6 images but no class folders"),
    "images and labels that are images": (images("images|labels"), "set contains 6 images but no class folders"),
    "pets": (
        [*images("images", name="Beagle_{}.jpg"), *images("images", name="Pug_{}.jpg"), *images("annotations/trimaps")],
        "--label-pattern '(Beagle|Pug)[^/]*$'",
    ),
    "part and class in one name": (images("train_cats|train_dogs|test_cats"), "--label-pattern '(cats|dogs)[^/]*/'"),
    "images alone": (images("Images", name="{:03}.jpg"), "set contains 3 images but no class folders"),
    "train and test1": (
        [*(f"train/{k}.{i}.jpg" for k in ("cat", "dog") for i in range(3)), "test1/1.jpg"],
        "--label-pattern '(cat|dog)[^/]*$'",
    ),
    "YOLO": (
        images("images/train|val"),
        "train and val are named like a training, validation or test set but contain no class folders",
    ),
    "pairs in parts": (images("trainA|trainB|testA|testB"), "--label-pattern '(A|B)[^/]*/'"),
}


@pytest.mark.parametrize(("files", "words"), FLAT.values(), ids=list(FLAT))
def test_images_without_class_folders_are_refused_with_a_way_out(files, words):
    sentence = refused(files)
    assert words in sentence
    assert "--labels TABLE.csv" in sentence


def test_data_sets_side_by_side_are_refused():
    files = (
        images("bottle|cable/train/good")
        + images("bottle|cable/test/good|broken")
        + images("bottle|cable/ground_truth/broken")
    )
    assert refused(files) == (
        "set contains 2 data sets (bottle and cable), each with its own training and test set. "
        "Name one of them, for example: foveola train set/bottle or foveola train set/cable"
    )


@pytest.mark.parametrize(
    ("level", "names"),
    [
        (2, ("Fruit", "Milk")),
        (3, ("Apple", "Melon", "Oat", "Soy")),
        ("leaf", ("Gala", "Golden", "Melon", "Oat", "Soy")),
    ],
)
def test_the_user_chooses_the_level_and_the_parts_stay(level, names):
    reading = read(GROCERIES, level)
    assert reading.class_names == names
    assert {place.part for place in reading.places.values()} == {"train", "test"}


def test_the_level_of_the_parts_makes_them_classes():
    reading = read(images("train|test/cat|dog"), 1)
    assert counted(images("train|test/cat|dog"), reading) == {("train", None): 6, ("test", None): 6}


def test_a_level_without_classes_is_refused():
    assert refused(images("cats|dogs"), 3) == (
        "set has 0 classes at level 3, and a classifier needs at least two. Its folders go down to level 1: "
        "choose another --class-level"
    )


def test_an_empty_class_folder_is_a_class():
    assert read(images("cats|dogs"), folders=["emus"]).class_names == ("cats", "dogs", "emus")


def test_a_folder_of_notes_is_no_class():
    reading = read(images("cats|dogs"), sides=["notes/readme.txt"])
    assert reading.class_names == ("cats", "dogs")
    assert reading.sentence == "2 classes at level 1; notes contains no images and is left out"


def test_a_class_that_train_lacks_is_refused_with_the_nearest():
    files = images("train/cats|dogs") + images("test/cat|dogs")
    assert refused(files) == (
        "set: the test set has class 'cat', missing in the train set: unknown class 'cat' (did you mean 'cats'?); "
        "known: cats, dogs; rename or remove it, because classes are matched by name"
    )


def test_several_classes_that_train_lacks_are_counted():
    assert refused(images("train/cats|dogs") + images("val/10|9|11")).startswith(
        "set: the val set has class '9' and 2 more classes, missing in the train set: unknown class '9'; known: "
    )


def test_one_class_is_refused():
    assert refused(["cats/1.jpg", "cats/deep/2.jpg"]) == (
        "set contains one class, 'cats': a classifier needs at least two, each in its own folder"
    )


def test_an_empty_folder_is_refused():
    assert refused([]) == "the folder set is empty: put the images of each class in their own folder in it"


def test_a_folder_of_side_files_alone_is_refused_with_what_it_holds():
    assert (
        refused([], sides=["a/1.xml", "a/2.xml", "b.csv"])
        == "set contains 3 files and no images: 2 .xml and 1 .csv files"
    )


def test_names_with_spaces_are_quoted_in_commands():
    found = read_layout(FolderScan(Path("my set"), tuple(images("2023|2024")), np.zeros((6, 3), np.int64), (), (), 0))
    assert "foveola train 'my set' --class-level 1" in found.sentence
