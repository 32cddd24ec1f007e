import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from foveola import array_cache
from foveola.data import decode_workers as decoding
from foveola.data import prepare as module
from foveola.data.dataset import Arrays, Dataset
from foveola.data.folder import open_folder
from foveola.data.prepare import describe, prepare
from foveola.errors import DataError, PassingProblem, ResourceError
from foveola.imaging import decode as images
from foveola.imaging.resize import resize
from foveola.types import Size

SIZE = Size(8, 10)


@pytest.fixture
def decodes(monkeypatch):
    """How often a file was decoded."""
    calls = []
    real = images.decode_and_resize

    def decode(data, *options):
        calls.append(len(data))
        return real(data, *options)

    monkeypatch.setattr(images, "decode_and_resize", decode)
    return calls


def place_of(cache):
    (place,) = (cache / "prepared").iterdir()
    return place


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def expected(root, dataset, size=SIZE, how="pad"):
    return np.stack([images.decode_and_resize((root / name).read_bytes(), size, how).image for name in dataset.ids])


@pytest.mark.parametrize("how", ["pad", "crop", "stretch"])
def test_the_pixels_are_those_of_read(two_classes, how):
    root = two_classes()
    prepared = prepare(open_folder(root), SIZE, how)
    assert np.array_equal(prepared.pixels, expected(root, prepared.dataset, SIZE, how))
    assert (prepared.pixels.shape, prepared.pixels.dtype) == ((8, 8, 10, 3), np.uint8)
    assert (prepared.size, prepared.how) == (SIZE, how)
    assert prepared.sizes.tolist() == [[16, 12]] * 8
    assert (prepared.formats, prepared.notes) == ({"PNG": 8}, {})


def test_the_pixels_can_not_be_written_over(two_classes):
    prepared = prepare(open_folder(two_classes()), SIZE)
    with pytest.raises(ValueError, match="read-only"):
        prepared.pixels[0] = 0


def test_a_second_call_decodes_nothing(two_classes, decodes):
    dataset = open_folder(two_classes())
    first = prepare(dataset, SIZE)
    assert len(decodes) == 8
    second = prepare(dataset, SIZE)
    assert len(decodes) == 8
    assert np.array_equal(first.pixels, second.pixels)
    assert (first.content == second.content).all()


def test_a_copy_of_the_folder_elsewhere_uses_the_same_cache(two_classes, tmp_path, decodes):
    prepare(open_folder(two_classes()), SIZE)
    shutil.copytree(tmp_path / "pets", tmp_path / "copy")
    prepare(open_folder(tmp_path / "copy"), SIZE)
    assert len(decodes) == 8


def test_another_size_rule_or_version_is_another_cache(two_classes, decodes, monkeypatch):
    dataset = open_folder(two_classes(2))
    prepare(dataset, Size(8, 10))
    prepare(dataset, Size(10, 8))
    prepare(dataset, Size(8, 10), "crop")
    monkeypatch.setattr(module, "VERSION", 99)
    prepare(dataset, Size(8, 10))
    assert len(decodes) == 16


def test_notes_with_other_texts_are_not_taken_from_the_cache(two_classes, decodes, monkeypatch):
    dataset = open_folder(two_classes(2))
    prepare(dataset, SIZE)
    monkeypatch.setattr(module, "Note", ["a text of another version"])
    prepare(dataset, SIZE)
    assert len(decodes) == 8


@pytest.mark.parametrize("file", ["pixels.npy", "content.npy", "facts.json"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "header", "one byte", "a folder"])
def test_a_damaged_cache_is_made_again(two_classes, cache, decodes, file, damage):
    dataset = open_folder(two_classes(2))
    right = np.array(prepare(dataset, SIZE).pixels)
    path = place_of(cache) / file
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        cut = {"empty": b"", "cut": whole[: len(whole) // 2], "header": b"\0" * 9 + whole[9:]}
        path.write_bytes(cut.get(damage, flipped(whole, len(whole) // 2)))
    assert np.array_equal(prepare(dataset, SIZE).pixels, right)
    assert len(decodes) == 8
    assert not list(place_of(cache).glob(".*"))


@pytest.mark.parametrize(("old", "new"), [(b"|u1", b"|i1"), (b"(4, 8, 10, 3)", b"(4, 10, 8, 3)")])
def test_a_header_that_lies_about_the_pixels_is_noticed(two_classes, cache, old, new):
    dataset = open_folder(two_classes(2))
    prepare(dataset, SIZE)
    path = place_of(cache) / "pixels.npy"
    whole = path.read_bytes()
    assert old in whole
    path.write_bytes(whole.replace(old, new))
    prepared = prepare(dataset, SIZE)
    assert (prepared.pixels.dtype, prepared.pixels.shape) == (np.uint8, (4, 8, 10, 3))


def test_a_cache_of_another_data_set_under_this_key_is_not_used(two_classes, cache, tmp_path, decodes):
    dataset = open_folder(two_classes(2))
    prepare(open_folder(two_classes(3, tmp_path / "more")), SIZE)
    other = place_of(cache)
    prepare(dataset, SIZE)
    (right,) = {*(cache / "prepared").iterdir()} - {other}
    shutil.rmtree(right)
    other.rename(right)
    decodes.clear()
    assert len(prepare(dataset, SIZE).pixels) == 4
    assert len(decodes) == 4


def test_a_file_where_the_cache_should_be_is_said(two_classes, cache):
    dataset = open_folder(two_classes(2))
    prepare(dataset, SIZE)
    place = place_of(cache)
    shutil.rmtree(place)
    place.write_bytes(b"")
    with pytest.raises(ResourceError) as caught:
        prepare(dataset, SIZE)
    assert str(caught.value) == (
        f"can't write the cache file {place}: not a directory: set FOVEOLA_CACHE to another folder"
    )


def test_damaged_files_are_listed_with_their_reasons_and_counted(two_classes, plant, encoded, noise):
    files = {"cats/cut.png": encoded(noise(50))[:300], "dogs/page.jpg": "<html><body>404", "dogs/empty.png": b""}
    root = plant(two_classes(), files)
    prepared = prepare(open_folder(root), SIZE)
    assert {p.file: p.reason.split(" (")[0] for p in prepared.dataset.problems} == {
        "cats/cut.png": "cut short",
        "dogs/empty.png": "empty file",
        "dogs/page.jpg": "not an image: looks like HTML",
    }
    dataset = prepared.dataset
    assert dataset.files_found == len(dataset) + len(dataset.problems) + dataset.files_ignored == 11
    assert np.array_equal(prepared.pixels, expected(root, dataset))
    assert dataset.labels.tolist() == [0] * 4 + [1] * 4
    assert len(prepared.content) == len(prepared.sizes) == 8


def test_the_problems_are_the_same_from_the_cache(two_classes, plant):
    dataset = open_folder(plant(two_classes(), {"cats/00.png": b"\0\1\2"}))
    first, second = prepare(dataset, SIZE), prepare(dataset, SIZE)
    assert first.dataset.problems == second.dataset.problems
    assert first.dataset.ids == second.dataset.ids
    assert [(p.file, p.reason) for p in second.dataset.problems] == [("cats/00.png", "cut short: only 3 bytes")]


def test_a_file_that_changes_before_it_is_decoded_is_a_problem(two_classes):
    root = two_classes()
    dataset = open_folder(root)
    (root / "cats" / "2.png").write_bytes((root / "cats" / "3.png").read_bytes())
    (root / "dogs" / "1.png").unlink()
    prepared = prepare(dataset, SIZE)
    assert [(p.file, p.reason) for p in prepared.dataset.problems] == [
        ("cats/2.png", "the file changed while it was being read: start again"),
        ("dogs/1.png", "it was deleted while the folder was being read"),
    ]


def test_a_class_may_lose_all_its_images_but_not_all_classes(two_classes, plant, tmp_path):
    prepared = prepare(open_folder(plant(two_classes(), {"emus/1.png": b"", "emus/2.png": b"x"})), SIZE)
    assert prepared.dataset.counts().tolist() == [4, 4, 0]
    nothing = open_folder(plant(tmp_path / "zoo", {"emus/1.png": b"", "yaks/2.png": b""}))
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            prepare(nothing, SIZE)
        assert str(caught.value) == "zoo contains no usable image: none of the 2 files can be used: empty file"


def test_too_small_a_disk_is_said_before_any_picture_is_read(two_classes, cache, decodes, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10_000_000))
    with pytest.raises(ResourceError) as caught:
        prepare(open_folder(two_classes()), Size(1000, 1000))
    assert str(caught.value) == (
        f"{cache / 'prepared'} has 10 MB free and 48 MB are needed: free some space, or set FOVEOLA_CACHE to a folder on a "
        "larger disk"
    )
    assert not decodes
    assert list((cache / "prepared").iterdir()) == []


WRITES = (
    (Path, "mkdir"),
    (np.lib.format, "open_memmap"),
    (array_cache, "preallocate"),
    (np, "save"),
    (Path, "open"),
    (os, "fsync"),
    (Path, "replace"),
    (Path, "rename"),
)


def fail_at(k, code, patch):
    """Let the k-th step of all WRITES fail with this code of the disk; gives the growing list of steps."""
    steps = []

    def watch(owner, name):
        real = getattr(owner, name)

        def step(*arguments, **options):
            if options.get("mode", "").startswith("r"):  # numpy.load maps through open_memmap too
                return real(*arguments, **options)
            steps.append(name)
            if len(steps) == k:
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        patch.setattr(owner, name, step)

    for owner, name in WRITES:
        watch(owner, name)
    return steps


def test_all_writes_are_watched_by_the_fault_loop(two_classes, plant, monkeypatch):
    dataset = open_folder(plant(two_classes(2), {"cats/bad.png": b"bad"}))
    with monkeypatch.context() as patch:
        steps = fail_at(0, 0, patch)
        prepare(dataset, SIZE)
    assert set(steps) == {name for _, name in WRITES}
    assert len(steps) <= LAST_STEP


LAST_STEP = 27


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("k", range(1, LAST_STEP + 1))
def test_a_disk_fault_at_any_step_leaves_nothing_under_the_final_name(two_classes, plant, cache, monkeypatch, k, code):
    dataset = open_folder(plant(two_classes(2), {"cats/bad.png": b"bad"}))
    with monkeypatch.context() as patch:
        steps = fail_at(k, code, patch)
        try:
            prepare(dataset, SIZE)
        except ResourceError as error:
            assert os.strerror(code).lower() in str(error)
            assert list((cache / "prepared").glob("*")) == []
        else:  # only flushing a folder may fail without a word: some systems can't
            assert len(steps) < k or steps[k - 1] == "fsync"
    assert len(prepare(dataset, SIZE).pixels) == 4


def test_a_cache_that_can_not_be_read_back_is_said(two_classes, cache, monkeypatch, decodes):
    dataset = open_folder(two_classes())
    monkeypatch.setattr(array_cache, "read_entry", lambda place: None)
    with pytest.raises(DataError) as caught:
        prepare(dataset, SIZE)
    assert str(caught.value) == (
        f"the cache {place_of(cache)} can't be read back: delete it, or set FOVEOLA_CACHE to another folder"
    )
    assert len(decodes) == 24  # twice more: another process might have removed the first


def test_an_interrupt_leaves_nothing(two_classes, cache, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    dataset = open_folder(two_classes())
    monkeypatch.setattr(decoding, "_outcome", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, SIZE)
    assert list((cache / "prepared").iterdir()) == []


def test_pictures_in_memory_of_the_size_need_no_cache(cache, noise):
    pixels = np.stack([noise(k, 8, 10) for k in (1, 2, 1, 3)])
    dataset = Dataset("m", ("a", "b"), tuple("0123"), np.array([0, 1, 0, 1]), Arrays(pixels), "f", files_found=4)
    prepared = prepare(dataset, SIZE)
    assert np.array_equal(prepared.pixels, pixels)
    assert prepared.content.tolist() == [0, 1, 0, 2]
    assert (prepared.sizes.tolist(), prepared.formats) == ([[8, 10]] * 4, {"array": 4})
    assert not (cache / "prepared").exists()


def test_pictures_in_memory_of_another_size_are_resized(noise):
    pixels = np.stack([noise(k, 16, 20) for k in range(4)])
    dataset = Dataset("m", ("a", "b"), tuple("0123"), np.array([0, 1, 0, 1]), Arrays(pixels), "f", files_found=4)
    prepared = prepare(dataset, SIZE)
    assert np.array_equal(prepared.pixels, np.stack([resize(image, SIZE) for image in pixels]))


def made_in(manner, root, monkeypatch, cache):
    monkeypatch.setattr(decoding, "FEW_FILES", 0 if manner == "processes" else 10**6)
    monkeypatch.setattr(decoding, "LARGE_BYTES", 0 if manner == "threads" else 10**9)
    monkeypatch.setitem(decoding._CHUNK, manner, 3)
    shutil.rmtree(cache / "prepared", ignore_errors=True)
    seen = []
    prepared = prepare(open_folder(root), SIZE, tick=lambda *tick: seen.append(tick))
    ticks = [tick for tick in seen if tick[0] == "Decoding images"]
    assert [done for _, done, _ in ticks] == [3, 6, 9, 10]
    return np.array(prepared.pixels), prepared.content.tolist(), prepared.dataset.problems, prepared.formats


def test_every_manner_of_working_gives_the_same(two_classes, plant, monkeypatch, cache):
    root = plant(two_classes(), {"cats/bad.png": b"bad", "dogs/copy.png": (two_classes() / "dogs/1.png").read_bytes()})
    here, threads, processes = (made_in(m, root, monkeypatch, cache) for m in ("here", "threads", "processes"))
    assert len(here[0]) == 9
    for other in (threads, processes):
        assert np.array_equal(here[0], other[0])
        assert here[1:] == other[1:]


def test_the_line_for_the_screen_counts_pictures_problems_and_ignored(two_classes, plant):
    dataset = open_folder(plant(two_classes(), {"cats/bad.png": b"", "Thumbs.db": b""}))
    assert describe(prepare(dataset, SIZE)) == (
        "8 images in 2 classes, 1 file could not be used, "
        "1 other file left out (side files, hidden files, or without a label)"
    )


def test_the_facts_hold_no_file_names(two_classes, plant, cache):
    dataset = open_folder(plant(two_classes(), {"cats/bad.png": b""}))
    prepare(dataset, SIZE)
    facts = json.loads((place_of(cache) / "facts.json").read_text())
    assert facts["facts"]["refused"] == [[4, "empty file", "unusable", "empty file"]]


def test_a_picture_that_could_not_be_read_this_time_is_tried_again_the_next(two_classes, monkeypatch):
    folder = two_classes()
    dataset = open_folder(folder)
    with monkeypatch.context() as patch:
        real = images.decode_and_resize

        def read(data, size, how):
            if data == (folder / "cats/1.png").read_bytes():
                raise PassingProblem("not enough memory to decode it")
            return real(data, size, how)

        patch.setattr(images, "decode_and_resize", read)
        first = prepare(dataset, SIZE)
    assert [(p.file, p.reason) for p in first.dataset.problems] == [("cats/1.png", "not enough memory to decode it")]
    assert prepare(dataset, SIZE).dataset.problems == ()
