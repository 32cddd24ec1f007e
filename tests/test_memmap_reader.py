"""Rows of a mapped file: the right ones, and not all of the file in memory."""

import subprocess
import sys

import numpy as np
import pytest

from foveola import array_cache as mapped
from foveola.array_cache import MemmapReader, find_memmap


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(400 * 12, dtype=np.uint8).reshape(400, 2, 2, 3))
    return path


@pytest.mark.parametrize("advised_after", [0, 1 << 40], ids=["pages given back each time", "never"])
def test_rows_are_those_of_the_array_whether_pages_are_given_back_or_not(file, monkeypatch, advised_after):
    monkeypatch.setattr(mapped, "MOST_MAPPED_BYTES", advised_after)
    monkeypatch.setattr(mapped, "RANDOM_FROM_BYTES", 1)
    whole, reader = np.load(file), MemmapReader(np.load(file, mmap_mode="r"))
    for rows in (np.array([399, 0, 7]), np.arange(100), np.array([], np.int64)):
        out = reader.read(rows)
        assert np.array_equal(out, whole[rows])
        assert out.flags.writeable and out.flags.c_contiguous


@pytest.mark.parametrize(("most", "times"), [(400 * 12, 0), (400 * 12 - 1, 3)])
def test_a_file_that_is_no_larger_than_what_may_stay_is_never_given_back(file, monkeypatch, most, times):
    given_back = []
    monkeypatch.setattr(mapped, "MOST_MAPPED_BYTES", most)
    monkeypatch.setattr(mapped, "_advise", lambda _, advice: given_back.append(advice))
    reader = MemmapReader(np.load(file, mmap_mode="r"))
    for _ in range(3):
        reader.read(np.arange(100))
    assert given_back == ["MADV_DONTNEED"] * times


def test_an_array_that_may_be_written_to_is_left_alone(file, monkeypatch):
    monkeypatch.setattr(mapped, "MOST_MAPPED_BYTES", 0)
    array = np.load(file, mmap_mode="c")
    array[5] = 99  # lives in memory only: giving its page back would lose it
    reader = MemmapReader(array)
    reader.read(np.array([1]))
    assert (reader.read(np.array([5])) == 99).all()


def test_the_map_is_found_behind_views(file):
    whole = np.load(file, mmap_mode="r")
    assert find_memmap(whole[3:].reshape(-1, 12)[::2]) is find_memmap(whole)
    assert find_memmap(whole) is not None
    assert find_memmap(np.zeros(3)[1:]) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_file_of_two_gigabytes_is_read_in_a_few_hundred_megabytes(tmp_path):
    program = f"""
import numpy as np
from foveola.array_cache import MemmapReader
array = np.lib.format.open_memmap({str(tmp_path / "big.npy")!r}, "w+", np.uint8, (650_000, 32, 32, 3))
del array
reader = MemmapReader(np.load({str(tmp_path / "big.npy")!r}, mmap_mode="r"))
peak = 0
for rows in np.array_split(np.random.default_rng(0).permutation(650_000)[:60_000], 240):
    assert not reader.read(rows).any()
    resident = int(open("/proc/self/statm").read().split()[1]) * 4096
    peak = max(peak, resident)
print(peak)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 600e6
