"""Every filter against the plain OpenCV call that its docstring names, bit by bit."""

import cv2
import numpy as np
import pytest

from foveola.errors import UsageError
from foveola.filters.chain import FILTERS


def half_up(values):
    return np.floor(values + 0.5)


def as_written(image, kernel, rounded=np.rint):
    """The correlation by hand in float64: border mirrored without its last row, rounded half to even, clipped."""
    kernel = np.array(kernel, float)
    reach = len(kernel) // 2
    wide = np.pad(image.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    out = np.zeros(image.shape)
    for down in range(len(kernel)):
        for across in range(len(kernel)):
            out += kernel[down, across] * wide[down : down + image.shape[0], across : across + image.shape[1]]
    return np.clip(rounded(out), 0, 255).astype(np.uint8)


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


@pytest.mark.parametrize(
    ("size", "line"),
    [(3, [1, 2, 1]), (5, [1, 4, 6, 4, 1]), (7, [2, 7, 14, 18, 14, 7, 2]), (9, [4, 13, 30, 51, 60, 51, 30, 13, 4])],
)
def test_a_blur_without_sigma_is_opencvs_table_and_rounds_half_up(size, line, image):
    kernel = np.outer(line, line) / sum(line) ** 2
    np.testing.assert_array_equal(FILTERS["blur"](image, size=size), as_written(image, kernel, half_up))


def test_a_blur_rounds_halves_up():
    image = np.zeros((5, 5, 3), np.uint8)
    image[2, 2] = 2, 10, 4
    assert FILTERS["blur"](image, size=3)[2, 2].tolist() == [1, 3, 1]  # a quarter: 0.5, 2.5 and 1


@pytest.mark.parametrize("size", [11, 13, 31])
def test_a_larger_blur_without_sigma_has_the_formulas(size):
    image = np.random.default_rng(7).integers(0, 256, (40, 45, 3), np.uint8)
    by_formula = FILTERS["blur"](image, size=size, sigma=0.15 * size + 0.35)
    np.testing.assert_array_equal(FILTERS["blur"](image, size=size), by_formula)


@pytest.mark.parametrize(("factor", "rounded"), [(2, half_up), (4, np.rint), (6, np.rint), (8, np.rint)])
def test_means_of_areas_round_half_up_only_where_both_sides_are_halved(factor, rounded):
    image = np.random.default_rng(5).integers(0, 256, (48, 96, 3), np.uint8)
    high, wide = 48 // factor, 96 // factor
    means = image.reshape(high, factor, wide, factor, 3).mean(axis=(1, 3))
    assert (means % 1 == 0.5).any()
    expected = rounded(means).astype(np.uint8)
    np.testing.assert_array_equal(FILTERS["scale"](image, width=wide, height=high), expected)
    pixelated = FILTERS["resize_down_up"](image, factor=factor)
    np.testing.assert_array_equal(pixelated, expected.repeat(factor, axis=0).repeat(factor, axis=1))


def test_unsharp_rounds_its_blur_half_up_and_its_sum_half_to_even(image):
    line = np.array([1, 4, 6, 4, 1])
    soft = as_written(image, np.outer(line, line) / 256, half_up)
    by_hand = np.clip(np.rint(1.5 * image - 0.5 * soft), 0, 255)
    np.testing.assert_array_equal(FILTERS["unsharp"](image, amount=0.5), by_hand)


@pytest.mark.parametrize(
    ("name", "options"),
    [("bilateral", {}), ("blur", {"size": 7}), ("box", {"size": 5}), ("denoise", {"strength": 20.0}), ("emboss", {}),
     ("laplacian", {"size": 5}), ("scharr", {}), ("sharpen", {}), ("sobel", {}), ("unsharp", {})],
)  # fmt: skip
def test_a_border_is_mirrored_without_its_last_row(name, options, soft):
    assert_border(name, options, soft, cv2.BORDER_REFLECT_101)


@pytest.mark.parametrize(("name", "factor"), [("median", 1), ("upscale", 2)])
def test_a_border_of_median_and_upscale_repeats_the_last_pixel(name, factor, soft):
    assert_border(name, {}, soft, cv2.BORDER_REPLICATE, factor)


def test_a_border_of_canny_repeats_the_last_pixel(soft):
    def edges(border):
        across, down = (cv2.Sobel(soft, cv2.CV_16S, k, 1 - k, borderType=border) for k in (1, 0))
        return cv2.Canny(across, down, 50, 150)

    np.testing.assert_array_equal(FILTERS["canny"](soft)[..., 0], edges(cv2.BORDER_REPLICATE))
    assert not np.array_equal(edges(cv2.BORDER_REPLICATE), edges(cv2.BORDER_REFLECT_101))


@pytest.fixture
def soft():
    return cv2.blur(np.random.default_rng(7).integers(0, 256, (30, 37, 3), np.uint8), (3, 3))


def assert_border(name, options, image, border, factor=1):
    """The filter's answer is the middle of its answer to an image that was continued so, and of no other."""
    found = {}
    for kind in (cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE):
        wide = FILTERS[name](cv2.copyMakeBorder(image, 16, 16, 16, 16, kind), **options)
        found[kind] = wide[16 * factor : -16 * factor, 16 * factor : -16 * factor]
    answer = FILTERS[name](image, **options)
    assert [kind for kind, middle in found.items() if np.array_equal(middle, answer)] == [border]


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
    assert str(error.value) == f"a filter takes images as uint8 (height, width, 3) or a stack of them: this is {found}"


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(UsageError) as error:
        FILTERS["invert"](np.zeros((0, 8, 3), np.uint8))
    assert str(error.value) == "a filter needs an image of at least one pixel; got uint8 (0, 8, 3)"


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
    assert str(error.value) == f"{what}: this image of 9x5 is too small for it"


@pytest.mark.parametrize(
    ("shape", "made"),
    [((1, 4000), "32000x8"), ((1500, 1600), "12800x12000")],  # a side, and the pixels, above the limit
)
def test_what_could_not_be_read_again_is_not_made(shape, made):
    with pytest.raises(UsageError) as error:
        FILTERS["upscale"](np.zeros((*shape, 3), np.uint8), factor=8)
    assert str(error.value) == (
        f"upscale(factor=8) would make this image {made}, but at most 120,000,000 pixels and sides of 30,000 are allowed; "
        "use a smaller factor"
    )


def test_canny_with_exchanged_thresholds():
    with pytest.raises(UsageError) as error:
        FILTERS["canny"](np.zeros((9, 9, 3), np.uint8), low=200.0, high=100.0)
    assert str(error.value) == "canny(low=200, high=100): low must not be above high: swap them"


def test_a_side_that_shrinks_while_the_other_grows_is_averaged_over_all_it_covers():
    # Ten columns of 0 and 90 by turns become one: their mean is 45. In one call OpenCV looks at two of the ten.
    image = np.zeros((4, 40, 3), np.uint8)
    image[:, ::2] = 90
    assert (FILTERS["scale"](image, width=4, height=8) == 45).all()
