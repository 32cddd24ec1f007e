"""Pictures of what is inside a network: feature maps, kernels, heat maps, patches, one pixel's arithmetic, layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from foveola.errors import count
from foveola.explanations.heatmaps import Heatmap
from foveola.explanations.kernels import Kernels, Patch
from foveola.explanations.mosaic import mosaic
from foveola.explanations.one_pixel import OnePixel
from foveola.explanations.stages import FeatureMaps
from foveola.plots.style import (
    COLOURS,
    COLUMN_INCHES,
    DIVERGING,
    FAINT,
    INK,
    SEQUENTIAL,
    Plot,
    bare,
    grid_shape,
    hide,
    plot,
    show,
    styled,
)
from foveola.types import Image, Images, Labels

MOST_CHANNELS = 256

_TITLES = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM",
    "occlusion": "Occlusion",
    "integrated_gradients": "Integrated gradients",
}


def feature_maps(found: FeatureMaps, columns: int = 16) -> Plot:
    """All channels of a stage as one mosaic, each in its own range from its least to its greatest value."""
    maps = found.values[:MOST_CHANNELS]
    channels, height, width = maps.shape
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    tiles = np.where(high > low, (maps - low) / np.where(high > low, high - low, 1), np.nan)
    columns = min(columns, channels)
    whole = mosaic(tiles, columns, np.nan)
    shown = "" if len(found.values) == channels else f", the first {channels} of {len(found.values)}"
    dead = f"; {found.dead} show nothing (grey)" if found.dead else ""
    with styled():
        figure = plot(COLUMN_INCHES * whole.shape[0] / whole.shape[1] + 0.35)
        axes = figure.add_subplot()
        axes.imshow(np.ma.masked_invalid(whole), cmap=_with_grey(SEQUENTIAL), vmin=0, vmax=1)
        axes.set_title(f"{found.stage}: {count(channels, 'channel')} of {height}x{width}{shown}{dead}")
        bare(axes)
    return figure


def kernels(found: Kernels, columns: int = 16) -> Plot:
    """A convolution's kernels: over colours as pictures (grey is zero), else orange below zero, violet above.

    Of a deeper layer a row is an output channel, a column an input channel; the first 16 of each are drawn.
    """
    pictures = found.pictures
    with styled():
        if pictures is not None:
            n = len(pictures)
            coloured = mosaic(pictures, columns, 255)
            figure = plot(COLUMN_INCHES * coloured.shape[0] / coloured.shape[1] + 0.35)
            axes = figure.add_subplot()
            axes.imshow(coloured)
            axes.set_title(
                f"{found.layer}: {count(n, 'kernel')} of {pictures.shape[1]}x{pictures.shape[2]} over red, green, blue"
            )
            bare(axes)
            return figure
        outputs, inputs, height, width = found.values.shape
        rows, across = min(outputs, columns), min(inputs, columns)
        tiles = found.values[:rows, :across].reshape(-1, height, width)
        whole = mosaic(tiles, across, np.nan)
        top = float(np.abs(tiles).max()) or 1.0
        figure = plot(COLUMN_INCHES * 0.9 * whole.shape[0] / whole.shape[1] + 0.5)
        axes = figure.add_subplot()
        drawn = axes.imshow(np.ma.masked_invalid(whole), cmap=_with_grey(DIVERGING), vmin=-top, vmax=top)
        axes.set_title(f"{found.layer}: {rows} of {outputs} outputs (rows), {across} of {inputs} inputs (columns)")
        figure.colorbar(drawn, ax=axes, label="weight", shrink=0.8)
        bare(axes)
    return figure


def heatmaps(image: Image, found: Sequence[Heatmap], class_names: Sequence[str]) -> Plot:
    """The picture, and each heat map laid over it in grey: bright where the class is seen."""
    rows, columns = grid_shape(len(found) + 1, 3)
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) / 255
    with styled():
        figure = plot(rows * (COLUMN_INCHES / columns * image.shape[0] / image.shape[1] + 0.6))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        show(axes[0], image, "the picture")
        for place, one in zip(axes[1:], found, strict=False):
            name = _TITLES.get(one.method, one.method)
            at = f" at {one.stage}" if one.stage else ""
            show(place, grey, f"{name}{at}\n{class_names[one.target]}, {100 * one.probability:.1f} %")
            place.imshow(one.heat, cmap="inferno", alpha=0.15 + 0.7 * one.heat, vmin=0, vmax=1)
        hide(axes[len(found) + 1 :])
    return figure


def patches(found: Mapping[int, Sequence[Patch]], stage: str, channels: int = 12) -> Plot:
    """A row a channel: the patches of the data set that excite it most, strongest first."""
    chosen = sorted(found, key=lambda channel: -(found[channel][0].value if found[channel] else 0.0))[:channels]
    columns = max((len(found[channel]) for channel in chosen), default=1)
    with styled():
        figure = plot(len(chosen) * COLUMN_INCHES / (columns + 1) + 0.4)
        figure.suptitle(f"{stage}: the patches that excite its {len(chosen)} strongest channels most", fontsize=9)
        places = figure.subplots(len(chosen), columns, squeeze=False)
        for line, channel in zip(places, chosen, strict=True):
            for place, patch in zip(line, found[channel], strict=False):
                show(place, patch.image)
            hide(line[len(found[channel]) :])
            line[0].set_ylabel(f"{channel}", rotation=0, ha="right", va="center")
    return figure


def one_pixel(found: OnePixel, image: Image) -> Plot:
    """Patch times kernel, number by number, input by input (the four that count most), and the sum."""
    weight = np.abs(found.products).sum(axis=(1, 2))
    inputs = np.sort(np.argsort(-weight, kind="stable")[:4])
    colours = ("red", "green", "blue") if found.patch.shape[0] == 3 else ()
    side = max(found.patch.shape[1:])
    size = 8 if side <= 3 else 6 if side <= 5 else 3
    with styled():
        figure = plot(len(inputs) * 1.75 + 0.9)
        places = figure.subplots(len(inputs), 3, squeeze=False)
        for line, channel in zip(places, inputs.tolist(), strict=True):
            parts = (found.patch[channel], found.kernel[channel], found.products[channel])
            name = f"input {channel}" + (f", {colours[channel]}" if colours else "")
            titles = (name, "times kernel", f"products: sum {_short(parts[2].sum())}")
            for place, values, title in zip(line, parts, titles, strict=True):
                _table(place, values, title, size)
        others = len(weight) - len(inputs)
        rest = found.products.sum() - found.products[inputs].sum()
        terms = [_short(found.products[k].sum()) for k in inputs.tolist()]
        terms += [f"{_short(rest)} ({others} other inputs)"] if others else []
        total = f"{_short(found.total)};  after ReLU {_short(found.after_relu)}"
        figure.suptitle(
            f"{found.layer}, channel {found.channel}, row {found.row}, column {found.column}\n"
            f"{' + '.join(terms)} + bias {_short(found.bias)} = {total}",
            fontsize=9,
        )
    return figure


def layout(
    places: NDArray[np.float32], labels: Labels, answers: Labels, class_names: Sequence[str], images: Images, how: str
) -> Plot:
    """Pictures in two dimensions, coloured by class; a cross is a mistake; thumbnails of evenly chosen ones."""
    with styled():
        figure = plot(COLUMN_INCHES * 0.8)
        axes = figure.add_subplot()
        wrong = labels != answers
        for number, name in enumerate(class_names):
            colour, marker = COLOURS[number % len(COLOURS)], "os^D"[number // len(COLOURS) % 4]
            right = (labels == number) & ~wrong
            axes.scatter(
                places[right, 0],
                places[right, 1],
                s=12,
                color=colour,
                marker=marker,
                alpha=0.7,
                linewidths=0,
                label=name,
            )
            missed = places[(labels == number) & wrong]
            axes.scatter(missed[:, 0], missed[:, 1], s=26, color=colour, marker="x", linewidths=1.2)
        for row in _spread(places, 24):
            _thumbnail(axes, images[row], places[row])
        axes.set_title(
            f"{count(len(places), 'picture')} by the last layer, {how}; a cross is a mistake ({int(wrong.sum())})"
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _spread(places: NDArray[np.float32], most: int) -> list[int]:
    """Rows far from each other: each next one is the farthest from those that were taken."""
    chosen = [int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))]
    distance = np.full(len(places), np.inf)
    while len(chosen) < min(most, len(places)):
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return chosen


def _thumbnail(axes, image: Image, place: NDArray[np.float32]) -> None:  # type: ignore[no-untyped-def]
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    box = OffsetImage(image, zoom=22 / max(image.shape[:2]))
    axes.add_artist(
        AnnotationBbox(box, (float(place[0]), float(place[1])), frameon=True, pad=0.1, bboxprops={"edgecolor": FAINT})
    )


def _table(axes, values: NDArray[np.float64], title: str, size: float) -> None:  # type: ignore[no-untyped-def]
    top = float(np.abs(values).max()) or 1.0
    axes.imshow(values, cmap=DIVERGING, vmin=-top, vmax=top)
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.7 * top else INK
        axes.text(column, row, _short(value), ha="center", va="center", fontsize=size, color=colour)
    axes.set_title(title)
    bare(axes)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 0.0005 or value == 0 else "~0"


def _with_grey(name: str):  # type: ignore[no-untyped-def]
    import matplotlib as mpl

    return mpl.colormaps[name].with_extremes(bad="#d9d9d9")
