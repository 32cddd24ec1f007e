"""Figures of what a network sees: feature maps, kernels, heat maps, patches, embeddings, one output value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from foveola.explanations.convolutions import ConvolutionArithmetic, Kernels, Patch
from foveola.explanations.heatmaps import Heatmap
from foveola.explanations.stages import FeatureMaps
from foveola.figures.data import MOST_CLASSES
from foveola.figures.mosaic import heat_over, mosaic
from foveola.figures.palette import COLOURS, VERMILION
from foveola.figures.style import (
    COLUMN_INCHES,
    DIVERGING,
    FAINT,
    INK,
    SEQUENTIAL,
    Plot,
    aspect,
    grid_shape,
    hide_axes,
    no_axes,
    plot,
    show,
    styled,
    write_on,
)
from foveola.figures.text import LINE_INCHES, fit_text, fixed, in_units, note_on, short, spelled, width_of, without_zero
from foveola.text import count
from foveola.types import Image, Images, Labels

GAPS = (166, 189, 214)
"""Colour (RGB) of the gaps between kernels drawn as images. White, black and grey would look like weights."""


_TITLES = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM",
    "occlusion": "Occlusion",
    "integrated_gradients": "Integrated gradients",
}


def feature_maps(found: FeatureMaps, columns: int | None = None) -> Plot:
    """All channels of a stage as one mosaic, each scaled from its lowest to its highest value.

    columns: 16 by default; 32 for more than 256 channels, so that more than a thousand fit on a page.
    """
    channels, height, width = found.values.shape
    scale = "each from its lowest (dark) to its highest value (bright); grey: constant"
    if height * width == 1:
        scale = "all from the lowest (dark) to the highest value (bright); grey: zero"
    whole = mosaic(found.scaled, columns or (16 if channels <= 256 else 32), np.nan)
    silent = f"{found.dead} ({found.dead / channels:.0%}) {'does' if found.dead == 1 else 'do'} not react to this image"
    dead = silent if found.dead else "all react to this image"
    with styled():
        figure = plot(COLUMN_INCHES * aspect(whole) + 0.55)
        axes = figure.add_subplot()
        axes.imshow(np.ma.masked_invalid(whole), cmap=_with_grey(SEQUENTIAL), vmin=0, vmax=1)
        axes.set_title(f"{found.stage}: {count(channels, 'channel')} of {width}x{height}; {dead}")
        no_axes(axes)
        axes.set_xlabel(scale, color=FAINT)
    return figure


def kernels(found: Kernels, columns: int = 16) -> Plot:
    """A convolution's kernels: those of the first layer as colour images (grey is zero), others orange below and violet
    above zero.

    In a deeper layer a row is an output channel and a column an input channel; the first 16 of each are drawn.
    """
    images = found.images
    with styled():
        if images is not None:
            n = len(images)
            coloured = mosaic(images, columns, np.array(GAPS, np.uint8))
            figure = plot(COLUMN_INCHES * aspect(coloured) + 0.35)
            axes = figure.add_subplot()
            axes.imshow(coloured)
            axes.set_title(
                f"{found.layer}: {count(n, 'kernel')} of {images.shape[1]}x{images.shape[2]} over red, green, blue"
            )
            no_axes(axes)
            return figure
        outputs, inputs, height, width = found.values.shape
        rows, across = min(outputs, columns), min(inputs, columns)
        title = f"{found.layer}: {rows} of {outputs} outputs (rows), {across} of {inputs} inputs (columns)"
        if found.groups > 1:
            title += ", each output over the inputs of its group"
        if found.groups > 1 and inputs == 1:
            rows, across = min(outputs, columns**2), columns
            title = f"{found.layer}: {rows} of {outputs} outputs, each over one input"
        tiles = found.values[:rows, : min(inputs, columns)].reshape(-1, height, width)
        whole = mosaic(tiles, across, np.nan)
        top = float(np.abs(tiles).max()) or 1.0
        figure = plot(COLUMN_INCHES * 0.9 * aspect(whole) + 0.5)
        axes = figure.add_subplot()
        drawn = axes.imshow(np.ma.masked_invalid(whole), cmap=_with_grey(DIVERGING), vmin=-top, vmax=top)
        axes.set_title(title)
        figure.colorbar(drawn, ax=axes, label="weight", shrink=0.8)
        no_axes(axes)
    return figure


def heatmaps(image: Image, found: Sequence[Heatmap], class_names: Sequence[str]) -> Plot:
    """The image, and each heat map over the image in grey; bright regions support the class.

    Integrated gradients vary from pixel to pixel, so they are smoothed by a Gaussian of 1/100 of the longer side.
    """
    rows, columns = grid_shape(len(found) + 1, 3)
    wide = (COLUMN_INCHES - 0.75) / columns
    names = spelled(class_names)
    titles = [_heat_title(one, names[one.target], 72 * wide - 10) for one in found]
    asked = {one.target for one in found}
    note = note_on([name if k in asked else "" for k, name in enumerate(class_names)])
    lines = max((title.count("\n") for title in titles), default=0)
    with styled(titles):
        figure = plot(rows * (wide * aspect(image) + 0.3 + LINE_INCHES * lines), note=note)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        show(axes[0], image, "the image")
        for place, one, title in zip(axes[1:], found, titles, strict=False):
            heat = _smoothed(one.heat) if one.method == "integrated_gradients" else one.heat
            show(place, heat_over(image, heat), title)
        hide_axes(axes[len(found) + 1 :])
        scale = ScalarMappable(Normalize(0, 1), LinearSegmentedColormap.from_list("heat", ["#d9d9d9", VERMILION]))
        bar = figure.colorbar(
            scale, ax=list(axes), shrink=0.85 / rows, aspect=18, pad=0.015, panchor=False, ticks=[0, 1]
        )
        bar.set_ticklabels(["not", "most"])
        bar.set_label("supports the class", labelpad=-14)
    return figure


def _heat_title(one: Heatmap, label: str, points: float) -> str:
    name, chance = _TITLES.get(one.method, one.method), f"{100 * one.probability:.1f} %"
    where = fit_text(f"{name} at {one.stage}" if one.stage else name, points)
    whole = f"{label}, {chance}"
    return f"{where}\n{whole if width_of(whole, 9) <= points else fit_text(label, points) + chr(10) + chance}"


def _smoothed(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """A heat map smoothed by a Gaussian and rescaled to 0..1."""
    soft = cv2.GaussianBlur(heat, (0, 0), max(heat.shape) / 100)
    return np.asarray(soft / max(float(soft.max()), 1e-12), np.float32)


def patches(found: Mapping[int, Sequence[Patch]], stage: str, channels: int = 12) -> Plot:
    """One row for each channel: the patches of the data set that activate it most, strongest first."""
    chosen = sorted(found, key=lambda channel: -(found[channel][0].value if found[channel] else 0.0))[:channels]
    columns = max((len(found[channel]) for channel in chosen), default=1)
    with styled():
        figure = plot(len(chosen) * COLUMN_INCHES / (columns + 1) + 0.4)
        figure.suptitle(
            f"{stage}: patches that activate its {len(chosen)} strongest channels most (channel numbers at the left)",
            fontsize=9,
        )
        places = figure.subplots(len(chosen), columns, squeeze=False)
        for line, channel in zip(places, chosen, strict=True):
            for place, patch in zip(line, found[channel], strict=False):
                show(place, patch.image)
            hide_axes(line[len(found[channel]) :])
            line[0].set_ylabel(f"{channel}", rotation=0, ha="right", va="center")
    return figure


def layout(
    places: NDArray[np.float32], labels: Labels, predicted: Labels, class_names: Sequence[str], images: Images, how: str
) -> Plot:
    """Embedding of images in two dimensions, coloured by class, with a cross for each mistake and some thumbnails.

    The first MOST_CLASSES classes have a colour and marker each; all other classes are grey.
    """
    names = spelled(class_names)
    with styled(names):
        figure = plot(COLUMN_INCHES * 0.8, note=note_on(class_names[:MOST_CLASSES]))
        axes = figure.add_subplot()
        wrong = labels != predicted
        others = labels >= MOST_CLASSES
        if others.any():
            axes.scatter(
                places[others & ~wrong, 0], places[others & ~wrong, 1], s=10, color=FAINT, alpha=0.5, linewidths=0,
                label=f"{len(class_names) - MOST_CLASSES} others",
            )  # fmt: skip
            axes.scatter(
                places[others & wrong, 0], places[others & wrong, 1], s=20, color=FAINT, marker="x", linewidths=0.8
            )
        for number, name in enumerate(names[:MOST_CLASSES]):
            colour, again = COLOURS[number % len(COLOURS)], number // len(COLOURS) % 4
            right, missed = places[(labels == number) & ~wrong], places[(labels == number) & wrong]
            axes.scatter(
                right[:, 0], right[:, 1], s=14, color=colour, edgecolors=INK, linewidths=0.2, alpha=0.75,
                marker="os^D"[again], label=f"\u200b{name}",  # Matplotlib leaves names out that begin with _
            )  # fmt: skip
            axes.scatter(missed[:, 0], missed[:, 1], s=26, color=colour, marker="x+12"[again], linewidths=1.2)
        for row in _spread(places, 24):
            _thumbnail(axes, images[row], places[row])
        axes.set_title(f"{count(len(places), 'image')} by the last layer, {how}; crosses: {wrong.sum():,} mistakes")
        no_axes(axes)
        if how == "principal components":
            axes.set(xlabel="first component", ylabel="second component")
        else:
            axes.set_xlabel("close points are similar images; distances between groups have no meaning", color=FAINT)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _spread(places: NDArray[np.float32], most: int) -> list[int]:
    """Rows that are far apart: each next row is the farthest from those chosen before (farthest-point sampling)."""
    chosen = [int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))]
    distance = np.full(len(places), np.inf)
    while len(chosen) < min(most, len(places)):
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return chosen


def _thumbnail(axes: Axes, image: Image, place: NDArray[np.float32]) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    box = OffsetImage(image, zoom=22 / max(image.shape[:2]))
    axes.add_artist(
        AnnotationBbox(box, (float(place[0]), float(place[1])), frameon=True, pad=0.1, bboxprops={"edgecolor": FAINT})
    )


def _with_grey(name: str):  # type: ignore[no-untyped-def]
    import matplotlib as mpl

    return mpl.colormaps[name].with_extremes(bad="#d9d9d9")


def one_pixel(found: ConvolutionArithmetic, image: Image) -> Plot:
    """The image with the receptive field, the sum term by term, and patch x kernel = products as numbers.

    Only the four inputs with the largest products are drawn; the sum combines the others in one term.
    """
    weight = np.abs(found.products).sum(axis=(1, 2))
    inputs = np.sort(np.argsort(-weight, kind="stable")[:4]).tolist()
    colours = (", red", ", green", ", blue") if found.over_colours else ("",) * len(weight)
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
    axes.add_patch(Rectangle(*box, fill=False, edgecolor=VERMILION, linewidth=1.2))


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
