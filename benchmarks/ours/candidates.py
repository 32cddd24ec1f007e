"""What each candidate of `foveola train` reaches alone on small data sets that are drawn from a large one.

    python -m benchmarks.ours.candidates --data flowers --images 100,300 --seeds 0,1,2 --work FOLDER --out candidates.jsonl
    python -m benchmarks.ours.candidates --data signs --small --only "transfer;fast" --work FOLDER --out candidates.jsonl
    python -m benchmarks.ours.regret candidates.jsonl

Each candidate is trained as `foveola train` trains it, on a class-balanced subset. It is measured on the subset's own test
set, and on up to 1,000 images outside the subset: of the folder `test` if the data has one. Each line of the output is a run,
and runs that are there are not repeated. `--images 0` takes all images. `--small` is for images below 112 px, which are
enlarged for pre-trained networks. One thread computes. Seconds include neither the start of Python nor the report.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import foveola
from benchmarks.contestants import read_events
from benchmarks.environments import environment
from benchmarks.ours.subsets import Material, material, write_table
from foveola.compute.device import choose_device, choose_precision
from foveola.data.folder import open_folder
from foveola.data.loader import Batches
from foveola.data.prepare import prepare
from foveola.evaluation.forward_pass import predict
from foveola.evaluation.metrics import mean_loss
from foveola.models import transfer as transfer_network
from foveola.recipes.candidates import ENLARGED_PX
from foveola.runs.trainer import Trainer
from foveola.training.features import cached_features
from foveola.training.history import ProbeLog
from foveola.types import Labels, Size, no_tick
from foveola.workflows.datasets import suggest_size
from foveola.workflows.prepare_run import RunTimer, read_request

USUAL = "transfer;transfer, last stage;transfer_pair"
HEAVY = ("scipy.optimize", "scipy.stats", "sklearn.model_selection", "foveola.runs.cross_validation")
"""Modules that every run imports: here once, so that the time of a run does not include them."""


@dataclass(frozen=True)
class Contender:
    """A candidate or a peer. settings: options of `foveola.train`; layers: how many layers `transfer` takes its
    features from, if not the usual ones; flags: those of fastai's program, whose recipe it is, else ()."""

    settings: dict[str, Any] = field(default_factory=dict)
    layers: tuple[int, ...] | None = None
    flags: tuple[str, ...] = ()


def contenders(small: bool) -> dict[str, Contender]:
    """The contenders by name, for small images or for photos."""
    usual = f"{ENLARGED_PX}x{ENLARGED_PX}" if small else None
    found = {
        "transfer": _settings("transfer", usual),
        "transfer, last stage": replace(_settings("transfer", usual), layers=(1,)),
        "transfer_pair": _settings("transfer_pair", usual),
        "fast": _settings("fast", None if small else "64x64"),
        "finetune": Contender({"model.name": "transfer", "data.size": usual, "fit.finetune": True}),
        "fastai fine_tune": Contender({"data.size": usual}, flags=("--epochs", "4")),
        "fastai fine_tune, batch 16": Contender({"data.size": usual}, flags=("--epochs", "4", "--batch", "16")),
    }
    for side in (192, 224):
        for model in ("transfer", "transfer_pair"):
            found[f"{model}, {side}"] = _settings(model, f"{side}x{side}")
    return found


def _settings(model: str, size: str | None) -> Contender:
    return Contender({"model.name": model, "data.size": size})


def measured(contender: Contender, made: Material, work: Path) -> dict[str, Any]:
    """Train a candidate as `foveola.train` does, without the report, and measure it."""
    if contender.layers:
        transfer_network.LAYERS = contender.layers  # type: ignore[assignment]
    started, cpu = time.monotonic(), time.process_time()
    clock = RunTimer(started)
    request = read_request(
        made.subset, settings=contender.settings, seed=made.seed, recipe=None, out=None, runs=work, tick=no_tick, clock=clock
    )  # fmt: skip
    trainer = request.plan(no_tick, clock)
    trainer.logs = work
    for _ in trainer.rows():
        pass
    held = trainer.held_out()
    logits, labels = trainer.test_logits(), trainer.prepared.dataset.labels[trainer.split.test]
    numbers = {
        "model": trainer.recipe.model.name,
        "size": trainer.recipe.data.size,
        "kept": type(trainer.best).__name__,
        "held_loss": held.loss,
        "held_accuracy": held.accuracy,
        "held_images": len(held),
        "held_how": held.how,
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.monotonic() - started,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    numbers |= measures("test", logits, labels, held.temperature)
    if any(made.outside.values()):
        numbers |= measures("outside", *answers_outside(trainer, made), held.temperature)
    return numbers


def measures(where: str, logits: NDArray[np.float32], labels: Labels, temperature: float) -> dict[str, float]:
    """Accuracy, loss of the calibrated probabilities, and the number of images."""
    right = float((logits.argmax(axis=1) == labels).mean())
    loss = mean_loss(logits, labels, temperature)
    return {f"{where}_accuracy": right, f"{where}_loss": loss, f"{where}_images": len(labels)}


def answers_outside(trainer: Trainer, made: Material) -> tuple[NDArray[np.float32], Labels]:
    """Logits and labels of the images outside the subset.

    If only the last layer was trained, they come from cached features of the whole pool, which all subsets share.
    """
    pool = prepare(open_folder(made.pool), trainer.prepared.size, trainer.recipe.data.resize)
    wanted = {f"{name}/{path.name}" for name, some in made.outside.items() for path in some}
    rows = np.array([i for i, name in enumerate(pool.dataset.ids) if name in wanted])
    labels = pool.dataset.labels
    if isinstance(trainer.best, ProbeLog):
        device = choose_device("cpu")
        plain, mirrored = cached_features(pool, trainer.model, device, choose_precision("auto", device))
        values = (plain[rows] + mirrored[rows]) * np.float32(0.5) if trainer.views.flips else plain[rows]
        with torch.inference_mode():
            return trainer.model.head(torch.from_numpy(np.ascontiguousarray(values))).numpy(), labels[rows]
    images = Batches(pool.pixels, labels, rows, 32)
    return predict(trainer.model, images.in_order(), torch.device("cpu"), views=trainer.views), labels[rows]


def measured_peer(contender: Contender, made: Material, work: Path) -> dict[str, Any]:
    """Run fastai's program on the images that foveola trains and tests on; foveola's val is for training, too."""
    peer = environment("fastai")
    if peer.problem:
        return {"error": peer.problem}
    dataset = open_folder(made.subset)
    given = contender.settings["data.size"]
    size = Size.parse(given) if given else suggest_size(dataset, "transfer")
    prepared = foveola.prepare(dataset, size)
    parts, images = foveola.split(prepared, seed=made.seed), prepared.dataset
    rows = [
        (str(made.subset / images.ids[i]), images.class_names[images.labels[i]], part)
        for part, some in (("train", parts.train), ("train", parts.val), ("test", parts.test))
        for i in some
    ]
    rows += [(str(path), name, "outside") for name, some in made.outside.items() for path in some]
    write_table(rows, work / "images.csv")
    program = Path("benchmarks/peers/fastai/fastai_transfer.py")
    flags = ["--table", str(work / "images.csv"), "--size", str(max(size)), "--seed", str(made.seed), "--threads", "1"]
    done = subprocess.run(
        [str(peer.python), str(program), *flags, *contender.flags], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return {name: value for name, value in read_events(done.stdout, work)[-1].items() if name != "event"}


def in_own_process(measure: Callable[..., dict[str, Any]], contender: Contender, made: Material) -> dict[str, Any]:
    """Measure in a process that ends with the run, for its memory; {"error": why} if it failed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with tempfile.TemporaryDirectory() as work:
            try:
                found = measure(contender, made, Path(work))
            except BaseException as problem:
                traceback.print_exc()
                found = {"error": repr(problem)}
        with os.fdopen(write, "w") as file:
            json.dump(found, file)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"error": "the process ended without a result"}  # type: ignore[no-any-return]


def is_done(about: dict[str, Any], out: Path) -> bool:
    """Whether the file has this run."""
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.exists() else []
    return any(about.items() <= row.items() and "error" not in row for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders, or of train/ and test/")
    parser.add_argument("--name", help="of the data in the results, if not the folder's")
    parser.add_argument("--images", default="100,300", help="the numbers of images in the subsets, 0 for all")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--small", action="store_true")
    parser.add_argument(
        "--only", default=USUAL, help="contenders with ; between: " + "; ".join(contenders(small=False))
    )
    parser.add_argument("--work", type=Path, required=True, help="where the subsets go: links to the images")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for module in HEAVY:
        importlib.import_module(module)
    name, known = args.name or args.data.name, contenders(args.small)
    for images in map(int, args.images.split(",")):
        for seed in map(int, args.seeds.split(",")):
            for which in args.only.split(";"):
                about = {"data": name, "images": images, "seed": seed, "contender": which}
                if is_done(about, args.out):
                    continue
                made = material(name, args.data, images, seed, args.work)
                measure = measured_peer if known[which].flags else measured
                row = about | {"small": args.small} | in_own_process(measure, known[which], made)
                with args.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
