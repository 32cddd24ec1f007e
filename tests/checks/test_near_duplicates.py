import numpy as np
import pytest

from foveola.checks import near_duplicates as room
from foveola.checks.near_duplicates import candidates, near_duplicate_pairs
from foveola.checks.similarity import VARIANTS, describe, is_copy, ordered, orient, orient_descriptor, similarities
from foveola.data.arrays import from_arrays
from foveola.data.folder import open_folder
from foveola.data.prepare import prepare
from foveola.types import Size

SIZE = Size(64, 64)


def near_in(folder):
    prepared = prepare(open_folder(folder), SIZE)
    pairs = near_duplicate_pairs(prepared)
    return {(prepared.dataset.ids[i], prepared.dataset.ids[j]) for i, j, _ in pairs.tolist()}, pairs


@pytest.mark.parametrize("way", ["resaved", "resized", "cropped", "mirrored", "turned", "upside down", "brightened"])
def test_a_changed_copy_is_found_among_thirty_pictures_and_nothing_else_is(plant, tmp_path, scene, changed, way):
    files = {f"{'ab'[n % 2]}/{n:02d}.png": scene(n) for n in range(30)}
    files["a/copy.png"] = np.ascontiguousarray(changed[way](scene(4)))
    found, _ = near_in(plant(tmp_path, files))
    assert found == {("a/04.png", "a/copy.png")}


@pytest.mark.parametrize("variant", range(VARIANTS))
def test_each_of_the_eight_ways_to_lay_a_picture_is_told(scene, variant):
    grey = scene(1, 32)[..., 0]
    other = np.ascontiguousarray(orient(grey, variant))
    assert [tuple(row[:2]) for row in candidates(np.stack([grey, other])).tolist()] == [(0, 1)]
    found = candidates(np.stack([grey, other]))[0, 2]
    assert np.array_equal(orient(other, found), grey)


def test_the_descriptor_is_the_cosine_transform_of_scipy_weighted_by_the_root_of_the_frequency(scene):
    from scipy.fft import dctn

    grey = scene(2, 32)[..., 1]
    u = np.arange(8)
    expected = dctn(grey.astype(float), norm="ortho")[:8, :8] * np.sqrt(np.hypot(u[:, None], u[None]))
    assert np.allclose(describe(grey[None])[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_the_upper_bound_is_one(scene):
    described = describe(np.stack([scene(n, 32)[..., 0] for n in range(40)]))
    bound = ordered(described) @ ordered(described).T
    for variant in range(VARIANTS):
        laid = orient_descriptor(described, np.full(40, variant))
        assert (np.einsum("nuv,muv->nm", described, laid) <= bound + 1e-5).all()


def test_the_eight_similarities_are_those_of_descriptors_laid_so(scene):
    described = describe(np.stack([scene(n, 32)[..., 0] for n in range(12)]))
    ours, theirs = described[:6], described[6:]
    laid = [orient_descriptor(theirs, np.full(6, variant)) for variant in range(VARIANTS)]
    expected = np.stack([np.einsum("nuv,nuv->n", ours, one) for one in laid], axis=1)
    assert similarities(ours, theirs) == pytest.approx(expected, abs=1e-6)


def test_where_all_pictures_are_alike_the_limits_rise(scene, monkeypatch):
    base = scene(0, 32)[..., 0].astype(float)
    rng = np.random.default_rng(0)
    greys = np.stack([np.clip(base + rng.normal(0, 8, base.shape), 0, 255) for _ in range(300)]).astype(np.uint8)
    described = describe(greys)
    monkeypatch.setattr(room, "MOST", 10)
    pairs = len(room._alike(described))
    assert pairs < 300 * 10


def test_of_many_pictures_all_alike_no_more_pairs_pass_than_are_wanted_in_all(scene, monkeypatch):
    base = scene(0, 32)[..., 0].astype(float)
    rng = np.random.default_rng(0)
    greys = np.stack([np.clip(base + rng.normal(0, 8, base.shape), 0, 255) for _ in range(300)]).astype(np.uint8)
    monkeypatch.setattr(room, "MOST_IN_ALL", 600)
    assert len(room._alike(describe(greys))) < 2 * 600


def test_two_skies_are_no_copies():
    y = np.arange(64, dtype=np.float32)[:, None] * np.ones(64, np.float32)
    rng = np.random.default_rng(1)
    sky = 120 + 1.5 * y
    one, other = (sky + rng.normal(0, 2, sky.shape).astype(np.float32) for _ in range(2))
    assert not is_copy(one, other)


def test_the_same_outline_with_other_details_is_no_copy():
    y, x = np.mgrid[0:64, 0:64]
    outline = np.where((y - 32) ** 2 + (x - 32) ** 2 < 400, 200.0, 60.0)
    rng = np.random.default_rng(2)
    one, other = ((outline + rng.normal(0, 15, outline.shape)).astype(np.float32) for _ in range(2))
    assert is_copy(one, one + 5)
    assert not is_copy(one, other)


def test_pictures_below_32_pixels_are_compared_by_content_only(scene):
    small = scene(3, 24)
    shifted = np.clip(small.astype(int) + 1, 0, 255).astype(np.uint8)
    dataset = from_arrays(np.stack([small, shifted, scene(5, 24), small]), [0, 0, 1, 1])
    assert len(near_duplicate_pairs(prepare(dataset, Size(32, 32)))) == 0


def test_pictures_of_the_same_content_are_no_near_duplicates(plant, tmp_path, scene):
    files = {"a/1.png": scene(1), "a/2.png": scene(1), "b/1.png": scene(2)}
    found, _ = near_in(plant(tmp_path, files))
    assert found == set()


def test_a_second_look_is_taken_from_the_cache_and_a_damaged_one_is_made_again(plant, tmp_path, scene, changed, cache):
    files = {"a/1.png": scene(1), "a/2.png": np.ascontiguousarray(changed["mirrored"](scene(1))), "b/1.png": scene(2)}
    prepared = prepare(open_folder(plant(tmp_path, files)), SIZE)
    first = near_duplicate_pairs(prepared)

    def refuse():
        raise AssertionError("the images were looked at again")

    assert np.array_equal(near_duplicate_pairs(prepared, refuse), first)
    [kept] = (cache / "near-duplicates").iterdir()
    whole = kept.read_bytes()
    for damage in (whole[:40], whole[:-30] + b"\1" + whole[-29:], whole.replace(b"pairs", b"pairz")):
        kept.write_bytes(damage)
        assert np.array_equal(near_duplicate_pairs(prepared), first)
        assert kept.read_bytes() == whole
    assert first.tolist() == [[0, 1, 1]]
