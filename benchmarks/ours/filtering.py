"""Seconds for `blur(size=3)|sharpen` on n images of 32x32: the bare OpenCV calls in a loop, and foveola's two ways.

opencv: what one would write without foveola, each answer into an array made before. chain: `Chain` on the whole stack.
cache: `apply_filters` as `train --chain` does it, with all images written to the disk and checked. Each way first runs on
a few images. The sum of its results is printed: it is the same for all.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np

from benchmarks.ours.events import say, versions
from foveola.data.arrays import from_arrays
from foveola.data.prepare import apply_filters, prepare
from foveola.filters.chain import Chain
from foveola.types import Images, Size

CHAIN = Chain.parse("blur(size=3)|sharpen")
KERNEL = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)


def opencv(images: Images) -> Images:
    """The two calls, image by image."""
    out = np.empty_like(images)
    for k in range(len(images)):
        out[k] = cv2.filter2D(cv2.GaussianBlur(images[k], (3, 3), 0), -1, KERNEL)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=("opencv", "chain", "cache"), required=True)
    parser.add_argument("--n", type=int, default=60_000)
    args = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (args.n, 32, 32, 3), np.uint8)
    say("start", versions=versions("foveola", "numpy", "opencv-python-headless"))
    if args.way == "cache":
        prepared = prepare(from_arrays(images, np.arange(args.n) % 10, name="noise"), Size(32, 32))
        started = time.perf_counter()
        out = apply_filters(prepared, CHAIN).pixels
    else:
        way = opencv if args.way == "opencv" else CHAIN
        way(images[:100])
        started = time.perf_counter()
        out = way(images)
    seconds = time.perf_counter() - started
    say("end", seconds=seconds, pictures_per_second=args.n / seconds, sum_of_answers=int(out.sum(dtype=np.int64)))


if __name__ == "__main__":
    main()
