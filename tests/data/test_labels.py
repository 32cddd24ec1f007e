import pytest

from foveola.data.labels import by_folder, by_pattern, clashing_case, group_by_pattern, parts_by_folder
from foveola.data.layout import read_layout
from foveola.data.scan import scan_folder
from foveola.errors import DataError, UsageError


def by_folders(root):
    listing = scan_folder(root)
    return by_folder(listing, read_layout(listing))


def labelled(root):
    listing, found = scan_folder(root), by_folders(root)
    return {
        listing.ids[row]: (name, part) for row, name, part in zip(found.rows, found.names, found.parts, strict=True)
    }


def refusal(kind, function, *arguments):
    with pytest.raises(kind) as caught:
        function(*arguments)
    return str(caught.value)


def test_the_folders_below_the_root_are_the_classes(tmp_path, plant):
    root = plant(tmp_path / "d", {"cats/1.jpg": b"", "dogs/2.jpg": b"", "dogs/3.jpg": b""})
    assert labelled(root) == {"cats/1.jpg": ("cats", None), "dogs/2.jpg": ("dogs", None), "dogs/3.jpg": ("dogs", None)}


def test_classes_are_in_natural_order(tmp_path, plant):
    root = plant(tmp_path / "d", {f"{name}/x.jpg": b"" for name in ("10", "9", "1", "02", "b10", "b9", "a")})
    assert by_folders(root).class_names == ("1", "02", "9", "10", "a", "b9", "b10")


def test_deeper_folders_belong_to_the_class_at_the_top(tmp_path, plant):
    root = plant(tmp_path / "d", {"apple/Imgs/1.jpg": b"", "apple/Imgs/Gala/2.jpg": b"", "pear/3.jpg": b""})
    assert labelled(root) == {
        "apple/Imgs/1.jpg": ("apple", None),
        "apple/Imgs/Gala/2.jpg": ("apple", None),
        "pear/3.jpg": ("pear", None),
    }


def test_stray_files_at_the_top_are_problems(tmp_path, plant):
    root = plant(tmp_path / "d", {"cats/1.jpg": b"", "dogs/2.jpg": b"", "stray.jpg": b""})
    found = by_folders(root)
    assert [(p.file, p.reason) for p in found.problems] == [("stray.jpg", "not in a class folder")]
    assert len(found.rows) == 2


def test_a_class_folder_without_files_stays_a_class(tmp_path, plant):
    root = plant(tmp_path / "d", {"cats/1.jpg": b"", "dogs/2.jpg": b""})
    (root / "emus").mkdir()
    assert by_folders(root).class_names == ("cats", "dogs", "emus")


def test_parts_are_used_as_the_folders_give_them(tmp_path, plant):
    files = ("Training/cats/1", "Training/dogs/deep/2", "valid/dogs/3", "test_set/cats/4")
    root = plant(tmp_path / "d", dict.fromkeys(files, b""))
    assert labelled(root) == {
        "Training/cats/1": ("cats", "train"),
        "Training/dogs/deep/2": ("dogs", "train"),
        "valid/dogs/3": ("dogs", "val"),
        "test_set/cats/4": ("cats", "test"),
    }
    assert by_folders(root).class_names == ("cats", "dogs")


def test_classes_are_matched_by_name_across_parts_not_by_order(tmp_path, plant):
    files = ("train/a/1", "train/b/2", "train/c/3", "test/c/4", "test/b/5")
    root = plant(tmp_path / "d", dict.fromkeys(files, b""))
    assert labelled(root)["test/c/4"] == ("c", "test")
    assert by_folders(root).class_names == ("a", "b", "c")


def test_files_outside_the_class_folders_of_the_parts_are_problems(tmp_path, plant):
    files = ("train/a/1", "train/b/2", "test/a/3", "test/stray.jpg", "top.jpg")
    found = by_folders(plant(tmp_path / "d", dict.fromkeys(files, b"")))
    assert [p.file for p in found.problems] == ["test/stray.jpg", "top.jpg"]
    assert {p.reason for p in found.problems} == {"not in a class folder"}


def test_what_is_left_out_is_counted_and_is_no_problem(tmp_path, plant):
    files = ("train/a/1", "train/b/2", "test/a/3", "extra/a/4", "extra/b/5")
    found = by_folders(plant(tmp_path / "d", dict.fromkeys(files, b"")))
    assert (found.problems, found.ignored, len(found.rows)) == ([], 2, 3)


def test_files_without_class_folders_have_the_part_of_their_folder(tmp_path, plant):
    root = plant(tmp_path / "d", dict.fromkeys(("data/train/1", "data/test1/deep/2", "data/test1/3"), b""))
    assert parts_by_folder(scan_folder(root)) == ["test", "test", "train"]


def test_files_of_a_set_without_parts_have_none(tmp_path, plant):
    root = plant(tmp_path / "d", dict.fromkeys(("bus/1", "train/2"), b""))
    assert parts_by_folder(scan_folder(root)) == [None, None]


def test_a_pattern_takes_its_first_group_or_the_one_called_label(tmp_path, plant):
    root = plant(tmp_path / "d", {"x/cat_1.jpg": b"", "x/dog_2.jpg": b"", "x/readme": b""})
    listing = scan_folder(root)
    for pattern in (r"([a-z]+)_\d", r"(x)/(?P<label>[a-z]+)_\d"):
        found = by_pattern(listing, pattern)
        assert (found.names, found.class_names) == (["cat", "dog"], ("cat", "dog"))
        assert [(p.file, p.reason) for p in found.problems] == [
            ("x/readme", "the label pattern does not match its name")
        ]
        assert found.notes == (f"the class comes from the file name by the pattern {pattern}",)


def test_a_pattern_leaves_masks_of_the_images_out(tmp_path, plant):
    files = ("images/cat_1.jpg", "images/dog_2.jpg", "annotations/masks/cat_1.png", "annotations/masks/dog_2.png")
    found = by_pattern(scan_folder(plant(tmp_path / "d", dict.fromkeys(files, b""))), r"([a-z]+)_\d")
    assert (found.names, found.ignored, found.problems) == (["cat", "dog"], 2, [])
    assert found.notes[1] == "2 files in folders of masks or annotations are left out"


def test_a_pattern_whose_group_is_empty_does_not_match(tmp_path, plant):
    listing = scan_folder(plant(tmp_path / "d", {"cat_1.jpg": b"", "_2.jpg": b"", "3.jpg": b""}))
    found = by_pattern(listing, r"^([a-z]*)_?\d")
    assert found.names == ["cat"]
    assert [p.file for p in found.problems] == ["3.jpg", "_2.jpg"]


def test_a_pattern_without_a_group_is_refused(tmp_path):
    assert refusal(UsageError, by_pattern, scan_folder(tmp_path), "cat|dog") == (
        "--label-pattern 'cat|dog' has no group: put the part that is the class in ( )"
    )


def test_a_pattern_that_is_none_is_refused(tmp_path):
    assert refusal(UsageError, by_pattern, scan_folder(tmp_path), "(cat") == (
        "--label-pattern '(cat' is not a regular expression: missing ), unterminated subpattern at position 0"
    )


def test_a_pattern_that_matches_nothing_is_refused(tmp_path, plant):
    root = plant(tmp_path / "d", {"a\n.jpg": b"", "b.jpg": b""})
    assert refusal(DataError, by_pattern, scan_folder(root), r"(\d+)") == (
        rf"--label-pattern '(\d+)' matches none of the 2 files in {root}; the first is 'a\n.jpg': change the pattern"
    )


def test_a_group_is_the_patterns_group_or_all_it_matches():
    ids = ["p1_a.jpg", "p1_b.jpg", "p22_a.jpg"]
    assert group_by_pattern(ids, r"p(\d+)_") == ["1", "1", "22"]
    assert group_by_pattern(ids, r"p\d+") == ["p1", "p1", "p22"]


@pytest.mark.parametrize("pattern", [r"p(\d+)_", r"(p\d+)?"])
def test_a_file_without_a_group_is_refused(pattern):
    assert refusal(UsageError, group_by_pattern, ["p1_a.jpg", "x\t.jpg", "y.jpg"], pattern) == (
        f"--group-by '{pattern}' matches 1 of 3 files; the first without a match is 'x\\t.jpg': "
        "change the pattern so that every file has a group"
    )


def test_names_that_differ_in_case_only_stay_apart_and_are_said(tmp_path, plant):
    root = plant(tmp_path / "d", {"Cat/1": b"", "cat/2": b"", "dog/3": b""})
    assert by_folders(root).class_names == ("Cat", "cat", "dog")
    assert clashing_case(("Cat", "cat", "dog")) == ("class names that differ only in case are different classes: cat",)
    assert clashing_case(("cat", "dog")) == ()


COMPOSED, DECOMPOSED = "p\xe8che", "pe\u0300che"
ONE_CLASS = (
    r"the folders 'pe\u0300che' and 'p\xe8che' differ only in Unicode code points and count as one class: " + COMPOSED
)


def test_a_class_of_a_mac_is_the_class_of_the_same_letters_in_another_part(tmp_path, plant):
    files = {f"train/{name}/{k}.png": b"" for name in (COMPOSED, "pomme") for k in range(2)}
    files |= {f"test/{name}/{k}.png": b"" for name in (DECOMPOSED, "pomme") for k in range(2)}
    root = plant(tmp_path / "fruits", files)
    found = by_folders(root)
    assert found.class_names == ("pomme", COMPOSED)
    assert labelled(root)[f"test/{DECOMPOSED}/0.png"] == (COMPOSED, "test")
    assert ONE_CLASS in found.notes


def test_two_folders_of_the_same_letters_are_one_class_and_are_noted(tmp_path, plant):
    root = plant(tmp_path / "fruits", {f"{name}/1.png": b"" for name in (COMPOSED, DECOMPOSED, "pomme")})
    found = by_folders(root)
    assert found.class_names == ("pomme", COMPOSED)
    assert [found.names.count(name) for name in found.class_names] == [1, 2]
    assert found.notes == (ONE_CLASS,)


def test_a_pattern_reads_the_letters_of_a_class(tmp_path, plant):
    root = plant(tmp_path / "d", {f"{COMPOSED}_1.png": b"", f"{DECOMPOSED}_2.png": b"", "pomme_1.png": b""})
    for pattern in (r"(.+)_\d", f"({COMPOSED}|pomme)", f"({DECOMPOSED}|pomme)"):
        found = by_pattern(scan_folder(root), pattern)
        assert found.class_names == ("pomme", COMPOSED)
        assert not found.problems
    assert group_by_pattern([f"{DECOMPOSED}/1.png"], f"({COMPOSED})/") == [COMPOSED]
