"""The style: the user's own settings stay, figures are as wide as a text column, and files are what they say."""

import matplotlib as mpl
import pytest

from foveola.errors import UsageError
from foveola.figures.style import COLUMN_INCHES, plot, styled


def drawn():
    with styled():
        figure = plot(2.0)
        figure.add_subplot().plot([1, 2], [3, 1])
    return figure


def test_the_users_settings_stay_as_they_were():
    mpl.rcParams["lines.linewidth"] = 7.25
    try:
        figure = drawn()
        figure.as_bytes("png")
        assert figure.axes[0].lines[0].get_linewidth() == 1.4
        assert mpl.rcParams["lines.linewidth"] == 7.25
    finally:
        mpl.rcdefaults()


def test_a_figure_is_as_wide_as_a_text_column():
    data = drawn()._repr_png_()
    assert data[:4] == b"\x89PNG"
    assert int.from_bytes(data[16:20]) == round(COLUMN_INCHES * 160)


def test_pyplot_stays_out():
    import subprocess
    import sys

    rooms = ", ".join(f"foveola.figures.{name}" for name in ("data", "explanations", "filters", "runs"))
    code = f"import sys, {rooms}; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_an_ending_that_no_figure_has(tmp_path):
    with pytest.raises(UsageError) as error:
        drawn().write(tmp_path / "a.bmp")
    assert str(error.value) == "a figure can't be written as 'a.bmp': end it in .png, .svg or .pdf"
