import os
import shutil

import numpy as np
import pytest

from foveola.data.dataset import printable
from foveola.data.folder import open_folder
from foveola.data.sources import Files, read_file
from foveola.errors import DataError, ImageProblem, UsageError


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
        f"{root}: class 'emus\\n' holds no usable picture: add pictures to it, or remove the class"
    )


def test_several_empty_classes_are_named(two_classes):
    root = two_classes()
    (root / "emus").mkdir()
    (root / "yaks").mkdir()
    assert refusal(DataError, root) == (
        f"{root}: 2 classes (emus, yaks) hold no usable picture: add pictures to them, or remove them"
    )


def test_one_class_by_a_pattern_is_refused(two_classes):
    root = two_classes()
    assert refusal(DataError, root, label_pattern="(cat)") == (
        f"{root} holds one class, 'cat': a classifier needs at least two"
    )


def test_parts_without_class_folders_are_refused(tmp_path, plant, noise):
    root = plant(tmp_path / "d", {"train/1.png": noise(1), "test/2.png": noise(2)})
    assert refusal(DataError, root) == (f"{root} holds no class: a classifier needs at least two")


def test_two_ways_to_tell_the_class_are_refused(two_classes, tmp_path):
    assert refusal(UsageError, two_classes(), labels=tmp_path / "x.csv", label_pattern="(.)") == (
        "--labels and --label-pattern both tell the class: use one of them"
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
    assert dataset.notes == ("class names that differ in case only stay apart: cat",)


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
        (FileNotFoundError(2, "No such file or directory"), "it vanished while the folder was being read"),
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
