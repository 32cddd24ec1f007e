"""`train` and `demo`: train a network, measure it and write a report."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveola.compute.threads import adapting, current
from foveola.config import checks_keywords
from foveola.data.builtin import write_digits
from foveola.errors import UsageError
from foveola.evaluation.calibration import CalibrationReport
from foveola.evaluation.metrics import result_numbers
from foveola.evaluation.roc import roc_numbers
from foveola.evaluation.threshold_choice import Goal
from foveola.jupyter import shown_in_notebooks
from foveola.recipes.recipe import parse_option, read_recipe
from foveola.report.report_data import ReportData
from foveola.report.run_page import render
from foveola.runs.folders import FORMAT
from foveola.runs.progress import Progress
from foveola.runs.run import Run
from foveola.storage import folder_atomic, require_new_folder, require_writable, write_atomic
from foveola.text import count, printable
from foveola.training.history import best_head
from foveola.types import Size, SizeLike
from foveola.workflows import thresholds
from foveola.workflows.datasets import Data, require_there
from foveola.workflows.prepare_run import RunTimer, read_request
from foveola.workflows.race import open_candidates, race_and_keep

if TYPE_CHECKING:
    from foveola.runs.trained import Trained
    from foveola.runs.trainer import Trainer


def _option_of_a_recipe(name: str) -> str:
    """Hint for an unknown keyword of `train` that is an option of a recipe."""
    key = parse_option(name)
    return f'; {name} is an option of the recipe: settings={{"{key}": ...}}' if key else ""


@checks_keywords(_option_of_a_recipe)
@shown_in_notebooks
def train(
    data: Data | None = None,
    *,
    model: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    size: SizeLike | None = None,
    chain: str | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    flip: bool | None = None,
    class_weights: str | None = None,
    augment: str | None = None,
    finetune: bool | None = None,
    labels: str | os.PathLike[str] | None = None,
    label_pattern: str | None = None,
    class_level: int | str | None = None,
    group_by: str | None = None,
    exclude: str | os.PathLike[str] | None = None,
    device: str | None = None,
    precision: str | None = None,
    budget: str | float | None = None,
    positive: str | None = None,
    min_sensitivity: float | None = None,
    min_specificity: float | None = None,
    cost_false_positive: float | None = None,
    cost_false_negative: float | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    seed: int = 0,
    recipe: str | os.PathLike[str] | None = None,
    settings: Mapping[str, object] | None = None,
    out: str | os.PathLike[str] | None = None,
    runs: str | os.PathLike[str] = "runs",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a classifier on `data`, measure it on a test set that it never saw, and write a report; return the Run.

    data: a folder with one sub-folder per class (or with train/ and test/), an .npz file, "cifar10", "digits", or a
    Dataset such as `from_arrays` gives. chain: filters that all images go through once they have their size, here and
    whenever the network is used, such as "blur(size=3)|sharpen".

    weights: a file of weights that the user brings, .safetensors of an architecture of timm or an .onnx network that gives
    features; it names the network, and a new classifier is fitted on its features.

    model, epochs, size (text "WIDTHxHEIGHT" or a pair (height, width)), batch_size, lr (the highest learning rate),
    flip (also train on mirror images), class_weights ("balanced": rare classes count as much in the loss as frequent
    ones), device and precision (None: chosen from the data and the computer). augment: random
    changes of the training images, "none", "photo", "flat" (for images without up and down) or "text". finetune:
    after the last layer of a pre-trained network, train its last stages, too, and keep them if val gets better. labels: a CSV
    table of file and label; label_pattern: a regular expression on the file path whose first group is the class;
    class_level: which folders are the classes, 1 for those directly in `data`, "leaf" for the deepest; group_by: a
    column of `labels`, or a regular expression, for groups that must stay in one part of the split; exclude: a list of
    images to leave out, as `foveola.check` writes it. settings: any option of `foveola list options`, such as
    {"fit.momentum": 0.8}.

    folds: cross-validation for small data: divide the images into this many folds, test each with a network that was
    trained on the others, then train the run's network on all images; repeats: how often, each time with other folds.

    recipe: a TOML file; all other arguments override it. The run goes to the folder `out` (default: a new folder below
    `runs`). budget: time for everything, "5m" or seconds, instead of epochs: foveola measures a few steps, then chooses
    network and epochs to fill it. threads: compute with exactly this number (default: all cores, and fewer while other
    programs use the computer). Only a run with a constant number of threads can be repeated exactly.

    positive, with one of min_sensitivity, min_specificity or both costs: choose a threshold for this class at the end, as
    `foveola.threshold` does. `predict` then decides by it.

    Raises UsageError, DataError or ResourceError, each with one sentence that says what to do.

        run = fv.train("photos", epochs=20)
        run.evaluation.accuracy, run.predict(["new.jpg"])
    """
    started = time.monotonic()
    progress = progress or Progress()
    _require_place(out, runs)
    goal = thresholds.goal_of(positive, min_sensitivity, min_specificity, cost_false_positive, cost_false_negative)
    if data is not None:
        require_there(data)
    if source := _source_name(data, recipe, settings or {}):  # before the heavy imports, to show that the command runs
        progress.tell(f"reading {printable(source)} ...")
    clock = RunTimer(started, budget=budget)
    with adapting(threads, progress.tell):
        request = read_request(
            data,
            settings={
                "data.size": size if size is None or size == "auto" else str(Size.of(size)),
                "data.chain": chain,
                "data.labels": None if labels is None else os.fspath(labels),
                "data.label_pattern": label_pattern,
                "data.class_level": class_level,
                "data.group_by": group_by,
                "data.exclude": None if exclude is None else os.fspath(exclude),
                "model.name": model,
                "model.weights": None if weights is None else os.fspath(weights),
                "split.folds": folds,
                "split.repeats": repeats,
                "fit.epochs": epochs,
                "fit.batch_size": batch_size,
                "fit.lr_peak": lr,
                "fit.flip": flip,
                "fit.class_weights": class_weights,
                "fit.augment": augment,
                "fit.finetune": finetune,
                "fit.device": device,
                "fit.precision": precision,
                **(settings or {}),
            },
            seed=seed,
            recipe=recipe,
            out=out,
            runs=runs,
            tick=progress.tick,
            clock=clock,
        )
        options = open_candidates(request, budget=clock.budget is not None)
        if not options:
            return _measured(request.plan(progress.tick, clock), clock, progress, positive, goal)
        with tempfile.TemporaryDirectory() as scratch:
            winner = race_and_keep(request, options, clock, progress, Path(scratch))
            return _measured(winner, clock, progress, positive, goal)


def _measured(trainer: Trainer, clock: RunTimer, progress: Progress, positive: str | None, goal: Goal | None) -> Run:
    """Finish a run, and choose its threshold if the user wants one."""
    if positive is None or goal is None:
        return train_and_report(trainer, clock, progress)
    thresholds.require_possible(trainer, positive, goal)
    return thresholds.conclude(train_and_report(trainer, clock, progress), positive, goal)


def _source_name(data: Data | None, recipe: str | os.PathLike[str] | None, settings: Mapping[str, object]) -> str:
    """The data as the user names it: in the call, in the settings or in the recipe; "" if it is named nowhere."""
    if data is not None:
        return os.fspath(data) if isinstance(data, str | os.PathLike) else data.name
    table = {} if recipe is None else read_recipe(Path(recipe)).get("data")
    named = settings.get("data.source") or (table.get("source") if isinstance(table, dict) else None)
    return named if isinstance(named, str) else ""


def _require_place(out: str | os.PathLike[str] | None, runs: str | os.PathLike[str]) -> None:
    """Refuse a run folder that is in use or can't be made, before any training."""
    if out is not None:
        require_new_folder(Path(out))
    else:
        require_writable(Path(runs) / "run")


def train_and_report(trainer: Trainer, clock: RunTimer, progress: Progress) -> Run:
    """Make the run folder, train, measure and report. An interrupt names the unfinished folder.

    Call it within `adapting`, which decides the number of threads.
    """
    threads = current()
    assert threads is not None, "verbs train within `adapting`"
    if not trainer.logs:
        threads.start_list()
    trainer.claim_folder()
    try:
        trainer.begin()
        progress.plan(trainer.plan)
        if trainer.logs:
            trainer.take_logs()
        else:
            for row in trainer.rows():
                clock.first_step = clock.first_step or time.monotonic()
                progress.row(row)
        return _conclude(trainer, trainer.finish(), clock, threads.used)
    except KeyboardInterrupt as stop:
        stop.add_note(_unfinished(trainer))
        raise


def _unfinished(trainer: Trainer) -> str:
    """What an interrupt leaves on the disk."""
    folder = trainer.folder
    left = f"The unfinished run is in {folder} and can't be continued: delete that folder, then run the command again."
    if not trainer.tested:
        return left
    return f"{left} Until then, {folder / 'folds.jsonl'} has the results of {count(len(trainer.tested), 'fold')}."


def _conclude(trainer: Trainer, trained: Trained, clock: RunTimer, threads: list[int]) -> Run:
    """Write the report, then result.json, which marks the run as finished."""
    confidence = CalibrationReport(trained.evaluation, trained.calibration)
    run = Run(trainer.folder, _result(trainer, trained, confidence, clock, threads))
    write_atomic(run.report, render(_report_data(trainer, trained, confidence, run.result)))
    write_atomic(run.path / "result.json", json.dumps(run.result, indent=1))
    return run


def _result(
    trainer: Trainer, trained: Trained, confidence: CalibrationReport, clock: RunTimer, threads: list[int]
) -> dict[str, Any]:
    """The entries of result.json (see docs/reference/json.md)."""
    from foveola.compute.device import peak_memory_mb

    data, head = trainer.data_summary, best_head(trained.head)
    return {
        "format": FORMAT,
        "run": str(trainer.folder),
        "report": str(trainer.folder / "report.html"),
        "data": data.name,
        "model": trainer.recipe.model.name,
        "seed": trainer.seed,
        **{f"n_{part}": sum(counts) for part, counts in data.counts.items()},
        "n_test": trained.evaluation.images,
        **result_numbers(trained.evaluation),
        **confidence.numbers(),
        "one_against_rest": roc_numbers(trained.evaluation.once),
        "best_epoch": getattr(trainer.best, "epoch", 0),
        "epochs": len(trained.history),
        "head_penalty": head.strength if head else None,
        "head_features": (head.features or None) if head else None,
        "candidates": [asdict(one) for one in trainer.candidates],
        "folds": [row._asdict() for row in trainer.tested] or None,
        "files_found": data.files_found,
        "files_used": data.files_used,
        "files_ignored": data.files_ignored,
        "problems": [{"file": p.file, "reason": p.reason} for p in data.problems],
        "threads": threads,
        "seconds_before_first_step": clock.first_step - clock.started,
        "seconds_importing": clock.imported - clock.started,
        "peak_memory_mb": peak_memory_mb() if clock.own_memory else None,
        "budget_seconds": clock.budget,
        "predicted_seconds": clock.predicted,
        "seconds": time.monotonic() - clock.started,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _report_data(
    trainer: Trainer, trained: Trained, confidence: CalibrationReport, result: Mapping[str, Any]
) -> ReportData:
    return ReportData(
        recipe=trainer.recipe.tables(),
        model=result["model"],
        seed=trainer.seed,
        environment=trainer.environment,
        data=trainer.data_summary,
        network=trainer.network,
        head=trained.head,
        history=trained.history,
        best_epoch=result["best_epoch"],
        candidates=trainer.candidates,
        seconds=result["seconds"],
        evaluation=trained.evaluation,
        confidence=confidence,
        previews=trained.previews,
        folder=str(trainer.folder),
        folds=trainer.tested,
    )


@checks_keywords()
@shown_in_notebooks
def demo(
    folder: str | os.PathLike[str] = "demo",
    *,
    epochs: int = 12,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Write 1,797 handwritten digits as an image folder and train on it.

    Digits must not be mirrored, so flips are off. Raises UsageError for less than one epoch, because `fast` starts from
    random weights, and if `folder`/digits contains something else.
    """
    if epochs < 1:
        raise UsageError(f"the demo needs 1 or more epochs; got {epochs}")
    place, progress = Path(folder), progress or Progress()
    _write_digits(place / "digits", progress)
    return train(
        place / "digits",
        model="fast",
        epochs=epochs,
        seed=seed,
        settings={"fit.flip": False, "title": "Handwritten digits, the demo"},
        out=out,
        runs=place / "runs",
        threads=threads,
        progress=progress,
    )


def _write_digits(folder: Path, progress: Progress) -> None:
    """Write the digits, unless an earlier demo did. Raises UsageError for a folder that contains something else."""
    if not folder.is_dir():
        progress.tell(f"writing 1,797 images of handwritten digits to {printable(str(folder))}")
        with folder_atomic(folder, 2_000_000) as digits:
            write_digits(digits)
    elif {one.name for one in folder.iterdir() if not one.name.startswith(".")} != set("0123456789"):
        raise UsageError(
            f"{folder} contains something other than the demo's digits: give another folder, as in foveola demo my-folder"
        )
