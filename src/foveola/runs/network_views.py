"""Look into a trained network for its run: first kernels, feature maps of one image, heat maps of the surest answers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from foveola.evaluation.metrics import Evaluation
from foveola.explanations.heatmaps import gradcam
from foveola.explanations.kernels import kernels
from foveola.explanations.stages import FeatureMaps, feature_maps, stages_of
from foveola.runs.network_preview import NetworkPreview
from foveola.types import Images, Indices

EACH = 3
"""Number of heat maps of the most confident correct and wrong predictions."""

STAGES, CHANNELS, MAP_PX, KERNELS = 9, 32, 28, 64
"""Largest number of stages, channels per stage, pixels per side, and kernels."""


def make_network_preview(model: nn.Module, evaluation: Evaluation, pixels: Images, test: Indices) -> NetworkPreview:
    """Kernels, one image's maps at each stage, and heat maps of the most confident correct and wrong predictions.

    model: on the processor; pixels: the prepared data, `test` its rows in the evaluation's order. A network that can't be
    looked into (no convolution, no gradient) gives an empty one: a run is not lost for an image of it.
    """
    certain = evaluation.probabilities.max(axis=1)
    right = np.argsort(np.where(evaluation.correct, -certain, 1), kind="stable")[
        : min(EACH, int(evaluation.correct.sum()))
    ]
    wrong = np.argsort(np.where(evaluation.correct, 1, -certain), kind="stable")[
        : min(EACH, int((~evaluation.correct).sum()))
    ]
    rows = np.concatenate([right, wrong]).astype(np.int64)
    row = int(rows[0])
    images = np.array(pixels[test[np.concatenate([[row], rows])]])
    try:
        stages = _some(stages_of(model))
        whole = feature_maps(model, images[0], stages)
        maps, shapes = tuple(map(_scaled, whole)), tuple((*one.values.shape, one.dead) for one in whole)
        found = [gradcam(model, image, int(evaluation.predicted[r])) for image, r in zip(images[1:], rows, strict=True)]
        heat = np.stack([np.rint(255 * one.heat).astype(np.uint8) for one in found])
        first = kernels(model).images
    except Exception as problem:  # a user's own network may do anything
        return NetworkPreview(reason=str(problem).partition("\n")[0] or type(problem).__name__)
    empty = np.zeros((0, 1, 1, 3), np.uint8)
    return NetworkPreview(
        empty if first is None else first[:KERNELS], stages, maps, row, rows, heat, images, found[0].stage, "", shapes
    )


def _some(stages: tuple[str, ...]) -> tuple[str, ...]:
    chosen = np.unique(np.linspace(0, len(stages) - 1, min(len(stages), STAGES)).round().astype(int))
    return tuple(stages[k] for k in chosen)


def _scaled(one: FeatureMaps) -> NDArray[np.uint8]:
    values = torch.from_numpy(one.values[:CHANNELS])
    height, width = (min(side, MAP_PX) for side in values.shape[1:])
    values = F.adaptive_avg_pool2d(values[None], (height, width))[0]
    scaled = FeatureMaps(one.stage, values.numpy()).scaled
    return np.rint(255 * np.nan_to_num(scaled)).astype(np.uint8)
