import errno
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from foveola import storage as store
from foveola.errors import ResourceError, UsageError

DISK_FAULTS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS]
WRITABLE = "choose a folder that you can write to"


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
    advice = {errno.EIO: "choose another folder", errno.EACCES: WRITABLE, errno.EROFS: WRITABLE}
    size = "" if code in advice else " (5 bytes)"
    way = advice.get(code, "free some space, or choose a folder on a larger disk")
    assert str(caught.value) == f"can't write {path}{size}: {os.strerror(code).lower()}: {way}"
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
    assert str(caught.value) == f"can't write {tmp_path / 'a' / 'b'}: file exists: choose another folder"


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
        f"{tmp_path} has 3 MB free and 1,234 MB are needed: free some space, or choose a folder on a larger disk"
    )
    assert not began
    assert names_below(tmp_path) == []


def test_a_fault_that_is_not_the_disks_is_left_as_it_is(tmp_path):
    with pytest.raises(ChildProcessError), store.disk_errors_as_resource_error(tmp_path, 1):
        raise ChildProcessError(errno.ECHILD, "no child")


def test_room_is_reserved_and_a_full_disk_says_so(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(bytes(100))
    store.preallocate(path)
    assert path.read_bytes() == bytes(100)
    monkeypatch.setattr(os, "posix_fallocate", fail(errno.ENOSPC), raising=False)
    with pytest.raises(OSError, match="No space"):
        store.preallocate(path)
    monkeypatch.setattr(os, "posix_fallocate", fail(errno.EOPNOTSUPP), raising=False)
    store.preallocate(path)


def test_an_output_folder_is_made_or_taken_if_empty(tmp_path):
    made = store.new_folder(tmp_path / "a" / "b")
    assert made.is_dir()
    assert store.new_folder(made) == made


@pytest.mark.parametrize(("kind", "what"), [("file", "is a file"), ("folder", "already contains files")])
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
        f"can't write {tmp_path / 'out'}: read-only file system: choose a folder that you can write to"
    )


def test_a_refused_cache_file_names_the_setting_that_moves_the_cache(cache):
    (cache / "digests").write_bytes(b"")
    with pytest.raises(ResourceError) as caught:
        store.write_atomic(cache / "digests" / "x.npz", b"123")
    place = cache / "digests" / "x.npz"
    assert str(caught.value) == f"can't write the cache file {place}: file exists: set FOVEOLA_CACHE to another folder"


def test_a_full_cache_disk_names_space_and_the_setting(cache, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail(errno.ENOSPC))
    with pytest.raises(ResourceError) as caught:
        store.write_atomic(cache / "x", b"12345")
    assert str(caught.value) == (
        f"can't write the cache file {cache / 'x'} (5 bytes): no space left on device: free some space, or set "
        "FOVEOLA_CACHE to a folder on a larger disk"
    )


def test_a_file_that_exists_is_not_replaced_unless_that_is_wanted(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"mine")
    for refuse in (lambda: store.require_new(path), lambda: store.write_atomic(path, b"new", overwrite=False)):
        with pytest.raises(UsageError) as caught:
            refuse()
        assert str(caught.value) == f"{path} already exists: choose another name, or add --overwrite to replace it"
    assert path.read_bytes() == b"mine"
    store.require_new(path, overwrite=True)
    assert names_below(tmp_path) == ["x.csv"]


def test_a_new_file_is_kept_on_a_disk_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "hardlink_to", fail(errno.EPERM))
    store.write_atomic(tmp_path / "x", b"new", overwrite=False)
    with pytest.raises(UsageError, match="already exists"):
        store.write_atomic(tmp_path / "x", b"newer", overwrite=False)
    assert (tmp_path / "x").read_bytes() == b"new"
    assert names_below(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("kind", "said"), [("folder", "is a folder"), ("pipe", "is a pipe or a device"), ("link", "already exists")]
)
def test_an_output_file_that_is_something_else_is_refused(tmp_path, kind, said):
    path = tmp_path / "out.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=said):
        store.require_new(path)
    if kind != "link":
        with pytest.raises(UsageError, match=said):
            store.require_new(path, overwrite=True)


@pytest.mark.parametrize("check", [store.require_new, store.require_new_folder, store.require_writable])
def test_a_place_that_can_not_be_written_is_refused_before_any_work(tmp_path, check):
    (tmp_path / "a").write_bytes(b"a file in the way")
    with pytest.raises(ResourceError) as caught:
        check(tmp_path / "a" / "b" / "c")
    assert str(caught.value) == f"can't write {tmp_path / 'a' / 'b' / 'c'}: not a directory: choose another folder"
    check(tmp_path / "new" / "page")
    assert names_below(tmp_path) == ["a"]


def test_pages_that_foveola_names_get_the_next_free_number(tmp_path):
    written = [store.write_numbered(tmp_path / "check.html", f"{k}") for k in range(3)]
    assert [path.name for path in written] == ["check.html", "check-2.html", "check-3.html"]
    assert [path.read_text() for path in written] == ["0", "1", "2"]


def test_of_many_claims_at_once_each_gets_a_folder_of_its_own(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: store.claim_folder(tmp_path / "runs" / "seed-0000"), range(20)))
    assert len(set(made)) == 20
    assert names_below(tmp_path / "runs") == sorted(["seed-0000", *(f"seed-0000-{k}" for k in range(2, 21))])


def test_a_folder_with_files_is_taken_only_with_overwrite(tmp_path):
    (tmp_path / "figure.png").write_bytes(b"old")
    with pytest.raises(UsageError) as caught:
        store.require_new_folder(tmp_path, overwrite=False)
    assert str(caught.value) == (
        f"the output folder {tmp_path} already contains files: choose a new folder, or add --overwrite to replace files of "
        "the same names"
    )
    assert store.new_folder(tmp_path, overwrite=True) == tmp_path


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
