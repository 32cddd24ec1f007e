"""The report's section on the network's inside: kernels, feature maps, heat maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foveola.explanations.mosaic import mosaic
from foveola.lab.insides import Insides
from foveola.learning.metrics import Evaluation
from foveola.report.thumbnails import Thumbnail, exact, thumbnail
from foveola.report.words import percent
from foveola.types import Image

COLUMNS, WIDEST_PX = 16, 640

HEAT = np.array([213.0, 94.0, 0.0])
"""The colour of heat, as in the curves: vermilion, seen by colour-blind eyes too."""


@dataclass(frozen=True)
class StageMaps:
    """One stage: its name, the size of its maps, and the maps as one picture."""

    name: str
    size: str
    channels: int
    picture: Thumbnail


@dataclass(frozen=True)
class Heated:
    """A test picture beside its heat map."""

    picture: Thumbnail
    heat: Thumbnail
    name: str
    true: str
    predicted: str
    right: bool
    probability: str


@dataclass(frozen=True)
class InsideSection:
    """Everything the section shows; reason: why there is nothing."""

    kernels: Thumbnail | None
    picture: Thumbnail | None
    true: str
    stages: tuple[StageMaps, ...]
    heat_stage: str
    heated: tuple[Heated, ...]
    reason: str


def inside_section(insides: Insides, evaluation: Evaluation) -> InsideSection:
    """Collect the section's values."""
    if not insides.stages:
        return InsideSection(None, None, "", (), "", (), insides.reason)
    stages = []
    for name, maps in zip(insides.stages, insides.maps, strict=True):
        grey = np.repeat(mosaic(maps, COLUMNS, 255)[..., None], 3, axis=2).astype(np.uint8)
        stages.append(StageMaps(name, f"{maps.shape[1]} × {maps.shape[2]}", len(maps), exact(grey, WIDEST_PX)))
    kernels = mosaic(insides.kernels, COLUMNS, 255).astype(np.uint8) if len(insides.kernels) else None
    names = evaluation.class_names
    heated = []
    for image, heat, row in zip(insides.pictures[1:], insides.heat, insides.rows.tolist(), strict=True):
        predicted = int(evaluation.predicted[row])
        heated.append(
            Heated(
                thumbnail(image),
                thumbnail(laid_over(image, heat)),
                evaluation.ids[row],
                names[evaluation.labels[row]],
                names[predicted],
                bool(evaluation.correct[row]),
                percent(float(evaluation.probabilities[row, predicted])),
            )
        )
    return InsideSection(
        None if kernels is None else exact(kernels, WIDEST_PX),
        thumbnail(insides.pictures[0]),
        names[evaluation.labels[insides.row]],
        tuple(stages),
        insides.heat_stage,
        tuple(heated),
        "",
    )


def laid_over(image: Image, heat: np.ndarray) -> Image:
    """Heat, uint8 (H, W), over the picture in grey: the stronger, the more of its colour, up to four fifths."""
    grey = image.mean(axis=2, keepdims=True)
    share = 0.8 * heat[..., None] / 255
    return np.asarray(np.rint(grey * (1 - share) + HEAT * share), np.uint8)
