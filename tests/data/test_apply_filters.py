"""Prepared images through a chain: the same pixels as by hand, kept, and made again when they must be."""

import numpy as np
import pytest

from foveola.data.arrays import from_arrays
from foveola.data.prepare import apply_filters, prepare
from foveola.errors import UsageError
from foveola.filters.chain import FILTERS, Chain
from foveola.types import Size


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pictures(side, n=6):
    pixels = np.random.default_rng(5).integers(0, 256, (n, side, side, 3), np.uint8)
    return prepare(from_arrays(pixels, np.arange(n) % 2), Size(side, side))


@pytest.mark.parametrize("side", [12, 96], ids=["in one thread", "in several"])
def test_every_picture_went_through_the_chain(side):
    prepared, chain = pictures(side), Chain.parse("blur(size=5)|sharpen")
    found = apply_filters(prepared, chain)
    for seen, before in zip(found.pixels, prepared.pixels, strict=True):
        np.testing.assert_array_equal(seen, FILTERS["sharpen"](FILTERS["blur"](before, size=5)))


def test_what_is_known_of_the_originals_stays():
    prepared = pictures(12)
    found = apply_filters(prepared, Chain.parse("invert"))
    np.testing.assert_array_equal(found.content, prepared.content)
    assert (found.dataset, found.size, found.how) == (prepared.dataset, prepared.size, prepared.how)
    assert found.key != prepared.key


def test_no_chain_is_no_work(cache):
    prepared = pictures(12)
    assert apply_filters(prepared, Chain()) is prepared
    assert not cache.exists()


def test_the_second_time_they_are_there(monkeypatch):
    prepared, chain = pictures(12), Chain.parse("blur")
    first = apply_filters(prepared, chain)
    monkeypatch.setattr("foveola.data.prepare._make_filtered", lambda *args: pytest.fail("made again"))
    np.testing.assert_array_equal(apply_filters(prepared, chain).pixels, first.pixels)


def test_another_chain_is_another_cache(cache):
    prepared = pictures(12)
    for text in ("blur", "blur(size=5)", "sharpen|blur", "blur|sharpen"):
        apply_filters(prepared, Chain.parse(text))
    assert len(list((cache / "filtered").iterdir())) == 4


@pytest.mark.parametrize("name", ["pixels.npy", "facts.json"])
def test_a_damaged_cache_is_made_again(cache, name):
    prepared, chain = pictures(12), Chain.parse("blur")
    right = np.array(apply_filters(prepared, chain).pixels)
    file = next((cache / "filtered").iterdir()) / name
    file.write_bytes(file.read_bytes()[:-40])
    np.testing.assert_array_equal(apply_filters(prepared, chain).pixels, right)


def test_a_users_filter_is_never_taken_from_the_cache():
    prepared = pictures(12)
    try:
        FILTERS.register("mine")(lambda images: images)
        np.testing.assert_array_equal(apply_filters(prepared, Chain.parse("mine")).pixels, prepared.pixels)
        FILTERS.unregister("mine")
        FILTERS.register("mine", lambda images: 255 - images)
        np.testing.assert_array_equal(apply_filters(prepared, Chain.parse("mine")).pixels, 255 - prepared.pixels)
    finally:
        FILTERS.unregister("mine")


def test_progress_is_told():
    seen = []
    apply_filters(pictures(12), Chain.parse("blur"), tick=lambda *tick: seen.append(tick))
    assert seen[-1] == ("Filtering images", 6, 6)


def test_a_chain_that_changes_the_size():
    with pytest.raises(UsageError) as error:
        apply_filters(pictures(12), Chain.parse("blur|upscale"))
    assert str(error.value) == (
        "chain 'blur|upscale' changes the size of the images from 12x12 to 24x24: remove the filter that does this, and use "
        "--size 24x24"
    )


def test_a_kernel_larger_than_the_pictures(cache):
    with pytest.raises(UsageError) as error:
        apply_filters(pictures(12), Chain.parse("blur(size=15)"))
    assert str(error.value) == "blur(size=15) has a kernel of 15x15: this image of 12x12 is too small for it"
    assert not cache.exists()


def darker(by):
    def filter_(image):
        return image // by

    return filter_


def test_a_users_filter_that_changed_makes_pictures_of_another_key(monkeypatch):
    prepared, keys = pictures(12), []
    for by in (10, 20, 10):
        monkeypatch.setitem(FILTERS._items, "darker", darker(by))
        keys.append(apply_filters(prepared, Chain.parse("darker")).key)
    assert keys[0] == keys[2] != keys[1]
