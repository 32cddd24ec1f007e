"""Photos read as TensorFlow's users read them: decode_jpeg and resize_with_pad in a loop. Stand-alone.

Prints one JSON object an event on stdout; the time counts from the first file to the last.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import tensorflow as tf


def say(event: str, **facts: Any) -> None:
    """Print one event."""
    print(json.dumps({"event": event, **facts}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with images, at any depth")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--limit", type=int, help="read so many files only")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    say("start", versions={"python": platform.python_version(), "tensorflow": tf.__version__}, threads=threads)

    started, read, refused = time.monotonic(), 0, 0
    for path in sorted(entry for entry in args.data.rglob("*") if entry.is_file())[: args.limit]:
        try:
            image = tf.image.decode_jpeg(tf.io.read_file(str(path)), channels=3)
        except tf.errors.InvalidArgumentError:
            refused += 1
            continue
        tf.image.resize_with_pad(image, args.size, args.size).numpy()
        read += 1
    seconds = time.monotonic() - started
    say("end", seconds=seconds, pictures=read, files_refused=refused)


if __name__ == "__main__":
    main()
