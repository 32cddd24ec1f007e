"""The explanations that are known by name; users add heat maps of their own with `EXPLANATIONS.register`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from foveola.explanations.embedding import embedding
from foveola.explanations.heatmaps import gradcam, hirescam, integrated_gradients, occlusion
from foveola.explanations.kernels import kernels, max_activating
from foveola.explanations.one_pixel import one_pixel
from foveola.explanations.stages import feature_maps
from foveola.registry import Registry

Explanation: TypeAlias = Callable[..., Any]
"""A network and what else it needs in, what it found out."""

HEATMAPS = ("gradcam", "hirescam", "occlusion", "integrated_gradients")
"""Those that answer with a `Heatmap` for a network, a picture uint8 (H, W, 3) and a class."""

EXPLANATIONS = Registry[Explanation](
    "method",
    {
        "embedding": embedding,
        "feature_maps": feature_maps,
        "gradcam": gradcam,
        "hirescam": hirescam,
        "integrated_gradients": integrated_gradients,
        "kernels": kernels,
        "max_activating": max_activating,
        "occlusion": occlusion,
        "one_pixel": one_pixel,
    },
)
