"""Class weights: how much each training image counts in the loss, so that rare classes count as much as frequent ones."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foveola.types import Labels


def balanced_weights(labels: Labels, classes: int) -> NDArray[np.float64]:
    """The weight of each class, float64 (K,): n / (number of classes with images * images of the class); 0 without images.

    Over these n images the weights have the mean 1. It is scikit-learn's class_weight="balanced" (G. King and L. Zeng,
    "Logistic Regression in Rare Events Data", Political Analysis 9, 2001).

    >>> balanced_weights(np.array([0, 0, 0, 1]), 2).round(3).tolist()
    [0.667, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    there = counts > 0
    out = np.zeros(classes)
    out[there] = len(labels) / (there.sum() * counts[there])
    return out


def weighted_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy of a batch in which each image counts as its class, with weights float32 (K,); None: all the same.

    Not torch's own weights: those divide by the sum of the batch's weights, so that a batch without the rare class would
    count as much as one with many of its images.
    """
    if weights is None:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    return (losses * weights[labels]).mean()


def weighted_measure(logits: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[float, float]:
    """Cross-entropy and accuracy of some images as weighted means, with weights float32 (K,); None: all count the same."""
    right = (logits.argmax(dim=1) == labels).double()
    if weights is None:
        return float(F.cross_entropy(logits, labels)), float(right.mean())
    counts = weights[labels].double()
    losses = F.cross_entropy(logits, labels, reduction="none").double()
    return float(losses @ counts / counts.sum()), float(right @ counts / counts.sum())
