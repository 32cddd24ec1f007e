"""Copies among many images: faiss finds those that comparing all with all finds; without it foveola says what it needs."""

import sys

import numpy as np
import pytest

from foveola.checks import near_duplicates as room
from foveola.checks import similarity
from foveola.checks.duplicates import duplicate_findings
from foveola.checks.near_duplicates import candidates, near_duplicate_pairs
from foveola.checks.run import find_duplicates
from foveola.checks.similarity import VARIANTS, describe, load_faiss, nearest_pairs, orient, similarities
from foveola.data.arrays import from_arrays
from foveola.data.prepare import prepare
from foveola.types import Size

needs_faiss = pytest.mark.skipif(load_faiss() is None, reason="needs faiss-cpu")


@pytest.fixture
def many(monkeypatch):
    """Any number of images is too many to compare all with all; a few dozen cells for a few hundred images."""
    monkeypatch.setattr(room, "ALL_WITH_ALL", 0)
    monkeypatch.setattr(similarity, "PER_CELL", 8)

    def probe(upright, turned):
        monkeypatch.setattr(similarity, "UPRIGHT_PROBES", upright)
        monkeypatch.setattr(similarity, "TURNED_PROBES", turned)

    return probe


@pytest.fixture
def without_faiss(monkeypatch):
    """As where faiss is not installed."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    load_faiss.cache_clear()
    yield
    load_faiss.cache_clear()


@pytest.fixture
def crowd(scene):
    """Grey images uint8 (416, 32, 32): 400 of noise, then a scene in the eight orientations and another one likewise."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 32, 32), np.uint8)
    laid = [orient(scene(n, 32)[..., 0], variant) for n in (3, 7) for variant in range(VARIANTS)]
    return np.concatenate([noise, np.stack(laid)])


@needs_faiss
def test_copies_in_each_orientation_are_found_with_one_cell_each_and_nothing_else_is(crowd, many):
    many(1, 1)
    found = candidates(crowd)
    expected = {(i, j) for first in (400, 408) for i in range(first, first + 8) for j in range(i + 1, first + 8)}
    assert {(i, j) for i, j, _ in found.tolist()} == expected
    assert all(np.array_equal(orient(crowd[j], variant), crowd[i]) for i, j, variant in found)


@needs_faiss
def test_with_all_cells_compared_the_pairs_are_those_of_all_with_all(scene, many):
    similar = [0.6 * scene(n % 40, 32)[..., 0] + 0.4 * scene(100 + n, 32)[..., 0] for n in range(200)]
    described = describe(np.stack(similar).astype(np.uint8))
    many(200, 200)
    found = nearest_pairs(described, 0.7, 0.4)
    i, j = np.triu_indices(200, 1)
    products = similarities(described[i], described[j])
    for pairs, least, variants in zip(found, (0.7, 0.4), (slice(2), slice(2, None)), strict=True):
        high = products[:, variants].max(axis=1) >= least
        assert high.sum() > 20
        assert sorted(pairs.T.tolist()) == np.stack([i[high], j[high]], axis=1).tolist()


@needs_faiss
@pytest.mark.parametrize("n", [1, 2, 50])
def test_images_of_one_tone_are_similar_to_none(many, n):
    many(4, 4)
    assert candidates(np.full((n, 32, 32), 90, np.uint8)).shape == (0, 3)


@needs_faiss
def test_where_all_images_are_the_same_all_pairs_are_found(crowd, many):
    many(16, 4)
    upright, _ = nearest_pairs(describe(np.repeat(crowd[400:401], 30, axis=0)), 0.7, 0.9)
    assert sorted(map(tuple, upright.T.tolist())) == [(i, j) for i in range(30) for j in range(i + 1, 30)]


def test_two_sets_are_compared_with_each_other_without_faiss(scene, many, without_faiss):
    greys = np.stack([scene(n, 32)[..., 0] for n in (1, 2, 3, 2)])
    assert candidates(greys, against=3)[:, :2].tolist() == [[1, 3]]


@pytest.fixture
def prepared(scene):
    images = np.stack([scene(n, 32) for n in range(9)])
    images[8] = images[7]  # one of the two is compared
    images[6] = np.clip(images[5].astype(int) + 1, 0, 255)
    return prepare(from_arrays(images, np.arange(9) % 2), Size(32, 32))


def notes(prepared):
    found = duplicate_findings(prepared.dataset, find_duplicates(prepared))
    return [(f.severity, f.message, f.advice, f.count) for f in found if f.kind == "near_duplicate" and not f.ids]


def set_most(monkeypatch, most):
    monkeypatch.setattr(room, "ALL_WITH_ALL", most)
    monkeypatch.setattr("foveola.checks.duplicates.ALL_WITH_ALL", most)


@needs_faiss
def test_a_note_says_that_only_likely_pairs_were_compared(prepared, monkeypatch):
    set_most(monkeypatch, 8)
    assert notes(prepared) == []
    set_most(monkeypatch, 7)
    assert notes(prepared) == [
        (
            "note",
            "8 images are too many to compare all pairs: foveola compared only likely pairs and may have missed one "
            "near-duplicate in a hundred",
            "no action needed: foveola found all copies with identical pixels",
            8,
        )
    ]


def test_without_faiss_a_warning_says_that_near_duplicates_were_not_searched(prepared, monkeypatch, without_faiss):
    set_most(monkeypatch, 7)
    assert notes(prepared) == [
        (
            "warning",
            "foveola did not search for near-duplicates: for more than 7 images (here 8) it needs the package faiss-cpu",
            'install it with pip install "foveola[large]" and run the command again; foveola finds copies with identical '
            "pixels without it",
            8,
        )
    ]
    assert find_duplicates(prepared).copies.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7]


def test_what_was_not_searched_is_not_remembered_as_nothing_found(prepared, monkeypatch, without_faiss):
    set_most(monkeypatch, 7)
    assert near_duplicate_pairs(prepared) is None
    set_most(monkeypatch, 8)
    assert near_duplicate_pairs(prepared).tolist() == [[5, 6, 0]]
    set_most(monkeypatch, 7)
    assert near_duplicate_pairs(prepared).tolist() == [[5, 6, 0]]  # found before
