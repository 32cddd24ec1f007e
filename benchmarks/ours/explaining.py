"""Seconds for all explanations of one image, figures drawn too: feature maps of each stage, kernels, one pixel, heat maps.

The weights are drawn and not trained, the image is noise: how long it takes depends on neither. Importing is not counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.ours.events import say, versions
from foveola.explanations import EXPLANATIONS, HEATMAPS
from foveola.explanations.convolutions import kernels, one_pixel
from foveola.explanations.heatmaps import Heatmap
from foveola.explanations.stages import convolutions_of, feature_maps
from foveola.figures import explanations as plots
from foveola.models.build import build
from foveola.types import Size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="alexnet_mini")
    parser.add_argument("--size", default="224x224")
    args = parser.parse_args()
    size = Size.parse(args.size)
    model, names = build(args.model, size, 2, seed=0).eval(), ["a", "b"]
    import captum.attr  # noqa: F401 - imported by the first heat map, and importing is not counted

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    say("start", versions=versions("foveola", "torch", "captum", "matplotlib"), threads=torch.get_num_threads())

    def heat(method: str) -> Heatmap:
        found: Heatmap = EXPLANATIONS[method](model, image, 1)
        return found

    first = convolutions_of(model)[0]
    draw: dict[str, Callable[[], list[plots.Plot]]] = {
        "feature_maps": lambda: [plots.feature_maps(one) for one in feature_maps(model, image)],
        "kernels": lambda: [plots.kernels(kernels(model))],
        "one_pixel": lambda: [plots.one_pixel(one_pixel(model, image, first, 0, 3, 3), image)],
        **{name: lambda name=name: [plots.heatmaps(image, [heat(name)], names)] for name in HEATMAPS},  # type: ignore[misc]
    }
    seconds: dict[str, float] = {}
    for name, figures in draw.items():
        started = time.perf_counter()
        for figure in figures():
            figure.as_bytes("png")
        seconds[f"{name}_seconds"] = time.perf_counter() - started
    say("end", seconds=sum(seconds.values()), methods=len(draw), **seconds)


if __name__ == "__main__":
    main()
