"""Data loader: batches of images, shuffled and augmented by seed, uint8 until they reach the device.

Rows of an (n, H, W, 3) array seen as (b, 3, H, W) are channels-last in memory, the layout that the convolutions use,
so nothing is transposed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveola.array_cache import MemmapReader
from foveola.data.augmentation import AUGMENTATIONS, Augmentation
from foveola.types import Images, Indices, Labels

_COLOUR_PIXELS = 2**27
"""The largest number of pixels that the mean colour is computed from, 1.6 GB of floats: 2,000 images of 259x259."""


@dataclass(frozen=True)
class Batches:
    """The images `rows` of an array, in batches.

    pixels: uint8 (n, H, W, 3); labels: int64 (n,); rows: int64 (m,), which of them, in order. A batch is (uint8 tensor
    (b, 3, H, W) channels-last, int64 tensor (b,)). The batches of an epoch differ in size by one at most, so from
    a batch size of 3 on none is a single image. epoch_images: how many images make an epoch (0: all of `rows`).
    augment: the name of a set of `AUGMENTATIONS`, or "auto" for none; flips, shifts and cutout are separate.
    """

    pixels: Images
    labels: Labels
    rows: Indices
    batch_size: int
    flip: bool = False
    translate_px: int = 0
    cutout_px: int = 0
    epoch_images: int = 0
    seed: int = 0
    augment: str = "auto"

    def __len__(self) -> int:
        return math.ceil(self.epoch_size / self.batch_size)

    def steps(self, n_images: int) -> int:
        """The number of batches in this number of images."""
        return max(1, math.ceil(n_images / self.batch_size))

    @property
    def epoch_size(self) -> int:
        """How many images an epoch shows."""
        return self.epoch_images or len(self.rows)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All images as they are, in the order of `rows`."""
        for rows in np.array_split(self.rows, max(1, math.ceil(len(self.rows) / self.batch_size))):
            yield self._batch(rows)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The images of an epoch (from 1) where all are `epoch_size` long."""
        return self.window((number - 1) * self.epoch_size, self.epoch_size)

    def window(self, begin: int, n_images: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The given number of images from position `begin` of an endless sequence, shuffled and augmented by seed.

        The sequence shows all images once in each pass, each pass in a different order. Flips alternate: an image that is
        mirrored in one pass is not mirrored in the next (K. Jordan, arXiv:2404.00498, section 3.6), so every two passes
        show each image both ways. Shifts are whole pixels, drawn again, edges mirrored. Cutout covers a square of each
        image (T. DeVries and G. Taylor, 2017, arXiv:1708.04552), whole here: none sticks out. The changes of `augment` come
        after flips and shifts, and before cutout.
        """
        drawn = [np.concatenate(parts) for parts in zip(*self._draws(begin, begin + n_images), strict=True)]
        for some in np.array_split(np.arange(n_images), self.steps(n_images)):
            images, labels = self._changed(*(part[some] for part in drawn))
            yield _tensor(images), torch.from_numpy(labels)

    def first_pass(self, places: Indices) -> Images:
        """The images at these places of `rows` as the first pass shows them: uint8 (m, H, W, 3)."""
        drawn = [np.concatenate(parts) for parts in zip(*self._draws(0, len(self.rows)), strict=True)]
        when = np.argsort(drawn[0])[places]
        return self._changed(*(part[when] for part in drawn))[0]

    @property
    def changes_images(self) -> bool:
        """Whether a pass shows other images than those in the array."""
        named = self._augmentation is not None and self._augmentation.changes_images
        return bool(self.flip or self.translate_px or self.cutout_px or named)

    def _changed(
        self,
        places: Indices,
        mirrored: NDArray[np.bool_],
        shifts: NDArray[np.int64],
        corners: NDArray[np.int64],
        draws: NDArray[np.float64],
    ) -> tuple[Images, Labels]:
        images, labels = self._arrays(self.rows[places])
        images = augment(images, mirrored, shifts, self.translate_px)
        if self._augmentation is not None:
            images = self._augmentation.apply(images, draws)
        if self.cutout_px:
            cutout(images, corners, self.cutout_px, self._mean_colour)
        return images, labels

    def _draws(self, begin: int, end: int) -> Iterator[tuple[NDArray[Any], ...]]:
        """For each pass that a window touches: places in `rows`, whether mirrored, shift, corner of cutout, numbers of
        `augment`."""
        n = len(self.rows)
        mirrored = np.random.default_rng([self.seed, 0xF11B]).random(n) < 0.5
        for turn in range(begin // n, -(-end // n)):
            rng = np.random.default_rng([self.seed, turn + 1])
            order = rng.permutation(n)[max(0, begin - turn * n) : end - turn * n]
            shifts = rng.integers(0, 2 * self.translate_px + 1, (n, 2))
            corners = np.zeros((n, 2), np.int64)
            if self.cutout_px:
                room = np.maximum(np.array(self.pixels.shape[1:3]) - self.cutout_px + 1, 1)
                corners = rng.integers(0, room, (n, 2))
            draws = np.zeros((n, 0))
            if self._augmentation is not None:
                draws = self._augmentation.draw(np.random.default_rng([self.seed, turn + 1, 0xA46]), n)
            yield order, (mirrored[order] ^ (turn % 2 == 1)) & self.flip, shifts[order], corners[order], draws[order]

    @cached_property
    def _augmentation(self) -> Augmentation | None:
        return AUGMENTATIONS.get(self.augment)

    @cached_property
    def _reader(self) -> MemmapReader:
        return MemmapReader(self.pixels)

    @cached_property
    def _mean_colour(self) -> NDArray[np.uint8]:
        most = max(1, min(2_000, _COLOUR_PIXELS // (self.pixels.shape[1] * self.pixels.shape[2])))
        return self.sample(most).float().mean(dim=(0, 2, 3)).round().to(torch.uint8).numpy()

    def sample(self, most: int) -> Tensor:
        """Up to `most` images, evenly spread, for a network that wants to see some before the first step."""
        return self._batch(self.rows[:: max(1, -(-len(self.rows) // most))])[0]

    def drawn(self, most: int, key: tuple[int, ...]) -> Tensor:
        """Up to `most` different images, drawn at random from `key`, as they are: uint8 (n, 3, H, W)."""
        rows = np.random.default_rng(key).permutation(self.rows)[:most]
        return self._batch(np.sort(rows))[0]

    def _batch(self, rows: Indices) -> tuple[Tensor, Tensor]:
        images, labels = self._arrays(rows)
        return _tensor(images), torch.from_numpy(labels)

    def _arrays(self, rows: Indices) -> tuple[Images, Labels]:
        return self._reader.read(rows), np.ascontiguousarray(self.labels[rows])


def augment(images: Images, mirrored: NDArray[np.bool_], shifts: NDArray[np.int64], reach: int) -> Images:
    """Mirror left-right and shift by whole pixels; new array, uint8 (b, H, W, 3).

    mirrored: bool (b,); shifts: (b, 2), 0..2*reach, where `reach` means no shift; what moves in is the mirrored edge.
    Every row of a shifted image is one piece of the padded image, so all rows are taken at once: 0.45 ms for 250
    images of 32x32, where image by image takes 0.9 (medians of 60, one thread).
    """
    if reach == 0 and not mirrored.any():
        return images
    n, height, width = images.shape[:3]
    turned, images = np.flatnonzero(mirrored), images.copy()
    images[turned] = _tensor(images[turned]).flip(3).permute(0, 2, 3, 1).numpy()
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), "reflect") if reach else images
    # A mirrored image is shifted the other way round.
    right = np.where(mirrored, 2 * reach - shifts[:, 1], shifts[:, 1])
    of_picture, of_row, of_pixel, _ = padded.strides
    windows = np.lib.stride_tricks.as_strided(
        padded, (n, height + 2 * reach, 2 * reach + 1, 3 * width), (of_picture, of_row, of_pixel, 1), writeable=False
    )
    taken: Images = windows[np.arange(n)[:, None], shifts[:, :1] + np.arange(height), right[:, None]]
    return taken.reshape(n, height, width, 3)


def cutout(images: Images, corners: NDArray[np.int64], side_px: int, colour: NDArray[np.uint8]) -> None:
    """Paint a square of one colour into each image, in place; corners: (b, 2), its upper left pixel."""
    for image, (top, left) in zip(images, corners.tolist(), strict=True):
        image[top : top + side_px, left : left + side_px] = colour


def _tensor(images: Images) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)
