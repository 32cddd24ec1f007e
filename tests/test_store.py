import errno
import os
import shutil
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from foveola import store
from foveola.errors import ResourceError, UsageError

DISK_FAULTS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS]


def names_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def fail(code):
    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return refuse


def test_a_digest_is_sha256_over_lengths_and_parts():
    by_hand = sha256((2).to_bytes(8, "little") + b"ab" + (1).to_bytes(8, "little") + b"c").hexdigest()
    assert store.digest("ab", b"c") == by_hand
    assert store.digest("a", "bc") != by_hand
    assert store.digest("abc") != by_hand


def test_a_digest_takes_names_that_are_no_utf8():
    assert store.digest(os.fsdecode(b"a\xff")) == store.digest(b"a\xff")


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "here"))
    assert store.cache_root() == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FOVEOLA_CACHE", "~/there")
    assert store.cache_root() == tmp_path / "there"


def test_without_a_word_the_cache_is_the_systems_own(monkeypatch, tmp_path):
    monkeypatch.delenv("FOVEOLA_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.cache_root().name == "foveola" or sys.platform != "linux"
    assert tmp_path in store.cache_root().parents


def test_a_file_is_written_with_its_folders_and_nothing_beside_it(tmp_path):
    store.write_atomic(tmp_path / "a" / "b.txt", "grün")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "grün".encode()
    assert names_below(tmp_path) == ["a", "a/b.txt"]


def test_a_file_is_replaced_whole(tmp_path):
    store.write_atomic(tmp_path / "x", b"a long old text")
    store.write_atomic(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert names_below(tmp_path) == ["x"]


@pytest.mark.parametrize("code", DISK_FAULTS)
@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.open", "pathlib.Path.replace"])
def test_a_disk_fault_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step, code):
    path = tmp_path / "x.json"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(step, fail(code))
        with pytest.raises(ResourceError) as caught:
            store.write_atomic(path, b"12345")
    assert str(caught.value) == (
        f"can't write {path} (5 bytes): {os.strerror(code).lower()}: free some space or choose another folder"
    )
    assert path.read_bytes() == b"old"
    assert names_below(tmp_path) == ["x.json"]


def test_an_interrupt_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    (tmp_path / "x").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write_atomic(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names_below(tmp_path) == ["x"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(ResourceError) as caught:
        store.write_atomic(tmp_path / "a" / "b", b"1")
    assert str(caught.value) == (
        f"can't write {tmp_path / 'a' / 'b'} (1 bytes): file exists: free some space or choose another folder"
    )


def test_a_folder_appears_only_when_its_block_has_ended(tmp_path):
    place = tmp_path / "caches" / "one"
    with store.folder_atomic(place, 10) as folder:
        (folder / "x").write_bytes(b"1")
        assert not place.exists()
    assert (place / "x").read_bytes() == b"1"
    assert names_below(tmp_path / "caches") == ["one", "one/x"]


def test_a_folder_whose_block_fails_vanishes(tmp_path):
    with pytest.raises(ZeroDivisionError), store.folder_atomic(tmp_path / "one", 10) as folder:
        (folder / "x").write_bytes(b"1")
        1 / 0  # noqa: B018
    assert names_below(tmp_path) == []


def test_of_two_makers_of_a_folder_the_first_stays(tmp_path):
    with store.folder_atomic(tmp_path / "one", 10) as mine:
        (mine / "x").write_bytes(b"mine")
        with store.folder_atomic(tmp_path / "one", 10) as theirs:
            (theirs / "x").write_bytes(b"theirs")
    assert (tmp_path / "one" / "x").read_bytes() == b"theirs"
    assert names_below(tmp_path) == ["one", "one/x"]


@pytest.mark.parametrize("code", DISK_FAULTS)
def test_a_folder_that_can_not_be_renamed_is_said_and_vanishes(tmp_path, monkeypatch, code):
    with (
        monkeypatch.context() as patch,
        pytest.raises(ResourceError, match=os.strerror(code).lower()),
        store.folder_atomic(tmp_path / "one", 10),
    ):
        patch.setattr(Path, "rename", fail(code))
    assert names_below(tmp_path) == []


def test_too_small_a_disk_is_said_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**10, 10**10 - 3_000_000, 3_000_000)
    )
    began = []
    with pytest.raises(ResourceError) as caught, store.folder_atomic(tmp_path / "one", 1_234_000_000):
        began.append(1)
    assert str(caught.value) == (
        f"{tmp_path} has 3 MB free and 1,234 MB are needed: free some space, or point FOVEOLA_CACHE at a larger disk"
    )
    assert not began
    assert names_below(tmp_path) == []


def test_a_fault_that_is_not_the_disks_is_left_as_it_is(tmp_path):
    with pytest.raises(ChildProcessError), store.refusals_named(tmp_path, 1):
        raise ChildProcessError(errno.ECHILD, "no child")


def test_room_is_reserved_and_a_full_disk_says_so(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(bytes(100))
    store.reserve(path)
    assert path.read_bytes() == bytes(100)
    monkeypatch.setattr(os, "posix_fallocate", fail(errno.ENOSPC), raising=False)
    with pytest.raises(OSError, match="No space"):
        store.reserve(path)
    monkeypatch.setattr(os, "posix_fallocate", fail(errno.EOPNOTSUPP), raising=False)
    store.reserve(path)


def test_an_output_folder_is_made_or_taken_if_empty(tmp_path):
    made = store.new_folder(tmp_path / "a" / "b")
    assert made.is_dir()
    assert store.new_folder(made) == made


@pytest.mark.parametrize(("kind", "what"), [("file", "is a file"), ("folder", "holds files already")])
def test_an_output_folder_that_is_taken_is_refused(tmp_path, kind, what):
    path = tmp_path / "out"
    if kind == "file":
        path.write_bytes(b"")
    else:
        path.mkdir()
        (path / ".hidden").write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        store.new_folder(path)
    assert str(caught.value) == f"the output folder {path} {what}: choose a new folder, or delete it first"


def test_an_output_folder_the_disk_refuses_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", fail(errno.EROFS))
    with pytest.raises(ResourceError) as caught:
        store.new_folder(tmp_path / "out")
    assert str(caught.value) == (
        f"can't write {tmp_path / 'out'} (0 bytes): read-only file system: free some space or choose another folder"
    )


def test_files_and_folders_have_the_rights_that_the_umask_gives(tmp_path):
    (tmp_path / "plain").touch()
    (tmp_path / "plain folder").mkdir()
    store.write_atomic(tmp_path / "file", b"x")
    with store.folder_atomic(tmp_path / "folder", 0):
        pass
    for mine, usual in (("file", "plain"), ("folder", "plain folder")):
        assert (tmp_path / mine).stat().st_mode == (tmp_path / usual).stat().st_mode


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path):
    old, new = tmp_path / ".key.0123456789ab.part", tmp_path / ".other.0123456789ab.part"
    for folder in (old, new):
        folder.mkdir()
        (folder / "pixels.npy").write_bytes(b"12345")
    yesterday = time.time() - 90_000
    for path in (old / "pixels.npy", old):
        os.utime(path, (yesterday, yesterday))
    os.utime(new, (yesterday, yesterday))  # but a file below it is being written
    with store.folder_atomic(tmp_path / "one", 10):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, "one"]
