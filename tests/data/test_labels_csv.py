import csv
import unicodedata
from pathlib import Path

import pytest

from foveola.data.folder import open_folder
from foveola.data.labels_csv import by_table
from foveola.data.scan import scan_folder
from foveola.errors import DataError, UsageError

LABELS = "label, class, category, class_name, target, y, classid, class_id, label_name, labels"


@pytest.fixture
def root(tmp_path, plant, noise):
    return plant(tmp_path / "photos", {f"{i}.png": noise(i) for i in range(4)})


@pytest.fixture
def table(tmp_path):
    def make(text):
        path = tmp_path / "labels.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def labelled(root, table, group_column=None):
    listing = scan_folder(root)
    found = by_table(listing, table, group_column)
    return {listing.ids[row]: name for row, name in zip(found.rows, found.names, strict=True)}


def refusal(kind, root, table, group_column=None):
    with pytest.raises(kind) as caught:
        labelled(root, table, group_column)
    return str(caught.value)


FILE_NAMES = "file, filename, file_name, image, image_path, path, filepath, id, image_id, img, image_name"
PLAIN = "file,label\n0.png,cat\n1.png,dog\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        'file,label\n"0.png","cat"\n"1.png",dog\n\n',
        "FileName , Class \n 0.png , cat \n1.png,dog",
        "id,x,target\n0,a;b,cat\n1,,dog\n",
        "Image-ID,Class Name\n0,cat\n1,dog\n",
        "sep=;\r\nfile;label\r\n0;cat\r\n1;dog\r\n",
        "label,path,n\ncat,./0.png\ndog,1.png,7,8,9\n",
        "file,label\n0.png,cat\n1.png,dog\n0.png,cat\n , \n",
    ],
    ids=[
        "plain",
        "BOM",
        "CRLF",
        "semicolons",
        "tabs",
        "quotes",
        "spaces",
        "other names",
        "names with spaces and hyphens",
        "Excel's separator line",
        "short and long rows",
        "twice",
    ],
)
def test_tables_of_every_hand_say_the_same(root, table, text):
    assert labelled(root, table(text)) == {"0.png": "cat", "1.png": "dog"}


def test_quoted_names_may_hold_the_delimiter_and_line_breaks(tmp_path, plant, table):
    root = plant(tmp_path / "d", {"a,b.png": b"", "c\nd.png": b""})
    found = labelled(root, table('file,label\n"a,b.png","x ""y"""\n"c\nd.png",z\n'))
    assert found == {"a,b.png": 'x "y"', "c\nd.png": "z"}


def test_a_file_is_found_by_path_name_or_stem(tmp_path, plant, table):
    root = plant(tmp_path / "d", {"a/1.png": b"", "b/2.png": b"", "b/3.jpeg": b"", "b/c/4.png": b""})
    found = labelled(root, table("file,label\na/1.png,p\n2.png,q\n3,r\nb\\c\\4.png,s\n"))
    assert found == {"a/1.png": "p", "b/2.png": "q", "b/3.jpeg": "r", "b/c/4.png": "s"}


def test_a_name_that_two_files_have_finds_neither(tmp_path, plant, table):
    root = plant(tmp_path / "d", {"a/1.png": b"", "b/1.png": b"", "a/2.png": b""})
    found = by_table(scan_folder(root), table("file,label\n1.png,p\na/1.png,q\n2,q\n"), None)
    assert [(p.file, p.reason) for p in found.problems] == [
        ("1.png", "named in line 2 of labels.csv, and fits both 'a/1.png' and 'b/1.png': write the path")
    ]
    assert (found.names, found.ignored) == (["q", "q"], 1)


def test_classes_are_in_natural_order_and_the_source_is_noted(root, table):
    found = by_table(scan_folder(root), table("file,label\n0,10\n1,9\n2,b\n3,10\n"), None)
    assert found.class_names == ("9", "10", "b")
    assert found.notes == ("classes are taken from labels.csv",)


def test_a_part_column_gives_the_parts(root, table):
    found = by_table(scan_folder(root), table("file,label,Split\n0,a,train\n1,b,Validation\n2,a,test\n3,b,\n"), None)
    assert found.parts == ["train", "val", "test", None]


def test_a_group_column_gives_the_groups(root, table):
    text = "file,label,Patient\n0,a,p1\n1,b,p2\n2,a,p1\n"
    assert by_table(scan_folder(root), table(text), "patient").groups == ["p1", "p2", "p1"]
    assert by_table(scan_folder(root), table(text), None).groups == [None, None, None]


def test_rows_that_contradict_each_other_are_named_by_line(root, table):
    path = table("file,label\n0.png,cat\n1.png,dog\n\n0,dog\n1.png,emu\n")
    assert refusal(DataError, root, path) == (
        f"{path}: line 5 says 'dog' of '0', line 2 said 'cat'; line 6 says 'emu' of '1.png', line 3 said 'dog': "
        "correct these lines"
    )


def test_rows_that_contradict_each_other_in_part_or_group_are_named_too(root, table):
    path = table("file,label,part,who\n0,cat,train,ann\n0,cat,test,ann\n1,dog,,ann\n1,dog,,bob\n")
    assert refusal(DataError, root, path, "who") == (
        f"{path}: line 3 says 'test' of '0', line 2 said 'train'; line 5 says 'bob' of '1', line 4 said 'ann': "
        "correct these lines"
    )


def test_cells_that_lack_are_named_by_line_five_at_most(root, table):
    path = table("file,label\n,cat\n0.png,\n1.png\n , \n" + ",dog\n" * 4)
    assert refusal(DataError, root, path) == (
        f"{path}: line 2 has no file; line 3 has no label; line 4 has no label; line 6 has no file; "
        "line 7 has no file; and 2 more: correct these lines"
    )


def test_a_part_that_is_none_and_a_group_that_lacks_are_named(root, table):
    path = table("file,label,part,who\n0,cat,holdout,x\n1,dog,test,\n")
    assert refusal(DataError, root, path, "who") == (
        f"{path}: line 2 names the set 'holdout', which is not train, val or test; line 3 has no group: correct these lines"
    )


@pytest.mark.parametrize(
    ("text", "what", "names", "found"),
    [
        ("name,label\n0,a\n", "the files", FILE_NAMES, "name, label"),
        ("file,kind\n0,a\n", "the classes", LABELS, "file, kind"),
    ],
)
def test_a_missing_column_is_said(root, table, text, what, names, found):
    path = table(text)
    assert refusal(DataError, root, path) == (
        f"{path} has no column for {what}: its first line names {found}; one of {names} is needed"
    )


def test_a_missing_group_column_is_said(root, table):
    path = table(PLAIN)
    assert refusal(DataError, root, path, "Patient") == (
        f"{path} has no column for the groups (--group-by): its first line names file, label; one of patient is needed"
    )


@pytest.mark.parametrize("text", ["file,label\n0,größe\n".encode("latin-1"), PLAIN.encode("utf-16")])
def test_a_table_that_is_not_utf8_is_said(root, table, text):
    path = table(text)
    assert refusal(DataError, root, path) == f"{path} is not UTF-8 text: save it as CSV in UTF-8"


def test_a_table_that_is_no_table_is_said(root, table):
    path = table("file,label\n" + "x" * (csv.field_size_limit() + 1) + ",a\n")
    assert refusal(DataError, root, path) == (
        f"{path} is not a CSV table: line 2: field larger than field limit ({csv.field_size_limit()})"
    )


def test_a_missing_table_is_said(root, tmp_path):
    path = tmp_path / "gone.csv"
    assert (
        refusal(UsageError, root, path)
        == f"the label table {path} can't be read: no such file or directory: check the path"
    )
    assert (
        refusal(UsageError, root, tmp_path)
        == f"the label table {tmp_path} can't be read: is a directory: check the path"
    )


def test_a_table_about_other_files_is_said(root, table):
    path = table("file,label\nx,a\ny,b\n")
    assert refusal(DataError, root, path) == (
        f"none of the 2 files named in {path} is in {root}: line 2 names 'x', and the folder has files such as '0.png': "
        f"write each path relative to {root}"
    )


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", ",,\n"])
def test_an_empty_table_is_said(root, table, text):
    path = table(text)
    assert refusal(DataError, root, path) == (
        f"{path} is empty: a table of labels needs a column of files and a column of classes"
    )


def test_a_table_of_a_header_only_is_said(root, table):
    path = table("file,label\n")
    assert refusal(DataError, root, path) == f"{path} lists no files: it has a header but no rows"


def test_a_table_of_names_that_several_files_have_shows_two_of_them(tmp_path, plant, table):
    root = plant(tmp_path / "d", {f"{folder}/{n}.png": b"" for folder in "abc" for n in range(2)})
    path = table("file,label\n0.png,x\n1.png,y\n")
    assert refusal(DataError, root, path) == (
        f"none of the 2 files named in {path} is unique in {root}: line 2 names '0.png', which fits both "
        f"'a/0.png' and 'b/0.png' and 1 more file: write each path relative to {root}"
    )


def test_a_row_that_is_nearly_a_file_s_name_shows_both(root, table):
    found = by_table(scan_folder(root), table("file,label\n0.png,a\n1.png,b\n12.png,b\nother.png,b\n"), None)
    assert [problem.reason for problem in found.problems] == [
        "named in line 4 of labels.csv, but not in the folder (did you mean '2.png'?)",
        "named in line 5 of labels.csv, but not in the folder",
    ]


@pytest.mark.parametrize(
    "written",
    [
        "{root}/007.jpg",
        "{root}/../photos/007.jpg",
        "photos/007.jpg",
        "./../photos/007.jpg",
        "C:\\Users\\me\\photos\\007.jpg",
        ".\\007.jpg",
        "7",
        "007.JPG",
        "007.jpeg",
        "Photos/7.JPEG",
    ],
)
def test_a_file_is_found_however_a_path_to_it_is_written(tmp_path, plant, table, written):
    root = plant(tmp_path / "photos", {"007.jpg": b"", "17.jpg": b""})
    assert labelled(root, table(f"file,label\n{written.format(root=root)},cat\n17.jpg,dog\n")) == {
        "007.jpg": "cat", "17.jpg": "dog",
    }  # fmt: skip


def test_a_file_is_found_by_its_letters_and_without_percent_signs(tmp_path, plant, table):
    root = plant(tmp_path / "d", {f"{unicodedata.normalize('NFD', 'été')}.png": b"", "my cat.png": b""})
    found = labelled(root, table(f"file,label\n{unicodedata.normalize('NFC', 'été.png')},a\nmy%20cat.png,b\n"))
    assert sorted(found.values()) == ["a", "b"]


def test_a_path_that_starts_at_the_table_or_here_is_found(tmp_path, plant, monkeypatch):
    root = plant(tmp_path / "data", {"images/x/1.png": b"", "images/y/1.png": b""})
    (root / "images" / "labels.csv").write_text("file,label\nx/1.png,a\n")
    assert labelled(root, root / "images" / "labels.csv") == {"images/x/1.png": "a"}
    (tmp_path / "t.csv").write_text("file,label\ny/1.png,b\n")
    monkeypatch.chdir(root / "images")
    assert labelled(Path("..") / "images", tmp_path / "t.csv") == {"y/1.png": "b"}


def test_an_absolute_path_through_a_link_to_the_data_is_found(tmp_path, plant, table):
    root = plant(tmp_path / "store", {"a/1.png": b"", "b/1.png": b""})
    (tmp_path / "link").symlink_to(root)
    assert labelled(root, table(f"file,label\n{tmp_path}/link/a/1.png,x\n")) == {"a/1.png": "x"}


def test_a_file_of_another_folder_is_not_mistaken_for_one_of_the_same_name(tmp_path, plant, table):
    root = plant(tmp_path / "train", {"0.png": b"", "sub/1.png": b""})
    text = f"file,label\ntrain/0.png,a\ntest/0.png,b\n{root}/1.png,b\n"
    listing = scan_folder(root)
    found = by_table(listing, table(text), None)
    assert [listing.ids[row] for row in found.rows] == ["0.png"]
    assert [problem.file for problem in found.problems] == ["test/0.png", f"{root}/1.png"]


def test_files_that_the_table_spells_otherwise_are_noted_with_an_example(tmp_path, plant, table):
    root = plant(tmp_path / "d", {"000.png": b"", "001.png": b""})
    found = by_table(scan_folder(root), table("file,label\n0,cat\n001.png,dog\n"), None)
    assert found.notes[1:] == ("labels.csv spells 1 file name differently from the folder, such as '0' for '000.png'",)


@pytest.mark.parametrize(
    ("labels", "number", "mark"),
    [
        (("cat", "dog", "cat|dog", "dog|owl"), 2, "|"),
        (("cat", "dog", "cat;dog", "cat"), 1, ";"),
        (("cat", "dog", "cat, dog", "dog"), 1, ","),
        (("Paris, Texas", "Paris, France", "Rome", "Rome"), 0, ""),
        (("cat, grey", 'dog "big"', "cat, grey", "x"), 0, ""),
        (("animal/cat", "animal/dog", "thing/car", "|"), 0, ""),
    ],
)
def test_cells_with_several_labels_are_noted(root, table, labels, number, mark):
    path = table("")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *((f"{k}.png", label) for k, label in enumerate(labels))])
    notes = by_table(scan_folder(root), path, None).notes[1:]
    example = next((label for label in labels if mark and mark in label), "")
    verb = "contain" if number > 1 else "contains"
    said = (
        f"{number} of 4 labels in labels.csv {verb} '{mark}', such as '{example}': foveola gives an image one class, so each "
        "combination counts as a separate class"
    )
    assert notes == ((said,) if number else ())


def test_the_counts_add_up_whatever_the_table_says(root, table):
    path = table("file,label\n0,a\n1,b\n0,a\ngone,a\ngone,a\nlost,b\n")
    dataset = open_folder(root, labels=path)
    assert len(dataset) == 2
    assert [p.file for p in dataset.problems] == ["gone", "lost"]
    assert dataset.files_ignored == 2
    assert dataset.files_found == len(dataset) + len(dataset.problems) + dataset.files_ignored == 6


def test_a_table_inside_the_folder_is_one_of_the_ignored(root):
    path = Path(root / "labels.csv")
    path.write_text(PLAIN)
    dataset = open_folder(root, labels=path)
    assert dataset.files_ignored == 3
    assert dataset.files_found == 5
