"""Preprocessing of images for a trained network, for users who call the network directly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from foveola.errors import ImageProblem
from foveola.evaluation.inputs import Input, Inputs, gather
from foveola.filters.chain import Chain
from foveola.imaging import decode as images
from foveola.imaging.resize import Resize
from foveola.types import Image, Size

if TYPE_CHECKING:
    from torch import Tensor


_HOW = {
    "pad": "proportions kept, black around",
    "crop": "proportions kept, the middle cut out",
    "stretch": "proportions not kept",
}


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of a run's images: resize, then filter. The network itself normalises.

    size: height and width in pixels; resize: "pad", "crop" or "stretch" (see `imaging.resize`); chain:
    the filters after resizing. The network takes uint8 or float32 (n, 3, H, W), RGB, values 0 to 255.

        tensor = run.preprocessing("cat.jpg")
        probabilities = run.model()(tensor).softmax(dim=1)
    """

    size: Size
    resize: Resize
    chain: Chain

    def __call__(self, given: Inputs) -> Tensor:
        """Prepare images as input of the network: uint8 (n, 3, H, W), RGB. given: as for `foveola.predict`.

        Raises UsageError for unsupported inputs, ImageProblem for an image that can't be read.
        """
        import torch

        with images.suppress_pillow_warnings():
            pixels = np.stack([self._prepared(one) for one in gather(given)])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def _prepared(self, one: Input) -> Image:
        try:
            return self.prepared(one)
        except ImageProblem as problem:
            raise ImageProblem(f"{one.name} can't be read: {problem}") from None

    def prepared(self, one: Input) -> Image:
        """One image as the network sees it: uint8 (H, W, 3). Raises ImageProblem with the reason."""
        if one.problem:
            raise ImageProblem(one.problem)
        return self.chain(one.prepared(self.size, self.resize))

    def __repr__(self) -> str:
        filters = f"the filters {self.chain}; " if self.chain.steps else ""
        return (
            f"Preprocessing: resized to {self.size} (width x height), {self.resize} ({_HOW[self.resize]}); {filters}"
            f"RGB, values 0 to 255, shape (n, 3, {self.size.height_px}, {self.size.width_px}); the network normalises"
        )


class Views(NamedTuple):
    """Test-time augmentation: the versions of an image whose predictions are averaged; by default only the image itself.

    flips: include the mirror image, for twice the time. shift_px: include the image moved by this many pixels up and left,
    and down and right, with edges mirrored, for three times the time. The original has half of the weight and the two moved
    images the other half (K. Jordan, arXiv:2404.00498, "multi-crop evaluation", and its code).
    """

    flips: bool = False
    shift_px: int = 0


ALONE = Views()
"""Only the image itself."""
