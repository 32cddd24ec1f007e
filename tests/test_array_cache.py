"""Cached arrays: read back as they were written, and made again where anything is wrong with them."""

import errno
import os

import numpy as np
import pytest

from foveola.array_cache import cache_place, cached_entry, create_array, read_arrays, read_entry, write_arrays
from foveola.errors import DataError, ResourceError

ARRAYS = {"a": np.arange(6).reshape(2, 3), "b": np.array([0.5, 2.5], np.float32)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def place(cache):
    return cache_place("numbers", "key")


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def entry(place, *, rows=200, value=0, made=None, **options):
    """An entry of one large array and a small one; `made` counts how often it was made."""

    def fill(folder):
        if made is not None:
            made.append(folder)
        path = create_array(folder, "large", (rows, 4), np.uint8)
        np.load(path, mmap_mode="r+")[:] = np.arange(rows)[:, None] + value
        np.save(folder / "small.npy", np.arange(rows))
        return {"unit": "px", "n": rows}

    return cached_entry(place, 1000, fill, sampled=["large"], **options)


def test_the_key_decides_the_place(cache):
    assert cache_place("numbers", "ab", "c").parent == cache / "numbers"
    assert len({cache_place("numbers", *key) for key in (["ab", "c"], ["a", "bc"], ["abc"], ["ab", "d"])}) == 4


def test_arrays_are_read_as_they_were_written(place):
    write_arrays(place, ARRAYS)
    found = read_arrays(place)
    assert list(found) == ["a", "b"]
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_no_arrays_are_found_where_there_is_no_file(place):
    assert read_arrays(place) is None


def test_no_byte_of_a_file_can_change_unnoticed(place):
    write_arrays(place, ARRAYS)
    whole = place.read_bytes()
    for at in range(len(whole)):
        place.write_bytes(flipped(whole, at))
        assert read_arrays(place) is None
    for end in range(0, len(whole), 7):
        place.write_bytes(whole[:end])
        assert read_arrays(place) is None


def test_an_entry_is_made_once(place):
    made = []
    first, second = entry(place, made=made), entry(place, made=made)
    assert len(made) == 1
    assert (first.just_made, second.just_made) == (True, False)
    assert second.facts == {"unit": "px", "n": 200}
    np.testing.assert_array_equal(second.arrays["large"], np.tile(np.arange(200)[:, None], 4))
    np.testing.assert_array_equal(second.arrays["small"], np.arange(200))
    assert not second.arrays["large"].flags.writeable


def test_no_byte_of_the_facts_can_change_unnoticed(place):
    entry(place)
    path = place / "facts.json"
    whole = path.read_bytes()
    for at in range(0, len(whole), 5):
        path.write_bytes(flipped(whole, at))
        assert read_entry(place) is None


@pytest.mark.parametrize("file", ["large.npy", "small.npy", "facts.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "header", "last byte", "a folder"])
def test_a_damaged_entry_is_made_again(place, file, damage):
    made = []
    entry(place, made=made)
    path = place / file
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes(
            {"cut": whole[:-9], "header": b"\0" * 9 + whole[9:]}.get(damage, flipped(whole, -1)[: len(whole)])
        )
    again = entry(place, made=made)
    assert len(made) == 2
    np.testing.assert_array_equal(again.arrays["small"], np.arange(200))


def test_a_small_array_is_checked_whole_and_a_large_one_in_its_first_and_last_row(place):
    made = []
    for name, row in (("small", 100), ("large", 0), ("large", 199)):
        entry(place, made=made)
        array = np.load(place / f"{name}.npy", mmap_mode="r+")
        array[row] += 1
        array.flush()
        made.clear()
        entry(place, made=made)
        assert len(made) == 1, (name, row)


def test_an_entry_that_the_caller_can_not_use_is_made_again(place):
    made = []
    entry(place, rows=3, made=made)
    found = entry(place, rows=5, made=made, usable=lambda one: one.facts["n"] == 5)
    assert (len(made), found.facts["n"]) == (2, 5)


def test_an_entry_that_can_not_be_used_when_it_is_new_is_an_error(place):
    with pytest.raises(DataError) as caught:
        entry(place, usable=lambda one: False)
    assert str(caught.value) == (
        f"the cache {place} can't be read back: delete it, or set FOVEOLA_CACHE to another folder"
    )


def test_an_array_without_rows_is_kept(place):
    entry(place, rows=0)
    assert entry(place, rows=0).arrays["large"].shape == (0, 4)


def overtaking(place, made):
    """A fill during whose first call another process puts its own entry, with other values, under the same name."""

    def fill(folder):
        made.append(folder)
        if len(made) == 1:
            entry(place, value=9)
        np.save(folder / "large.npy", np.zeros((3, 4), np.uint8))
        return {}

    return fill


def test_what_another_process_finished_first_is_taken(place):
    made = []
    found = cached_entry(place, 0, overtaking(place, made), sampled=["large"])
    assert (len(made), len(found.arrays["large"])) == (1, 200)


def test_what_another_process_finished_first_is_not_taken_where_the_key_does_not_decide_the_content(place):
    made = []
    found = cached_entry(place, 0, overtaking(place, made), sampled=["large"], reuse=False)
    assert (len(made), len(found.arrays["large"])) == (2, 3)


def test_an_error_while_an_entry_is_made_leaves_nothing(place):
    def fill(folder):
        np.save(folder / "large.npy", np.zeros(3))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_entry(place, 0, fill)
    assert list(place.parent.iterdir()) == []


def test_a_full_disk_is_named_with_the_file(place, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError) as caught:
        write_arrays(place, {"a": np.zeros(3)})
    assert str(caught.value).startswith(f"can't write the cache file {place} (")
    assert str(caught.value).endswith(
        " bytes): no space left on device: free some space, or set FOVEOLA_CACHE to a folder on a larger disk"
    )
    with pytest.raises(ResourceError) as caught:
        entry(place)
    assert "no space left on device: free some space, or set FOVEOLA_CACHE" in str(caught.value)
    assert list(place.parent.iterdir()) == []
