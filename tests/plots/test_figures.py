"""Figures hold what was given: the pictures, numbers and titles that a reader sees."""

import numpy as np
import pytest

from foveola.explanations.heatmaps import Heatmap
from foveola.explanations.kernels import Kernels, Patch
from foveola.explanations.one_pixel import OnePixel
from foveola.explanations.stages import FeatureMaps
from foveola.filters.chain import Chain
from foveola.plots import data, explanations, filters

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_visible() and axes.get_title()]


def test_steps_shows_the_picture_after_each_step():
    chain = Chain.parse("blur(size=5)|invert|sharpen|median")
    figure = filters.steps(IMAGE, chain)
    assert titles(figure) == ["the picture", "1  blur(size=5)", "2  invert", "3  sharpen", "4  median"]
    image = IMAGE
    for axes, step in zip(figure.axes, [None, *chain.steps], strict=False):
        image = image if step is None else step(image)
        np.testing.assert_array_equal(shown(axes), image)


def test_kernel_view_writes_the_kernels_numbers():
    figure = filters.kernel_view(IMAGE, Chain.parse("sharpen"))
    numbers, impulse, passed, after = figure.axes[:4]
    assert [text.get_text() for text in numbers.texts] == ["0", "-1", "0", "-1", "5", "-1", "0", "-1", "0"]
    # |5 - 2 cos 2 pi u - 2 cos 2 pi v|: 1 for what does not change, 9 for what changes with every pixel
    gain = shown(passed)
    assert gain[32, 32] == pytest.approx(1)
    assert gain[0, 0] == pytest.approx(9, rel=0.01)
    assert shown(impulse)[7, 6:9].tolist() == [0, 255, 0]  # 64 - 128 and 64 + 4 x 128, clipped
    np.testing.assert_array_equal(shown(after), Chain.parse("sharpen")(IMAGE))


def test_kernel_view_has_a_line_for_each_kernel_and_says_where_there_is_none():
    figure = filters.kernel_view(IMAGE, Chain.parse("sobel|median"))
    assert titles(figure)[:2] == ["across, sum 0", "one bright pixel"]
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "not linear:\nno kernel can\nwrite it down" in said
    assert "down, sum 0" in titles(figure)


def test_feature_maps_are_one_mosaic_each_in_its_own_range():
    values = np.zeros((3, 2, 2), np.float32)
    values[0], values[1] = [[0, 1], [2, 4]], [[-10, 10], [0, 0]]
    figure = explanations.feature_maps(FeatureMaps("relu1", values), columns=2)
    mosaic = np.ma.filled(figure.axes[0].images[0].get_array(), -1)
    assert mosaic.shape == (5, 5)
    assert mosaic[:2, :2].tolist() == [[0, 0.25], [0.5, 1]]
    assert mosaic[:2, 3:].tolist() == [[0, 1], [0.5, 0.5]]
    assert (mosaic[3:, :2] == -1).all()  # the third shows nothing
    assert titles(figure) == ["relu1: 3 channels of 2x2; 1 show nothing (grey)"]


def test_kernels_over_colours_are_pictures():
    values = np.zeros((2, 3, 2, 2), np.float32)
    values[1, 0] = 1
    figure = explanations.kernels(Kernels("conv1", values))
    assert titles(figure) == ["conv1: 2 kernels of 2x2 over red, green, blue"]
    picture = shown(figure.axes[0])
    assert picture[:, :2].tolist() == [[[128, 128, 128]] * 2] * 2
    assert picture[0, 3].tolist() == [255, 128, 128]


def test_deeper_kernels_are_outputs_by_inputs():
    figure = explanations.kernels(Kernels("conv2", np.ones((20, 18, 3, 3), np.float32)))
    assert titles(figure) == ["conv2: 16 of 20 outputs (rows), 16 of 18 inputs (columns)"]


def test_heat_is_laid_over_the_picture_in_grey():
    heat = Heatmap("gradcam", 1, 0.873, np.eye(12, 16, dtype=np.float32) * 5, "relu5")
    figure = explanations.heatmaps(IMAGE, [heat], ["cat", "dog"])
    assert titles(figure) == ["the picture", "Grad-CAM at relu5\ndog, 87.3 %"]
    over = figure.axes[1]
    np.testing.assert_allclose(np.asarray(over.images[1].get_array()), np.eye(12, 16))
    grey = np.asarray(over.images[0].get_array())
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


def test_patches_of_the_strongest_channels_come_first():
    def patch(value):
        return Patch(0, 0, 0, value, IMAGE)

    figure = explanations.patches({0: [patch(1.0)], 1: [patch(9.0), patch(8.0)], 2: [patch(5.0)]}, "s", channels=2)
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["1", "2"]


def test_one_pixels_terms_add_up_in_the_title():
    patch, kernel = np.arange(12.0).reshape(3, 2, 2), np.ones((3, 2, 2))
    found = OnePixel("conv1", 4, 2, 3, patch, kernel, -70.0, -4.0)
    figure = explanations.one_pixel(found, IMAGE)
    assert figure.get_suptitle() == "conv1, channel 4, row 2, column 3\n6 + 22 + 38 + bias -70 = -4;  after ReLU 0"
    assert titles(figure)[:3] == ["input 0, red", "times kernel", "products: sum 6"]


def test_one_pixel_of_many_inputs_draws_those_that_count_most():
    patch = np.zeros((9, 1, 1))
    patch[:, 0, 0] = [0, 5, 0.25, -7, 0.25, 0, 3, 2, 0]
    figure = explanations.one_pixel(OnePixel("conv2", 0, 0, 0, patch, np.ones((9, 1, 1)), 0.0, 3.5), IMAGE)
    assert [title for title in titles(figure) if title.startswith("input")] == [
        "input 1",
        "input 3",
        "input 6",
        "input 7",
    ]
    assert "5 + -7 + 3 + 2 + 0.5 (5 other inputs) + bias 0 = 3.5" in figure.get_suptitle()


def test_a_layout_marks_mistakes():
    places = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    labels, answers = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 1, 0])
    figure = explanations.layout(places, labels, answers, ["a", "b"], IMAGE[None].repeat(6, 0), "t-SNE")
    assert titles(figure) == ["6 pictures by the last layer, t-SNE; a cross is a mistake (2)"]
    dots = [len(points.get_offsets()) for points in figure.axes[0].collections]
    assert dots == [2, 1, 2, 1]  # right and wrong of a, right and wrong of b


def test_before_and_after_stand_below_each_other():
    figure = data.before_after([IMAGE, IMAGE], [255 - IMAGE, 255 - IMAGE], "invert")
    np.testing.assert_array_equal(shown(figure.axes[0]), IMAGE)
    np.testing.assert_array_equal(shown(figure.axes[2]), 255 - IMAGE)
    assert titles(figure) == ["before", "after invert"]


def test_raw_samples_say_their_sizes():
    figure = data.samples([[IMAGE, IMAGE[:5]], [IMAGE]], ["a", "b"], "as they are")
    assert titles(figure) == ["12x16", "5x16", "12x16"]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["a", "b"]


def test_each_channel_is_drawn_in_its_own_colour():
    figure = data.channels(IMAGE)
    for k, axes in enumerate(figure.axes[1:]):
        np.testing.assert_array_equal(shown(axes), IMAGE[..., k])
        assert axes.images[0].get_cmap()(1.0)[:3] == tuple(float(k == j) for j in range(3))


def test_the_bars_are_the_classes_counts():
    figure = data.class_counts(np.array([3, 1200]), ["a", "b"])
    assert [bar.get_width() for bar in figure.axes[0].patches] == [3, 1200]
    assert [text.get_text() for text in figure.axes[0].texts] == ["3", "1,200"]


def test_mean_pictures_are_numpys_means():
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (2300, 3, 4, 3), np.uint8), rng.integers(0, 3, 2300)
    found = data.mean_pictures(pixels, labels, 4)
    for label in range(3):
        np.testing.assert_array_equal(found[label], np.rint(pixels[labels == label].mean(axis=0)))
    assert not found[3].any()


def test_sizes_are_drawn_as_points_and_histograms():
    figure = data.sizes(np.array([10, 10, 30]), np.array([20, 20, 40]))
    left, right = figure.axes
    assert left.get_title() == "3 pictures, 2 sizes"
    assert left.collections[0].get_offsets().tolist() == [[20, 10], [40, 30]]
    assert right.get_title() == "medians 20 wide, 10 high"


def test_tones_are_shares_of_all_pixels():
    pixels = np.zeros((4, 2, 2, 3), np.uint8)
    pixels[0, ..., 1] = 200
    figure = data.tones(pixels)
    red, green, _ = (line.get_ydata() for line in figure.axes[0].lines[:3])
    assert (red[0], green[0], green[200]) == (100, 75, 25)
