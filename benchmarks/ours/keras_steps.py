"""Repeat the training steps of benchmarks/peers/keras/keras_steps.py with foveola: same weights, same batches, no dropout.

Equal losses show that network, loss and optimizer are the same, whatever a run's random numbers do to its accuracy.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.ours.events import say, versions
from foveola.evaluation.forward_pass import predict
from foveola.models.course import Classic, alexnet_mini, vgg6
from foveola.models.layers import Dropout
from foveola.training.config import FitSpec
from foveola.training.loop import Stepper
from foveola.types import Size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrays", type=Path, required=True, help="the images that Keras was given")
    parser.add_argument("--steps", type=Path, required=True, help="the file that keras_steps.py wrote")
    args = parser.parse_args()
    with np.load(args.arrays) as images, np.load(args.steps) as theirs:
        pixels = torch.from_numpy(images["x_train"]).permute(0, 3, 1, 2)
        labels = torch.from_numpy(images["y_train"])
        keras = {name: theirs[name] for name in theirs.files}
    model = _network(str(keras["network"]), pixels, int(labels.max()) + 1)
    take_weights(model, [keras[name] for name in sorted(keras) if name.startswith("weight")])
    say("start", versions=versions("foveola", "torch"), parameters=sum(p.numel() for p in model.parameters()))

    stepper = Stepper(model, FitSpec(optimizer="adam"), torch.device("cpu"), torch.float32)
    stepper.train_mode()
    losses = []
    for number, rows in enumerate(keras["rows"]):
        rows = torch.from_numpy(rows)
        losses.append(stepper.take(pixels[rows], labels[rows], float(keras["lr"]), 1.0, (0, 1, number))[0])
        say("step", step=number + 1, keras=float(keras["losses"][number]), foveola=losses[-1])
    probed = len(keras["probabilities"])
    batch = (pixels[:probed], labels[:probed])
    logits = torch.from_numpy(predict(model, [batch], torch.device("cpu")))
    found = logits.softmax(dim=1).numpy()
    apart = np.abs(np.array(losses) / keras["losses"] - 1)
    say(
        "end", loss_apart_first=float(apart[0]), loss_apart_most=float(apart.max()),
        probability_apart_most=float(np.abs(found - keras["probabilities"]).max()),
        same_prediction=float((found.argmax(axis=1) == keras["probabilities"].argmax(axis=1)).mean()),
    )  # fmt: skip


def _network(name: str, pixels: torch.Tensor, classes: int) -> Classic:
    """The network as in the recipe of the course, without dropout."""
    size = Size(*pixels.shape[2:])
    if name == "vgg6":
        model = vgg6(size=size, classes=classes, pixels="unit")
    else:
        model = alexnet_mini(size=size, classes=classes, pixels="raw")
    for layer in model.modules():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    return model.to(memory_format=torch.channels_last)


def take_weights(model: Classic, weights: list[NDArray[Any]]) -> None:
    """Give the network the weights of Keras's, layer by layer: Keras has the inputs of a layer first, and flattens rows,
    columns, channels, where torch flattens channels, rows, columns."""
    left = iter(map(torch.from_numpy, weights))
    channels = 0
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(next(left).permute(3, 2, 0, 1))
                _required(layer.bias).copy_(next(left))
                channels = layer.out_channels
            elif isinstance(layer, nn.Linear):
                kernel = next(left)
                if channels:  # the first dense layer
                    kernel = kernel.unflatten(0, (-1, channels)).transpose(0, 1).flatten(0, 1)
                    channels = 0
                layer.weight.copy_(kernel.T)
                layer.bias.copy_(next(left))
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.weight.copy_(next(left))
                layer.bias.copy_(next(left))
                _required(layer.running_mean).copy_(next(left))
                _required(layer.running_var).copy_(next(left))


def _required(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None
    return tensor


if __name__ == "__main__":
    main()
