"""The kernels that are drawn against the filters that run."""

import cv2
import numpy as np
import pytest

from foveola.figures.filters import kernels_of, why_none
from foveola.filters.chain import FILTERS, Chain


def step(text):
    return Chain.parse(text).steps[0]


@pytest.fixture
def image():
    return np.random.default_rng(2).integers(0, 256, (23, 19, 3), np.uint8)


@pytest.mark.parametrize(
    ("text", "off_by"),
    [
        ("sharpen", 0),
        ("emboss", 0),
        ("kernel(values=[[0,1,0],[0,0,0],[0.25,0,0]])", 0),
        ("box(size=5)", 0),
        ("blur(size=7)", 1),  # OpenCV blurs 8-bit images with a kernel in fixed point
        ("blur(size=5, sigma=2)", 1),
        ("unsharp", 1),  # rounded after the blur and after the sum
    ],
)
def test_a_linear_filter_is_its_kernel(text, off_by, image):
    by_hand = cv2.filter2D(image.astype(np.float64), -1, kernels_of(step(text))["kernel"])
    difference = np.clip(np.rint(by_hand), 0, 255) - step(text)(image)
    assert np.abs(difference).max() <= off_by


@pytest.mark.parametrize("text", ["sobel", "sobel(size=1)", "sobel(size=5)", "scharr"])
def test_a_gradient_is_the_length_of_two_kernels(text, image):
    kernels = kernels_of(step(text))
    parts = [cv2.filter2D(image.astype(np.float64), -1, kernels[name]) for name in ("across", "down")]
    by_hand = np.clip(np.rint(np.hypot(*parts)), 0, 255)
    assert np.abs(by_hand - step(text)(image)).max() <= 1


@pytest.mark.parametrize("text", ["laplacian", "laplacian(size=3)", "laplacian(size=5)"])
def test_the_laplacian_is_the_absolute_value_of_its_kernel(text, image):
    by_hand = np.abs(cv2.filter2D(image.astype(np.float64), -1, kernels_of(step(text))["kernel"]))
    np.testing.assert_array_equal(np.clip(np.rint(by_hand), 0, 255), step(text)(image))


LENGTHS = {"laplacian", "scharr", "sobel"}
"""The size of something linear."""

CLIPPED = {"emboss", "sharpen"}
"""Linear but for 0 and 255, where they end soon."""


@pytest.mark.parametrize(
    "text", [*sorted(set(FILTERS) - {"kernel", "scale"} - LENGTHS - CLIPPED), "scale(width=7, height=30)"]
)
def test_what_is_called_linear_is_linear_and_nothing_else(text):
    rng = np.random.default_rng(4)
    one, other = (rng.integers(40, 80, (24, 20, 3), np.uint8) for _ in range(2))
    parts = step(text)(one).astype(int) + step(text)(other)
    adds_up = np.abs(step(text)(one + other) - parts).max() <= 2  # each of the three is rounded
    assert adds_up == (why_none(step(text))[0].startswith("linear") or bool(kernels_of(step(text))))


def test_a_filter_of_ones_own_is_not_called_anything():
    FILTERS.register("halved")(lambda image: image // 2)
    try:
        assert kernels_of(step("halved")) == {}
        assert why_none(step("halved")) == ("no kernel is\nknown for it", "")
    finally:
        FILTERS.unregister("halved")


def test_filters_that_have_no_kernel():
    others = {
        "bilateral",
        "canny",
        "denoise",
        "equalize",
        "gamma",
        "grayscale",
        "invert",
        "median",
        "resize_down_up",
        "upscale",
    }
    assert {name for name in set(FILTERS) - {"kernel", "scale"} if not kernels_of(step(name))} == others
    assert kernels_of(step("scale(width=3, height=3)")) == {}
