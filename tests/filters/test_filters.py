"""Every filter against the plain OpenCV call that its docstring names, bit by bit."""

import cv2
import numpy as np
import pytest

from foveola.errors import UsageError
from foveola.filters.table import FILTERS


def as_written(image, kernel):
    """The correlation by hand in float64: border mirrored without its last row, rounded half to even, clipped."""
    kernel = np.array(kernel, float)
    reach = len(kernel) // 2
    wide = np.pad(image.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    out = np.zeros(image.shape)
    for down in range(len(kernel)):
        for across in range(len(kernel)):
            out += kernel[down, across] * wide[down : down + image.shape[0], across : across + image.shape[1]]
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def gradient(image, one):
    return cv2.convertScaleAbs(cv2.magnitude(one(image, cv2.CV_32F, 1, 0), one(image, cv2.CV_32F, 0, 1)))


def on_lightness(image):
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    light, a, b = cv2.split(lab)
    light = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(light)
    return cv2.cvtColor(cv2.merge((light, a, b)), cv2.COLOR_LAB2RGB)


def denoised(image):
    return cv2.fastNlMeansDenoisingColored(image[..., ::-1].copy(), None, 3, 3, 7, 21)[..., ::-1]


def pixelated(image):
    height, width = image.shape[:2]
    small = cv2.resize(image, (round(width / 4), round(height / 4)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def doubled(image):
    return cv2.resize(image, (2 * image.shape[1], 2 * image.shape[0]), interpolation=cv2.INTER_LANCZOS4)


ODD = [[1, 2, 0, 0, 0], [0, 0.5, 0, 0, 0], [0, 0, -3, 0, 0], [0, 0, 0, 0.25, 0], [0, 0, 0, 0, 1]]

PLAIN = {
    "bilateral": ({}, lambda x: cv2.bilateralFilter(x, 5, 50, 50)),
    "blur": ({}, lambda x: cv2.GaussianBlur(x, (3, 3), 0)),
    "box": ({}, lambda x: cv2.blur(x, (3, 3))),
    "canny": ({}, lambda x: cv2.merge([cv2.Canny(x, 50, 150)] * 3)),
    "denoise": ({}, denoised),
    "emboss": ({}, lambda x: cv2.filter2D(x, -1, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))),
    "equalize": ({}, on_lightness),
    "gamma": ({}, lambda x: cv2.LUT(x, np.array([round((v / 255) ** 0.5 * 255) for v in range(256)], np.uint8))),
    "grayscale": ({}, lambda x: cv2.merge([cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)] * 3)),
    "invert": ({}, lambda x: 255 - x),
    "kernel": ({"values": ODD}, lambda x: cv2.filter2D(x, -1, np.array(ODD))),
    "laplacian": ({}, lambda x: cv2.convertScaleAbs(cv2.Laplacian(x, cv2.CV_32F))),
    "median": ({}, lambda x: cv2.medianBlur(x, 3)),
    "resize_down_up": ({}, pixelated),
    "scale": ({"width": 7, "height": 5}, lambda x: cv2.resize(x, (7, 5), interpolation=cv2.INTER_AREA)),
    "scharr": ({}, lambda x: gradient(x, cv2.Scharr)),
    "sharpen": ({}, lambda x: cv2.filter2D(x, -1, np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]))),
    "sobel": ({}, lambda x: gradient(x, cv2.Sobel)),
    "unsharp": ({}, lambda x: cv2.addWeighted(x, 2, cv2.GaussianBlur(x, (5, 5), 0), -1, 0)),
    "upscale": ({}, doubled),
}

OTHER = {
    "bilateral": ({"size": 9, "sigma_color": 20.0, "sigma_space": 3.0}, lambda x: cv2.bilateralFilter(x, 9, 20, 3)),
    "blur": ({"size": 7, "sigma": 2.0}, lambda x: cv2.GaussianBlur(x, (7, 7), 2)),
    "box": ({"size": 5}, lambda x: cv2.blur(x, (5, 5))),
    "canny": ({"low": 100.0, "high": 300.0}, lambda x: cv2.merge([cv2.Canny(x, 100, 300)] * 3)),
    "laplacian": ({"size": 5}, lambda x: cv2.convertScaleAbs(cv2.Laplacian(x, cv2.CV_32F, ksize=5))),
    "median": ({"size": 7}, lambda x: cv2.medianBlur(x, 7)),
    "sobel": ({"size": 5}, lambda x: gradient(x, lambda *args: cv2.Sobel(*args, ksize=5))),
}


@pytest.fixture(params=[(32, 32), (31, 45), (9, 64)], ids=str)
def image(request):
    return np.random.default_rng(7).integers(0, 256, (*request.param, 3), np.uint8)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_filter_is_the_plain_opencv_call(name, image):
    options, plain = PLAIN[name]
    np.testing.assert_array_equal(FILTERS[name](image, **options), plain(image))


@pytest.mark.parametrize("name", sorted(OTHER))
def test_options_reach_opencv(name, image):
    options, plain = OTHER[name]
    np.testing.assert_array_equal(FILTERS[name](image, **options), plain(image))


@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"scale", "upscale"}))
def test_shape_and_dtype_are_kept(name, image):
    out = FILTERS[name](image, **PLAIN[name][0])
    assert (out.shape, out.dtype) == (image.shape, np.uint8)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_stack_is_its_pictures_one_by_one(name):
    stack = np.random.default_rng(1).integers(0, 256, (2, 3, 12, 10, 3), np.uint8)
    options = PLAIN[name][0]
    out = FILTERS[name](stack, **options)
    for at in np.ndindex(2, 3):
        np.testing.assert_array_equal(out[at], FILTERS[name](stack[at], **options))


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_the_picture_that_was_given_is_not_changed(name, image):
    before = image.copy()
    FILTERS[name](image, **PLAIN[name][0])
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("name", "kernel"),
    [("sharpen", [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]), ("emboss", [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])],
)
def test_a_kernel_is_laid_over_every_pixel_its_border_mirrored(name, kernel, image):
    np.testing.assert_array_equal(FILTERS[name](image), as_written(image, kernel))


def test_halves_are_rounded_to_the_even_number():
    image = np.array([[[1], [2], [3]]] * 3, np.uint8).repeat(3, axis=2)
    half = [[0, 0, 0], [0, 0.5, 0], [0, 0, 0]]
    assert FILTERS["kernel"](image, values=half)[1, :, 0].tolist() == [0, 1, 2]  # of 0.5, 1 and 1.5


def test_a_kernel_is_not_turned_round():
    image = np.zeros((5, 5, 3), np.uint8)
    image[2, 2] = 10
    left = [[0, 0, 0], [2, 0, 0], [0, 0, 0]]
    assert np.argwhere(FILTERS["kernel"](image, values=left)[..., 0]).tolist() == [[2, 3]]  # it looks to its left


def test_scaled_by_area_is_the_mean_of_each_area():
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    means = image.reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))
    assert np.abs(FILTERS["scale"](image, width=5, height=3) - means).max() <= 0.5


def test_an_empty_stack_stays_empty():
    assert FILTERS["blur"](np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32 (8, 8, 3)"),
        (np.zeros((8, 8), np.uint8), "uint8 (8, 8)"),
        (np.zeros((8, 8, 4), np.uint8), "uint8 (8, 8, 4)"),
        ([1, 2], "list"),
    ],
)
def test_what_is_no_picture_is_refused(images, found):
    with pytest.raises(UsageError) as error:
        FILTERS["invert"](images)
    assert (
        str(error.value) == f"a filter takes pictures as uint8 (height, width, 3) or a stack of them: this is {found}"
    )


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(UsageError) as error:
        FILTERS["invert"](np.zeros((0, 8, 3), np.uint8))
    assert str(error.value) == "a filter takes pictures of one pixel at least: this is uint8 (0, 8, 3)"


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("blur", {"size": 7}, "blur(size=7) has a kernel of 7x7"),
        ("box", {"size": 7}, "box(size=7) has a kernel of 7x7"),
        ("median", {"size": 7}, "median(size=7) has a kernel of 7x7"),
        ("bilateral", {"size": 7}, "bilateral(size=7) has a kernel of 7x7"),
        ("unsharp", {"size": 7}, "unsharp(size=7) has a kernel of 7x7"),
        ("sobel", {"size": 7}, "sobel(size=7) has a kernel of 7x7"),
        ("laplacian", {"size": 7}, "laplacian(size=7) has a kernel of 7x7"),
        ("kernel", {"values": np.eye(7).tolist()}, "kernel has a kernel of 7x7"),
    ],
)
def test_a_picture_smaller_than_the_kernel(name, options, what):
    with pytest.raises(UsageError) as error:
        FILTERS[name](np.zeros((5, 9, 3), np.uint8), **options)
    assert str(error.value) == f"{what}: this picture of 5x9 is too small for it"


@pytest.mark.parametrize(
    ("shape", "made"),
    [((1, 4000), "8x32000"), ((1500, 1600), "12000x12800")],  # a side, and the pixels, above the limit
)
def test_what_could_not_be_read_again_is_not_made(shape, made):
    with pytest.raises(UsageError) as error:
        FILTERS["upscale"](np.zeros((*shape, 3), np.uint8), factor=8)
    assert str(error.value) == (
        f"upscale(factor=8) would make {made} of this picture: 120,000,000 pixels and sides of 30,000 are allowed; take a "
        "smaller factor"
    )


def test_canny_with_exchanged_thresholds():
    with pytest.raises(UsageError) as error:
        FILTERS["canny"](np.zeros((9, 9, 3), np.uint8), low=200.0, high=100.0)
    assert str(error.value) == "canny(low=200, high=100): low must not be above high: exchange the two"
