"""Report sections on the network: what it sees (kernels, feature maps, heat maps), and its table of layers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.evaluation.metrics import Evaluation
from foveola.figures.mosaic import heat_over, mosaic
from foveola.models.summary import LayerRow, Summary
from foveola.report.formatting import Thumbnail, exact, shape, thumbnail
from foveola.runs.previews import NetworkPreview
from foveola.text import count, percent

COLUMNS, WIDEST_PX = 16, 640

OPEN_ROWS = 20
"""The table of a network with more layers is folded by stage."""


@dataclass(frozen=True)
class StageMaps:
    """One stage: its name, a description, and its feature maps as one image."""

    name: str
    text: str
    image: Thumbnail


@dataclass(frozen=True)
class HeatmapImage:
    """A test image and its heat map."""

    image: Thumbnail
    heat: Thumbnail
    name: str
    true: str
    predicted: str
    right: bool
    probability: str


@dataclass(frozen=True)
class NetworkSection:
    """Values of the section; reason: why there is nothing to show, else ""."""

    kernels: Thumbnail | None
    image: Thumbnail | None
    true: str
    right: bool
    stages: tuple[StageMaps, ...]
    heat_stage: str
    heatmaps: tuple[HeatmapImage, ...]
    reason: str


def network_section(preview: NetworkPreview, evaluation: Evaluation) -> NetworkSection:
    """Collect the section's values."""
    if not preview.stages:
        return NetworkSection(None, None, "", False, (), "", (), preview.reason)
    stages = []
    for name, maps, of in zip(preview.stages, preview.maps, preview.shapes, strict=True):
        stages.append(StageMaps(name, _in_words(len(maps), *of), exact(tile(maps), WIDEST_PX)))
    kernels = tile(preview.kernels) if len(preview.kernels) else None
    names = evaluation.class_names
    heatmaps = []
    for image, heat, row in zip(preview.images[1:], preview.heat, preview.rows.tolist(), strict=True):
        predicted = int(evaluation.predicted[row])
        heatmaps.append(
            HeatmapImage(
                thumbnail(image),
                thumbnail(heat_over(image, heat / 255)),
                evaluation.ids[row],
                names[evaluation.labels[row]],
                names[predicted],
                bool(evaluation.correct[row]),
                percent(float(evaluation.probabilities[row, predicted])),
            )
        )
    return NetworkSection(
        None if kernels is None else exact(kernels, WIDEST_PX),
        thumbnail(preview.images[0]),
        names[evaluation.labels[preview.row]],
        bool(evaluation.correct[preview.row]),
        tuple(stages),
        preview.heat_stage,
        tuple(heatmaps),
        "",
    )


def _in_words(drawn: int, channels: int, height: int, width: int, dead: int) -> str:
    """Describe a stage: its channels, their size, how many are drawn and how many do not react."""
    first = f", the first {drawn} of them" if drawn < channels else ""
    silent = f"; {dead:,} of {count(channels, 'channel')} do not react to this image" if dead else ""
    return f"{count(channels, 'channel')} of {shape((width, height))}{first}{silent}"


def tile(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles uint8 (n, h, w), grey, or (n, h, w, 3) as one image (H, W, 2 or 4) with transparent gaps.

    Transparent, because white gaps would be too bright in dark mode.
    """
    values = mosaic(tiles, COLUMNS, 0)
    opaque = mosaic(np.full(tiles.shape[:3], 255, np.uint8), COLUMNS, 0)
    return np.dstack([values, opaque]).astype(np.uint8)


class Block(NamedTuple):
    """Layers with a common name prefix: the prefix, the layers, the output shape of the last one, all their parameters."""

    name: str
    rows: tuple[LayerRow, ...]
    shape: tuple[int, ...]
    parameters: int


def blocks(network: Summary) -> tuple[Block, ...]:
    """Group the layers of a long network into blocks, in their order; () for a short network, which is not folded."""
    if len(network.rows) <= OPEN_ROWS:
        return ()
    return tuple(_block(name, tuple(rows)) for name, rows in groupby(network.rows, lambda row: row.name.split(".")[0]))


def _block(name: str, rows: tuple[LayerRow, ...]) -> Block:
    return Block(name, rows, rows[-1].shape, sum(row.parameters for row in rows))
