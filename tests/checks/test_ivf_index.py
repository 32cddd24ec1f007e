"""Copies among many images: found in cells, by few comparisons, as they are found by comparing all with all."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from foveola.checks import ivf_index as cells
from foveola.checks import ivf_index as centres
from foveola.checks import near_duplicates as room
from foveola.checks.descriptors import VARIANTS, describe, orient, orient_descriptor
from foveola.checks.ivf_index import find_cells
from foveola.checks.near_duplicates import candidates


@pytest.fixture
def by_cells(monkeypatch):
    """A few dozen cells for a few hundred images; a function that sets how many of them each image asks."""
    monkeypatch.setattr(room, "ALL_WITH_ALL", 0)
    monkeypatch.setattr(centres, "PER_CELL", 8)

    def probe(upright, turned):
        monkeypatch.setattr(cells, "UPRIGHT_PROBES", upright)
        monkeypatch.setattr(cells, "TURNED_PROBES", turned)

    return probe


@pytest.fixture
def crowd(scene):
    """Grey images uint8 (416, 32, 32): 400 of noise, then a scene laid in the eight ways and another one likewise."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 32, 32), np.uint8)
    laid = [orient(scene(n, 32)[..., 0], variant) for n in (3, 7) for variant in range(VARIANTS)]
    return np.concatenate([noise, np.stack(laid)])


def test_by_cells_copies_laid_in_each_way_are_found_with_one_probe_and_nothing_else(crowd, by_cells):
    by_cells(1, 1)
    found = candidates(crowd)
    expected = {(i, j) for first in (400, 408) for i in range(first, first + 8) for j in range(i + 1, first + 8)}
    assert {(i, j) for i, j, _ in found.tolist()} == expected
    assert all(np.array_equal(orient(crowd[j], variant), crowd[i]) for i, j, variant in found)


def test_with_all_cells_asked_the_pairs_are_those_of_all_with_all(scene, monkeypatch, by_cells):
    likenesses = [0.6 * scene(n % 40, 32)[..., 0] + 0.4 * scene(100 + n, 32)[..., 0] for n in range(200)]
    described = describe(np.stack(likenesses).astype(np.uint8))
    by_cells(200, 200)
    found = room._alike(described)
    monkeypatch.setattr(room, "ALL_WITH_ALL", 200)
    expected = room._alike(described)
    assert len(found)
    assert sorted(found.tolist()) == sorted(expected.tolist())


def test_by_cells_pictures_of_one_tone_are_like_none(by_cells):
    by_cells(4, 4)
    assert candidates(np.full((50, 32, 32), 90, np.uint8)).shape == (0, 3)


@pytest.fixture
def flat(crowd):
    return describe(crowd).reshape(len(crowd), -1)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_where_all_groups_are_looked_at_the_nearest_cells_are_those_of_all_centres(flat, threads, by_cells):
    found = find_cells(flat, threads)
    probes = 2 * len(found.groups)  # so all groups are looked at
    rows, numbers = found.nearest(flat, probes, threads)
    expected = np.argsort(-(flat @ np.concatenate(found.of_group).T), axis=1)[:, :probes]
    assert np.array_equal(rows, np.repeat(np.arange(len(flat)), probes))
    assert np.array_equal(numbers.reshape(expected.shape), np.sort(expected, axis=1))


def test_cells_are_the_same_whatever_the_number_of_threads(flat, threads, by_cells):
    with ThreadPoolExecutor(1) as one:
        ours, theirs = find_cells(flat, one), find_cells(flat, threads)
    assert np.array_equal(ours.groups, theirs.groups)
    assert all(np.array_equal(a, b) for a, b in zip(ours.of_group, theirs.of_group, strict=True))


def test_where_all_pictures_are_the_same_no_group_is_empty_and_each_has_its_cell(flat, threads, by_cells):
    same = np.repeat(flat[:1], 300, axis=0)
    found = find_cells(same, threads)
    rows, _ = found.nearest(same, 1, threads)
    assert min(len(centres) for centres in found.of_group) >= 1
    assert np.array_equal(rows, np.arange(300))


@pytest.mark.parametrize("variant", range(VARIANTS))
def test_a_way_to_lay_one_is_undone_by_laying_the_other(crowd, variant):
    one, other = describe(crowd[400:408]), describe(crowd[408:])
    expected = (orient_descriptor(one, np.full(8, variant)) * other).sum(axis=(1, 2))
    found = (one * orient_descriptor(other, np.full(8, cells.INVERSE[variant]))).sum(axis=(1, 2))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_of_equal_values_no_more_than_were_asked_for_are_given():
    rows, columns = centres._highest(np.array([[1, 1, 1, 0], [0, 1, 1, 2]], np.float32), 2)
    assert rows.tolist() == [0, 0, 1, 1]
    assert columns.tolist() == [0, 1, 1, 3]
