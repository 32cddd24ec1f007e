"""Embedding of images in two dimensions (PCA or t-SNE) by the input of the network's last layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveola.errors import UsageError
from foveola.explanations.stages import eval_mode, to_batch
from foveola.types import Images, Tick, no_tick

How = Literal["pca", "tsne"]

_AT_ONCE, _BEFORE_TSNE = 64, 50


def embedding(model: nn.Module, images: Images, how: How = "tsne", *, tick: Tick = no_tick) -> NDArray[np.float32]:
    """Embed images in two dimensions, so that images which are similar to the network are close together.

    images: uint8 (n, H, W, 3). Returns float32 (n, 2), computed from the input of the last dense layer.
    """
    return in_two_dimensions(last_features(model, images, tick=tick), how)


def last_features(model: nn.Module, images: Images, *, tick: Tick = no_tick) -> NDArray[np.float32]:
    """Features: the input of the dense layer that runs last in a forward pass; images uint8 (n, H, W, 3), float32 (n, F).

    Raises UsageError for a network without a dense layer.
    """
    last = _last_dense(model, images[:1])
    seen: list[Tensor] = []
    out = []
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        with eval_mode(model), torch.inference_mode():
            for start in range(0, len(images), _AT_ONCE):
                seen.clear()
                model(to_batch(images[start : start + _AT_ONCE]))
                out.append(seen[0].float().flatten(1).numpy().copy())
                tick("Computing features", min(start + _AT_ONCE, len(images)), len(images))
    finally:
        hook.remove()
    return np.concatenate(out)


def _last_dense(model: nn.Module, images: Images) -> nn.Module:
    order: list[nn.Module] = []
    dense = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(lambda layer, _: order.append(layer)) for layer in dense]
    try:
        with eval_mode(model), torch.inference_mode():
            model(to_batch(images))
    finally:
        for hook in hooks:
            hook.remove()
    if not order:
        raise UsageError("an embedding needs a network with a dense layer (torch.nn.Linear); this network has none")
    return order[-1]


def in_two_dimensions(features: NDArray[np.float32], how: How, *, seed: int = 0) -> NDArray[np.float32]:
    """Reduce float32 (n, F) to float32 (n, 2) by PCA, or by t-SNE of the first 50 principal components (scikit-learn).

    t-SNE (L. van der Maaten and G. Hinton, JMLR 2008) keeps neighbours together; distances between groups have no meaning.
    Raises UsageError for fewer than four images.
    """
    if len(features) < 4:
        raise UsageError(f"an embedding needs at least 4 images, but {len(features)} were given")
    from sklearn.decomposition import PCA

    fewer = PCA(min(_BEFORE_TSNE, *features.shape), random_state=seed).fit_transform(features)
    if how == "pca":
        return np.asarray(fewer[:, :2], np.float32)
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    layout: Callable[..., NDArray[np.float32]] = TSNE(
        2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed
    ).fit_transform
    return np.asarray(layout(fewer), np.float32)
