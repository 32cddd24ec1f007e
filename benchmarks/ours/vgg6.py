"""The course's CIFAR-10 network as `foveola train` trains it, and what its last weights reach once their statistics settled.

After few epochs much of the accuracy on test hangs on batch norm's running statistics, which trail behind weights that
move fast: accuracies twenty steps apart differ by several points. So the network of the last step is measured twice: as
it is, and after SETTLING batches went through it in training mode with its weights fixed, so that 0.99 to their power,
0.7 %, is left of what the statistics were. The run's own result, of the weights that val chose, is the accuracy.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import torch

from benchmarks.ours.events import say, versions
from foveola.compute.device import autocast_context
from foveola.compute.threads import adapting
from foveola.evaluation.forward_pass import predict
from foveola.models.accelerate import accelerated
from foveola.runs.progress import Progress
from foveola.runs.trainer import Trainer
from foveola.training.history import EpochLog, Row
from foveola.types import no_tick
from foveola.workflows.prepare_run import RunTimer, read_request
from foveola.workflows.training import train_and_report

RECIPE = Path("examples/course_cifar10.toml")
SETTLING = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="an .npz file, or what else foveola train takes")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the run folder")
    args = parser.parse_args()
    clock = RunTimer(time.monotonic())
    settings = {"fit.epochs": args.epochs, "split.val_fraction": 0.02}
    request = read_request(
        args.data, settings=settings, seed=args.seed, recipe=RECIPE, out=args.out, runs="runs", tick=no_tick, clock=clock
    )  # fmt: skip
    session = request.plan(no_tick, clock)
    say("start", versions=versions("foveola", "torch"), threads=torch.get_num_threads())
    numbers = {"seconds": 0.0}

    class Epochs(Progress):
        def row(self, row: Row) -> None:
            if isinstance(row, EpochLog):
                numbers["seconds"] += row.seconds - row.val_seconds
                numbers["train_accuracy"] = row.train_accuracy
                say("epoch", epoch=row.epoch, seconds=numbers["seconds"], val_accuracy=row.val_accuracy)
                if row.epoch == args.epochs:
                    numbers.update(last_weights(session))

    with adapting():
        result = train_and_report(session, clock, Epochs()).result
    whole = {name: result[name] for name in ("epochs", "n_train", "n_test", "peak_memory_mb")}
    say("end", accuracy=result["test_accuracy"], **numbers, **whole)


def last_weights(session: Trainer) -> dict[str, float]:
    """Accuracy on test of the weights as they are now, and with settled statistics; the session's network is left alone."""
    model = copy.deepcopy(session.model)
    at_once = _accuracy(session, model)
    _settle(session, model)
    return {"last_accuracy": at_once, "settled_accuracy": _accuracy(session, model)}


def _settle(session: Trainer, model: torch.nn.Module) -> None:
    """Let training batches go through the network, dropout and all, so that its statistics are those of its weights."""
    model.train()
    settling = SETTLING * session.recipe.fit.batch_size
    how = session.device, session.dtype
    with torch.random.fork_rng(), torch.no_grad(), autocast_context(*how), accelerated(model, *how):
        torch.manual_seed(session.seed)
        for images, _ in session.train.window(0, settling):
            model(images.to(session.device))


def _accuracy(session: Trainer, model: torch.nn.Module) -> float:
    test = session.batches(session.split.test)
    logits = predict(model, test.in_order(), session.device, views=session.views)
    return float((logits.argmax(axis=1) == test.labels[test.rows]).mean())


if __name__ == "__main__":
    main()
