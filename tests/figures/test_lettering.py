"""Letters fit their place: nothing runs into its neighbour or off the figure, measured on the drawn figure."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from foveola.explanations.convolutions import ConvolutionArithmetic
from foveola.explanations.heatmaps import Heatmap
from foveola.figures import data, explanations, filters
from foveola.figures.text import fit_text, fixed, in_units, short, width_of
from foveola.filters.chain import Chain

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
LONG = "a_long_class_name_of_things_here"


def boxes(figure):
    """The drawn box of every title, and of all texts within axes, in the figure's pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    seen = [axes for axes in figure.axes if axes.get_visible()]
    texts = [text for axes in seen for text in (axes.title, *axes.texts) if text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]


def assert_letters_fit(figure):
    found = boxes(figure)
    whole = figure.bbox
    assert [text for text, box in found if box.x0 < 0 or box.y0 < 0 or box.x1 > whole.x1 or box.y1 > whole.y1] == []
    touching = [
        (one, other) for (one, a), (other, b) in itertools.combinations(found, 2)
        if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
    ]  # fmt: skip
    assert touching == []


@pytest.mark.parametrize("heats", [1, 2, 5])
def test_titles_of_heat_maps(heats):
    one = Heatmap("hirescam", 0, 0.873, np.ones((24, 24), np.float32), "stage2.1.depthwise.conv")
    figure = explanations.heatmaps(IMAGE, heats * [one], [LONG])
    assert_letters_fit(figure)
    title = figure.axes[1].get_title()
    assert title.replace("\n", "").endswith(f"{LONG}87.3 %")  # broken, and nothing left out


def test_titles_of_steps():
    values = [[0, 0.125, 0], [0.125, 0.5, 0.125], [0, 0.125, 0]]
    chain = f"bilateral(sigma_color=30.5, sigma_space=20.25)|kernel(values={values})"
    figure = filters.steps(IMAGE, Chain.parse(f"invert|sharpen|{chain}|{chain}"))
    assert_letters_fit(figure)
    assert figure.axes[3].get_title().replace("\n", "") == "3  bilateral(sigma_color=30.5,sigma_space=20.25)"


@pytest.mark.parametrize(
    "chain",
    ["unsharp(size=7)", "blur(size=7, sigma=1.5)", f"kernel(values={[[1e6, -123456.7] + 5 * [-0.001]] + 6 * [7 * [0.5]]})",
     "bilateral(sigma_color=30.5, sigma_space=20.25)|box(size=5)"],
)  # fmt: skip
def test_numbers_and_titles_of_kernels(chain):
    assert_letters_fit(filters.kernel_view(IMAGE, Chain.parse(chain)))


@pytest.mark.parametrize(("side", "least"), [(11, 5.5), (7, 4.5), (5, 6), (3, 7)])
def test_numbers_of_one_pixel_can_be_read(side, least):
    rng = np.random.default_rng(1)
    patch, kernel = rng.uniform(-3, 200, (3, side, side)), rng.normal(0, 0.05, (3, side, side))
    figure = explanations.one_pixel(
        ConvolutionArithmetic("conv1", 0, 0, 0, patch, kernel, 0.0, 0.0, (0, 0, 9, 9)), IMAGE
    )
    assert_letters_fit(figure)
    assert min(text.get_fontsize() for axes in figure.axes[2:] for text in axes.texts) >= least


@pytest.mark.parametrize("classes", [1, 6])
def test_class_names_above_means(classes):
    pixels = np.zeros((classes, 8, 8, 3), np.uint8)
    assert_letters_fit(data.class_means(pixels, np.arange(classes), [f"{LONG}_{k}" for k in range(classes)]))


def test_a_name_is_no_formula():
    figure = data.class_means(np.zeros((1, 8, 8, 3), np.uint8), np.array([0]), [r"$\nonsense$"])
    assert [text for text, _ in boxes(figure)] == [r"$\nonsense$"]


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        ("short", 2, "short"),
        ("3  blur(size=5, sigma=2)", 4, "3  blur(\nsize=5,\nsigma=2)"),
        ("oneverylongwordwithoutend", 2, "oneverylong\nwordwitho…"),
        ("a b", 1, "a b"),
    ],
)
def test_a_line_is_broken_where_a_word_ends(text, lines, expected):
    found = fit_text(text, 55, lines=lines)
    assert found == expected
    assert max(width_of(line, 9.0) for line in found.split("\n")) <= 55


def test_numbers_in_a_common_unit_have_two_digits():
    assert in_units(np.array([0.0312, -0.004, 0.0])) == (["31", "-4", "0"], "in units of 0.001")
    assert in_units(np.array([0.0996, 0.01])) == (
        ["10", "1"],
        "in units of 0.01",
    )  # 99.6 thousandths would be three digits
    assert in_units(np.array([231.0, 5.0])) == (["23", "0"], "in units of 10")
    assert in_units(np.array([12.0, -3.4])) == (["12", "-3"], "")
    assert in_units(np.zeros(2)) == (["0", "0"], "")


@pytest.mark.parametrize(
    ("value", "as_short", "as_fixed"),
    [(0.25, ".25", ".25"), (-0.0123, "-.0123", "-.012"), (1.8636, "1.86", "1.86"), (0.0004, "~0", "~0"), (0.0, "0", "0"),
     (-1.0, "-1", "-1"), (1234.5, "1234", "1234"), (-123456.0, "-1.23e+05", "-1.2e+05")],
)  # fmt: skip
def test_a_number_is_as_short_as_it_can_be(value, as_short, as_fixed):
    assert (short(value), fixed(value)) == (as_short, as_fixed)
