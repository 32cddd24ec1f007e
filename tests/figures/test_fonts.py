"""Names in other scripts: a font that has the letters where one is installed, else numbers with a note; never a warning."""

import shutil
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import font_manager

from foveola.figures import data, explanations
from foveola.figures import text as fonts
from foveola.figures.text import width_of

IMAGE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
NOWHERE = "\U0010fffd"  # for private use: no font has it
RARE = "\u24b6"  # a letter in a circle, which DejaVu Sans lacks and STIX has


@pytest.fixture
def new_font(tmp_path, monkeypatch):
    """A font of the computer with the letter RARE, installed after Matplotlib made its list."""
    path = tmp_path / "new.ttf"
    shutil.copy(Path(mpl.get_data_path()) / "fonts/ttf/STIXGeneral.ttf", path)
    own = [font for font in font_manager.fontManager.ttflist if "DejaVu Sans" in font.name]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path)])
    fonts.forget_fonts()
    yield
    fonts.forget_fonts()


@pytest.mark.parametrize("name", ["cat", "Ñandú", "кот", "γάτα", "قطة", "חתול", "a\u200bb"])
def test_names_that_the_main_font_has_need_no_other(name):
    assert fonts.families_for([name]) == ["DejaVu Sans"]
    assert fonts.spelled([name]) == [name]
    assert fonts.note_on([name]) == ""


def test_a_font_that_was_installed_lately_draws_the_letters_that_the_main_one_lacks(new_font):
    assert fonts.families_for(["cat", RARE]) == ["DejaVu Sans", "STIXGeneral"]
    assert fonts.spelled(["cat", RARE]) == ["cat", RARE]
    figure = data.class_counts(np.array([1, 2]), ["cat", RARE])
    label = figure.axes[0].get_yticklabels()[1]
    assert (label.get_text(), label.get_fontfamily()) == (RARE, ["DejaVu Sans", "STIXGeneral"])
    assert figure.note == ""
    assert width_of(RARE, 9) > 0


def test_names_whose_letters_no_font_has_become_numbers_that_a_note_explains():
    names = ["cat", f"{NOWHERE}1", f"{NOWHERE}2"]
    assert fonts.spelled(names) == ["cat", "#2", "#3"]
    assert fonts.note_on(names) == (
        f"no font on this computer has the letters of 2 names: #2 in the figures means {NOWHERE}1, #3 means {NOWHERE}2; "
        "install a font with these letters to see the names"
    )


def test_of_very_many_names_the_first_are_listed():
    assert "#20 means" in fonts.note_on([f"{NOWHERE}{k}" for k in range(30)])
    assert " and so on (10 more);" in fonts.note_on([f"{NOWHERE}{k}" for k in range(30)])


def letters_of(figure):
    canvas = figure.canvas
    canvas.draw()
    return "".join(text.get_text() for text in figure.findobj(mpl.text.Text))


@pytest.mark.parametrize("format", ["png", "pdf", "svg"])
def test_no_figure_has_boxes_or_warns_of_letters(format):
    names = ["cat", f"{NOWHERE}dog"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (
            data.class_counts(np.array([3, 4]), names),
            data.samples([[IMAGE], [IMAGE]], names, "as they are"),
            data.class_means(np.stack([IMAGE, IMAGE]), np.array([0, 1]), names),
            data.side_by_side([IMAGE, IMAGE], names),
            explanations.layout(
                np.array([[0, 0], [1, 1]], np.float32), np.array([0, 1]), np.array([0, 1]), names,
                np.stack([IMAGE, IMAGE]), "t-SNE",
            ),
        ):  # fmt: skip
            assert figure.as_bytes(format)
            assert NOWHERE not in letters_of(figure)
            assert "#2" in letters_of(figure)
            assert figure.note == fonts.note_on(names)


def test_a_text_of_ours_with_a_letter_that_no_font_has_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.before_after([IMAGE], [IMAGE], NOWHERE).as_bytes("png")
