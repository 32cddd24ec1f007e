import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from foveola.data.dataset import Files, Problem, common_reasons, read_file
from foveola.data.folder import open_folder
from foveola.errors import DataError, ImageProblem, UsageError
from foveola.text import printable


def refusal(kind, *arguments, **options):
    with pytest.raises(kind) as caught:
        open_folder(*arguments, **options)
    return str(caught.value)


def test_a_folder_becomes_a_data_set(two_classes, noise):
    dataset = open_folder(two_classes(2))
    assert (dataset.name, dataset.class_names) == ("pets", ("cats", "dogs"))
    assert dataset.ids == ("cats/0.png", "cats/1.png", "dogs/0.png", "dogs/1.png")
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    assert dataset.counts().tolist() == [2, 2]
    assert (dataset.parts, dataset.groups, dataset.problems, dataset.files_found) == (None, None, (), 4)
    assert np.array_equal(dataset.read(2), noise(2))


def test_the_folder_above_has_a_name(two_classes, monkeypatch):
    monkeypatch.chdir(two_classes() / "cats")
    assert open_folder(Path("..")).name == "pets"


def test_the_fingerprint_does_not_know_place_name_or_date(two_classes, tmp_path, age):
    first = open_folder(two_classes())
    shutil.copytree(tmp_path / "pets", tmp_path / "else" / "where")
    age(tmp_path / "else")
    assert open_folder(tmp_path / "else" / "where").fingerprint == first.fingerprint


def test_the_fingerprint_does_not_know_ignored_files(two_classes, plant):
    root = two_classes()
    first = open_folder(root)
    plant(root, {"cats/.DS_Store": b"x", "Thumbs.db": b"y"})
    assert open_folder(root).fingerprint == first.fingerprint


def one_byte(root):
    path = root / "cats" / "0.png"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


CHANGES = {
    "one byte": one_byte,
    "a rename": lambda root: (root / "cats" / "0.png").rename(root / "cats" / "00.png"),
    "another label": lambda root: (root / "cats" / "0.png").rename(root / "dogs" / "9.png"),
    "one less": lambda root: (root / "cats" / "0.png").unlink(),
    "one more": lambda root: (root / "cats" / "9.png").write_bytes(b"x"),
    "a class's name": lambda root: (root / "cats").rename(root / "felines"),
    "two files exchanged": lambda root: (
        (root / "cats" / "0.png").rename(root / "t"),
        (root / "cats" / "1.png").rename(root / "cats" / "0.png"),
        (root / "t").rename(root / "cats" / "1.png"),
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_the_fingerprint_knows_every_change(two_classes, change):
    root = two_classes()
    first = open_folder(root)
    change(root)
    assert open_folder(root).fingerprint != first.fingerprint


def test_the_fingerprint_knows_the_parts(tmp_path, plant, noise):
    names = [f"{part}/{kind}/{i}.png" for part in ("train", "test") for kind in "ab" for i in range(2)]
    root = plant(tmp_path / "d", {name: noise(k) for k, name in enumerate(names)})
    first = open_folder(root)
    assert first.parts.tolist() == [2, 2, 2, 2, 0, 0, 0, 0]
    (root / "test").rename(root / "val")
    assert open_folder(root).fingerprint != first.fingerprint


def test_the_counts_add_up(two_classes, plant, noise):
    root = plant(two_classes(), {"stray.png": noise(9), "cats/.DS_Store": b"", "__MACOSX/a/b": b""})
    (root / "cats" / "gone.png").symlink_to("nowhere")
    os.mkfifo(root / "dogs" / "pipe.png")
    dataset = open_folder(root)
    assert [p.file for p in dataset.problems] == ["cats/gone.png", "dogs/pipe.png", "stray.png"]
    assert (len(dataset), dataset.files_ignored, dataset.files_found) == (8, 2, 13)


def test_an_unreadable_file_is_a_problem_and_the_counts_add_up(two_classes, monkeypatch):
    root = two_classes()
    real = open

    def refuse(path, *arguments, **options):
        if str(path).endswith("cats/1.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    dataset = open_folder(root)
    assert [(p.file, p.reason) for p in dataset.problems] == [("cats/1.png", "no permission to read it")]
    assert dataset.files_found == len(dataset) + 1 == 8
    assert "cats/1.png" not in dataset.ids
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_an_empty_class_is_refused(two_classes):
    root = two_classes()
    (root / "emus\n").mkdir()
    assert refusal(DataError, root) == (
        f"{root}: class 'emus\\n' contains no usable image: add images to it, or remove the class"
    )


def test_several_empty_classes_are_named(two_classes):
    root = two_classes()
    (root / "emus").mkdir()
    (root / "yaks").mkdir()
    assert refusal(DataError, root) == (
        f"{root}: 2 classes (emus, yaks) contain no usable image: add images to them, or remove them"
    )


def test_one_class_by_a_pattern_is_refused(two_classes):
    root = two_classes()
    assert refusal(DataError, root, label_pattern="(cat)") == (
        f"{root} contains one class, 'cat': a classifier needs at least two"
    )


def test_an_empty_class_is_refused_with_the_reason_that_its_files_have(two_classes, plant):
    root = plant(two_classes(), {"emus/x.txt": b"", "emus/y.jpg": b""})
    (root / "emus" / "z.jpg").symlink_to("nowhere")
    (root / "emus" / "y.jpg").unlink()
    assert refusal(DataError, root) == (
        f"{root}: class 'emus' contains no usable image: the only file can't be used: a symbolic link to a file that does "
        "not exist"
    )


def test_a_class_whose_link_is_broken_is_refused_by_name(two_classes):
    root = two_classes()
    (root / "emus").symlink_to("nowhere")
    assert refusal(DataError, root) == (
        f"{root}: class 'emus' contains no usable image: the only file can't be used: a symbolic link to a file that does "
        "not exist"
    )


def test_linked_classes_are_the_same_data_as_the_folders_they_lead_to(two_classes, tmp_path):
    store = two_classes()
    (tmp_path / "subset" / "pets").mkdir(parents=True)
    for kind in ("cats", "dogs"):
        (tmp_path / "subset" / "pets" / kind).symlink_to(store / kind)
    assert open_folder(tmp_path / "subset" / "pets").fingerprint == open_folder(store).fingerprint


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ((), ""),
        (("x: y",), "the only file can't be used: x: y"),
        (("x (1 byte)", "x (2 bytes)"), "none of the 2 files can be used: x"),
        (("x (1 byte)", "x (1 byte)", "z"), "none of the 3 files can be used; the reason for 2 of them: x (1 byte)"),
    ],
)
def test_many_reasons_come_down_to_the_most_common_one(reasons, said):
    problems = [
        Problem(f"{i}.jpg", reason, cause=reason[0] if "(" in reason else "") for i, reason in enumerate(reasons)
    ]
    assert common_reasons(problems) == said


def test_reasons_in_the_same_words_with_brackets_are_different_causes_unless_said_so():
    assert common_reasons([Problem("a", "x (1)"), Problem("b", "x (2)"), Problem("c", "y"), Problem("d", "y")]) == (
        "none of the 4 files can be used; the reason for 2 of them: y"
    )


def test_how_the_folders_are_read_is_a_note(tmp_path, plant, noise):
    names = [f"Final_{part}/Images/{kind}/{i}.png" for part in ("Training", "Test") for kind in "ab" for i in range(2)]
    dataset = open_folder(plant(tmp_path / "d", {name: noise(k) for k, name in enumerate(names)}))
    assert dataset.notes == ("2 classes at level 3; train and test from Final_Training and Final_Test",)


def test_the_user_chooses_the_level_of_the_classes(tmp_path, plant, noise):
    names = [f"{kind}/{breed}/{i}.png" for kind, breed in ("ab", "ac", "bd") for i in range(2)]
    root = plant(tmp_path / "d", {name: noise(k) for k, name in enumerate(names)})
    assert open_folder(root, class_level=1).class_names == ("a", "b")
    assert open_folder(root, class_level=2).class_names == ("b", "c", "d")
    assert open_folder(root, class_level="leaf").class_names == ("b", "c", "d")


def test_side_files_are_counted_in_one_note_and_change_no_fingerprint(two_classes, plant):
    root = two_classes(2)
    before = open_folder(root)
    after = open_folder(plant(root, {"cats/0.xml": b"<a/>", "dogs/1.xml": b"<a/>", "readme.txt": b"x"}))
    assert after.fingerprint == before.fingerprint
    assert after.notes == ("2 .xml and 1 .txt files are not images and are ignored",)
    assert (after.problems, after.files_found, after.files_ignored) == ((), 7, 3)


@pytest.fixture
def flat(tmp_path, plant, noise):
    """Images without class folders: train/cat.0.png and the like, and two in test1 without a class."""
    names = [f"train/{kind}.{i}.png" for kind in ("cat", "dog") for i in range(3)]
    return plant(tmp_path / "d", {name: noise(k) for k, name in enumerate([*names, "test1/1.png", "test1/2.png"])})


def test_a_pattern_keeps_the_parts_of_the_folders(flat, plant, noise):
    plant(flat, {"test1/cat.3.png": noise(90), "test1/dog.4.png": noise(91)})
    dataset = open_folder(flat, label_pattern=r"(cat|dog)\.")
    assert [dataset.parts[i] for i, name in enumerate(dataset.ids) if name.startswith("test1")] == [2, 2]
    assert dataset.parts.tolist().count(0) == 6
    assert dataset.notes[1:] == ("train and test as the folders give them",)
    assert len(dataset.problems) == 2


def test_a_part_that_a_pattern_does_not_label_is_left_out(flat):
    dataset = open_folder(flat, label_pattern=r"(cat|dog)\.")
    assert dataset.notes[1:] == (
        "train and test as the folders give them",
        "test has no labels and is left out (2 images)",
    )
    assert (dataset.problems, dataset.files_ignored, dataset.files_found, len(dataset)) == ((), 2, 8, 6)


def test_a_table_keeps_the_parts_of_the_folders(flat, tmp_path):
    rows = [f"{kind}.{i}.png,{kind}" for kind in ("cat", "dog") for i in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *rows, "1.png,cat", "2.png,dog"]))
    dataset = open_folder(flat, labels=tmp_path / "t.csv")
    assert dict(zip(dataset.ids, dataset.parts.tolist(), strict=True)) == {
        **{f"train/{kind}.{i}.png": 0 for kind in ("cat", "dog") for i in range(3)},
        "test1/1.png": 2,
        "test1/2.png": 2,
    }


def test_a_column_of_parts_goes_before_the_folders_and_says_so(flat, tmp_path):
    rows = [f"{kind}.{i}.png,{kind},{('train', 'val', 'test')[i]}" for kind in ("cat", "dog") for i in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(["file,label,part", *rows]))
    dataset = open_folder(flat, labels=tmp_path / "t.csv")
    assert dataset.parts.tolist() == [0, 1, 2, 0, 1, 2]
    assert (
        "train, val and test come from the table; the folders with these names differ and are not used" in dataset.notes
    )


def test_the_one_table_in_a_folder_without_class_folders_is_used(flat):
    rows = [f"{kind}.{i}.png;1;{kind}" for kind in ("cat", "dog") for i in range(3)]
    (flat / "GT.csv").write_text("\n".join(["Filename;Width;ClassId", *rows]))
    (flat / "sample_submission.csv").write_text("id,label\n1,0\n2,0\n")
    dataset = open_folder(flat)
    assert (dataset.class_names, len(dataset)) == (("cat", "dog"), 6)
    assert dataset.notes[:3] == (
        "classes are taken from GT.csv",
        "train and test as the folders give them",
        "test has no labels and is left out (2 images)",
    )


def test_several_tables_are_named_and_none_is_used(flat):
    for name in ("a.csv", "b.csv"):
        (flat / name).write_text("file,label\ncat.0.png,cat\n")
    message = refusal(DataError, flat)
    assert message.endswith(
        f". 2 files look like tables of labels, such as a.csv (--labels {flat}/a.csv takes the classes from it)"
    )


def test_a_table_next_to_class_folders_is_named(two_classes, plant):
    root = plant(two_classes(2), {"cats/GT-cats.csv": "Filename;ClassId\n0.png;0\n"})
    assert open_folder(root).notes[0] == (
        f"cats/GT-cats.csv looks like a table of labels (--labels {root}/cats/GT-cats.csv takes the classes from it); "
        "the classes come from the folders"
    )


def test_a_train_folder_alone_is_read_and_the_other_parts_are_named(tmp_path, plant, noise):
    names = [f"{part}/{kind}/{i}.png" for part in ("train", "test") for kind in "ab" for i in range(2)]
    root = plant(tmp_path / "d", {name: noise(k) for k, name in enumerate(names)})
    dataset = open_folder(root / "train")
    assert (dataset.class_names, dataset.parts) == (("a", "b"), None)
    assert dataset.notes == (f"test is next to this folder and is not used (foveola train {root} uses all)",)


def test_a_single_class_folder_is_refused_with_the_folder_above(two_classes):
    root = two_classes()
    assert refusal(DataError, root / "cats").endswith(
        f". Or name the folder above, if cats and dogs are the classes: foveola train {root}"
    )


def test_two_ways_to_tell_the_class_are_refused(two_classes, tmp_path):
    assert refusal(UsageError, two_classes(), labels=tmp_path / "x.csv", label_pattern="(.)") == (
        "--labels and --label-pattern both define the classes: use one of them"
    )
    assert refusal(UsageError, two_classes(), label_pattern="(.)", class_level=2) == (
        "--label-pattern and --class-level both define the classes: use one of them"
    )


def test_groups_come_from_a_pattern_on_the_path(two_classes):
    dataset = open_folder(two_classes(3), group_by=r"(\d)\.png")
    assert dataset.groups.tolist() == [0, 1, 2, 0, 1, 2]


def test_groups_are_told_apart_and_the_data_is_known_again_without_them(two_classes):
    plain, by_number, by_class = (open_folder(two_classes(3), group_by=by) for by in (None, r"(\d)\.png", r"^(\w+)/"))
    assert plain.fingerprint == by_number.fingerprint == by_class.fingerprint
    assert plain.grouping == {}
    assert list(by_number.grouping) == ["groups"]
    assert by_number.grouping != by_class.grouping


def test_groups_come_from_a_column_of_the_table(two_classes, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("file,label,who\ncats/0.png,a,ann\ncats/1.png,b,bob\ndogs/0.png,a,ann\n")
    assert open_folder(two_classes(), labels=table, group_by="who").groups.tolist() == [0, 1, 0]


def test_classes_that_differ_in_case_only_are_noted(tmp_path, plant, noise):
    dataset = open_folder(plant(tmp_path / "d", {"Cat/1.png": noise(1), "cat/2.png": noise(2)}))
    assert dataset.class_names == ("Cat", "cat")
    assert dataset.notes == ("class names that differ only in case are different classes: cat",)


def test_names_that_are_no_utf8_work(tmp_path, plant, noise, encoded):
    root = plant(tmp_path / "d", {"a/1.png": noise(1), "b/1.png": noise(2)})
    (root / "a" / os.fsdecode(b"\xff.png")).write_bytes(encoded(noise(3)))
    dataset = open_folder(root)
    assert printable(dataset.ids[1]) == "a/\\xff.png"
    assert np.array_equal(dataset.read(1), noise(3))


def test_what_no_screen_should_get_is_escaped_and_all_else_is_left():
    hidden = "".join(map(chr, (*range(32), 127, 0x200E, 0x202E, 0x2069, 0xD800)))
    assert printable(hidden).isascii() and printable(hidden).count("\\") == len(hidden)
    assert printable("Käse\u00a0猫 \U0001f63a") == "Käse\u00a0猫 \U0001f63a"


def test_a_file_that_changed_since_is_refused(two_classes):
    root = two_classes()
    dataset = open_folder(root)
    one_byte(root)
    with pytest.raises(ImageProblem) as caught:
        dataset.read(0)
    assert str(caught.value) == "the file changed while it was being read: start again"


def test_a_taken_subset_reads_its_own_pictures(two_classes, noise):
    dataset = open_folder(two_classes(4), group_by=r"\d")
    part = dataset.take(np.array([6, 1]))
    assert part.ids == ("dogs/2.png", "cats/1.png")
    assert (part.labels.tolist(), part.groups.tolist()) == ([1, 0], [2, 1])
    assert np.array_equal(part.read(0), noise(6))
    assert isinstance(part.source, Files)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), "no permission to read it"),
        (FileNotFoundError(2, "No such file or directory"), "it was deleted while the folder was being read"),
        (OSError(5, "Input/output error"), "can't be read: input/output error"),
    ],
)
def test_a_file_the_disk_refuses_has_its_reason(tmp_path, monkeypatch, error, reason):
    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ImageProblem) as caught:
        read_file(f"{tmp_path}/x")
    assert str(caught.value) == reason


def test_too_long_a_file_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(256_000_001)
    with pytest.raises(ImageProblem) as caught:
        read_file(f"{tmp_path}/x")
    assert str(caught.value) == "the file has 256,000,001 bytes, over the limit of 256,000,000"
