"""Seconds that foveola takes from a folder of images to one array at one size: listing, digests, decoding, resizing.

--fill prepares the folder once before, in another process, so that what is measured is a second start. What is measured is
the work and not the import of Python's packages, as with the peer's program.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.ours.events import say, versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with one sub-folder a class")
    parser.add_argument("--size", default="224x224")
    parser.add_argument("--fill", action="store_true", help="prepare it once before, in another process")
    args = parser.parse_args()
    if args.fill:
        again = [sys.executable, "-m", "benchmarks.ours.reading", "--data", str(args.data), "--size", args.size]
        subprocess.run(again, check=True, stdout=subprocess.DEVNULL)

    from foveola.data.folder import open_folder
    from foveola.data.prepare import prepare
    from foveola.types import Size

    say("start", versions=versions("foveola", "numpy", "pillow"))
    started = time.monotonic()
    dataset = open_folder(args.data)
    listed = time.monotonic()
    prepared = prepare(dataset, Size.parse(args.size))
    done = time.monotonic()
    say(
        "end",
        seconds=done - started,
        listing_seconds=listed - started,
        pictures=len(prepared.dataset),
        files_refused=len(prepared.dataset.problems),
    )


if __name__ == "__main__":
    main()
