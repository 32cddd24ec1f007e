"""Time and memory of training one epoch on n synthetic images, from the arrays to the finished run: `foveola.train`.

The network is the narrowest `fast`: the less the convolutions take, the more would be seen of anything around them that
grows faster than n. Labels are random, nothing can be learned, and nothing is claimed about accuracy.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.ours.events import say, versions

NARROW = {"model.width1": 8, "model.width2": 8, "model.width3": 8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the run folder")
    args = parser.parse_args()

    import numpy as np
    import torch

    import foveola as fv

    rng = np.random.default_rng(args.seed)
    # Generator.integers would make eight bytes per pixel on the way for some types; bytes are what is wanted.
    pixels = np.frombuffer(rng.bytes(args.n * args.side**2 * 3), np.uint8).reshape(args.n, args.side, args.side, 3)
    labels = rng.permutation(np.arange(args.n, dtype=np.int64) % 10)
    say("start", versions=versions("foveola", "torch"), threads=torch.get_num_threads())
    started = time.monotonic()
    dataset = fv.from_arrays(pixels, labels)
    del pixels
    run = fv.train(dataset, model="fast", epochs=1, seed=args.seed, settings=NARROW, out=args.out)
    whole = time.monotonic() - started
    rows = [json.loads(line) for line in (args.out / "history.jsonl").read_text("utf-8").splitlines()]
    training = sum(row["seconds"] for row in rows)
    before = whole - run.result["seconds"] + run.result["seconds_before_first_step"]
    say(
        "end",
        n=args.n,
        whole_seconds=whole,
        seconds=training,
        before_seconds=before,
        after_seconds=whole - before - training,
        epochs=1,
        n_train=run.result["n_train"],
    )


if __name__ == "__main__":
    main()
