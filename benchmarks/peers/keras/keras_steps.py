"""The first training steps of a network of the course in Keras, in an .npz file that `benchmarks.ours.keras_steps` repeats.

Dropout is off, because its random numbers differ from library to library. The file has the initial weights, the rows of
each batch, the loss of each step, and the predictions after the last step. Stand-alone: knows nothing of foveola.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras
import keras_course
import keras_faces
import numpy as np
import tensorflow as tf

BATCH = {"vgg6": 64, "alexnet_mini": 32}
PROBED = 256


def read(path: Path, network: str) -> tuple[Any, Any]:
    """The training images as the course feeds them, float32 (n, h, w, 3), and their labels (n,)."""
    with np.load(path) as file:
        pixels = file["x_train"].astype("float32")
        return (pixels / 255.0 if network == "vgg6" else pixels), file["y_train"]


def built(network: str, classes: int, lr: float) -> keras.Model:
    """The course's network, compiled, with this learning rate and without dropout."""
    model = keras_course.network(False) if network == "vgg6" else keras_faces.network(classes)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    model.optimizer.learning_rate = lr
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=BATCH, required=True)
    parser.add_argument("--arrays", type=Path, required=True, help="an .npz file of benchmarks.ours.split_arrays")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument(
        "--lr", type=float, default=1e-3, help="learning rate; 0 compares forward passes and batch norm"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    keras.utils.set_random_seed(args.seed)
    x, y = read(args.arrays, args.network)
    model = built(args.network, int(y.max()) + 1, args.lr)
    initial = {f"weight{k:02d}": weight for k, weight in enumerate(model.get_weights())}
    one_hot = keras.utils.to_categorical(y)
    rows = np.random.default_rng(args.seed).integers(len(x), size=(args.steps, BATCH[args.network]))
    losses = []
    for batch in rows:
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x[batch], one_hot[batch])[0]))
    probabilities = model.predict(x[:PROBED], verbose=0)
    np.savez(
        args.out, network=args.network, lr=args.lr, rows=rows, losses=losses, probabilities=probabilities, **initial
    )
    print(f"{args.steps} steps, loss {losses[0]:.4f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
