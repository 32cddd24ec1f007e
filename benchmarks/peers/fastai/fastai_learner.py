"""The course's CIFAR-10 network trained by fastai's Learner. Stand-alone: knows nothing of foveola.

`fastai.learner` and not `fastai.vision.all`: vision imports torchvision, which does not import beside every torch build,
and the images are tensors already. Learner's own defaults otherwise, constant learning rate 1e-3 as the others have it.
Prints one JSON object an event on stdout.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from typing import Any

import fastai
import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from torch import nn


def say(event: str, **facts: Any) -> None:
    """Print one event."""
    print(json.dumps({"event": event, **facts}), flush=True)


def network() -> nn.Module:
    """Three pairs of 3x3 convolutions with batch norm, one dense layer."""
    layers: list[nn.Module] = []
    channels = 3
    for width, drop in ((32, 0.3), (64, 0.5), (128, 0.5)):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(width)]
            channels = width
        layers += [nn.MaxPool2d(2), nn.Dropout(drop)]
    layers += [nn.Flatten(), nn.Linear(2048, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)]
    return nn.Sequential(*layers)


class Pairs:
    """A data set of (float32 (3, 32, 32) in 0..1, class number)."""

    def __init__(self, images: Any, labels: Any) -> None:
        self.x = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).contiguous()
        self.y = torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[i], self.y[i]


def accuracy(model: nn.Module, test: Pairs) -> float:
    """Share of correct predictions."""
    training = model.training
    model.eval()
    with torch.no_grad():
        found = [model(test.x[k : k + 500]).argmax(dim=1) for k in range(0, len(test), 500)]
    model.train(training)
    return float((torch.cat(found) == test.y).double().mean())


class Clock(Callback):
    """Counts the training half of each epoch only."""

    def __init__(self, test: Pairs, each: bool) -> None:
        super().__init__()
        self.test, self.each, self.seconds, self.started = test, each, 0.0, 0.0

    def before_train(self) -> None:
        self.started = time.monotonic()

    def after_train(self) -> None:
        self.seconds += time.monotonic() - self.started
        measured = {"accuracy": accuracy(self.learn.model, self.test)} if self.each else {}
        say("epoch", epoch=self.learn.epoch + 1, seconds=self.seconds, **measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="an .npz file with x_train, y_train, x_test, y_test")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--limit", type=int, help="train on only this number of images")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--evaluate", choices=["end", "each"], default="end")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    with np.load(args.data) as file:
        train = Pairs(file["x_train"][: args.limit], file["y_train"][: args.limit])
        test = Pairs(file["x_test"], file["y_test"])
    # Learner measures on a second loader after each epoch: one black image, since the clock and the test are ours.
    black = Pairs(np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1, np.int64))
    loaders = DataLoaders(
        DataLoader(train, bs=args.batch, shuffle=True, drop_last=True, num_workers=0), DataLoader(black, bs=1)
    )
    model = network()
    clock = Clock(test, args.evaluate == "each")
    learner = Learner(loaders, model, loss_func=nn.CrossEntropyLoss(), cbs=[clock])
    versions = {"python": platform.python_version(), "torch": torch.__version__, "fastai": fastai.__version__}
    learning = sum(p.numel() for p in model.parameters())
    say("start", versions=versions, threads=torch.get_num_threads(), parameters=learning)
    with learner.no_logging():
        learner.fit(args.epochs, lr=1e-3)
    counts = {"epochs": args.epochs, "n_train": len(train), "n_test": len(test)}
    say("end", seconds=clock.seconds, accuracy=accuracy(model, test), **counts)


if __name__ == "__main__":
    main()
