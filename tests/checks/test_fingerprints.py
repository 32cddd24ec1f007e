"""Copies are recognised by what is kept of images alone, and strangers are not."""

import io

import numpy as np
import pytest

from foveola.checks import fingerprints as room
from foveola.checks.fingerprints import Fingerprints, copies_of, fingerprints, kept_fingerprints
from foveola.data.folder import open_folder
from foveola.data.prepare import prepare
from foveola.types import Size

SIZE = Size(64, 64)
WAYS = ["resaved", "resized", "cropped", "mirrored", "turned", "upside down", "brightened"]


@pytest.fixture
def known(plant, tmp_path, scene):
    """The fingerprints of thirty images as a file keeps them, read again."""
    folder = plant(tmp_path / "known", {f"{'ab'[n % 2]}/{n:02d}.png": scene(n) for n in range(30)})
    return reread(prepare(open_folder(folder), SIZE))


@pytest.fixture
def ask(plant, tmp_path):
    """The fingerprints of some images, each in a file of its own, as data to evaluate on has them."""

    def make(*pictures, size=SIZE):
        names = (f"{'ab'[n % 2]}/new {n}.png" for n in range(len(pictures)))
        prepared = prepare(open_folder(plant(tmp_path / "asked", dict(zip(names, pictures, strict=True)))), size)
        return fingerprints(prepared, np.argsort(prepared.dataset.ids), 64)

    return make


def reread(prepared):
    buffer = io.BytesIO()
    np.savez(buffer, **kept_fingerprints(prepared))
    with np.load(io.BytesIO(buffer.getvalue())) as arrays:
        return Fingerprints.from_arrays(arrays)


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_copy_is_recognised_and_strangers_are_not(known, ask, scene, changed, way):
    pictures = [np.ascontiguousarray(changed[way](scene(4))), *(scene(100 + n) for n in range(5))]
    found = copies_of(known, ask(*pictures))
    four = 2  # the files are a/00, a/02, a/04 ... b/29
    assert found.tolist() == [four, -1, -1, -1, -1, -1]


def test_the_same_file_under_another_name_is_recognised_however_small(plant, tmp_path, noise):
    files = {f"{'ab'[n % 2]}/{n}.png": noise(n, 8, 8) for n in range(6)}
    known = reread(prepare(open_folder(plant(tmp_path / "known", files)), Size(8, 8)))
    files = {f"{'ab'[n % 2]}/x{n}.png": noise(n, 8, 8) for n in (4, 5, 20, 21)}
    asked = prepare(open_folder(plant(tmp_path / "asked", files)), Size(8, 8))
    # of a: 4 is the third known image, 20 a stranger; of b: 5 is the sixth, 21 a stranger
    order = np.argsort(asked.dataset.ids)
    assert [asked.dataset.ids[i] for i in order] == ["a/x20.png", "a/x4.png", "b/x21.png", "b/x5.png"]
    assert copies_of(known, fingerprints(asked, order, 8)).tolist() == [-1, 2, -1, 5]


def test_the_same_pixels_in_another_format_are_recognised_however_small(plant, tmp_path, noise, encoded):
    known = reread(
        prepare(
            open_folder(plant(tmp_path / "known", {f"{c}/1.png": noise(k, 8, 8) for k, c in enumerate("ab")})),
            Size(8, 8),
        )
    )
    files = {"a/1.bmp": encoded(noise(0, 8, 8), "BMP"), "b/1.bmp": encoded(noise(7, 8, 8), "BMP")}
    asked = prepare(open_folder(plant(tmp_path / "asked", files)), Size(8, 8))
    assert copies_of(known, fingerprints(asked, np.arange(2), 8)).tolist() == [0, -1]


def test_of_several_copies_the_first_is_named(plant, tmp_path, scene, changed, ask):
    files = {"a/1.png": scene(9), "a/2.png": scene(3), "b/3.png": changed["resaved"](scene(3)), "b/4.png": scene(8)}
    known = reread(prepare(open_folder(plant(tmp_path / "known", files)), SIZE))
    assert copies_of(known, ask(np.ascontiguousarray(changed["mirrored"](scene(3))), scene(50))).tolist() == [1, -1]


def test_nothing_is_recognised_in_nothing(known, ask, scene):
    nothing = known.take(np.zeros(0, np.int64))
    assert copies_of(nothing, ask(scene(1), scene(2))).tolist() == [-1, -1]
    assert copies_of(known, nothing).tolist() == []


def test_of_very_many_images_only_digests_are_kept(plant, tmp_path, scene, changed, ask, monkeypatch):
    monkeypatch.setattr(room, "MANY", 2)
    files = {"a/1.png": scene(1), "a/2.png": scene(2), "b/3.png": scene(3)}
    known = reread(prepare(open_folder(plant(tmp_path / "known", files)), SIZE))
    assert not known.has_greys
    assert copies_of(known, ask(changed["resaved"](scene(2)), scene(3))).tolist() == [-1, 2]


def test_what_is_kept_comes_from_the_cache_and_a_damaged_file_is_made_again(plant, tmp_path, scene, cache):
    prepared = prepare(open_folder(plant(tmp_path, {"a/1.png": scene(1), "b/1.png": scene(2)})), SIZE)
    first = kept_fingerprints(prepared)
    [kept] = (cache / "fingerprints").iterdir()
    for damage in (b"", kept.read_bytes()[:40]):
        kept.write_bytes(damage)
        again = kept_fingerprints(prepared)
        assert all(np.array_equal(again[name], first[name]) for name in first)


def test_each_image_takes_less_than_a_kilobyte(known):
    arrays = known.to_arrays()
    assert sum(np.asarray(array).nbytes for array in arrays.values()) < 30 * 1000
