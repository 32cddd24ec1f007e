"""What a run keeps of its network for the report (kernels, feature maps, heat maps), and which test images it shows."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.types import Images, Indices

GRID, STRIP, WORST = 25, 8, 24
"""How many test images the report shows: the 5x5 grid, the strip with probability bars, the worst mistakes."""


def rows_of_grid(n: int, most: int = GRID) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which test images the report's grid shows: evenly spread over the test part, so that all classes come up."""
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
