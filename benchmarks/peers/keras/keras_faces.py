"""The course's classifier of two classes of photos in Keras, as the course writes it. Stand-alone: knows nothing of foveola.

Photos are decoded by TensorFlow, padded to 224x224 and fed undivided to a reduced AlexNet of 635,170 parameters; Adam,
batch 32, one-hot labels; a fifth of the photos, drawn by the seed, judges. --arrays takes the images, and which of them
are for training, from an .npz file. Prints one JSON object an event on stdout.
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


def load(folder: Path, limit: int | None) -> tuple[Any, Any, int]:
    """Images float32 (n, 224, 224, 3), class numbers (n,), how many files TensorFlow refused."""
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
    return np.stack(images), np.array(labels), refused


def drawn(x: Any, y: Any, seed: int) -> dict[str, tuple[Any, Any]]:
    """A fifth of the images, drawn by the seed, for testing; the others for training."""
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = order[: len(x) // 5], order[len(x) // 5 :]
    return {"train": (x[train], y[train]), "test": (x[test], y[test])}


def read_arrays(path: Path) -> dict[str, tuple[Any, Any]]:
    """The parts of an .npz file: x_train, y_train, x_test, y_test, and x_val, y_val if any."""
    with np.load(path) as file:
        parts = [part for part in ("train", "val", "test") if f"x_{part}" in file]
        return {part: (file[f"x_{part}"].astype("float32"), file[f"y_{part}"]) for part in parts}


def accuracy(model: keras.Model, x: Any, y: Any) -> float:
    """Share of correct predictions. Not model.evaluate: called within fit, it would mix its numbers with fit's."""
    found = [model.predict_on_batch(x[k : k + 100]).argmax(axis=1) for k in range(0, len(x), 100)]
    return float((np.concatenate(found) == y).mean())


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
    """Says after each epoch how long training has taken so far. parts: those measured after each epoch."""

    def __init__(self, parts: dict[str, tuple[Any, Any]]) -> None:
        super().__init__()
        self.parts, self.seconds, self.started = parts, 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds += time.monotonic() - self.started
        measured = {name: accuracy(self.model, *images) for name, images in self.parts.items()}
        say("epoch", epoch=epoch + 1, seconds=self.seconds, train_accuracy=float((logs or {})["accuracy"]), **measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--data", type=Path, help="a folder with one sub-folder a class")
    images.add_argument("--arrays", type=Path, help="an .npz file, for example of benchmarks.ours.split_arrays")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--limit", type=int, help="read so many files only")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--evaluate", choices=["end", "each"], default="end")
    args = parser.parse_args()
    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    keras.utils.set_random_seed(args.seed)

    started, refused = time.monotonic(), 0
    if args.arrays:
        parts = read_arrays(args.arrays)
    else:
        x, y, refused = load(args.data, args.limit)
        parts = drawn(x, y, args.seed)
    reading = time.monotonic() - started
    x_train, y_train = parts["train"]
    classes = int(y_train.max()) + 1

    model = network(classes)
    versions = {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__}
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    say("start", versions=versions, threads=threads, parameters=model.count_params())
    names = {"test": "accuracy", "val": "val_accuracy"}
    measured = {names[part]: parts[part] for part in parts if part in names}
    clock = Clock(measured if args.evaluate == "each" else {})
    one_hot = keras.utils.to_categorical(y_train, classes)
    model.fit(x_train, one_hot, batch_size=args.batch, epochs=args.epochs, verbose=0, callbacks=[clock])
    found = {name: accuracy(model, *images) for name, images in measured.items()}
    counts = {"epochs": args.epochs, "n_train": len(x_train), "n_test": len(parts["test"][0]), "files_refused": refused}
    say("end", seconds=clock.seconds, reading_seconds=reading, **found, **counts)


if __name__ == "__main__":
    main()
