import os
import threading
import time
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest

from foveola.data import hashes as module
from foveola.data.dataset import probe_sizes
from foveola.data.folder import open_folder
from foveola.data.hashes import hash_files
from foveola.data.prepare import prepare
from foveola.data.scan import scan_folder
from foveola.errors import ImageProblem
from foveola.types import Size


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that were read, in any order."""
    names = []
    real = module.read_file

    def read_file(path):
        names.append(os.path.basename(path))  # noqa: PTH119
        return real(path)

    monkeypatch.setattr(module, "read_file", read_file)
    return names


@pytest.fixture
def later(monkeypatch):
    """Let the digests' clock run ahead, so that files made by the test are old enough to be trusted."""
    now = time.time_ns
    ahead = [3_000_000_000]
    monkeypatch.setattr(module.time, "time_ns", lambda: now() + ahead[0])
    return ahead


def of(root):
    found, _, refused = hash_files(scan_folder(root))
    return [row.tobytes() for row in found], refused


def by_hand(root):
    return [sha256((root / name).read_bytes()).digest() for name in scan_folder(root).ids]


def test_a_digest_is_the_sha256_of_the_files_bytes(tmp_path, plant):
    root = plant(tmp_path / "d", {f"{i:03}": bytes([i % 256]) * i for i in range(300)})
    assert of(root) == (by_hand(root), ())


def test_images_are_measured_while_they_are_hashed(tmp_path, plant, noise, reads, later):
    tall, other = noise(1)[:, :5], noise(2)
    root = plant(tmp_path / "d", {"a.png": tall, "b.png": other, "c.png": b"no image"})
    for expected in (["a.png", "b.png", "c.png"], []):
        found = hash_files(scan_folder(root), measure=np.array([0, 2]))
        assert found.sizes.tolist() == [list(tall.shape[:2]), [0, 0], [0, 0]]
        assert found.problems == ()
        assert sorted(reads) == expected  # the second time all is remembered
        reads.clear()


def test_each_file_is_read_once_to_hash_and_measure_and_once_to_decode(two_classes, reads, monkeypatch):
    monkeypatch.setattr("foveola.data.dataset.read_file", module.read_file)
    files = ["0.png", "1.png", "2.png", "3.png"] * 2
    dataset = open_folder(two_classes())
    heights, widths = probe_sizes(dataset)
    assert sorted(reads) == sorted(files)
    prepare(dataset, Size(heights[0] // 2, widths[0] // 2))
    assert sorted(reads) == sorted(files * 2)


def test_a_second_call_reads_nothing(tmp_path, plant, reads, later):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2"})
    first = of(root)
    assert sorted(reads) == ["a", "b"]
    reads.clear()
    assert of(root) == first
    assert reads == []


def test_young_files_are_read_again(tmp_path, plant, reads):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2"})
    of(root)
    reads.clear()
    of(root)
    assert sorted(reads) == ["a", "b"]


def test_files_from_the_future_are_never_trusted(tmp_path, plant, reads, later):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2"})
    os.utime(root / "a", (4e9, 4e9))
    of(root)
    reads.clear()
    of(root)
    assert reads == ["a"]


def test_a_change_of_the_same_size_is_noticed(tmp_path, plant, reads, later):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2"})
    of(root)
    reads.clear()
    (root / "a").write_bytes(b"X")
    assert of(root)[0] == by_hand(root)
    assert reads == ["a"]


def test_a_change_with_its_date_set_back_is_noticed(tmp_path, plant, later):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2"})
    before = (root / "a").stat()
    of(root)
    (root / "a").write_bytes(b"X")
    os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    after = (root / "a").stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert of(root)[0] == by_hand(root)


def test_of_one_added_file_only_that_one_is_read(tmp_path, plant, reads, later):
    root = plant(tmp_path / "d", {"a": b"1", "c": b"2"})
    of(root)
    reads.clear()
    (root / "b").write_bytes(b"3")
    assert of(root)[0] == by_hand(root)
    assert reads == ["b"]


def test_of_a_removed_file_the_others_keep_their_digests(tmp_path, plant, reads, later):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2", "c": b"3"})
    of(root)
    reads.clear()
    (root / "b").unlink()
    assert of(root)[0] == by_hand(root)
    assert reads == []


def test_two_files_that_change_names_change_digests(tmp_path, plant, later):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2"})
    of(root)
    (root / "a").rename(root / "t")
    (root / "b").rename(root / "a")
    (root / "t").rename(root / "b")
    assert of(root)[0] == by_hand(root) == [sha256(b"2").digest(), sha256(b"1").digest()]


def test_two_folders_do_not_share_their_memory(tmp_path, plant, later):
    one = plant(tmp_path / "one", {"a": b"1"})
    two = plant(tmp_path / "two", {"a": b"2"})
    assert of(one)[0] == [sha256(b"1").digest()]
    assert of(two)[0] == [sha256(b"2").digest()]


def test_an_empty_folder_has_no_digests(tmp_path, later):
    assert of(tmp_path) == ([], ())
    (tmp_path / "a").write_bytes(b"1")
    assert of(tmp_path)[0] == [sha256(b"1").digest()]
    (tmp_path / "a").unlink()
    assert of(tmp_path) == ([], ())


def test_an_unreadable_file_is_a_problem_and_tried_again(tmp_path, plant, monkeypatch, later):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2"})

    def refuse(path):
        raise ImageProblem("no permission to read it")

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_file", refuse)
        found, _, refused = hash_files(scan_folder(root))
    assert not found.any()
    assert [(p.file, p.reason) for p in refused] == [(n, "no permission to read it") for n in "ab"]
    assert of(root) == (by_hand(root), ())


def test_no_flipped_byte_in_the_memory_gives_a_wrong_digest(tmp_path, plant, cache, later):
    root = plant(tmp_path / "d", {"a": b"1", "b": b"2"})
    right = of(root)
    (memory,) = (cache / "digests").iterdir()
    whole = memory.read_bytes()
    for at in range(len(whole)):
        spoiled = bytearray(whole)
        spoiled[at] ^= 0xFF
        memory.write_bytes(spoiled)
        assert of(root) == right, f"byte {at}"


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all", b"\x93NUMPY\x01\x00"])
def test_a_memory_that_is_none_is_ignored(tmp_path, plant, cache, later, content):
    root = plant(tmp_path / "d", {"a": b"1"})
    right = of(root)
    (memory,) = (cache / "digests").iterdir()
    memory.write_bytes(content)
    assert of(root) == right
    np.save(array := BytesIO(), np.zeros(3))
    memory.write_bytes(array.getvalue())
    assert of(root) == right


@pytest.mark.parametrize(("slow_from", "here_only"), [(0.0, False), (float("inf"), True)], ids=["slow", "fast"])
def test_only_slow_files_are_read_in_threads_and_their_digests_are_the_same(
    tmp_path, plant, monkeypatch, slow_from, here_only
):
    root = plant(tmp_path / "d", {f"{i:02}": b"%d" % i for i in range(9)})
    monkeypatch.setattr(module, "SLOW_S", slow_from)
    monkeypatch.setattr(module, "_CHUNK", 2)
    threads, real = set(), module.read_file

    def read_file(path):
        threads.add(threading.current_thread())
        return real(path)

    monkeypatch.setattr(module, "read_file", read_file)
    assert of(root) == (by_hand(root), ())
    assert (threads == {threading.current_thread()}) is here_only


def test_the_tick_ends_at_all_files(tmp_path, plant):
    root = plant(tmp_path / "d", {f"{i:03}": b"" for i in range(300)})
    seen = []
    hash_files(scan_folder(root), tick=lambda *tick: seen.append(tick))
    assert seen == [("Reading files", done, 300) for done in (64, 128, 192, 256, 300)]


def test_names_that_are_no_utf8_are_remembered(tmp_path, reads, later):
    (tmp_path / os.fsdecode(b"\xff\xfe")).write_bytes(b"1")
    first = of(tmp_path)
    (tmp_path / "new").write_bytes(b"2")
    reads.clear()
    assert of(tmp_path)[0][1:] == first[0]
    assert reads == ["new"]
