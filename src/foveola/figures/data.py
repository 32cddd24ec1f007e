"""Figures of a data set: sample images, before and after filters, colour channels, sizes, classes, mean images, tones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from foveola.figures.palette import BLUE, GREEN, VERMILION
from foveola.figures.style import (
    COLUMN_INCHES,
    Plot,
    aspect,
    grid_shape,
    hide_axes,
    plot,
    show,
    styled,
    tight,
)
from foveola.figures.text import LINE_INCHES, fit_text, note_on, spelled
from foveola.text import count
from foveola.types import Image, Images, Labels

MOST_CLASSES = 20
"""Classes that a figure shows at most; of more classes it shows the first ones and says so in its title."""


_MOST_BARS = 100


def _of_how_many(class_names: Sequence[str]) -> str:
    """Addition to a title if not all classes are drawn."""
    return f" (the first {MOST_CLASSES} of {len(class_names)} classes)" if len(class_names) > MOST_CLASSES else ""


def before_after(before: Sequence[Image], after: Sequence[Image], what: str) -> Plot:
    """Pairs of images below each other: before and after `what`, the name of a filter chain."""
    n = len(before)
    with styled([what]):
        figure = plot(2 * COLUMN_INCHES / max(n, 3) + 0.5)
        places = figure.subplots(2, n, squeeze=False)
        for column, (one, other) in enumerate(zip(before, after, strict=True)):
            show(places[0, column], one, "before" if column == 0 else "")
            show(places[1, column], other, f"after {what}" if column == 0 else "")
            for place in places[:, column]:
                place.title.set_ha("left")
                place.title.set_x(0.0)
    return figure


def samples(
    images: Sequence[Sequence[Image]],
    class_names: Sequence[str],
    what: str,
    sizes: Sequence[NDArray[np.int32]] | None = None,
) -> Plot:
    """The first images of each class, one row for each class, with their sizes if these differ.

    sizes: int32 (m, 2) for each class, heights and widths of the original files, if the given images are smaller.
    """
    chosen = images[:MOST_CLASSES]
    shapes = sizes or [np.array([image.shape[:2] for image in row], np.int32).reshape(-1, 2) for row in chosen]
    columns = max(map(len, chosen))
    one_size = len({tuple(size) for row in shapes for size in row.tolist()}) == 1
    names, note = spelled(class_names), note_on(class_names)
    with styled(names):
        figure = plot(len(chosen) * (COLUMN_INCHES / (columns + 1) + (0.0 if one_size else 0.2)) + 0.35, note=note)
        tight(figure)
        figure.suptitle(f"{what}{_of_how_many(class_names)}", fontsize=9)
        places = figure.subplots(len(chosen), columns, squeeze=False)
        for line, row, those, name in zip(places, chosen, shapes, names, strict=False):
            for place, image, (height, width) in zip(line, row, those.tolist(), strict=False):
                show(place, image, "" if one_size else f"{width}x{height}")
                place.title.set_fontsize(7 if columns <= 8 else 4)
            hide_axes(line[len(row) :])
            line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def side_by_side(images: Sequence[Image], titles: Sequence[str]) -> Plot:
    """A few images in a row, each with its title."""
    names = spelled(titles)
    with styled(names):
        figure = plot(COLUMN_INCHES / len(images) * aspect(*images) + 0.3, note=note_on(titles))
        for place, image, title in zip(figure.subplots(1, len(images), squeeze=False)[0], images, names, strict=True):
            show(place, image, title)
    return figure


def channels(image: Image) -> Plot:
    """An image and its red, green and blue channels, each from black (0) to its colour (255)."""
    with styled():
        figure = plot(COLUMN_INCHES / 4 * aspect(image) + 0.28)
        places = figure.subplots(1, 4)
        show(places[0], image, "the image")
        for place, name, k in zip(places[1:], ("red", "green", "blue"), range(3), strict=True):
            colours = LinearSegmentedColormap.from_list(name, ["#000000", ("#ff0000", "#00ff00", "#0000ff")[k]])
            show(place, image[..., k], f"{name}, mean {image[..., k].mean():.0f}", cmap=colours, vmin=0, vmax=255)
    return figure


def sizes(heights: NDArray[np.int32], widths: NDArray[np.int32]) -> Plot:
    """Image sizes: a scatter plot of widths and heights, and histograms of both."""
    with styled():
        figure = plot(2.6)
        left, right = figure.subplots(1, 2)
        pairs, times = np.unique(np.stack([widths, heights]), axis=1, return_counts=True)
        left.scatter(*pairs, s=8 + 40 * np.sqrt(times / times.max()), color=BLUE, alpha=0.6, linewidths=0)
        left.set(xlabel="width, pixels", ylabel="height, pixels", xlim=(0, None), ylim=(0, None))
        left.set_title(f"{count(len(widths), 'image')}, {count(pairs.shape[1], 'size')}")
        top = max(int(widths.max()), int(heights.max()))
        edges = np.linspace(0, top * 1.02, 26)
        right.hist(widths, edges, color=BLUE, alpha=0.75, label="width")
        right.hist(heights, edges, histtype="step", color=VERMILION, linewidth=1.4, label="height")
        right.set(xlabel="pixels", ylabel="images")
        right.set_title(f"median width {np.median(widths):.0f}, median height {np.median(heights):.0f}")
        right.legend(frameon=False)
    return figure


def class_counts(counts: NDArray[np.int64], class_names: Sequence[str]) -> Plot:
    """Bar chart of the number of images in each class, in the classes' order; at most the first hundred classes."""
    whole, shown = f"{count(int(counts.sum()), 'image')} in {count(len(counts), 'class', 'classes')}", _MOST_BARS
    more = f" (the first {shown} are shown)" if len(counts) > shown else ""
    counts, names = counts[:shown], spelled(class_names[:shown])
    with styled(names):
        figure = plot(0.22 * len(counts) + 0.7, note=note_on(class_names[:shown]))
        axes = figure.add_subplot()
        bars = axes.barh(range(len(counts)), counts, color=BLUE, height=0.7)
        axes.bar_label(bars, [f"{n:,}" for n in counts], padding=3, fontsize=8)
        axes.set_yticks(range(len(counts)), names)
        axes.invert_yaxis()
        axes.set_xlabel("images")
        axes.set_title(whole + more)
        axes.margins(x=0.1)
    return figure


def class_means(pixels: Images, labels: Labels, class_names: Sequence[str]) -> Plot:
    """The mean image of each class."""
    means = mean_images(pixels, labels, min(len(class_names), MOST_CLASSES))
    rows, columns = grid_shape(len(means), 5)
    wide = COLUMN_INCHES / max(columns, 3)
    shown = class_names[:MOST_CLASSES]
    titles = [fit_text(name, 72 * wide - 8) for name in spelled(shown)]
    lines = 1 + max(title.count("\n") for title in titles)
    with styled(titles):
        more = _of_how_many(class_names)
        high = rows * (wide * aspect(means[0]) + 0.15 + LINE_INCHES * lines) + (0.3 if more else 0)
        figure = plot(high, note=note_on(shown))
        if more:
            figure.suptitle(f"mean images{more}", fontsize=9)
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, mean, title in zip(places, means, titles, strict=False):
            show(place, mean, title)
        hide_axes(places[len(means) :])
    return figure


def mean_images(pixels: Images, labels: Labels, classes: int) -> Images:
    """The mean image of each of the first `classes` classes, rounded: uint8 (K, H, W, 3); black for a class without images.

    A thousand images are added at a time, so the data set may be larger than memory.
    """
    total = np.zeros((classes, *pixels.shape[1:]), np.float64)
    for start in range(0, len(pixels), 1_000):
        some, theirs = pixels[start : start + 1_000], labels[start : start + 1_000]
        for label in np.unique(theirs[theirs < classes]):
            total[label] += some[theirs == label].sum(axis=0, dtype=np.float64)
    each = np.maximum(np.bincount(labels[labels < classes], minlength=classes), 1)
    return np.asarray(np.rint(total / each[:, None, None, None]), np.uint8)


def tones(pixels: Images) -> Plot:
    """Histogram of the pixel values 0 to 255 in red, green and blue, over all images.

    If black borders or overexposed areas make 0 and 255 much more frequent than all other values, the axis ends above the
    other values, and the two shares are given as text.
    """
    found = np.zeros((3, 256))
    for start in range(0, len(pixels), 1_000):
        some = pixels[start : start + 1_000]
        for k in range(3):
            found[k] += np.bincount(some[..., k].ravel(), minlength=256)
    with styled():
        figure = plot(2.2)
        axes = figure.add_subplot()
        marks = zip(("red", "green", "blue"), (VERMILION, GREEN, BLUE), ("-", "--", ":"), found, strict=True)
        share = found / found.sum(axis=1, keepdims=True) * 100
        for (name, colour, dashes, _), values in zip(marks, share, strict=True):
            axes.plot(values, color=colour, linestyle=dashes, label=name)
        inside = float(share[:, 1:255].max())
        cut = 0 < 1.3 * inside < share.max()
        axes.set(xlabel="value", ylabel="% of the pixels", xlim=(0, 255), ylim=(0, 1.3 * inside if cut else None))
        if cut:
            axes.text(3, 1.29 * inside, f"0: {share[:, 0].mean():.1f} %", fontsize=8, va="top")
            axes.text(252, 1.29 * inside, f"255: {share[:, 255].mean():.1f} %", fontsize=8, va="top", ha="right")
        axes.set_title("histogram of pixel values")
        axes.legend(frameon=False, loc="upper center", ncols=3)
    return figure
