"""Batches: every image once an epoch, drawn from the seed, shifted and mirrored as said."""

from itertools import chain

import numpy as np
import pytest
import torch

from foveola.data.loader import Batches, augment


@pytest.fixture
def numbered():
    """30 images of 6x8, image i filled with the value i; label i mod 3."""
    pixels = np.tile(np.arange(30, dtype=np.uint8)[:, None, None, None], (1, 6, 8, 3))
    return pixels, (np.arange(30) % 3).astype(np.int64)


def values(batches):
    return [images[:, 0, 0, 0].tolist() for images, _ in batches]


def test_an_epoch_shows_every_picture_of_its_rows_once(numbered):
    rows = np.arange(5, 28)
    batches = Batches(*numbered, rows, 4, flip=True, translate_px=1, seed=3)
    assert sorted(chain.from_iterable(values(batches.epoch(1)))) == rows.tolist()


def test_no_batch_of_an_epoch_is_smaller_by_more_than_one(numbered):
    sizes = [len(labels) for _, labels in Batches(*numbered, np.arange(25), 8).epoch(1)]
    assert sizes == [7, 6, 6, 6]


def test_labels_stay_with_their_pictures(numbered):
    for images, labels in Batches(*numbered, np.arange(30), 7, seed=1).epoch(2):
        assert (images[:, 0, 0, 0].long() % 3).tolist() == labels.tolist()


def test_the_order_repeats_with_the_seed_and_changes_with_epoch_and_seed(numbered):
    first = values(Batches(*numbered, np.arange(30), 10, seed=1).epoch(1))
    assert first == values(Batches(*numbered, np.arange(30), 10, seed=1).epoch(1))
    assert first != values(Batches(*numbered, np.arange(30), 10, seed=1).epoch(2))
    assert first != values(Batches(*numbered, np.arange(30), 10, seed=2).epoch(1))


def test_in_order_means_the_order_of_the_rows(numbered):
    rows = np.array([9, 2, 7, 7, 0])
    assert list(chain.from_iterable(values(Batches(*numbered, rows, 2).in_order()))) == rows.tolist()


def test_a_batch_is_channels_last_in_memory(numbered):
    images, _ = next(iter(Batches(*numbered, np.arange(30), 10).epoch(1)))
    assert images.shape == (10, 3, 6, 8)
    assert images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_two_epochs_show_each_picture_both_ways():
    pixels = np.zeros((20, 4, 6, 3), np.uint8)
    pixels[:, :, 0, 0] = np.arange(1, 21)[:, None]  # the left edge carries the image's number
    batches = Batches(pixels, np.zeros(20, np.int64), np.arange(20), 5, flip=True, seed=4)
    left = [{int(v) for images, _ in batches.epoch(e) for v in images[:, 0, 0, 0]} - {0} for e in (1, 2)]
    assert left[0] | left[1] == set(range(1, 21))
    assert not left[0] & left[1]


def test_a_shift_moves_the_picture_and_mirrors_the_edge_in():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1).repeat(3, axis=3)
    shifts = np.array([[0, 2]])  # reach 1: one row down (what was above comes in), one column to the left
    out = augment(image, np.array([False]), shifts, 1)
    assert out[0, :, :, 0].tolist() == [[5, 6, 7, 6], [1, 2, 3, 2], [5, 6, 7, 6]]


def test_mirroring_swaps_left_and_right_of_the_marked_pictures_only():
    images = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    out = augment(images, np.array([True, False]), np.zeros((2, 2), np.int64), 0)
    assert np.array_equal(out[0], images[0, :, ::-1])
    assert np.array_equal(out[1], images[1])


@pytest.mark.parametrize(("height", "width", "reach"), [(32, 32, 2), (7, 13, 3), (5, 4, 9), (6, 6, 0)])
def test_mirrored_and_shifted_pictures_are_numpys_one_by_one(height, width, reach):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, height, width, 3)).astype(np.uint8)
    before, mirrored = images.copy(), rng.random(40) < 0.5
    shifts = rng.integers(0, 2 * reach + 1, (40, 2))
    out = augment(images, mirrored, shifts, reach)
    for image, turned, (down, right), found in zip(before, mirrored, shifts, out, strict=True):
        padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), "reflect")
        window = padded[down : down + height, right : right + width]
        assert np.array_equal(found, window[:, ::-1] if turned else window)
    assert np.array_equal(images, before)


def test_cutout_covers_one_square_of_every_picture_with_the_mean_colour():
    pixels = np.zeros((40, 12, 9, 3), np.uint8)
    pixels[::2] = (200, 100, 50)
    batches = Batches(pixels, np.zeros(40, np.int64), np.arange(40), 40, cutout_px=4)
    ((images, _),) = batches.epoch(1)
    covered = (images == torch.tensor([100, 50, 25], dtype=torch.uint8).view(1, 3, 1, 1)).all(dim=1)
    assert (covered.sum(dim=(1, 2)) == 16).all()
    rows, columns = covered.any(dim=2), covered.any(dim=1)
    assert (rows.sum(dim=1) == 4).all() and (columns.sum(dim=1) == 4).all()
    assert len({tuple(row.nonzero()[0].tolist()) for row in rows}) > 1


def test_the_mean_colour_of_large_pictures_is_taken_from_fewer(monkeypatch):
    monkeypatch.setattr("foveola.data.loader._COLOUR_PIXELS", 128 * 64)  # of 300 images of 8x8 every third
    pixels = np.zeros((300, 8, 8, 3), np.uint8)
    pixels[0::3] = 90
    batches = Batches(pixels, np.zeros(300, np.int64), np.arange(300), 4, cutout_px=9)
    assert batches._mean_colour.tolist() == [90, 90, 90]


def test_cutout_larger_than_the_picture_covers_it_all():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    ((images, _),) = Batches(pixels, np.zeros(4, np.int64), np.arange(4), 4, cutout_px=9).epoch(1)
    assert len(images.flatten(2).unique(dim=2)[0, 0]) == 1


def test_without_cutout_order_and_shifts_are_what_they_were():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    plain = Batches(pixels, np.arange(30), np.arange(30), 7, flip=True, translate_px=2, seed=3)
    cut = Batches(pixels, np.arange(30), np.arange(30), 7, flip=True, translate_px=2, cutout_px=3, seed=3)
    for (first, labels), (second, others) in zip(plain.epoch(1), cut.epoch(1), strict=True):
        assert torch.equal(labels, others)
        assert ((first != second).any(dim=1).sum(dim=(1, 2)) <= 9).all()


def test_windows_side_by_side_cut_the_same_row_of_passes(numbered):
    batches = Batches(*numbered, np.arange(30), 5, flip=True, translate_px=1, seed=3)
    whole = torch.cat([images for images, _ in batches.window(0, 75)])
    parts = [images for begin, n in ((0, 12), (12, 40), (52, 23)) for images, _ in batches.window(begin, n)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("epoch_images", [7, 30, 44, 90])
def test_epochs_of_any_length_cut_the_same_row_of_passes(numbered, epoch_images):
    how = {"flip": True, "translate_px": 1, "cutout_px": 2, "seed": 5}
    passes = Batches(*numbered, np.arange(30), 5, **how)
    windows = Batches(*numbered, np.arange(30), 5, **how, epoch_images=epoch_images)
    whole = torch.cat([images for number in (1, 2, 3, 4, 5, 6) for images, _ in passes.epoch(number)])
    cut = [torch.cat([images for images, _ in windows.epoch(number)]) for number in (1, 2)]
    assert [len(part) for part in cut] == [epoch_images] * 2
    assert torch.equal(torch.cat(cut), whole[: 2 * epoch_images])


def test_the_number_of_batches_follows_the_length_of_an_epoch(numbered):
    batches = Batches(*numbered, np.arange(30), 8, epoch_images=45)
    assert len(batches) == len(list(batches.epoch(1))) == 6
    assert len(list(batches.in_order())) == 4
