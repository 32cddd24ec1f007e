"""The report's section on the network's inside: kernels, feature maps, heat maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foveola.errors import count
from foveola.explanations.mosaic import mosaic
from foveola.lab.insides import Insides
from foveola.learning.metrics import Evaluation
from foveola.report.thumbnails import Thumbnail, exact, thumbnail
from foveola.report.words import percent, shape
from foveola.types import Image

COLUMNS, WIDEST_PX = 16, 640

HEAT = np.array([213.0, 94.0, 0.0])
"""The colour of heat, as in the curves: vermilion, seen by colour-blind eyes too."""


@dataclass(frozen=True)
class StageMaps:
    """One stage: its name, what is drawn of it in words, and the maps as one picture."""

    name: str
    text: str
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
    right: bool
    stages: tuple[StageMaps, ...]
    heat_stage: str
    heated: tuple[Heated, ...]
    reason: str


def inside_section(insides: Insides, evaluation: Evaluation) -> InsideSection:
    """Collect the section's values."""
    if not insides.stages:
        return InsideSection(None, None, "", False, (), "", (), insides.reason)
    stages = []
    shapes = insides.shapes or tuple((*maps.shape, 0) for maps in insides.maps)
    for name, maps, of in zip(insides.stages, insides.maps, shapes, strict=True):
        grey = np.repeat(mosaic(maps, COLUMNS, 255)[..., None], 3, axis=2).astype(np.uint8)
        stages.append(StageMaps(name, _in_words(len(maps), *of), exact(grey, WIDEST_PX)))
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
        bool(evaluation.correct[insides.row]),
        tuple(stages),
        insides.heat_stage,
        tuple(heated),
        "",
    )


def _in_words(drawn: int, channels: int, height: int, width: int, dead: int) -> str:
    """What a stage has, and what of it is drawn."""
    first = f", the first {drawn} of them" if drawn < channels else ""
    empty = f"; {dead} of all ({dead / channels:.0%}) are dead".replace("%", " %") if dead else ""
    return f"{count(channels, 'channel')} of {shape((height, width))}{first}{empty}"


def laid_over(image: Image, heat: np.ndarray) -> Image:
    """Heat, uint8 (H, W), over the picture in grey: the stronger, the more of its colour, up to four fifths."""
    grey = image.mean(axis=2, keepdims=True)
    share = 0.8 * heat[..., None] / 255
    return np.asarray(np.rint(grey * (1 - share) + HEAT * share), np.uint8)
