"""Named augmentation sets: random changes of training images that keep their class.

A set is a few ranges. `draw` draws numbers for each image, `apply` changes the images with them. `data/loader.py` calls both
for each batch; nothing here needs torch. Mirroring is a part of the loader, where flips alternate from pass to pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from foveola.types import Images

AugmentName: TypeAlias = Literal["auto", "none", "photo", "flat", "text"]
"""The names of the sets. auto: no set, so the options flip, translate_px and cutout_px decide."""

Draws: TypeAlias = NDArray[np.float64]

_DRAWN = 8  # random numbers for an image
_LUMA = np.array([0.299, 0.587, 0.114])  # the grey of an RGB pixel, ITU-R BT.601
_LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True)
class Augmentation:
    """The ranges of a set; every number is drawn uniformly, the factors by their logarithm.

    mirrors: whether an image may be mirrored left-right. quarter_turns: whether it is turned by 0, 90, 180 or 270 degrees.
    smallest_zoom, largest_zoom: factors of the size; an enlarged image is cut at a random place inside it. shift: the largest
    shift, as a share of the side. rotation_degrees: the largest rotation. brightness, contrast: the largest change, as
    `tone_tables` has it. colour: the largest logarithm of the factor of the saturation.

    repeats_edge: fill what lies outside the image with the colour of its edge, for text. Otherwise the image continues as
    its mirror image. Both keep the black around an image that was resized with "pad" black.
    """

    mirrors: bool = False
    quarter_turns: bool = False
    smallest_zoom: float = 1.0
    largest_zoom: float = 1.0
    shift: float = 0.0
    rotation_degrees: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0
    repeats_edge: bool = False

    @property
    def changes_images(self) -> bool:
        """Whether the set does more than mirror."""
        return self != Augmentation(self.mirrors)

    def draw(self, rng: np.random.Generator, n: int) -> Draws:
        """Random numbers for n images, float64 (n, 8), 0..1."""
        return rng.random((n, _DRAWN if self.changes_images else 0))

    def apply(self, images: Images, draws: Draws) -> Images:
        """Images uint8 (b, H, W, 3), changed by their draws (b, 8); a new array.

        The result does not depend on the number of threads. On one thread an image of 224x224 takes about 1 ms.
        """
        if not self.changes_images:
            return images
        height, width = images.shape[1:3]
        matrices = self.matrices(draws, height, width)
        tables = tone_tables(_around_0(draws[:, 4], self.brightness), np.exp(_around_0(draws[:, 5], self.contrast)))
        colours = _saturation(np.exp(_around_0(draws[:, 6], self.colour)))
        border = cv2.BORDER_REPLICATE if self.repeats_edge else cv2.BORDER_REFLECT_101
        out = np.empty_like(images)
        for image, matrix, table, colour, to in zip(images, matrices, tables, colours, out, strict=True):
            moved = cv2.warpAffine(image, matrix, (width, height), flags=_LINEAR, borderMode=border)
            if self.colour:
                moved = cv2.transform(moved, colour)
            cv2.LUT(moved, table, dst=to)
        return out

    def matrices(self, draws: Draws, height: int, width: int) -> NDArray[np.float64]:
        """Where each pixel comes from: float64 (b, 2, 3), from (x, y) of the new image to (x, y) of the old one."""
        smallest, largest = np.log(self.smallest_zoom), np.log(self.largest_zoom)
        zoom = np.exp(smallest + draws[:, 0] * (largest - smallest))
        # An image that is not square keeps its width and height: it is turned by 0 or 180 degrees only.
        turns = np.floor(4 * draws[:, 7]) if height == width else 2 * np.floor(2 * draws[:, 7])
        angle = np.deg2rad(_around_0(draws[:, 1], self.rotation_degrees)) + np.pi / 2 * turns * self.quarter_turns
        cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
        room = np.maximum(1 - 1 / zoom, 0) / 2 + self.shift
        across, down = (_around_0(draws[:, 2 + k], 1) * room * side for k, side in enumerate((width, height)))
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        from_x = [cosine, sine, middle_x + across - cosine * middle_x - sine * middle_y]
        from_y = [-sine, cosine, middle_y + down + sine * middle_x - cosine * middle_y]
        return np.stack([np.stack(from_x, 1), np.stack(from_y, 1)], 1)


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "photo": Augmentation(
        mirrors=True, largest_zoom=1.4, rotation_degrees=10, brightness=0.4, contrast=0.2, colour=0.2
    ),
    "flat": Augmentation(
        mirrors=True, quarter_turns=True, smallest_zoom=1 / 1.1, largest_zoom=1.1, brightness=0.4
    ),
    "text": Augmentation(
        smallest_zoom=1 / 1.1, largest_zoom=1.1, shift=0.05, rotation_degrees=7, brightness=0.4, repeats_edge=True
    ),
}  # fmt: skip
"""The sets by name; "auto" is none of them. Brightness and contrast are those of fastai's `aug_transforms`."""


def tone_tables(brightness: NDArray[np.float64], contrast: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A table of 256 new values for each image, uint8 (b, 256).

    The odds p / (1 - p) of a value p = v / 255 become odds^contrast * e^brightness, so black stays black, and white white:
    the black that "pad" puts around an image does not turn grey. Source: fastai's transforms `Brightness` and `Contrast`
    (https://docs.fast.ai/vision.augment.html), which work on the logit.
    """
    p = np.arange(1, 255) / 255
    logit = np.log(p) - np.log1p(-p)
    changed = 1 / (1 + np.exp(-(contrast[:, None] * logit + brightness[:, None])))
    tables = np.empty((len(brightness), 256), np.uint8)
    tables[:, 0], tables[:, 255] = 0, 255
    tables[:, 1:255] = np.rint(255 * changed)
    return tables


def _around_0(drawn: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Numbers 0..1 as -reach..reach."""
    return (2 * drawn - 1) * reach


def _saturation(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (b, 3, 3) that multiply the distance of each pixel from its grey by a factor; grey pixels stay."""
    matrices: NDArray[np.float64] = factors[:, None, None] * np.eye(3) + (1 - factors)[:, None, None] * _LUMA
    return matrices
