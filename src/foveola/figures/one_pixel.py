"""Figure of the arithmetic of one output value of a convolution: receptive field, products and their sum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from foveola.errors import count
from foveola.explanations.convolution_arithmetic import ConvolutionArithmetic
from foveola.figures.lettering import fixed, in_units, short, without_zero, write_on
from foveola.figures.style import COLOURS, FAINT, Plot, no_axes, plot, show, styled
from foveola.types import Image


def one_pixel(found: ConvolutionArithmetic, image: Image) -> Plot:
    """The image with the receptive field, the sum term by term, and patch x kernel = products as numbers.

    Only the four inputs with the largest products are drawn; the sum combines the others in one term.
    """
    weight = np.abs(found.products).sum(axis=(1, 2))
    inputs = np.sort(np.argsort(-weight, kind="stable")[:4]).tolist()
    colours = (", red", ", green", ", blue") if found.of_picture else ("",) * len(weight)
    with styled():
        high = 2.2 if max(found.kernel.shape[1:]) > 7 else 1.85
        figure = plot(1.85 + len(inputs) * high)
        grid = figure.add_gridspec(len(inputs) + 1, 3, height_ratios=[1.85] + len(inputs) * [high])
        _where(figure.add_subplot(grid[0, 0]), found, image)
        _sum(figure.add_subplot(grid[0, 1:]), found, inputs)
        for line, k in enumerate(inputs, start=1):
            titles = (
                f"input {found.first + k}{colours[k]}",
                "x kernel",
                f"= products, sum {short(found.products[k].sum())}",
            )
            for column, values in enumerate((found.patch[k], found.kernel[k], found.products[k])):
                axes = figure.add_subplot(grid[line, column])
                _table(axes, values, 72 * (high - 0.45))
                axes.set_title(titles[column])
    return figure


def _where(axes: Axes, found: ConvolutionArithmetic, image: Image) -> None:
    show(axes, image, "receptive field")
    top, left, bottom, right = found.sees
    box = (left - 0.5, top - 0.5), right - left, bottom - top
    axes.add_patch(Rectangle(*box, fill=False, edgecolor="white", linewidth=2.4))
    axes.add_patch(Rectangle(*box, fill=False, edgecolor=COLOURS[1], linewidth=1.2))


def _sum(axes: Axes, found: ConvolutionArithmetic, inputs: Sequence[int]) -> None:
    """The terms of the sum below each other."""
    sums = found.products.sum(axis=(1, 2))
    terms = [(sums[k], f"products of input {found.first + k}") for k in inputs]
    if others := len(sums) - len(inputs):
        terms.append((sums.sum() - sums[inputs].sum(), f"products of {count(others, 'other input')}"))
    terms.append((found.bias, "bias"))
    lines = [f"{value:12,.4f}  {what}" for value, what in terms]
    lines += ["  " + 10 * "\u2500", f"{found.total:12,.4f}  the sum"]
    if found.activation:
        lines.append(f"{found.activated:12,.4f}  after {found.activation}")
    text = "\n".join(lines)
    axes.text(0, 1, text, family="DejaVu Sans Mono", fontsize=8, va="top", linespacing=1.35, transform=axes.transAxes)
    axes.set_title(f"{found.layer}, channel {found.channel}, row {found.row}, column {found.column}", loc="left")
    no_axes(axes)


def _table(axes: Axes, values: NDArray[np.float64], points: float) -> None:
    """The numbers of a patch or kernel; those of a large one as two digits, with their unit below."""
    side = max(values.shape)
    if side > 7:
        texts, unit = in_units(values)
        axes.set_xlabel(unit, color=FAINT, fontsize=8)
    elif side > 5:
        decimals = max(0, 1 - math.floor(math.log10(float(np.abs(values).max()) or 1.0)))
        texts = [without_zero(f"{v:.{decimals}f}") for v in values.flat]
    else:
        texts = [short(v) if side <= 3 else fixed(v) for v in values.flat]
    write_on(axes, values, texts, 8 if side <= 3 else 6.5, points)
