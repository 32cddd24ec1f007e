"""Out-of-sample class probabilities by cross-validation, used to find wrong labels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foveola.checks.label_errors import FOLDS, has_too_few_images
from foveola.compute.device import choose_device, choose_precision
from foveola.data.prepare import Prepared
from foveola.errors import DataError
from foveola.models.build import adapt, build
from foveola.training.features import keep_features
from foveola.training.linear_probe import STRENGTHS, Features, fit_linear_probe
from foveola.types import Indices, Tick, no_tick


def out_of_fold_probabilities(prepared: Prepared, units: Indices, *, tick: Tick = no_tick) -> NDArray[np.float32]:
    """Out-of-sample probabilities of all prepared images: float32 (n, K).

    A linear head on the features that `transfer` has from ImageNet is fitted on four fifths of the images and asked about
    the last, five times; images of one unit (int64 (n,), such as copies) are in one fold. The penalty is the one of lowest
    loss on the first fold: one number chosen from a fifth of the images, for the probabilities of all. Raises DataError
    where a class has too few units (`findings.suspects.too_few`).
    """
    from sklearn.model_selection import StratifiedGroupKFold

    dataset = prepared.dataset
    labels, classes = dataset.labels, len(dataset.class_names)
    if reason := has_too_few_images(dataset, units):
        raise DataError(f"foveola can't look for wrong labels: {reason}; add images, or use --no-suspects")
    device = choose_device("auto")
    dtype = choose_precision("auto", device)
    model = build("transfer", prepared.size, classes, {}, seed=0)
    adapt(model, torch.zeros((1, 3, *prepared.size), dtype=torch.uint8))  # ImageNet's weights
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    values, _ = keep_features(prepared, model, device, dtype, tick=tick)
    head = nn.Linear(values.shape[1], classes)
    chances = np.zeros((len(labels), classes), np.float32)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels, units)
    strengths = list(STRENGTHS)
    for number, (train, held) in enumerate(folds):
        parts = Features(values[train], labels[train]), Features(values[held], labels[held])
        if not number:
            rows = list(fit_linear_probe(head, *parts, strengths))
            strengths = strengths[: 1 + min(range(len(rows)), key=lambda k: rows[k].val_loss)]
        for _ in fit_linear_probe(head, *parts, strengths):
            pass
        with torch.no_grad():
            chances[held] = head(torch.from_numpy(np.ascontiguousarray(values[held]))).softmax(1).numpy()
        tick("Looking for wrong labels", number + 1, FOLDS)
    return chances
