"""A test set without class folders whose labels are in a table, while train has class folders."""

import pytest

from foveola.data.dataset import PARTS
from foveola.data.folder import open_folder

ANSWERS = ["0", "2", "1", "0", "1", "2"]


@pytest.fixture
def signs(tmp_path, plant, noise):
    """Three numbered classes in train, six images without class folders in test, and one table or more."""

    def make(tables, train="Final_Training/Images", test="Final_Test/Images", classes=("00000", "00001", "00002")):
        names = [f"{train}/{label}/{i}.png" for label in classes for i in range(4)]
        names += [f"{test}/t{i}.png" for i in range(6)]
        return plant(tmp_path / "signs", {**{name: noise(k) for k, name in enumerate(names)}, **tables})

    return make


def table(answers=ANSWERS, header="Filename;Width;ClassId", row="t{};30;{}"):
    return "\n".join([header, *(row.format(f"{i}.png", label) for i, label in enumerate(answers))])


def of_test(dataset):
    """{file name: class} of the test set; None where the data has no parts."""
    rows = [i for i in range(len(dataset)) if dataset.parts is not None and dataset.parts[i] == PARTS.index("test")]
    return {dataset.ids[i].rpartition("/")[2]: dataset.class_names[dataset.labels[i]] for i in rows}


RIGHT = {f"t{i}.png": f"0000{label}" for i, label in enumerate(ANSWERS)}


@pytest.mark.parametrize("place", ["GT-final_test.csv", "Final_Test/GT-final_test.csv", "Final_Test/Images/GT.csv"])
def test_the_table_of_a_test_part_labels_it(signs, place):
    dataset = open_folder(signs({place: table()}))
    assert of_test(dataset) == RIGHT
    assert dataset.notes == (
        f"3 classes at level 3; train and test from Final_Training and Final_Test; the labels of test from {place}",
        "1 .csv file is not an image and is ignored",
    )
    assert (dataset.files_found, len(dataset), dataset.files_ignored, dataset.problems) == (19, 18, 1, ())


def test_tables_of_other_parts_and_forms_do_not_stand_in_the_way(signs):
    train = [f"30,{label},Train/{label}/{i}.png" for label in "012" for i in range(4)]
    tables = {
        "Train.csv": "\n".join(["Width,ClassId,Path", *train]),
        "Test.csv": "\n".join(["Width,ClassId,Path", *(f"30,{k},Test/t{i}.png" for i, k in enumerate(ANSWERS))]),
        "sample_submission.csv": table(["0"] * 6),
    }
    dataset = open_folder(signs(tables, "Train", "Test", "012"))
    assert of_test(dataset) == {name: label[-1] for name, label in RIGHT.items()}
    assert (
        dataset.notes[0]
        == "3 classes at level 2; train and test as the folders give them; the labels of test from Test.csv"
    )


@pytest.mark.parametrize(
    "tables",
    [
        {"test.csv": table(["0", "2", "9", "0", "1", "2"])},  # a class that train lacks
        {"test.csv": table(ANSWERS[:3])},  # half of the images
        {"test.csv": table(["0"] * 6)},  # a form to fill in
        {"a.csv": table(), "b.csv": table(ANSWERS[::-1])},  # two that differ
        {"test.csv": table(header="Filename;Width;Height")},
    ],
    ids=["strange class", "half", "one class", "two tables", "no classes"],
)
def test_a_test_part_without_one_fitting_table_is_left_out(signs, tables):
    dataset = open_folder(signs(tables))
    assert of_test(dataset) == {}
    assert dataset.notes[0].endswith("; test has no labels and is left out (6 images)")


def test_a_table_of_train_does_not_label_images_of_test_that_are_called_the_same(tmp_path, plant, noise):
    names = [f"train/{label}/{i}.png" for label in ("cat", "dog") for i in range(4)] + [
        f"test/{i}.png" for i in range(4)
    ]
    rows = "\n".join(["file,label", *(f"{i}.png,{('cat', 'dog')[i % 2]}" for i in range(4))])
    root = plant(tmp_path / "pets", {**{name: noise(k) for k, name in enumerate(names)}, "train/labels.csv": rows})
    assert of_test(open_folder(root)) == {}
