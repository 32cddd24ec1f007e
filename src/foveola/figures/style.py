"""Common style of all figures: sizes, fonts, colours; and writing a figure to a file.

Figures are made without pyplot, so that no global state changes and no window opens.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from foveola.errors import UsageError
from foveola.figures.palette import COLOURS
from foveola.figures.text import MAIN, families_for, width_of
from foveola.storage import write_atomic
from foveola.types import Image

COLUMN_INCHES = 6.3
"""Width of a figure: a text column of an A4 page, so that fonts of 8 to 10 points match the text around them."""


TALLEST = 3.0
"""Largest ratio of height to width at which an image is drawn; a taller image is drawn narrower."""


INK, FAINT = "#222222", "#8a8a8a"


SEQUENTIAL = "viridis"
"""For amounts: perceptually uniform, readable in grey and for colour-blind readers."""


DIVERGING = "PuOr"
"""For values that may be negative: zero is white."""


STYLE: Any = {
    "font.family": MAIN,
    "font.size": 9,
    "text.parse_math": False,  # a class may be called "$x$"
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "axes.prop_cycle": cycler(color=COLOURS),
    "image.interpolation": "nearest",
    "image.cmap": SEQUENTIAL,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "foveola",
}


class Plot(Figure):
    """A Matplotlib figure that notebooks display automatically; `write` saves it as a PNG, SVG or PDF file.

    note: a remark for the reader, such as which names the numbers stand for; "" if there is none.
    """

    note: str = ""

    def _repr_png_(self) -> bytes:
        return self.as_bytes("png")

    def as_bytes(self, format: str) -> bytes:
        """The figure as a file's bytes: the same figure gives the same bytes."""
        out = io.BytesIO()
        stamps = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
        with styled(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # `note` says it in plain words
            self.savefig(out, format=format, metadata=stamps[format])
        return out.getvalue()

    def write(self, path: Path, *, overwrite: bool = True) -> None:
        """Write the figure in the format of the file's ending: .png, .svg or .pdf.

        overwrite: replace an existing file. Raises UsageError for another ending, and for an existing file unless overwrite.
        """
        format = path.suffix.lower().removeprefix(".")
        if format not in ("png", "svg", "pdf"):
            raise UsageError(f"a figure can't be written as '{path.name}': end it in .png, .svg or .pdf")
        write_atomic(path, self.as_bytes(format), overwrite=overwrite)


@contextmanager
def styled(names: Iterable[str] = ()) -> Iterator[None]:
    """Use foveola's Matplotlib settings within a block, and restore the user's settings afterwards.

    names: texts from users, such as class names. If DejaVu Sans does not have their letters, other fonts are used too.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "font.family": families_for(names)})
        yield


def plot(height_inches: float, width_inches: float = COLUMN_INCHES, *, note: str = "") -> Plot:
    """An empty figure with its `note`. Call within `styled`."""
    figure = Plot(figsize=(width_inches, height_inches), layout="constrained")
    figure.note = note
    return figure


def tight(figure: Figure) -> None:
    """Reduce the space between the images of a figure."""
    figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)  # type: ignore[union-attr,call-arg]


def grid_shape(n: int, columns: int) -> tuple[int, int]:
    """Rows and columns of a grid for n images, with at most `columns` columns.

    >>> grid_shape(7, 4), grid_shape(2, 4)
    ((2, 4), (1, 2))
    """
    columns = max(1, min(n, columns))
    return math.ceil(n / columns), columns


def aspect(*images: NDArray[Any]) -> float:
    """Height divided by width of the tallest of these images, at most TALLEST.

    >>> aspect(np.zeros((10, 20)), np.zeros((30, 20))), aspect(np.zeros((4096, 1)))
    (1.5, 3.0)
    """
    return float(min(TALLEST, max(image.shape[0] / image.shape[1] for image in images)))


def show(axes: Axes, image: Image | np.ndarray, title: str = "", **how: Any) -> None:
    """Draw an image with its title and no axes; a small image with sharp pixels, a large one reduced smoothly."""
    smooth = max(image.shape[:2]) > 200
    axes.imshow(image, interpolation="antialiased" if smooth else "nearest", **how)
    axes.set_title(title)
    axes.set_anchor("N")  # titles are in one line for all image shapes, and are not cut off
    no_axes(axes)


def colorbar(axes: Axes, drawn: ScalarMappable, label: str) -> None:
    """A colour bar to the right of an image, exactly as high as the image."""
    place = axes.inset_axes((1.04, 0, 0.06, 1))
    axes.figure.colorbar(drawn, cax=place, label=label)


def write_on(axes: Axes, values: NDArray[np.float64], texts: Iterable[str], size: float, points: float) -> None:
    """Draw a table of numbers, each on a square coloured by its value (zero is white), in dark or light text.

    size: font size, reduced if the longest number would not fit its square; points: width of the whole table.
    """
    top = float(np.abs(values).max()) or 1.0
    drawn = axes.imshow(values, cmap=DIVERGING, vmin=-top, vmax=top)
    lightness = drawn.to_rgba(values)[..., :3] @ (0.2126, 0.7152, 0.0722)
    written = list(texts)
    widest = max(width_of(text, 1.0) for text in set(written))
    size = min(size, 0.8 * points / values.shape[1] / max(widest, 1e-9))
    for (row, column), text in zip(np.ndindex(values.shape), written, strict=True):
        colour = INK if lightness[row, column] > 0.5 else "white"
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    no_axes(axes)


def no_axes(axes: Axes) -> None:
    """Remove ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def hide_axes(axes: Iterable[Axes]) -> None:
    """Hide unused axes of a grid."""
    for one in axes:
        one.set_visible(False)
