"""Bicubic resampling against the sum written out, and against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as pillow

from foveola.imaging.decode import decode, decode_and_resize, encode
from foveola.imaging.resize import Resize, resize
from foveola.types import Image, Size


def stretch(image: Image, size: Size) -> Image:
    return resize(image, size, "stretch")


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def keys(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic convolution of Keys (1981), equation 4 with a = -1/2."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def weights(wanted: int, given: int) -> NDArray[np.float64]:
    """What each given sample counts in each wanted one: (wanted, given), rows sum to 1."""
    scale = given / wanted
    centres = (np.arange(wanted)[:, None] + 0.5) * scale
    w = keys((np.arange(given) + 0.5 - centres) / max(scale, 1.0))
    return w / w.sum(axis=1, keepdims=True)


def exact(image: Image, size: Size) -> NDArray[np.float64]:
    """Rows first, then columns, in float64; values end at black and white between the two, as in 8 bit."""
    height, width = image.shape[:2]
    across = np.clip(np.einsum("xw,hwc->hxc", weights(size.width_px, width), image), 0, 255)
    return np.clip(np.einsum("yh,hxc->yxc", weights(size.height_px, height), across), 0, 255)


@pytest.mark.parametrize("given", [(150, 200), (400, 500), (333, 257)])
def test_it_is_the_exact_sum_but_for_two_roundings(given: tuple[int, int]) -> None:
    image = noise(*given)
    off = np.abs(stretch(image, Size(96, 64)) - exact(image, Size(96, 64)))
    assert off.max() < 1.2
    assert off.mean() < 0.33  # one rounding costs 0.25 on average


def test_large_pictures_grow_exactly_too() -> None:
    image = noise(256, 256)
    off = np.abs(stretch(image, Size(300, 411)) - exact(image, Size(300, 411)))
    assert off.max() < 1.2


@pytest.mark.parametrize("given", [(20, 30), (255, 255), (256, 256), (400, 300), (90, 700)])
def test_images_of_all_sizes_are_resized_by_pillows_stretch(given: tuple[int, int]) -> None:
    image = noise(*given)
    theirs = np.asarray(pillow.fromarray(image).resize((168, 224), pillow.Resampling.BICUBIC))
    assert np.array_equal(stretch(image, Size(224, 168)), theirs)


@pytest.mark.parametrize("side", [64, 512])
def test_one_colour_stays_that_colour(side: int) -> None:
    image = np.tile(np.array([0, 131, 255], np.uint8), (side, side, 1))
    assert (stretch(image, Size(33, 21)) == [0, 131, 255]).all()


def test_a_picture_that_may_not_be_written_is_resized() -> None:
    image = noise(300, 300)
    image.flags.writeable = False
    assert np.array_equal(stretch(image, Size(50, 40)), stretch(noise(300, 300), Size(50, 40)))


def test_a_view_that_does_not_lie_in_order_is_resized_as_its_copy() -> None:
    turned = noise(300, 400)[::-1].transpose(1, 0, 2)
    assert np.array_equal(stretch(turned, Size(50, 40)), stretch(np.ascontiguousarray(turned), Size(50, 40)))


def test_the_result_lies_in_order_and_the_picture_is_as_it_was() -> None:
    image = noise(300, 300)
    resized = stretch(image, Size(50, 40))
    assert resized.flags.c_contiguous
    assert np.array_equal(image, noise(300, 300))


@pytest.mark.parametrize("how", ["pad", "crop", "stretch"])
def test_a_file_is_resized_as_its_decoded_image(how: Resize) -> None:
    data = encode(noise(300, 410))
    assert np.array_equal(
        decode_and_resize(data, Size(96, 64), how).image, resize(decode(data).image, Size(96, 64), how)
    )


@pytest.mark.parametrize("how", ["pad", "crop", "stretch"])
def test_a_resized_image_can_be_written_to(how: Resize) -> None:
    assert resize(noise(30, 41), Size(9, 6), how).flags.writeable
