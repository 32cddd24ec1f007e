"""Train on images in a sparse memory map larger than the memory that is allowed; watch the memory by /proc.

The map is made with holes (zeros that take no room on the disk). So many rows, spread evenly over all of it, are trained on
for one epoch; a quarter of each is noise, since images that are all alike have no variance to be normalised by.
--source memory takes as many images from the memory instead: the rate to compare with.

The limit is watched and not enforced: what counts is the largest resident memory that /proc/self/status showed, looked at
50 times a second; pages of the map that the system holds for us are in it.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.ours.events import say, versions

NOISE_SHARE = 4
"""One in this many bytes of an image in the map is noise, the rest is a hole."""


class Watch(threading.Thread):
    """Looks at this process's resident memory: the largest whole, and the largest part that is no page of a file."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.whole_mb = self.own_mb = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.look()

    def look(self) -> None:
        """Read /proc once, where there is one; its numbers are in KiB."""
        status = Path("/proc/self/status")
        fields = dict(line.split(":", 1) for line in status.read_text("utf-8").splitlines()) if status.is_file() else {}
        kib = {name: int(fields.get(name, "0 kB").split()[0]) for name in ("VmRSS", "RssAnon")}
        self.whole_mb = max(self.whole_mb, kib["VmRSS"] * 1024 / 1e6)
        self.own_mb = max(self.own_mb, kib["RssAnon"] * 1024 / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", choices=["map", "memory"], default="map")
    parser.add_argument("--gigabytes", type=float, default=20.0, help="size of the map, 10^9 bytes")
    parser.add_argument("--limit-megabytes", type=float, default=2_000.0)
    parser.add_argument("--rows", type=int, default=65_536, help="images trained on")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the map, which is removed at the end")
    args = parser.parse_args()
    watch = Watch()
    watch.start()
    args.work.mkdir(parents=True, exist_ok=True)
    place = args.work / "sparse.npy"
    try:
        _train(args, watch, place)
    finally:
        place.unlink(missing_ok=True)


def _train(args: Any, watch: Watch, place: Path) -> None:
    import numpy as np
    import torch

    from foveola.compute.device import choose_precision
    from foveola.data.loader import Batches
    from foveola.models.build import adapt, build
    from foveola.recipes.defaults import resolve_defaults
    from foveola.training.loop import fit
    from foveola.types import Size

    rng = np.random.default_rng(args.seed)
    row_bytes = args.side**2 * 3
    many = int(args.gigabytes * 1e9 / row_bytes) if args.source == "map" else args.rows
    shape = (many, args.side, args.side, 3)
    rows = np.linspace(0, many - 1, args.rows).astype(np.int64)
    if args.source == "map":
        np.lib.format.open_memmap(place, "w+", np.uint8, shape)
        start = place.stat().st_size - many * row_bytes
        # Written through the file: what goes through a map counts as this process's memory.
        with place.open("r+b") as file:
            for row in rows:
                file.seek(start + int(row) * row_bytes)
                file.write(rng.bytes(row_bytes // NOISE_SHARE))
            file.flush()
            os.fsync(file.fileno())  # or the system writes it while the training is timed
        pixels = np.load(place, mmap_mode="r")
    else:
        pixels = np.zeros(shape, np.uint8)
        for row in pixels.reshape(many, row_bytes):  # the same bytes as in the map
            row[: row_bytes // NOISE_SHARE] = np.frombuffer(rng.bytes(row_bytes // NOISE_SHARE), np.uint8)
    labels = np.arange(many, dtype=np.int64) % 10
    size = Size(args.side, args.side)
    spec = resolve_defaults(
        {"model": {"name": "fast"}, "fit": {"epochs": 1}}, size, args.rows, "larger than memory"
    ).recipe.fit
    model = build("fast", size, 10, {"width1": 8, "width2": 8, "width3": 8}, seed=args.seed)
    train = Batches(pixels, labels, rows, spec.batch_size, flip=True, translate_px=2, seed=args.seed)
    val = Batches(pixels, labels, rows[:512], spec.batch_size)
    adapt(model, train.sample(512))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    say("start", versions=versions("foveola", "torch"), threads=torch.get_num_threads())

    device = torch.device("cpu")
    started = time.monotonic()
    for _ in fit(model, train, val, spec, device=device, dtype=choose_precision("auto", device), seed=args.seed):
        pass
    seconds = time.monotonic() - started
    watch.over.set()
    watch.look()
    within = int(watch.whole_mb <= args.limit_megabytes)
    say(
        "end",
        seconds=seconds,
        epochs=1,
        n_train=args.rows,
        data_gigabytes=many * row_bytes / 1e9,
        touched_gigabytes=len(np.unique(rows)) * row_bytes / 1e9,
        peak_memory_mb=watch.whole_mb,
        own_memory_mb=watch.own_mb,
        within_limit=within,
    )


if __name__ == "__main__":
    main()
