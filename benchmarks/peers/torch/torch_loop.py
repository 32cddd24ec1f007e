"""The course's CIFAR-10 network in a plain torch loop, as a tutorial would write it. Stand-alone: knows nothing of foveola.

An nn.Module on float32 images (n, 3, 32, 32), a DataLoader over a TensorDataset, Adam, batch 64. 552,362 parameters
counted as Keras counts, 551,466 that learn. Prints one JSON object an event on stdout.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def say(event: str, **facts: Any) -> None:
    """Print one event."""
    print(json.dumps({"event": event, **facts}), flush=True)


class Net(nn.Module):
    """Three pairs of 3x3 convolutions with batch norm, one dense layer."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, drop in ((32, 0.3), (64, 0.5), (128, 0.5)):
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(width)]
                channels = width
            layers += [nn.MaxPool2d(2), nn.Dropout(drop)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(2048, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def tensors(images: Any, labels: Any) -> TensorDataset:
    """Images float32 (n, 3, 32, 32) in 0..1 and class numbers."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).contiguous()
    return TensorDataset(x, torch.from_numpy(labels))


def accuracy(model: nn.Module, test: TensorDataset) -> float:
    """Share of correct predictions."""
    model.eval()
    right = 0
    with torch.no_grad():
        for images, labels in DataLoader(test, batch_size=500):
            right += int((model(images).argmax(dim=1) == labels).sum())
    model.train()
    return right / len(test)


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
        train = tensors(file["x_train"][: args.limit], file["y_train"][: args.limit])
        test = tensors(file["x_test"], file["y_test"])

    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(train, batch_size=args.batch, shuffle=True)
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    learning = sum(p.numel() for p in model.parameters())
    say("start", versions=versions, threads=torch.get_num_threads(), parameters=learning)

    seconds = 0.0
    for epoch in range(1, args.epochs + 1):
        started = time.monotonic()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        seconds += time.monotonic() - started
        measured = {"accuracy": accuracy(model, test)} if args.evaluate == "each" else {}
        say("epoch", epoch=epoch, seconds=seconds, **measured)
    counts = {"epochs": args.epochs, "n_train": len(train), "n_test": len(test)}
    say("end", seconds=seconds, accuracy=accuracy(model, test), **counts)


if __name__ == "__main__":
    main()
