"""The course's classifier of two classes of photos in Keras, as the course writes it. Stand-alone: knows nothing of foveola.

Photos are decoded by TensorFlow, padded to 224x224 and fed undivided to a reduced AlexNet of 635,170 parameters; Adam,
batch 32, one-hot labels; a fifth of the photos, drawn by the seed, judges. Prints one JSON object an event on stdout.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def say(event: str, **facts: Any) -> None:
    """Print one event."""
    print(json.dumps({"event": event, **facts}), flush=True)


def load(folder: Path, limit: int | None) -> tuple[Any, Any, int, int]:
    """Images float32 (n, 224, 224, 3), class numbers (n,), how many classes, how many files TensorFlow refused."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    images, labels, refused = [], [], 0
    for number, name in enumerate(names):
        for path in sorted((folder / name).iterdir())[: limit and max(1, limit // len(names))]:
            try:
                image = tf.image.decode_jpeg(tf.io.read_file(str(path)), channels=3)
            except tf.errors.InvalidArgumentError:
                refused += 1
                continue
            images.append(tf.image.resize_with_pad(image, 224, 224).numpy())
            labels.append(number)
    return np.stack(images), np.array(labels), len(names), refused


def network(classes: int) -> keras.Model:
    """The course's reduced AlexNet."""
    model = keras.Sequential([keras.Input((224, 224, 3))])
    for width, kernel, stride, pooled in (
        (32, 11, 4, True),
        (64, 5, 1, True),
        (128, 3, 1, False),
        (64, 3, 1, False),
        (32, 3, 1, False),
    ):
        model.add(layers.Conv2D(width, kernel, strides=stride, padding="same", activation="relu"))
        if pooled:
            model.add(layers.MaxPooling2D(3, strides=2, padding="same"))
            model.add(layers.BatchNormalization())
    model.add(layers.Flatten())
    for _ in range(2):
        model.add(layers.Dense(64, activation="relu"))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(classes, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


class Clock(keras.callbacks.Callback):
    """Says after each epoch how long training has taken so far."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self.started = 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds += time.monotonic() - self.started
        say("epoch", epoch=epoch + 1, seconds=self.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with one sub-folder a class")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--limit", type=int, help="read so many files only")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    keras.utils.set_random_seed(args.seed)

    started = time.monotonic()
    x, y, classes, refused = load(args.data, args.limit)
    reading = time.monotonic() - started
    order = np.random.default_rng(args.seed).permutation(len(x))
    test, train = order[: len(x) // 5], order[len(x) // 5 :]
    y = keras.utils.to_categorical(y, classes)

    model = network(classes)
    versions = {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__}
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    say("start", versions=versions, threads=threads, parameters=model.count_params())
    clock = Clock()
    model.fit(x[train], y[train], batch_size=args.batch, epochs=args.epochs, verbose=0, callbacks=[clock])
    predicted = model.predict(x[test], verbose=0).argmax(axis=1)
    found = float((predicted == y[test].argmax(axis=1)).mean())
    counts = {"epochs": args.epochs, "n_train": len(train), "n_test": len(test), "files_refused": refused}
    say("end", seconds=clock.seconds, reading_seconds=reading, accuracy=found, **counts)


if __name__ == "__main__":
    main()
