"""Figures for notebooks and files, drawn with Matplotlib: `fv.figures.curves(run)`, `fv.figures.samples(...)`...

Every function returns a `Plot`, which notebooks display, and which `write` saves as a PNG, SVG or PDF file. A name is
imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveola.figures.data import before_after as before_after
    from foveola.figures.data import channels as channels
    from foveola.figures.data import class_counts as class_counts
    from foveola.figures.data import class_means as class_means
    from foveola.figures.data import samples as samples
    from foveola.figures.data import side_by_side as side_by_side
    from foveola.figures.data import sizes as sizes
    from foveola.figures.data import tones as tones
    from foveola.figures.explanations import feature_maps as feature_maps
    from foveola.figures.explanations import heatmaps as heatmaps
    from foveola.figures.explanations import kernels as kernels
    from foveola.figures.explanations import layout as layout
    from foveola.figures.explanations import one_pixel as one_pixel
    from foveola.figures.explanations import patches as patches
    from foveola.figures.filters import kernel_view as kernel_view
    from foveola.figures.filters import steps as steps
    from foveola.figures.runs import confusion as confusion
    from foveola.figures.runs import curves as curves
    from foveola.figures.runs import paired as paired
    from foveola.figures.runs import predictions as predictions
    from foveola.figures.runs import probabilities as probabilities

_WHERE = {
    "data": (
        "before_after", "channels", "class_counts", "class_means", "samples", "side_by_side", "sizes", "tones",
    ),
    "explanations": ("feature_maps", "heatmaps", "kernels", "layout", "one_pixel", "patches"),
    "filters": ("kernel_view", "steps"),
    "runs": ("confusion", "curves", "paired", "predictions", "probabilities"),
}  # fmt: skip
"""Module -> the figures that it draws."""

_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [*sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'foveola.figures' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"foveola.figures.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
