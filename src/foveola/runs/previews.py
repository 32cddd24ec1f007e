"""What a run keeps for its report, so that the report needs neither the data nor the network.

Images from file to network input and the mean image of each class (`DataPreview`); kernels, feature maps and heat maps
(`NetworkPreview`); sample images and test images (`KeptImages`).
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.imaging.resize import shrink
from foveola.runs.augmentation_preview import AugmentationPreview
from foveola.types import Image, Images, Indices

if TYPE_CHECKING:
    from torch import nn

    from foveola.data.prepare import Prepared
    from foveola.data.split import Split
    from foveola.evaluation.metrics import Evaluation
    from foveola.explanations.stages import FeatureMaps


@dataclass(frozen=True)
class Previews:
    """Everything that a run keeps for its report."""

    images: KeptImages
    data: DataPreview
    network: NetworkPreview
    augmentation: AugmentationPreview = field(default_factory=AugmentationPreview)

    def save(self, folder: Path) -> None:
        """Write images.npz, data_preview.npz, network_preview.npz and, if training changed images,
        augmentation_preview.npz."""
        self.images.save(folder / "images.npz")
        self.data.save(folder / "data_preview.npz")
        self.network.save(folder / "network_preview.npz")
        if self.augmentation.names:
            self.augmentation.save(folder / "augmentation_preview.npz")


def make_previews(
    model: nn.Module,
    evaluation: Evaluation,
    prepared: Prepared,
    split: Split,
    augmentation: AugmentationPreview | None = None,
) -> Previews:
    """Choose and make what the report shows. model: on the processor; evaluation: of the test images in their order."""
    shown = np.concatenate([rows_of_grid(len(evaluation)), evaluation.worst(WORST)])
    return Previews(
        keep_images(prepared, split, shown),
        make_preview(prepared, split),
        make_network_preview(model, evaluation, prepared.pixels, split.test),
        augmentation or AugmentationPreview(),
    )


CLASSES, EACH = 20, 200
"""Largest numbers of classes with a mean image, and of training images in each mean (evenly chosen)."""

SHOWN, SHOWN_PX = 6, 160
"""Number of images shown from file to network, and their longest side in pixels."""


@dataclass(frozen=True)
class DataPreview:
    """How the data looks.

    means: uint8 (k, h, w, 3), the mean of `counted` (int64 (k,)) training images of each of the first classes; names: ids
    of the training images that are shown; raw, sized, seen: each as its file has it, at the network's size, and after the
    chain, uint8 (h, w, 3), the longer side at most 160.
    """

    means: Images = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    counted: Indices = field(default_factory=lambda: np.zeros(0, np.int64))
    names: tuple[str, ...] = ()
    raw: tuple[Image, ...] = ()
    sized: tuple[Image, ...] = ()
    seen: tuple[Image, ...] = ()

    def save(self, path: Path) -> None:
        """Write it as an .npz file (arrays only)."""
        arrays: dict[str, NDArray[Any]] = {"means": self.means, "counted": self.counted}
        arrays["names"] = np.frombuffer(json.dumps(self.names).encode(), np.uint8)  # names may hold what is no text
        for kind in ("raw", "sized", "seen"):
            arrays |= {f"{kind}_{k}": image for k, image in enumerate(getattr(self, kind))}
        np.savez(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> DataPreview:
        """Read what `save` wrote."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            names = tuple(json.loads(arrays["names"].tobytes()))
            kinds = [tuple(arrays[f"{kind}_{k}"] for k in range(len(names))) for kind in ("raw", "sized", "seen")]
            return cls(arrays["means"], arrays["counted"], names, *kinds)


def make_preview(prepared: Prepared, split: Split) -> DataPreview:
    """How prepared data looks. Its pixels are after the chain: the few that are shown go all the way once more."""
    dataset, pixels = prepared.dataset, prepared.pixels
    of_class = [split.train[dataset.labels[split.train] == label] for label in range(len(dataset.class_names))]
    chosen = [_even(rows, EACH) for rows in of_class[:CLASSES]]
    means = [_mean(pixels[rows]) for rows in chosen]
    names, raw, sized, seen = [], [], [], []
    for row in [int(rows[0]) for rows in of_class if len(rows)][:SHOWN]:
        try:
            with images.suppress_pillow_warnings():
                whole = dataset.read(row)
                as_read = dataset.source.read(row, prepared.size, prepared.how).image
        except ImageProblem:  # it was fine a minute ago
            continue
        names.append(dataset.ids[row])
        raw.append(shrink(whole, SHOWN_PX))
        sized.append(shrink(as_read, SHOWN_PX))
        seen.append(shrink(np.asarray(pixels[row]), SHOWN_PX))
    counted = np.array([len(rows) for rows in chosen], np.int64)
    return DataPreview(np.stack(means), counted, tuple(names), tuple(raw), tuple(sized), tuple(seen))


def _even(rows: Indices, most: int) -> Indices:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(np.int64))]


def _mean(pixels: Images) -> Image:
    if not len(pixels):
        return np.zeros(pixels.shape[1:], np.uint8)
    return shrink(np.rint(pixels.mean(axis=0, dtype=np.float64)).astype(np.uint8), SHOWN_PX)


GRID, STRIP, WORST = 25, 8, 24
"""How many test images the report shows: the 5x5 grid, the strip with probability bars, the worst mistakes."""


def rows_of_grid(n: int, most: int = GRID) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which test images the report's grid shows: evenly spread over the test set, so that all classes come up."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


@dataclass(frozen=True)
class NetworkPreview:
    """Kernels, feature maps and heat maps of a network; all are empty if they can't be computed, and `reason` says why.

    kernels: those of the first convolution as images uint8 (n, kh, kw, 3), none unless its inputs are red, green and blue;
    stages: names; maps: for each stage uint8 (c, h, w), each channel from its lowest (0) to its highest value (255); row: the
    image of the maps, a position in the evaluation; rows: int64 (m,), the images of the heat maps; heat: uint8 (m, H, W);
    images: uint8 (m + 1, H, W, 3), first that of `row`; heat_stage: the stage of Grad-CAM; shapes: for each stage its
    channels, their height and width in the network, and the number of channels that do not react.
    """

    kernels: Images = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    stages: tuple[str, ...] = ()
    maps: tuple[NDArray[np.uint8], ...] = ()
    row: int = -1
    rows: Indices = field(default_factory=lambda: np.zeros(0, np.int64))
    heat: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 1, 1), np.uint8))
    images: Images = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    heat_stage: str = ""
    reason: str = ""
    shapes: tuple[tuple[int, int, int, int], ...] = ()

    def save(self, path: Path) -> None:
        """Write it as an .npz file (arrays only)."""
        arrays: dict[str, NDArray[Any]] = {f"map_{k}": one for k, one in enumerate(self.maps)}
        names = "\n".join((self.heat_stage, self.reason.replace("\n", " "), *self.stages))
        arrays["names"] = np.frombuffer(names.encode(), np.uint8)
        arrays |= {"kernels": self.kernels, "row": np.array(self.row), "rows": self.rows, "heat": self.heat}
        arrays |= {"images": self.images, "shapes": np.array(self.shapes, np.int64).reshape(-1, 4)}
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> NetworkPreview:
        """Read what `save` wrote."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            heat_stage, reason, *stages = arrays["names"].tobytes().decode().split("\n")
            maps = tuple(arrays[f"map_{k}"] for k in range(len(stages)))
            shapes = tuple((c, h, w, dead) for c, h, w, dead in arrays["shapes"].tolist())
            return cls(
                arrays["kernels"], tuple(stages), maps, int(arrays["row"]), arrays["rows"], arrays["heat"],
                arrays["images"], heat_stage, reason, shapes,
            )  # fmt: skip


HEAT_MAPS = 3
"""Number of heat maps of the most confident correct and wrong predictions."""

STAGES, CHANNELS, MAP_PX, KERNELS = 9, 32, 28, 64
"""Largest number of stages, channels per stage, pixels per side, and kernels."""


def make_network_preview(model: nn.Module, evaluation: Evaluation, pixels: Images, test: Indices) -> NetworkPreview:
    """Kernels, one image's maps at each stage, and heat maps of the most confident correct and wrong predictions.

    model: on the processor; pixels: the prepared data, `test` its rows in the evaluation's order. A network that can't be
    looked into (no convolution, no gradient) gives an empty one: a run is not lost for an image of it.
    """
    from foveola.explanations.convolutions import kernels
    from foveola.explanations.heatmaps import gradcam  # torch, which a reader of runs does not need
    from foveola.explanations.stages import feature_maps, stages_of

    right, wrong = evaluation.correct, ~evaluation.correct
    rows = np.concatenate([_most_confident(evaluation, some) for some in (right, wrong)])
    row = int(rows[0])
    shown = np.array(pixels[test[np.concatenate([[row], rows])]])
    try:
        stages = _some(stages_of(model))
        whole = feature_maps(model, shown[0], stages)
        maps, shapes = tuple(map(_scaled, whole)), tuple((*one.values.shape, one.dead) for one in whole)
        found = [gradcam(model, image, int(evaluation.predicted[r])) for image, r in zip(shown[1:], rows, strict=True)]
        heat = np.stack([np.rint(255 * one.heat).astype(np.uint8) for one in found])
        first = kernels(model).images
    except Exception as problem:  # a user's own network may do anything
        return NetworkPreview(reason=str(problem).partition("\n")[0] or type(problem).__name__)
    empty = np.zeros((0, 1, 1, 3), np.uint8)
    return NetworkPreview(
        empty if first is None else first[:KERNELS], stages, maps, row, rows, heat, shown, found[0].stage, "", shapes
    )


def _most_confident(evaluation: Evaluation, among: NDArray[np.bool_]) -> Indices:
    """The rows of `among`, bool (n,), with the most confident predictions: int64 (m,), m at most HEAT_MAPS."""
    rows = np.flatnonzero(among)
    return rows[np.argsort(-evaluation.confidence[rows], kind="stable")][:HEAT_MAPS]


def _some(stages: tuple[str, ...]) -> tuple[str, ...]:
    chosen = np.unique(np.linspace(0, len(stages) - 1, min(len(stages), STAGES)).round().astype(int))
    return tuple(stages[k] for k in chosen)


def _scaled(one: FeatureMaps) -> NDArray[np.uint8]:
    import torch
    from torch.nn import functional as F

    values = torch.from_numpy(one.values[:CHANNELS])
    height, width = (min(side, MAP_PX) for side in values.shape[1:])
    values = F.adaptive_avg_pool2d(values[None], (height, width))[0]
    scaled = replace(one, values=values.numpy()).scaled
    return np.rint(255 * np.nan_to_num(scaled)).astype(np.uint8)


SAMPLES_PER_CLASS, SAMPLE_PX = 6, 160
"""Number of sample images of each class, and their longest side in pixels."""


@dataclass(frozen=True)
class KeptImages:
    """Images kept for the report.

    samples: (class number, id, uint8 (h, w, 3) with true proportions, longer side at most 160); rows: int64 (m,),
    positions in the evaluation; prepared: uint8 (m, H, W, 3), those test images as the network saw them.
    """

    samples: tuple[tuple[int, str, Image], ...]
    rows: Indices
    prepared: Images

    def of(self, row: int) -> Image:
        """The test image at this position of the evaluation, as the network saw it."""
        return np.asarray(self.prepared[int(np.searchsorted(self.rows, row))])

    def save(self, path: Path) -> None:
        """Write them as an .npz file (arrays only)."""
        arrays: dict[str, NDArray[Any]] = {"rows": self.rows, "prepared": self.prepared}
        names = [[label, name] for label, name, _ in self.samples]
        arrays["names"] = np.frombuffer(json.dumps(names).encode(), np.uint8)
        arrays |= {f"sample_{i}": image for i, (_, _, image) in enumerate(self.samples)}
        np.savez(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> KeptImages:
        """Read what `save` wrote."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            names = json.loads(arrays["names"].tobytes())
            samples = tuple((label, name, arrays[f"sample_{i}"]) for i, (label, name) in enumerate(names))
            return cls(samples, arrays["rows"], arrays["prepared"])


def pick_samples(prepared: Prepared, split: Split) -> tuple[tuple[int, str, Image], ...]:
    """A few training images of each class, evenly spread, small, with their true proportions."""
    dataset, out = prepared.dataset, []
    each = SAMPLES_PER_CLASS if len(dataset.class_names) <= 20 else 3
    for label in range(len(dataset.class_names)):
        rows = split.train[dataset.labels[split.train] == label]
        for row in rows[:: max(1, len(rows) // each)][:each]:
            try:
                with images.suppress_pillow_warnings():
                    whole = dataset.read(int(row))
            except ImageProblem:  # it was fine a minute ago; the prepared one will do
                whole = prepared.pixels[row]
            out.append((label, dataset.ids[row], shrink(whole, SAMPLE_PX)))
    return tuple(out)


def keep_images(prepared: Prepared, split: Split, rows: Indices) -> KeptImages:
    """The images a report shows: samples of the classes, and these positions of the test set."""
    rows = np.unique(rows)
    return KeptImages(pick_samples(prepared, split), rows, np.array(prepared.pixels[split.test[rows]]))
