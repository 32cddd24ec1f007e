import re

import pytest

from foveola.data.exclude import exclude, read_list, write_list
from foveola.data.folder import open_folder
from foveola.data.prepare import prepare
from foveola.errors import DataError, UsageError
from foveola.types import Size

ODD = [
    "a.png",
    "#b.png",
    '"c.png',
    " d.png",
    "e\nf.png",
    "g\udcff.png",
    "h # i.png",
    "ü.png",
    "j\u2028k.png",
    "l\x85m.png",
]


def test_a_list_is_read_as_it_was_written_however_odd_the_names(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(write_list([("odd names", ODD)], ["An opening"]), "utf-8")
    assert read_list(path) == tuple(ODD)


def test_a_list_of_another_format_is_refused(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(write_list([("copies", ["a.png"])]).replace("format 1", "format 2"), "utf-8")
    with pytest.raises(UsageError) as refused:
        read_list(path)
    assert str(refused.value) == (
        f"the exclude list {path} has format 2, but this version of foveola reads format 1 only: make a new list with "
        "foveola check --fix"
    )


def test_a_list_written_by_hand_needs_no_format_line(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.png\n# blurred\nb.png\n", "utf-8")
    assert read_list(path) == ("a.png", "b.png")


def test_left_out_pictures_are_listed_with_the_list_s_name_and_the_sum_holds(two_classes):
    dataset = open_folder(two_classes(4))
    left = exclude(dataset, ["cats/1.png", "dogs/3.png"], "q.txt")
    assert len(left) == 6
    assert [(p.file, p.reason) for p in left.problems] == [
        ("cats/1.png", "excluded by the list q.txt"),
        ("dogs/3.png", "excluded by the list q.txt"),
    ]
    assert left.files_found == len(left) + len(left.problems) + left.files_ignored


def test_the_data_set_without_them_has_a_fingerprint_and_pixels_of_its_own(two_classes):
    dataset = open_folder(two_classes(4))
    left = exclude(dataset, ["cats/1.png"], "q.txt")
    assert left.fingerprint != dataset.fingerprint
    assert len(prepare(dataset, Size(16, 16)).pixels) == 8
    assert len(prepare(left, Size(16, 16)).pixels) == 7
    assert exclude(dataset, [], "q.txt") is dataset


def test_a_file_that_can_t_be_used_anyway_may_be_on_the_list(two_classes, plant):
    dataset = open_folder(plant(two_classes(4), {"stray.png": "x", "cats/notes.txt": "x"}))
    assert exclude(dataset, ["stray.png", "cats/notes.txt"], "q.txt") is dataset


def test_unknown_files_are_refused_in_one_sentence(two_classes):
    dataset = open_folder(two_classes(4))
    message = (
        "the exclude list q.txt names 'cats/11.png' and 1 more file, which pets does not have (did you mean "
        "'cats/1.png'?): remove it from the list, or check that the list was made for this data"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        exclude(dataset, ["cats/1.png", "cats/11.png", "nowhere"], "q.txt")


def test_the_nearest_name_is_told_of_a_name_with_a_quote(two_classes):
    with pytest.raises(UsageError) as refused:
        exclude(open_folder(two_classes(4)), ["cats/1'.png"], "q.txt")
    assert "names 'cats/1'.png', which pets does not have (did you mean 'cats/1.png'?): " in str(refused.value)


def test_a_list_from_another_computer_is_understood(two_classes):
    dataset = open_folder(two_classes(4))
    ids = ["cats/1.png", "dogs/2.png"]
    expected = exclude(dataset, ids, "q.txt")
    for written in (
        ["pets/cats/1.png", "D:\\old\\pets\\dogs\\2.png"],
        ["./cats/1.png", "Dogs/2.PNG"],
        [*ids, "cats/1"],
    ):
        left = exclude(dataset, written, "q.txt")
        assert (left.ids, left.fingerprint) == (expected.ids, expected.fingerprint)


def test_a_name_that_several_files_have_is_refused(two_classes):
    with pytest.raises(UsageError) as refused:
        exclude(open_folder(two_classes(4)), ["1.png"], "q.txt")
    assert str(refused.value) == (
        "the exclude list q.txt names '1.png', which fits both 'cats/1.png' and 'dogs/1.png': write the path"
    )


def test_a_list_that_leaves_a_class_empty_is_refused(two_classes):
    dataset = open_folder(two_classes(2))
    message = (
        "with the images of q.txt left out, pets: class 'cats' contains no usable image: add images to it, or remove "
        "the class"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        exclude(dataset, ["cats/0.png", "cats/1.png"], "q.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the exclude list {path} does not exist: check the path"),
        (b"\xff\xfe", "the exclude list {path} is not text: write one id per line, as foveola check --fix does"),
        (b'"x', 'the exclude list {path} has the line "x, which begins with a quote but is not a JSON string'),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path, content, message):
    path = tmp_path / "q.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"^{re.escape(message.format(path=path))}$"):
        read_list(path)
