"""Images per second at batch 256, and milliseconds for one image, of a foveola network on prepared images.

The weights are drawn and not trained: how long a network takes does not depend on what it has learned.
"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.ours.events import say, versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--size", default="32x32")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each of the two is repeated")
    args = parser.parse_args()

    import numpy as np
    import torch

    from foveola.models.build import build
    from foveola.runs.predictor import Predictor
    from foveola.types import Size

    size = Size.parse(args.size)
    model = build(args.model, size, args.classes).eval().to(memory_format=torch.channels_last)
    names = tuple(map(str, range(args.classes)))
    network = Predictor(model, names, size, "pad")
    pixels = np.random.default_rng(0).integers(0, 256, (args.batch, *size, 3), np.uint8)
    say("start", versions=versions("foveola", "torch"), threads=torch.get_num_threads())

    def times(count: int) -> list[float]:
        """Seconds of each call on `count` images; the first calls choose kernels and are not counted."""
        for _ in range(3):
            network.logits(pixels[:count], args.batch)
        out: list[float] = []
        while sum(out) < args.seconds or len(out) < 5:
            started = time.perf_counter()
            network.logits(pixels[:count], args.batch)
            out.append(time.perf_counter() - started)
        return out

    many, one = times(args.batch), times(1)
    say(
        "end",
        pictures_per_second_at_batch=args.batch / statistics.median(many),
        milliseconds_for_one=1000 * statistics.median(one),
        calls=len(many) + len(one),
    )


if __name__ == "__main__":
    main()
