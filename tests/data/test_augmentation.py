"""Named augmentation sets: what each may do to an image, what it never does, and that it repeats."""

import cv2
import numpy as np
import pytest

from foveola.data.augmentation import AUGMENTATIONS, Augmentation, tone_tables
from foveola.data.loader import Batches

NAMED = ["photo", "flat", "text"]


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3)).astype(np.uint8)


def changed(name, images, seed=1):
    one = AUGMENTATIONS[name]
    return one.apply(images, one.draw(np.random.default_rng(seed), len(images)))


def batches(pixels, **how):
    return Batches(pixels, np.arange(len(pixels)), np.arange(len(pixels)), 7, **how)


def epoch(pixels, number=1, batch_size=7, **how):
    """The images of an epoch, by their labels, which are their rows."""
    some = Batches(pixels, np.arange(len(pixels)), np.arange(len(pixels)), batch_size, **how).epoch(number)
    return {int(k): image.permute(1, 2, 0).numpy() for images, ks in some for image, k in zip(images, ks, strict=True)}


def test_none_leaves_images_as_they_are(noise):
    assert np.array_equal(changed("none", noise), noise)
    shown = epoch(noise, augment="none")
    assert all(np.array_equal(shown[k], noise[k]) for k in range(len(noise)))


def test_flat_shows_all_eight_rotations_and_mirrors_of_an_image():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    turned = Augmentation(mirrors=True, quarter_turns=True)
    copies = np.tile(image, (200, 1, 1, 1))
    copies[::2] = copies[::2, :, ::-1]
    out = turned.apply(copies, turned.draw(np.random.default_rng(0), 200))
    eight = [np.rot90(one, k).tobytes() for one in (image, image[:, ::-1]) for k in range(4)]
    assert {one.tobytes() for one in out} == set(eight)
    assert AUGMENTATIONS["flat"].quarter_turns and AUGMENTATIONS["flat"].mirrors


def test_an_image_that_is_not_square_is_turned_upside_down_or_not_at_all():
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    turned = Augmentation(quarter_turns=True)
    out = turned.apply(np.tile(image, (50, 1, 1, 1)), turned.draw(np.random.default_rng(0), 50))
    assert {one.tobytes() for one in out} == {image.tobytes(), image[::-1, ::-1].tobytes()}


@pytest.mark.parametrize("name", NAMED)
def test_the_moves_of_a_set_stay_in_its_ranges_and_never_mirror(name):
    one = AUGMENTATIONS[name]
    matrices = one.matrices(one.draw(np.random.default_rng(0), 5000), 32, 32)[:, :, :2]
    determinants = np.linalg.det(matrices)
    assert (determinants > 0).all()
    zooms = 1 / np.sqrt(determinants)
    assert zooms.min() >= one.smallest_zoom - 1e-9 and zooms.max() <= one.largest_zoom + 1e-9
    assert np.ptp(zooms) > 0.9 * (one.largest_zoom - one.smallest_zoom)
    degrees = np.rad2deg(np.arctan2(matrices[:, 0, 1], matrices[:, 0, 0]))
    off = degrees - 90 * np.round(degrees / 90) if one.quarter_turns else degrees
    assert np.abs(off).max() <= one.rotation_degrees + 1e-6


def test_a_crop_lies_inside_the_image():
    crop = Augmentation(largest_zoom=2.0)
    matrices = crop.matrices(crop.draw(np.random.default_rng(0), 1000), 30, 20)
    corners = np.array([[0, 0, 1], [19, 0, 1], [0, 29, 1], [19, 29, 1]]).T
    x, y = (matrices @ corners).transpose(1, 0, 2)
    assert x.min() >= -0.5 and x.max() <= 19.5 and y.min() >= -0.5 and y.max() <= 29.5
    assert np.ptp(x.mean(axis=1)) > 8  # the crops lie at different places


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("value", [0, 255])
def test_black_stays_black_and_white_stays_white(name, value):
    images = np.full((50, 16, 16, 3), value, np.uint8)
    assert (changed(name, images) == value).all()


def test_the_black_bars_of_a_padded_photo_stay_black():
    images = np.full((100, 40, 40, 3), 200, np.uint8)
    images[:, :12] = images[:, 28:] = 0
    level = Augmentation(largest_zoom=1.2, brightness=0.4, contrast=0.2, colour=0.2)
    out = level.apply(images, level.draw(np.random.default_rng(0), 100))
    assert (out[:, :3] == 0).all() and (out[:, -3:] == 0).all()


def test_tones_move_in_the_odds():
    none, darker, brighter = tone_tables(np.array([0, 0, np.log(4)]), np.array([1, 2, 1]))
    assert none.tolist() == list(range(256))
    assert darker[51] == 15  # odds 1/4 become 1/16: 255 / 17
    assert brighter[51] == 128  # odds 1/4 become 1: 255 / 2
    assert (np.diff(darker.astype(int)) >= 0).all()


def test_photo_changes_colours_but_keeps_grey_grey():
    grey = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1)).repeat(3, axis=3).astype(np.uint8)
    out = changed("photo", grey).astype(int)
    assert np.ptp(out, axis=3).max() <= 1
    colour = Augmentation(colour=0.5)
    red = np.tile(np.array([200, 50, 50], np.uint8), (30, 4, 4, 1))
    spread = np.ptp(colour.apply(red, colour.draw(np.random.default_rng(0), 30))[:, 0, 0].astype(int), axis=1)
    assert spread.min() < 110 and spread.max() > 200


@pytest.mark.parametrize("name", ["flat", "text"])
def test_flat_and_text_keep_the_ratio_of_equal_colours(name):
    red = np.tile(np.array([200, 50, 50], np.uint8), (30, 8, 8, 1))
    out = changed(name, red)
    assert np.array_equal(out[..., 1], out[..., 2])


def test_text_continues_the_edge_and_brings_no_letter_back():
    images = np.zeros((200, 20, 20, 3), np.uint8)
    images[:, 8:12, 8:12] = 255
    ink = changed("text", images)[..., 0] > 0
    assert ink.any(axis=(1, 2)).all()
    assert not ink[:, 0].any() and not ink[:, -1].any()


@pytest.mark.parametrize("name", NAMED)
def test_an_epoch_repeats_with_the_seed_whatever_the_batch_size_and_the_threads(noise, name):
    before = cv2.getNumThreads()
    first = epoch(noise, augment=name, seed=3)
    try:
        cv2.setNumThreads(1 if before > 1 else 2)
        again = epoch(noise, batch_size=5, augment=name, seed=3)
    finally:
        cv2.setNumThreads(before)
    assert all(np.array_equal(first[k], again[k]) for k in first)
    for other in (epoch(noise, 2, augment=name, seed=3), epoch(noise, augment=name, seed=4)):
        assert all(not np.array_equal(first[k], other[k]) for k in first)


def test_a_set_leaves_the_order_of_the_images_as_it_is(noise):
    assert list(epoch(noise, augment="photo", seed=3)) == list(epoch(noise, seed=3))


def test_the_array_is_not_changed(noise):
    before = noise.copy()
    epoch(noise, augment="photo", flip=True, cutout_px=4)
    assert np.array_equal(noise, before)


def test_cutout_covers_the_changed_image(noise):
    shown = epoch(np.full_like(noise, 255), augment="photo", cutout_px=4)
    whole = epoch(np.full_like(noise, 255), augment="photo")
    assert all((shown[k] == whole[k]).all() for k in whole)  # the mean colour of white images is white
    dark = epoch(np.concatenate([np.zeros_like(noise), np.full_like(noise, 255)]), augment="photo", cutout_px=4)
    assert all((image == 128).all(axis=2).sum() == 16 for image in dark.values())


@pytest.mark.parametrize("how", [{"augment": "photo", "flip": True}, {"flip": True, "translate_px": 2, "cutout_px": 4}])
def test_the_first_pass_shows_what_the_first_epoch_shows(noise, how):
    some, shown = batches(noise, seed=5, **how), epoch(noise, seed=5, **how)
    assert some.changes_images
    out = some.first_pass(np.array([20, 3]))
    assert np.array_equal(out[0], shown[20]) and np.array_equal(out[1], shown[3])


@pytest.mark.parametrize("how", [{}, {"augment": "none"}])
def test_batches_without_augmentation_change_no_image(noise, how):
    assert not batches(noise, **how).changes_images
