"""The course's CIFAR-10 network in Keras on TensorFlow, as the course writes it. Stand-alone: knows nothing of foveola.

Three pairs of 3x3 convolutions, batch norm behind each, one dense layer: 552,362 parameters (552,874 with
--head-batchnorm). Adam, batch 64, pixels divided by 255, one-hot labels. Prints one JSON object an event on stdout.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def say(event: str, **facts: Any) -> None:
    """Print one event."""
    print(json.dumps({"event": event, **facts}), flush=True)


def network(head_batchnorm: bool) -> keras.Model:
    """The course's network; its softmax stays float32 under mixed precision, as Keras's guide says."""
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for width, drop in ((32, 0.3), (64, 0.5), (128, 0.5)):
        for _ in range(2):
            model.add(layers.Conv2D(width, (3, 3), padding="same", activation="relu"))
            model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D((2, 2)))
        model.add(layers.Dropout(drop))
    model.add(layers.Flatten())
    model.add(layers.Dense(128, activation="relu"))
    if head_batchnorm:
        model.add(layers.BatchNormalization())
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10, activation="softmax", dtype="float32"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


class Clock(keras.callbacks.Callback):
    """Counts training time only: the clock stands still while images are measured. parts: those measured each epoch."""

    def __init__(self, parts: dict[str, tuple[Any, Any]]) -> None:
        super().__init__()
        self.parts, self.seconds, self.started = parts, 0.0, 0.0
        self.train_accuracy = 0.0  # mean over the last epoch's batches, as they were learned from

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds += time.monotonic() - self.started
        self.train_accuracy = float((logs or {})["accuracy"])
        measured = {name: accuracy(self.model, *images) for name, images in self.parts.items()}
        say("epoch", epoch=epoch + 1, seconds=self.seconds, train_accuracy=self.train_accuracy, **measured)


def accuracy(model: keras.Model, x: Any, y: Any) -> float:
    """Share of correct predictions. Not model.evaluate: called within fit, it would mix its numbers with fit's."""
    found = [model.predict_on_batch(x[k : k + 500]).argmax(axis=1) for k in range(0, len(x), 500)]
    return float((np.concatenate(found) == y.argmax(axis=1)).mean())


def pair(images: Any, labels: Any) -> tuple[Any, Any]:
    """Pixels from 0 to 1, and labels as one column for each class."""
    return images.astype("float32") / 255.0, keras.utils.to_categorical(labels, 10)


def settle(model: keras.Model, x: Any, batches: int, size: int, seed: int) -> None:
    """Let training batches go through the network in training mode, weights fixed, so that its statistics are theirs."""
    through = tf.function(lambda batch: model(batch, training=True))
    order = np.random.default_rng(seed).permutation(len(x))
    for k in range(batches):
        through(x[np.take(order, range(k * size, (k + 1) * size), mode="wrap")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", required=True, help="an .npz file with x_train, y_train, x_test, y_test, and x_val, y_val if any"
    )
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--limit", type=int, help="train on only this number of images")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--evaluate", choices=["end", "each"], default="end")
    parser.add_argument("--mixed", action="store_true", help="mixed_bfloat16")
    parser.add_argument("--head-batchnorm", action="store_true")
    parser.add_argument(
        "--settle", type=int, default=0, help="measure test once more after so many batches, weights fixed"
    )
    args = parser.parse_args()
    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    keras.utils.set_random_seed(args.seed)
    if args.mixed:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")

    with np.load(args.data) as file:
        x_train, y_train = pair(file["x_train"][: args.limit], file["y_train"][: args.limit])
        x_test, y_test = pair(file["x_test"], file["y_test"])
        parts = {"accuracy": (x_test, y_test)} if args.evaluate == "each" else {}
        if parts and "x_val" in file:
            parts["val_accuracy"] = pair(file["x_val"], file["y_val"])

    model = network(args.head_batchnorm)
    versions = {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__}
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    say("start", versions=versions, threads=threads, parameters=model.count_params())
    clock = Clock(parts)
    model.fit(x_train, y_train, batch_size=args.batch, epochs=args.epochs, verbose=0, callbacks=[clock])
    found = accuracy(model, x_test, y_test)
    numbers = {"accuracy": found, "last_accuracy": found, "train_accuracy": clock.train_accuracy}
    if args.settle:
        settle(model, x_train, args.settle, args.batch, args.seed)
        numbers["settled_accuracy"] = accuracy(model, x_test, y_test)
    say("end", seconds=clock.seconds, epochs=args.epochs, n_train=len(x_train), n_test=len(x_test), **numbers)


if __name__ == "__main__":
    main()
