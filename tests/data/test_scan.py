import errno
import fnmatch
import os
import random

import pytest

from foveola.data import scan as listing_module
from foveola.data.scan import is_ignored, scan_folder
from foveola.errors import DataError


def problems(listing):
    return {problem.file: problem.reason for problem in listing.problems}


def mess(root, plant):
    """A folder with something of everything; the root's own folder is root / "data"."""
    data = plant(
        root / "data",
        {
            "cats/1.jpg": b"1",
            "cats/2.png": b"22",
            "cats/deep/er/3.tif": b"333",
            "dogs/4": b"4444",
            "dogs/Thumbs.db": b"",
            "dogs/.DS_Store": b"",
            "dogs/._4.jpg": b"",
            "dogs/desktop.ini": b"",
            "dogs/old.jpg~": b"",
            "dogs/labels.csv.xls": b"",
            "__MACOSX/cats/._1.jpg": b"",
            "__MACOSX/x": b"",
            ".git/objects/ab/cd": b"",
            ".git/HEAD": b"",
            "dogs/.ipynb_checkpoints/a.jpg": b"",
            "readme.txt": b"hi",
        },
    )
    (data / "dogs" / "dir.jpg").mkdir()
    (root / "outside.jpg").write_bytes(b"o")
    os.mkfifo(data / "dogs" / "pipe.jpg")
    (data / "dogs" / "dangling.jpg").symlink_to("nowhere.jpg")
    (data / "dogs" / "loop.jpg").symlink_to("loop.jpg")
    (data / "dogs" / "out.jpg").symlink_to(root / "outside.jpg")
    (data / "dogs" / "in.jpg").symlink_to("../cats/1.jpg")
    (data / "dogs" / "cats").symlink_to("../cats")
    (data / "dogs" / "up").symlink_to("..")
    (data / "dogs" / ".link").symlink_to("nowhere")
    return data


def counted_by_walk(root):
    """All that os.walk meets and that is not an ordinary folder: the number that a listing must account for."""
    total = 0
    for folder, folders, files in os.walk(root):
        total += len(files) + sum(os.path.islink(os.path.join(folder, name)) for name in folders)  # noqa: PTH114, PTH118
    return total


def test_everything_found_is_accounted_for(tmp_path, plant):
    root = mess(tmp_path, plant)
    listing = scan_folder(root)
    assert listing.found == counted_by_walk(root)
    assert listing.found == len(listing.ids) + len(listing.problems) + listing.ignored


@pytest.mark.parametrize("seed", range(8))
def test_the_counts_add_up_for_any_tree(tmp_path, plant, seed):
    rng = random.Random(seed)
    names = ["a", "B.jpg", ".h", "Thumbs.db", "__MACOSX", "x.tmp", "é.png", "icon\r", "lost+found", "2.jpeg", ".git"]
    for _ in range(60):
        folder = tmp_path.joinpath(
            "tree", *(f"{rng.choice(names)}" + "_d" * rng.randint(0, 1) for _ in range(rng.randint(0, 4)))
        )
        path = folder / rng.choice(names)
        if any(part.is_file() or part.is_symlink() for part in (path, *path.parents)) or path.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        path.symlink_to(rng.choice([".", "a", "/dev/null"])) if rng.random() < 0.2 else path.write_bytes(b"x")
    listing = scan_folder(tmp_path / "tree")
    assert listing.found == counted_by_walk(tmp_path / "tree")
    assert len({*listing.ids, *problems(listing)}) == len(listing.ids) + len(listing.problems)


def test_linked_folders_are_read_and_keep_the_names_of_their_links(tmp_path, plant):
    plant(tmp_path / "store", {"1/a.jpg": b"1", "1/deep/b.jpg": b"2", "2/c.jpg": b"3"})
    root = plant(tmp_path / "d", {"dog/d.jpg": b"4"})
    (root / "cat").symlink_to(tmp_path / "store" / "1")
    (root / "owl").symlink_to("../store/2")
    listing = scan_folder(root)
    assert listing.ids == ("cat/a.jpg", "cat/deep/b.jpg", "dog/d.jpg", "owl/c.jpg")
    assert listing.folders == ("cat", "cat/deep", "dog", "owl")
    assert (listing.problems, listing.found) == ((), 4)


def test_two_links_to_one_folder_count_once_and_the_second_is_named(tmp_path, plant):
    plant(tmp_path / "store", {"a.jpg": b"1"})
    root = plant(tmp_path / "d", {"dog/d.jpg": b"4"})
    for name in ("cat", "bird"):
        (root / name).symlink_to(tmp_path / "store")
    listing = scan_folder(root)
    assert listing.ids == ("bird/a.jpg", "dog/d.jpg")
    assert problems(listing) == {"cat": "leads to bird, which foveola has already read: its images count once"}


def test_links_in_linked_folders_never_lead_in_circles(tmp_path, plant):
    plant(tmp_path / "store" / "x", {"a.jpg": b"1"})
    (tmp_path / "store" / "x" / "again").symlink_to("..")
    (tmp_path / "store" / "x" / "self").symlink_to(".")
    (tmp_path / "store" / "home").symlink_to(tmp_path / "d")
    root = plant(tmp_path / "d", {"dog/d.jpg": b"4"})
    (root / "cat").symlink_to(tmp_path / "store" / "x")
    listing = scan_folder(root)
    assert [name.rpartition("/")[2] for name in listing.ids] == ["a.jpg", "d.jpg"]
    assert listing.found == len(listing.ids) + len(listing.problems)


def test_a_link_to_a_folder_above_the_data_is_not_followed(tmp_path, plant):
    root = plant(tmp_path / "d", {"dog/d.jpg": b"4"})
    (root / "above").symlink_to(tmp_path)
    listing = scan_folder(root)
    assert (listing.ids, problems(listing)) == (
        ("dog/d.jpg",),
        {"above": "a link to a folder that contains the data folder: not followed"},
    )


def test_a_class_folder_whose_link_is_broken_does_not_vanish(tmp_path, plant):
    root = plant(tmp_path / "d", {"cat/1.jpg": b"", "dog/2.jpg": b""})
    (root / "owl").symlink_to("gone")
    listing = scan_folder(root)
    assert listing.folders == ("cat", "dog", "owl")
    assert problems(listing) == {"owl": "a symbolic link to a file that does not exist"}


def test_side_files_are_counted_by_suffix_and_are_no_candidates(tmp_path, plant):
    names = (
        "a/1.png",
        "a/1.xml",
        "a/2.JPG",
        "a/2.JPG.json",
        "a/3.heic",
        "a/3.MOV",
        "a/4.mov",
        "a/5",
        "a/6.1",
        "a/6.png",
    )
    listing = scan_folder(plant(tmp_path / "d", dict.fromkeys(names, b"x")))
    assert listing.ids == ("a/1.png", "a/2.JPG", "a/3.heic", "a/4.mov", "a/5", "a/6.1", "a/6.png")
    assert listing.sides == ("a/1.xml", "a/2.JPG.json", "a/3.MOV")
    assert (listing.ignored, listing.found, len(listing.stamps)) == (3, 10, 7)
    assert listing.sides_in_words() == "1 .xml, 1 .json and 1 .mov files"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), ""),
        (("a.txt",), "1 .txt file"),
        (("a.txt", "b.TXT", "c.xml"), "2 .txt and 1 .xml files"),
        (tuple(f"{i}.{s}" for i in range(3) for s in ("csv", "md", "xml", "txt", "py", "log")), None),
    ],
)
def test_side_files_in_words(tmp_path, plant, names, words):
    said = scan_folder(plant(tmp_path / "d", {"x.jpg": b"", **dict.fromkeys(names, b"")})).sides_in_words()
    assert said == words if words is not None else said.endswith("and 6 other files")


def test_stamps_are_bytes_and_times_of_the_files(tmp_path, plant):
    root = plant(tmp_path / "d", {"b": b"12345", "a": b"1"})
    (root / "c").symlink_to("b")
    listing = scan_folder(root)
    for name, stamp in zip(listing.ids, listing.stamps.tolist(), strict=True):
        status = (root / name).stat()
        assert stamp == [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    assert listing.stamps[:, 0].tolist() == [1, 5, 5]


def test_the_directorys_order_does_not_matter(tmp_path, plant, monkeypatch):
    root = mess(tmp_path, plant)
    straight = scan_folder(root)
    real = os.scandir

    class Reversed:
        def __init__(self, path):
            with real(path) as entries:
                self.entries = iter(list(entries)[::-1])

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.entries)

    monkeypatch.setattr(listing_module.os, "scandir", Reversed)
    turned = scan_folder(root)
    assert (turned.ids, turned.folders, turned.problems) == (straight.ids, straight.folders, straight.problems)
    assert (turned.stamps == straight.stamps).all()


def test_names_that_are_no_utf8_are_listed(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"1")
    assert scan_folder(tmp_path).ids == (name,)


def test_names_with_every_odd_letter_are_listed(tmp_path, plant):
    names = ["a\nb.jpg", "t\tq\"'.jpg", "<script>.jpg", "${x};rm.jpg", "😀.jpg", "\u202egpj.exe", "x" * 251 + ".jpg"]
    plant(tmp_path, dict.fromkeys(names, b"1"))
    assert scan_folder(tmp_path).ids == tuple(sorted(names))


def test_a_tree_of_six_hundred_floors_is_walked(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("a", dir_fd=folder)
        below = os.open("a", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("x.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    listing = scan_folder(tmp_path)
    assert [name.rsplit("/", 1)[1] for name in listing.ids] == ["x.jpg"]
    assert len(listing.folders) == 600


@pytest.mark.parametrize(
    "name", ["Thumbs.db", "THUMBS.DB", ".hidden", "._a.jpg", "a.jpg~", "x.TMP", "desktop.ini", "Icon\r"]
)
def test_the_systems_files_are_ignored(name):
    assert is_ignored(name, folder=False)


@pytest.mark.parametrize("name", ["thumbs.db.jpg", "a.jpg", "A.JPEG", "b.png", "part", "icon", "tmp", "__MACOSX"])
def test_the_users_files_are_not(name):
    assert not is_ignored(name, folder=False)


def test_the_short_cut_for_pictures_agrees_with_the_patterns():
    for suffix in (".jpg", ".jpeg", ".png"):
        assert not any(fnmatch.fnmatchcase(f"x{suffix}", pattern) for pattern in listing_module.IGNORED_NAMES)


@pytest.mark.parametrize("name", ["__MACOSX", "__pycache__", ".venv", "$RECYCLE.BIN", "lost+found", "@eaDir"])
def test_the_systems_folders_are_ignored(name):
    assert is_ignored(name, folder=True)


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(DataError) as caught:
        scan_folder(tmp_path / "gone")
    assert str(caught.value) == f"the folder {tmp_path / 'gone'} does not exist: check the path"


def test_a_file_for_a_folder_is_said(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        scan_folder(tmp_path / "x")
    assert str(caught.value) == f"{tmp_path / 'x'} is not a folder: name the folder that contains the class folders"


def refuse(monkeypatch, place, error):
    real = os.scandir

    def scandir(path):
        if str(path) == str(place):
            raise error
        return real(path)

    monkeypatch.setattr(listing_module.os, "scandir", scandir)


def test_a_root_without_permission_is_said(tmp_path, monkeypatch):
    refuse(monkeypatch, tmp_path, PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(DataError) as caught:
        scan_folder(tmp_path)
    assert str(caught.value) == f"no permission to read the folder {tmp_path}: change its permissions, or copy it"


def test_a_root_the_disk_refuses_is_said(tmp_path, monkeypatch):
    refuse(monkeypatch, tmp_path, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(DataError) as caught:
        scan_folder(tmp_path)
    assert str(caught.value) == f"the folder {tmp_path} can't be read: input/output error"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "no permission to read this folder"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "it was deleted while the folder was being read"),
        (OSError(errno.ESTALE, "Stale file handle"), "can't be read: stale file handle"),
    ],
)
def test_an_unreadable_folder_is_a_problem_and_the_others_go_on(tmp_path, plant, monkeypatch, error, reason):
    root = plant(tmp_path / "d", {"a/1": b"", "b/2": b"", "c/3": b""})
    refuse(monkeypatch, root / "b", error)
    listing = scan_folder(root)
    assert listing.ids == ("a/1", "c/3")
    assert problems(listing) == {"b": reason}


def test_a_file_that_vanishes_during_the_walk_is_a_problem(tmp_path, plant, monkeypatch):
    root = plant(tmp_path / "d", {"a": b"", "b": b""})
    real = listing_module._Walk._entry

    def entry(self, item, name):
        if name == "a":
            (root / "a").unlink()
        real(self, item, name)

    monkeypatch.setattr(listing_module._Walk, "_entry", entry)
    listing = scan_folder(root)
    assert (listing.ids, problems(listing)) == (("b",), {"a": "it was deleted while the folder was being read"})
