"""Kernels of the linear filters as numbers, and why the other filters have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.filters.chain import FILTERS, Step, options_of
from foveola.filters.ops import EMBOSS, SHARPEN

Numbers = NDArray[np.float64]


def kernels_of(step: Step) -> dict[str, Numbers]:
    """The kernels of a step by name, float64 (side, side) as they are laid over the image; none: see `why_none`.

    >>> from foveola.filters.chain import Chain
    >>> kernels_of(Chain.parse("sharpen").steps[0])["kernel"].tolist()
    [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]
    """
    if step.name not in _KERNELS:
        return {}
    defaults = {key: p.default for key, p in options_of(FILTERS[step.name]).items()}
    return _KERNELS[step.name]({**defaults, **dict(step.options)})


def why_none(step: Step) -> tuple[str, str]:
    """Why a step has no kernel, and what becomes of frequencies in it; in short lines.

    >>> from foveola.filters.chain import Chain
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
        ("not linear:\nno kernel can\nwrite it down", _MIXED),
    ),
    "grayscale": ("linear, but it\nmixes the\ncolours", "all pass"),
    "invert": ("kernel -1, and\na constant:\n255 - v", "all pass"),
    "resize_down_up": ("linear, but each\nplace has its\nown kernel", _MIXED),
    "scale": ("linear, but it\nchanges the\nsize", _MIXED),
    "upscale": ("linear, but it\nchanges the\nsize", _MIXED),
}
"""Reasons for foveola's own filters; for a user's filter they are unknown."""
