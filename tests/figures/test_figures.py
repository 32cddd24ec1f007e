"""Figures hold what was given: the pictures, numbers and titles that a reader sees."""

import numpy as np
import pytest

from foveola.explanations.convolutions import ConvolutionArithmetic, Kernels, Patch
from foveola.explanations.heatmaps import Heatmap
from foveola.explanations.stages import FeatureMaps
from foveola.figures import data, explanations, filters
from foveola.figures.style import INK
from foveola.filters.chain import Chain

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_visible() and axes.get_title()]


def test_steps_shows_the_picture_after_each_step():
    chain = Chain.parse("blur(size=5)|invert|sharpen|median")
    figure = filters.steps(IMAGE, chain)
    assert titles(figure) == ["the image", "1  blur(size=5)", "2  invert", "3  sharpen", "4  median"]
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
    assert "not linear:\nit has no\nkernel" in said
    assert "down, sum 0" in titles(figure)


@pytest.mark.parametrize("chain", ["upscale", "scale(width=5, height=5)"])
def test_kernel_view_does_not_call_a_resizing_filter_nonlinear(chain):
    figure = filters.kernel_view(IMAGE, Chain.parse(chain))
    assert figure.axes[0].texts[0].get_text() == "linear, but it\nchanges the\nsize"


@pytest.mark.parametrize(
    ("step", "title"),
    [
        ("box(size=31)", "one bright pixel: lost"),  # 128 / 31^2 is rounded away
        ("median(size=31)", "one bright pixel: lost"),
        ("kernel(values=[[9, 9, 9], [9, 9, 9], [9, 9, 9]])", "one bright pixel: lost"),  # in white
        ("blur(size=31)", "one bright pixel"),
    ],
)
def test_a_bright_pixel_has_room_for_every_kernel(step, title):
    impulse = filters.kernel_view(np.zeros((40, 40, 3), np.uint8), Chain.parse(step)).axes[1]
    assert impulse.get_title() == title
    assert (len(np.unique(shown(impulse))) == 1) == ("lost" in title)


def test_letters_are_dark_on_light_and_light_on_dark():
    figure = filters.kernel_view(IMAGE, Chain.parse("sharpen"))
    assert {text.get_text(): text.get_color() for text in figure.axes[0].texts} == {"0": INK, "-1": INK, "5": "white"}


def test_feature_maps_are_one_mosaic_each_in_its_own_range():
    values = np.zeros((3, 2, 2), np.float32)
    values[0], values[1] = [[0, 1], [2, 4]], [[-10, 10], [0, 0]]
    figure = explanations.feature_maps(FeatureMaps("relu1", values), columns=2)
    mosaic = np.ma.filled(figure.axes[0].images[0].get_array(), -1)
    assert mosaic.shape == (5, 5)
    assert mosaic[:2, :2].tolist() == [[0, 0.25], [0.5, 1]]
    assert mosaic[:2, 3:].tolist() == [[0, 1], [0.5, 0.5]]
    assert (mosaic[3:, :2] == -1).all()  # the third shows nothing
    assert titles(figure) == ["relu1: 3 channels of 2x2; 1 (33%) does not react to this image"]


def test_the_grey_tiles_are_the_dead_channels_of_the_title():
    values = np.zeros((2, 2, 2), np.float32)
    values[0, 0, 0], values[1, 0, 0] = 1e-5, 1000.0  # the first differs by rounding alone
    figure = explanations.feature_maps(FeatureMaps("s", values))
    grey = np.ma.getmaskarray(figure.axes[0].images[0].get_array())
    assert (grey[:, :2].all(), grey[:, 3:].any()) == (True, False)
    assert titles(figure) == ["s: 2 channels of 2x2; 1 (50%) does not react to this image"]


@pytest.mark.parametrize(("channels", "columns"), [(256, 16), (257, 32), (1280, 32)])
def test_every_channel_is_drawn(channels, columns):
    values = np.arange(channels * 4, dtype=np.float32).reshape(channels, 2, 2)
    figure = explanations.feature_maps(FeatureMaps("top", values))
    mosaic = figure.axes[0].images[0].get_array()
    assert mosaic.shape == (3 * -(-channels // columns) - 1, 3 * columns - 1)
    assert (~np.ma.getmaskarray(mosaic)).sum() == 4 * channels
    assert titles(figure) == [f"top: {channels:,} channels of 2x2; all react to this image"]


def test_kernels_over_colours_are_pictures():
    values = np.zeros((2, 3, 2, 2), np.float32)
    values[1, 0] = 1
    figure = explanations.kernels(Kernels("conv1", values, over_colours=True))
    assert titles(figure) == ["conv1: 2 kernels of 2x2 over red, green, blue"]
    picture = shown(figure.axes[0])
    assert picture[:, :2].tolist() == [[[128, 128, 128]] * 2] * 2
    assert picture[0, 3].tolist() == [255, 128, 128]


def test_the_gaps_between_kernels_are_no_weight():
    checker = np.array([[1, -1], [-1, 1]], np.float32)
    figure = explanations.kernels(Kernels("whitening", np.broadcast_to(checker, (17, 3, 2, 2)), over_colours=True))
    picture = shown(figure.axes[0])
    gaps = {tuple(colour) for colour in np.concatenate([picture[:, 2], picture[2], picture[3:, 3:].reshape(-1, 3)])}
    assert gaps == {explanations.GAPS}
    assert {tuple(colour) for colour in picture[:2, :2].reshape(-1, 3)} == {(255, 255, 255), (0, 0, 0)}


def test_deeper_kernels_are_outputs_by_inputs():
    figure = explanations.kernels(Kernels("conv2", np.ones((20, 18, 3, 3), np.float32)))
    assert titles(figure) == ["conv2: 16 of 20 outputs (rows), 16 of 18 inputs (columns)"]


def test_heat_is_vermilion_over_the_image_in_grey():
    heat = Heatmap("gradcam", 1, 0.873, np.eye(12, 16, dtype=np.float32) * 5, "relu5")
    figure = explanations.heatmaps(IMAGE, [heat], ["cat", "dog"])
    assert titles(figure) == ["the image", "Grad-CAM at relu5\ndog, 87.3 %"]
    over, grey = shown(figure.axes[1]), IMAGE.mean(axis=2)
    np.testing.assert_array_equal(over[0, 1], np.rint([grey[0, 1]] * 3))
    np.testing.assert_array_equal(over[3, 3], np.rint(0.2 * grey[3, 3] + 0.8 * np.array([213, 94, 0])))


def test_integrated_gradients_are_drawn_smoothed_and_scaled_again():
    values = np.zeros((64, 64), np.float32)
    values[30, 30] = 4
    black = np.zeros((64, 64, 3), np.uint8)
    figure = explanations.heatmaps(black, [Heatmap("integrated_gradients", 0, 0.5, values)], ["a"])
    red = shown(figure.axes[1])[..., 0]
    assert red.max() == red[30, 30] == round(0.8 * 213)
    assert 0.1 * red[30, 30] < red[30, 31] < red[30, 30]


def test_patches_of_the_strongest_channels_come_first():
    def patch(value):
        return Patch(0, 0, 0, value, IMAGE)

    figure = explanations.patches({0: [patch(1.0)], 1: [patch(9.0), patch(8.0)], 2: [patch(5.0)]}, "s", channels=2)
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["1", "2"]


def test_one_pixels_terms_stand_below_each_other_and_add_up():
    patch, kernel = np.arange(12.0).reshape(3, 2, 2), np.ones((3, 2, 2))
    found = ConvolutionArithmetic("conv1", 4, 2, 3, patch, kernel, -70.0, -4.0, (1, 2, 5, 8), "SiLU", -0.0719, 0, True)
    figure = explanations.one_pixel(found, IMAGE)
    where, terms = figure.axes[:2]
    assert terms.get_title(loc="left") == "conv1, channel 4, row 2, column 3"
    assert [line.split() for line in terms.texts[0].get_text().splitlines()] == [
        ["6.0000", "products", "of", "input", "0"],
        ["22.0000", "products", "of", "input", "1"],
        ["38.0000", "products", "of", "input", "2"],
        ["-70.0000", "bias"],
        [10 * "\u2500"],
        ["-4.0000", "the", "sum"],
        ["-0.0719", "after", "SiLU"],
    ]
    assert titles(figure)[1:4] == ["input 0, red", "x kernel", "= products, sum 6"]
    box = where.patches[-1]  # rows 1 to 4, columns 2 to 7
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((1.5, 0.5), 6, 4)


def test_one_pixel_of_many_inputs_draws_those_that_count_most():
    patch = np.zeros((9, 1, 1))
    patch[:, 0, 0] = [0, 5, 0.25, -7, 0.25, 0, 3, 2, 0]
    figure = explanations.one_pixel(
        ConvolutionArithmetic("conv2", 0, 0, 0, patch, np.ones((9, 1, 1)), 0.0, 3.5, (0, 0, 1, 1)), IMAGE
    )
    assert [title for title in titles(figure) if title.startswith("input")] == [
        "input 1",
        "input 3",
        "input 6",
        "input 7",
    ]
    said = figure.axes[1].texts[0].get_text()
    assert "0.5000  products of 5 other inputs" in said
    assert said.endswith("the sum")  # no activation follows


@pytest.mark.parametrize(
    ("side", "texts"),
    [
        (2, [".123", "-1.23", "~0", "0"]),
        (6, [".1", "-1.2", "0", "0"]),
    ],
)
def test_numbers_are_as_short_as_they_can_be(side, texts):
    patch = np.zeros((1, side, side))
    patch[0].flat[:3] = [0.1234, -1.234, 0.0004]
    found = ConvolutionArithmetic("conv1", 0, 0, 0, patch, patch, 0.0, 0.0, (0, 0, 1, 1))
    assert [text.get_text() for text in explanations.one_pixel(found, IMAGE).axes[2].texts[:4]] == texts


def test_a_layout_marks_mistakes():
    places = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    labels, answers = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 1, 0])
    figure = explanations.layout(places, labels, answers, ["a", "b"], IMAGE[None].repeat(6, 0), "t-SNE")
    assert titles(figure) == ["6 images by the last layer, t-SNE; crosses: 2 mistakes"]
    dots = [len(points.get_offsets()) for points in figure.axes[0].collections]
    assert dots == [2, 1, 2, 1]  # right and wrong of a, right and wrong of b


def test_before_and_after_stand_below_each_other():
    figure = data.before_after([IMAGE, IMAGE], [255 - IMAGE, 255 - IMAGE], "invert")
    np.testing.assert_array_equal(shown(figure.axes[0]), IMAGE)
    np.testing.assert_array_equal(shown(figure.axes[2]), 255 - IMAGE)
    assert titles(figure) == ["before", "after invert"]


def test_pictures_side_by_side_have_their_titles():
    figure = data.side_by_side([IMAGE, IMAGE[:6]], ["whole", "half"])
    assert titles(figure) == ["whole", "half"]
    np.testing.assert_array_equal(shown(figure.axes[1]), IMAGE[:6])


def test_raw_samples_say_their_sizes():
    figure = data.samples([[IMAGE, IMAGE[:5]], [IMAGE]], ["a", "b"], "as they are")
    assert titles(figure) == ["16x12", "16x5", "16x12"]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["a", "b"]


def test_pictures_that_were_made_smaller_say_the_files_sizes():
    figure = data.samples([[IMAGE, IMAGE]], ["a"], "as they are", [np.array([[1200, 1600], [12, 16]], np.int32)])
    assert titles(figure) == ["1600x1200", "16x12"]


def test_each_channel_is_drawn_in_its_own_colour():
    figure = data.channels(IMAGE)
    for k, axes in enumerate(figure.axes[1:]):
        np.testing.assert_array_equal(shown(axes), IMAGE[..., k])
        assert axes.images[0].get_cmap()(1.0)[:3] == tuple(float(k == j) for j in range(3))


def test_the_bars_are_the_classes_counts():
    figure = data.class_counts(np.array([3, 1200]), ["a", "b"])
    assert [bar.get_width() for bar in figure.axes[0].patches] == [3, 1200]
    assert [text.get_text() for text in figure.axes[0].texts] == ["3", "1,200"]


def test_inputs_of_a_group_have_their_own_numbers_and_no_colours():
    one = np.ones((3, 1, 1))
    figure = explanations.one_pixel(
        ConvolutionArithmetic("c", 0, 0, 0, one, one, 0.0, 3.0, (0, 0, 1, 1), first=36), IMAGE
    )
    assert [title for title in titles(figure) if title.startswith("input")] == ["input 36", "input 37", "input 38"]
    assert "products of input 37" in figure.axes[1].texts[0].get_text()


def test_maps_of_one_pixel_share_their_scale():
    values = np.array([0.0, 2.0, -1.0, 1.0], np.float32).reshape(4, 1, 1)
    figure = explanations.feature_maps(FeatureMaps("s", values), columns=4)
    drawn = figure.axes[0].images[0].get_array()
    assert [float(v) for v in drawn.compressed()] == pytest.approx([1.0, 0.0, 2 / 3])
    assert figure.axes[0].get_title() == "s: 4 channels of 1x1; 1 (25%) does not react to this image"


def test_a_class_named_with_a_low_line_is_in_the_legend():
    places, labels = np.zeros((2, 2), np.float32), np.array([0, 1])
    figure = explanations.layout(places, labels, labels, ["_background_", "cat"], np.stack([IMAGE] * 2), "t-SNE")
    texts = [text.get_text().strip("\u200b") for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["_background_", "cat"]


def test_only_the_first_classes_are_added_up():
    pixels = np.arange(3 * 12, dtype=np.uint8).reshape(3, 2, 2, 3)
    np.testing.assert_array_equal(data.mean_images(pixels, np.array([0, 2, 1]), 2), pixels[[0, 2]])


def test_mean_images_are_numpys_means():
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (2300, 3, 4, 3), np.uint8), rng.integers(0, 3, 2300)
    found = data.mean_images(pixels, labels, 4)
    for label in range(3):
        np.testing.assert_array_equal(found[label], np.rint(pixels[labels == label].mean(axis=0)))
    assert not found[3].any()


def test_sizes_are_drawn_as_points_and_histograms():
    figure = data.sizes(np.array([10, 10, 30]), np.array([20, 20, 40]))
    left, right = figure.axes
    assert left.get_title() == "3 images, 2 sizes"
    assert left.collections[0].get_offsets().tolist() == [[20, 10], [40, 30]]
    assert right.get_title() == "median width 20, median height 10"


def test_tones_are_shares_of_all_pixels():
    pixels = np.zeros((4, 2, 2, 3), np.uint8)
    pixels[0, ..., 1] = 200
    figure = data.tones(pixels)
    red, green, _ = (line.get_ydata() for line in figure.axes[0].lines[:3])
    assert (red[0], green[0], green[200]) == (100, 75, 25)


def test_where_black_is_everywhere_the_axis_shows_the_rest_and_blacks_share_is_written():
    pixels = np.zeros((1, 10, 10, 3), np.uint8)
    pixels[0, 0] = 200
    axes = data.tones(pixels).axes[0]
    assert axes.get_ylim() == (0, pytest.approx(13))
    assert [text.get_text() for text in axes.texts] == ["0: 90.0 %", "255: 0.0 %"]


def test_the_frequencies_of_a_kernel_stand_at_their_places():
    # 2 at the middle, -1 right below it: |H(1/4, 1/4)| = |2 - exp(-i pi)| = 3, |H(1/4, -1/4)| = |2 - 1| = 1.
    chain = Chain.parse("kernel(values=[[0,0,0],[0,2,0],[0,0,-1]])")
    places = [axes for axes in filters.kernel_view(IMAGE, chain).axes if axes.get_title() == "frequencies passed"]
    (drawn,) = places[0].get_images()
    left, right, bottom, top = drawn.get_extent()
    gain = drawn.get_array()
    rows, columns = gain.shape

    def at(across, down):
        row = (down - top) / (bottom - top) * rows  # the first row is drawn at `top`
        return gain[int(row), int((across - left) / (right - left) * columns)]

    assert at(0.25, 0.25) == pytest.approx(3, abs=0.1)
    assert at(0.25, -0.25) == pytest.approx(1, abs=0.1)


def test_grouped_kernels_are_not_called_inputs_in_columns():
    figure = explanations.kernels(Kernels("depth", np.ones((20, 1, 3, 3), np.float32), groups=20))
    assert figure.axes[0].get_title() == "depth: 20 of 20 outputs, each over one input"


def test_a_layout_of_very_many_classes_gives_the_first_a_sign_each():
    places = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    labels = np.arange(60)
    names = [f"c{k}" for k in labels]
    figure = explanations.layout(places, labels, labels, names, np.zeros((60, 8, 8, 3), np.uint8), "t-SNE")
    said = [text.get_text().strip("\u200b") for text in figure.axes[0].get_legend().get_texts()]
    assert said == ["40 others", *names[:20]]


def test_means_of_some_classes_only_say_so():
    names = [f"c{k}" for k in range(30)]
    figure = data.class_means(np.zeros((30, 8, 8, 3), np.uint8), np.arange(30), names)
    assert figure.get_suptitle() == "mean images (the first 20 of 30 classes)"


def test_the_bars_of_a_thousand_classes_are_the_first_hundred():
    figure = data.class_counts(np.ones(1000, np.int64), [f"c{k}" for k in range(1000)])
    assert figure.axes[0].get_title() == "1,000 images in 1,000 classes (the first 100 are shown)"
    assert len(figure.axes[0].patches) == 100
