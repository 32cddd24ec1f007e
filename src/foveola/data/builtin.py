"""Built-in data sets: scikit-learn's digits, and CIFAR-10, which is downloaded once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from foveola.data.arrays import from_arrays
from foveola.data.cifar10 import open_cifar10
from foveola.data.dataset import Dataset
from foveola.imaging import decode as images
from foveola.registry import Registry
from foveola.storage import disk_errors_as_resource_error, new_folder
from foveola.types import Tick, no_tick

Opener: TypeAlias = Callable[[Tick], Dataset]
"""Opens a data set by its name alone; the tick is called while it is fetched or read."""


def open_digits() -> Dataset:
    """The 1,797 hand-written digits of scikit-learn, 8x8 pixels, white on black, in classes "0" to "9".

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test set). Values v of 0..16
    become round(v * 255 / 16), so 0 -> 0, 8 -> 128, 16 -> 255; grey is repeated to three channels.

    >>> digits = open_digits()
    >>> len(digits), digits.labels[:4].tolist(), digits.read(0).shape
    (1797, [0, 1, 2, 3], (8, 8, 3))
    """
    from sklearn.datasets import load_digits  # 1.5 s to import

    bunch = load_digits()
    pixels = np.rint(bunch.images * 255 / 16).astype(np.uint8)
    return replace(from_arrays(pixels, bunch.target, name="digits"), mirror_safe=False)


def write_digits(folder: Path) -> Path:
    """Write the digits as an ordinary image folder, `folder`/0/0000.png and so on, and return it.

    The files are the same bytes each time (with the same Pillow), numbered within their class in scikit-learn's order.
    Raises UsageError when the folder holds something already, ResourceError when the disk refuses.
    """
    digits = open_digits()
    new_folder(folder)
    for k, name in enumerate(digits.class_names):
        place = folder / name
        with disk_errors_as_resource_error(place, 0):
            place.mkdir()
        for number, i in enumerate(np.flatnonzero(digits.labels == k)):
            data = images.encode(digits.read(int(i)))
            file = place / f"{number:04d}.png"
            with disk_errors_as_resource_error(file, len(data)):
                file.write_bytes(data)
    return folder


def write_photo_pieces(folder: Path, each: int = 200, seed: int = 0) -> Path:
    """Cut `each` pieces of many sizes (60 to 320 px) out of each of scikit-learn's two photos; write them as an image folder.

    The classes are "flower" and "temple": folder/flower/0000.jpg and so on. They replace your own photos, of different
    sizes and shapes, where there are none. Pieces overlap, and of one in test nearly all has been seen in train (split
    once by lot: 99.9 % of its pixels): what is measured on them says nothing about photos. The photos, under CC BY 2.0:
    https://www.flickr.com/photos/danielbuechele/6061409035 and https://www.flickr.com/photos/vultilion/6056698931

    Raises UsageError when the folder holds something already, ResourceError when the disk refuses.
    """
    from sklearn.datasets import load_sample_image

    rng = np.random.default_rng(seed)
    new_folder(folder)
    for name, photo in (("flower", "flower.jpg"), ("temple", "china.jpg")):
        whole = load_sample_image(photo)
        place = folder / name
        with disk_errors_as_resource_error(place, 0):
            place.mkdir()
        for number in range(each):
            height, width = rng.integers(60, 321, 2)
            top, left = rng.integers(0, whole.shape[0] - height), rng.integers(0, whole.shape[1] - width)
            piece = np.ascontiguousarray(whole[top : top + height, left : left + width])
            data = images.encode(piece, "JPEG")
            file = place / f"{number:04d}.jpg"
            with disk_errors_as_resource_error(file, len(data)):
                file.write_bytes(data)
    return folder


def _cifar10(tick: Tick = no_tick) -> Dataset:
    """60,000 colour images of 32x32 in 10 classes; 170 MB, downloaded once."""
    return open_cifar10(None, tick=tick)


def _digits(tick: Tick = no_tick) -> Dataset:
    """1,797 hand-written digits of 8x8 in 10 classes; they come with scikit-learn."""
    return open_digits()


DATASETS: Registry[Opener] = Registry("data set", {"cifar10": _cifar10, "digits": _digits})
"""The data sets that a recipe may name instead of a path."""
