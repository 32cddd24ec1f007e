"""The images of a run of foveola as an .npz file, so that others can train on the same images: train, val and test.

The images have the recipe's size, and the split is that of the seed. foveola reads the file, too, and keeps its parts:
`foveola train FILE --recipe RECIPE`. Within a part the images are shuffled.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveola.runs.trainer import Trainer
from foveola.types import no_tick
from foveola.workflows.prepare_run import RunTimer, read_request


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a folder, or what else foveola train takes")
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--out", type=Path, required=True, help="the .npz file")
    args = parser.parse_args()
    clock = RunTimer(time.monotonic())
    request = read_request(
        args.data, settings={}, seed=args.seed, recipe=args.recipe, out=args.out.with_suffix(""), runs="runs",
        tick=no_tick, clock=clock,
    )  # fmt: skip
    arrays = split_arrays(request.plan(no_tick, clock))
    np.savez(args.out, **arrays)
    print(", ".join(f"{len(arrays[f'y_{part}']):,} images in {part}" for part in ("train", "val", "test")))


def split_arrays(session: Trainer) -> dict[str, NDArray[np.generic]]:
    """x_train, x_val, x_test uint8 (n, H, W, 3), y_train, y_val, y_test int64 (n,), and class_names."""
    dataset, split = session.prepared.dataset, session.split
    arrays: dict[str, NDArray[np.generic]] = {"class_names": np.array(dataset.class_names)}
    for part, rows in (("train", split.train), ("val", split.val), ("test", split.test)):
        shuffled = np.random.default_rng(0).permutation(rows)
        arrays[f"x_{part}"] = np.asarray(session.prepared.pixels[shuffled])
        arrays[f"y_{part}"] = dataset.labels[shuffled]
    return arrays


if __name__ == "__main__":
    main()
