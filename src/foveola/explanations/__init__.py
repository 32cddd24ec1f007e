"""Explanations of a network: feature maps, kernels, heat maps, embeddings, the arithmetic of one output value.

EXPLANATIONS lists the methods by name and imports a method's file when it is used. Users add their own heat maps with
`EXPLANATIONS.register`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from foveola.registry import Later, Registry

Explanation: TypeAlias = Callable[..., Any]
"""A function of a network and further arguments that returns an explanation."""

HEATMAPS = ("gradcam", "hirescam", "occlusion", "integrated_gradients")
"""Methods that return a `Heatmap` for a network, an image uint8 (H, W, 3) and a class."""

EXPLANATIONS = Registry[Explanation](
    "method",
    {
        "embedding": Later("foveola.explanations.embedding"),
        "feature_maps": Later("foveola.explanations.stages"),
        "gradcam": Later("foveola.explanations.heatmaps"),
        "hirescam": Later("foveola.explanations.heatmaps"),
        "integrated_gradients": Later("foveola.explanations.heatmaps"),
        "kernels": Later("foveola.explanations.convolutions"),
        "max_activating": Later("foveola.explanations.convolutions"),
        "occlusion": Later("foveola.explanations.heatmaps"),
        "one_pixel": Later("foveola.explanations.convolutions"),
    },
)
