"""Heat maps: which parts of an image support a class. Captum computes them.

- Grad-CAM: relu(sum_c mean(dy/dA_c) A_c) of one stage's maps A. R. Selvaraju et al., "Grad-CAM: Visual Explanations from
  Deep Networks via Gradient-Based Localization", ICCV 2017.
- HiResCAM: relu(sum_c dy/dA_c A_c), elementwise. If the last layers are linear, it marks only places that the network used,
  while Grad-CAM can mark other places too. R. Draelos and L. Carin, "Use HiResCAM instead of Grad-CAM", 2020
  (arXiv:2011.08891).
- Occlusion: the drop of the class's log-probability if a square is covered with the image's mean colour. M. Zeiler and
  R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
- Integrated gradients, with an image of the mean colour as baseline. M. Sundararajan, A. Taly, Q. Yan,
  "Axiomatic Attribution for Deep Networks", ICML 2017.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from foveola.explanations.stages import (
    eval_mode,
    feature_maps,
    gradient_errors_as_usage_errors,
    require_stage,
    stages_of,
    to_batch,
)
from foveola.types import Image

STEPS = 32
"""Steps of integrated gradients between the baseline and the image."""

AT_ONCE = 32
"""Batch size."""


@dataclass(frozen=True)
class Heatmap:
    """A heat map of one class.

    values: float32 (H, W); negative values count against the class (occlusion and integrated gradients only). stage: the
    layer used, "" if the method needs none. probability: that of the class, 0..1.
    """

    method: str
    target: int
    probability: float
    values: NDArray[np.float32]
    stage: str = ""

    @property
    def heat(self) -> NDArray[np.float32]:
        """The positive values, scaled to 0..1; all 0 if no value is positive."""
        positive = np.maximum(self.values, 0)
        top = float(positive.max())
        return np.asarray(positive / top if top > 0 else positive, np.float32)


def gradcam(model: nn.Module, image: Image, target: int, stage: str = "") -> Heatmap:
    """A heat map by Grad-CAM: which regions of the image support the class.

    stage: the last stage by default.
    """
    return _at_stage(
        model,
        image,
        target,
        stage,
        "gradcam",
        lambda layer, x: _captum().LayerGradCam(model, layer).attribute(x, target),
    )


def hirescam(model: nn.Module, image: Image, target: int, stage: str = "") -> Heatmap:
    """A heat map by HiResCAM: like Grad-CAM, but with gradients weighted at each position.

    stage: the last stage by default.
    """
    return _at_stage(
        model,
        image,
        target,
        stage,
        "hirescam",
        lambda layer, x: _captum().LayerGradientXActivation(model, layer).attribute(x, target).sum(dim=1, keepdim=True),
    )


def occlusion(model: nn.Module, image: Image, target: int) -> Heatmap:
    """A heat map by occlusion: the drop of the class's probability if a square of the image is covered.

    A square's side is 1/8 of the image's shorter side, and squares overlap by half. Values are nats of log-probability.
    """
    x = to_batch(image[None])
    window = max(1, min(image.shape[:2]) // 8)

    def score(images: Tensor) -> Tensor:
        return F.log_softmax(model(images).float(), dim=1)[:, target]

    with eval_mode(model), torch.inference_mode():
        values = (
            _captum()
            .Occlusion(score)
            .attribute(
                x,
                sliding_window_shapes=(3, window, window),
                strides=(3, max(1, window // 2), max(1, window // 2)),
                baselines=_mean_colour(x),
                perturbations_per_eval=AT_ONCE,
            )
        )
        probability = _probability(model, x, target)
    return Heatmap("occlusion", target, probability, values[0, 0].float().numpy())


def integrated_gradients(model: nn.Module, image: Image, target: int) -> Heatmap:
    """A heat map by integrated gradients: how much each pixel adds to the score of the class.

    Summed over the three colours. The values add up to the difference of the logit to that of an image of the mean colour.
    """
    x = to_batch(image[None])
    with eval_mode(model), gradient_errors_as_usage_errors("the image"):
        values = (
            _captum()
            .IntegratedGradients(model)
            .attribute(x, baselines=_mean_colour(x), target=target, n_steps=STEPS, internal_batch_size=AT_ONCE)
        )
        probability = _probability(model, x, target)
    return Heatmap("integrated_gradients", target, probability, values[0].sum(dim=0).detach().float().numpy())


def _captum() -> Any:
    """Captum's methods. Its progress bar warns in notebooks without widgets; no bar is ever shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import captum.attr
    return captum.attr


def _at_stage(
    model: nn.Module,
    image: Image,
    target: int,
    stage: str,
    method: str,
    attribute: Callable[[nn.Module, Tensor], Tensor],
) -> Heatmap:
    stage = stage or stages_of(model)[-1]
    layer = require_stage(model, stage)
    x = to_batch(image[None]).requires_grad_()
    feature_maps(model, image, [stage])  # raises UsageError if the stage has no output, or no maps
    with eval_mode(model), torch.enable_grad(), gradient_errors_as_usage_errors(f"stage '{stage}'"):
        coarse = attribute(layer, x).detach().float()
        probability = _probability(model, x, target)
    fine = F.interpolate(F.relu(coarse), image.shape[:2], mode="bilinear", align_corners=False)
    return Heatmap(method, target, probability, fine[0, 0].numpy(), stage)


def _mean_colour(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True).expand_as(x).contiguous()


def _probability(model: nn.Module, x: Tensor, target: int) -> float:
    with torch.no_grad():
        return float(model(x).float().softmax(dim=1)[0, target])
