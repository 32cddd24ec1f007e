"""Train a recipe as `foveola train` does, and measure val and test after each epoch, next to a peer that does the same.

Test is measured for this comparison only: the run keeps the weights that are best on val, as always.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from benchmarks.ours.events import say, versions
from foveola.compute.threads import adapting
from foveola.config import parse_setting
from foveola.evaluation.forward_pass import predict
from foveola.runs.progress import Progress
from foveola.runs.trainer import Trainer
from foveola.training.history import EpochLog, Row
from foveola.types import no_tick
from foveola.workflows.prepare_run import RunTimer, read_request
from foveola.workflows.training import train_and_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="an .npz file, or what else foveola train takes")
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="OPTION=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the run folder")
    args = parser.parse_args()
    clock = RunTimer(time.monotonic())
    settings = dict(map(parse_setting, args.changes))
    request = read_request(
        args.data, settings=settings, seed=args.seed, recipe=args.recipe, out=args.out, runs="runs", tick=no_tick,
        clock=clock,
    )  # fmt: skip
    session = request.plan(no_tick, clock)
    say("start", versions=versions("foveola", "torch"), threads=torch.get_num_threads())
    progress = _Epochs(session)
    with adapting():
        result = train_and_report(session, clock, progress).result
    numbers = {name: result[name] for name in ("epochs", "n_train", "n_test", "best_epoch")}
    say("end", accuracy=result["test_accuracy"], last_accuracy=progress.last, seconds=progress.seconds, **numbers)


class _Epochs(Progress):
    """Says the accuracies of an epoch; the seconds are those of the training steps alone."""

    def __init__(self, session: Trainer) -> None:
        self.session, self.seconds, self.last = session, 0.0, 0.0

    def row(self, row: Row) -> None:
        if isinstance(row, EpochLog):
            self.seconds += row.seconds - row.val_seconds
            self.last = _test_accuracy(self.session)
            found = {"train_accuracy": row.train_accuracy, "val_accuracy": row.val_accuracy, "accuracy": self.last}
            say("epoch", epoch=row.epoch, seconds=self.seconds, **found)


def _test_accuracy(session: Trainer) -> float:
    """Accuracy on test of the weights as they are now."""
    test = session.batches(session.split.test)
    logits = predict(session.model, test.in_order(), session.device, views=session.views)
    return float((logits.argmax(axis=1) == test.labels[test.rows]).mean())


if __name__ == "__main__":
    main()
