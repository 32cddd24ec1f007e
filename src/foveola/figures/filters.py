"""Figures of filters: the steps of a chain, and a kernel with its impulse and frequency response."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from foveola.errors import UsageError
from foveola.figures.style import (
    COLUMN_INCHES,
    FAINT,
    Plot,
    aspect,
    colorbar,
    grid_shape,
    hide_axes,
    no_axes,
    plot,
    show,
    styled,
    write_on,
)
from foveola.figures.text import LINE_INCHES, fit_text, fixed, short
from foveola.filters.chain import FILTERS, Chain, Step, options_of
from foveola.filters.ops import EMBOSS, SHARPEN
from foveola.types import Image

Numbers: TypeAlias = NDArray[np.float64]

IMPULSE_PX = 15
"""Smallest side of the grey image with one bright pixel that shows the impulse response."""

FREQUENCIES = 65

TABLE_POINTS = 85.0
"""Width of a kernel's numbers in a figure of four columns."""

MOST_STEPS = 24
"""Steps of a chain in one figure. A taller figure would fit no page, and Matplotlib's limit is 65,536 pixels."""


def steps(image: Image, chain: Chain) -> Plot:
    """The image and the result of each step of the chain, next to each other.

    Raises UsageError for a chain of more than `MOST_STEPS`.
    """
    _require_few(chain)
    seen, titles = [image], ["the image"]
    for step in chain.steps:
        seen.append(step(seen[-1]))
        titles.append(f"{len(seen) - 1}  {step}")
    rows, columns = grid_shape(len(seen), 4)
    titles = [fit_text(title, 72 * COLUMN_INCHES / columns - 8, lines=4) for title in titles]
    with styled(titles):
        lines = 1 + max(title.count("\n") for title in titles)
        figure = plot(rows * (COLUMN_INCHES / columns * aspect(*seen) + 0.17 + LINE_INCHES * lines))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for one, title, place in zip(seen, titles, axes, strict=False):
            show(place, one, title)
        hide_axes(axes[len(seen) :])
    return figure


def kernel_view(image: Image, chain: Chain) -> Plot:
    """Each step's kernel as numbers, its impulse response, its frequency response, and the image after it.

    A filter that is not linear, or not the same at every place and in every colour, has no kernel and no frequency response.
    A text says so instead.

    Raises UsageError for a chain of more than `MOST_STEPS`.
    """
    _require_few(chain)
    with styled():
        lines = [(step, kernels_of(step)) for step in chain.steps]
        rows = sum(max(1, len(kernels)) for _, kernels in lines)
        more = sum(_after(step).count("\n") for step in chain.steps)
        figure = plot(1.95 * rows + 0.1 + LINE_INCHES * more)
        places = iter(figure.subplots(rows, 4, squeeze=False))
        for step, kernels in lines:
            image = step(image)
            for number, (name, values) in enumerate(kernels.items() or [("", None)]):
                _line(next(places), step, name, values, image if number == 0 else None)
    return figure


def _require_few(chain: Chain) -> None:
    if len(chain.steps) > MOST_STEPS:
        raise UsageError(
            f"the chain has {len(chain.steps)} steps, but a figure shows at most {MOST_STEPS}: draw fewer steps"
        )


def _line(places: Sequence[Axes], step: Step, name: str, values: Numbers | None, image: Image | None) -> None:
    for place in places:
        place.set_anchor("N")  # as for images, so that titles are in one line
    if values is None:
        for place, said in zip((places[0], places[2]), why_none(step), strict=True):
            _say(place, said)
    else:
        _numbers(places[0], values, name)
        _passed(places[2], values)
    if image is None:
        hide_axes((places[1], places[3]))
        return
    _impulse(places[1], step)
    show(places[3], image, _after(step))


def _after(step: Step) -> str:
    return fit_text(f"after {step}", TABLE_POINTS + 5, lines=4)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color=FAINT, transform=axes.transAxes)
    no_axes(axes)


def _numbers(axes: Axes, values: Numbers, name: str) -> None:
    side = len(values)
    texts = (
        [fixed(v) if side > 5 else short(v, 2 if side > 3 else 3) for v in values.flat]
        if side <= 7
        else [""] * values.size
    )
    write_on(axes, values, texts, {1: 9.0, 3: 8.0}.get(side, 5.5), TABLE_POINTS)
    axes.set_title(fit_text(f"{name}, sum {short(float(values.sum()))}", TABLE_POINTS + 5))


def _impulse(axes: Axes, step: Step) -> None:
    # On grey, so that negative values are visible; stretched, so that a wide blur is visible; wider than the kernel.
    side = max(IMPULSE_PX, dict(step.options).get("size", 0) + 4)
    grey = np.full((side, side, 3), 64, np.uint8)
    grey[side // 2, side // 2] = 192
    response = step(grey)[..., 0]
    if response.min() == response.max():  # rounded away by a wide mean, or saturated
        show(axes, response, "one bright pixel: lost", cmap="gray", vmin=0, vmax=255)
    else:
        show(axes, response, "one bright pixel", cmap="gray")
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)


def _passed(axes: Axes, values: Numbers) -> None:
    """|H(u, v)| = |sum k(x, y) exp(-2 pi i (ux + vy))|, u and v in cycles per pixel, -1/2..1/2."""
    gain = np.abs(np.fft.fftshift(np.fft.fft2(values, (FREQUENCIES, FREQUENCIES))))
    drawn = axes.imshow(gain, extent=(-0.5, 0.5, 0.5, -0.5), vmin=0, vmax=max(1.0, float(gain.max())), cmap="viridis")
    axes.set_title("frequencies passed")
    axes.set_xticks([-0.5, 0, 0.5], ["-½", "0", "½"])
    axes.set_yticks([-0.5, 0, 0.5], ["-½", "0", "½"])
    axes.set_xlabel("cycles per pixel, horizontal")
    axes.set_ylabel("vertical")
    colorbar(axes, drawn, "gain")


def kernels_of(step: Step) -> dict[str, Numbers]:
    """The kernels of a step by name, float64 (side, side) as they are laid over the image; none: see `why_none`.

    >>> kernels_of(Chain.parse("sharpen").steps[0])["kernel"].tolist()
    [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]
    """
    if step.name not in _KERNELS:
        return {}
    defaults = {key: p.default for key, p in options_of(FILTERS[step.name]).items()}
    return _KERNELS[step.name]({**defaults, **dict(step.options)})


def why_none(step: Step) -> tuple[str, str]:
    """Why a step has no kernel, and what becomes of frequencies in it; in short lines.

    >>> why_none(Chain.parse("upscale").steps[0])[0].split()
    ['linear,', 'but', 'it', 'changes', 'the', 'size']
    """
    return _WHY_NONE.get(step.name, ("no kernel is\nknown for it", ""))


def _bell(size: int, sigma: float) -> Numbers:
    line = cv2.getGaussianKernel(size, sigma, cv2.CV_64F)
    return np.asarray(line @ line.T, float)


def _unsharp(options: Mapping[str, Any]) -> dict[str, Numbers]:
    bell = _bell(options["size"], options["sigma"])
    identity = np.zeros_like(bell)
    identity[len(bell) // 2, len(bell) // 2] = 1
    return {"kernel": (1 + options["amount"]) * identity - options["amount"] * bell}


def _derivatives(size: int) -> dict[str, Numbers]:
    """Both kernels of a gradient; size -1 means Scharr's, as in OpenCV."""
    found = {}
    for name, across, down in (("across", 1, 0), ("down", 0, 1)):
        row, column = cv2.getDerivKernels(across, down, size, ktype=cv2.CV_64F)
        found[name] = np.asarray(column @ row.T, float)
    return found


def _laplacian(options: Mapping[str, Any]) -> dict[str, Numbers]:
    if options["size"] == 1:
        return {"kernel": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float)}
    second, smooth = (column.ravel() for column in cv2.getDerivKernels(2, 0, options["size"], ktype=cv2.CV_64F))
    return {"kernel": np.outer(smooth, second) + np.outer(second, smooth)}


_KERNELS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Numbers]]] = {
    "blur": lambda o: {"kernel": _bell(o["size"], o["sigma"])},
    "box": lambda o: {"kernel": np.full((o["size"], o["size"]), 1 / o["size"] ** 2)},
    "emboss": lambda o: {"kernel": np.array(EMBOSS, float)},
    "kernel": lambda o: {"kernel": np.array(o["values"], float)},
    "laplacian": _laplacian,
    "scharr": lambda o: _derivatives(-1),
    "sharpen": lambda o: {"kernel": np.array(SHARPEN, float)},
    "sobel": lambda o: _derivatives(o["size"]),
    "unsharp": _unsharp,
}

_MIXED = "frequencies\nare mixed"

_WHY_NONE: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("bilateral", "canny", "denoise", "equalize", "gamma", "median"),
        ("not linear:\nit has no\nkernel", _MIXED),
    ),
    "grayscale": ("linear, but it\nmixes the\ncolours", "all pass"),
    "invert": ("kernel -1, and\na constant:\n255 - v", "all pass"),
    "resize_down_up": ("linear, but each\nplace has its\nown kernel", _MIXED),
    "scale": ("linear, but it\nchanges the\nsize", _MIXED),
    "upscale": ("linear, but it\nchanges the\nsize", _MIXED),
}
"""Reasons for foveola's own filters; for a user's filter they are unknown."""
