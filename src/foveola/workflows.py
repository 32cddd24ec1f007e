"""The verbs: what the command line, the notebooks and the studio can ask for. They compose the rooms and know no screen.

torch costs two seconds to import, so the rooms that need it are imported inside the verbs that do (docs/architecture.md).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from foveola.errors import UsageError
from foveola.learning.rows import EpochRow, Row, StepRow
from foveola.types import Size, Tick, no_tick

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.data.prepare import Prepared
    from foveola.lab.inference import Prediction
    from foveola.lab.recipe import Recipe
    from foveola.lab.runs import Run, RunLine
    from foveola.learning.metrics import Evaluation
    from foveola.models.table import Summary

Data: TypeAlias = "str | os.PathLike[str] | Dataset"


def _nothing(_: Any) -> None:
    return None


@dataclass(frozen=True)
class Watch:
    """Who looks on: `tick(stage, done, total)` while data is read, `plan(Plan)` once, `row` for each row of training."""

    tick: Tick = no_tick
    plan: Callable[[Plan], None] = _nothing
    row: Callable[[Row], None] = _nothing


@dataclass(frozen=True)
class Plan:
    """What is about to be trained, said before the first step."""

    data: str
    recipe: Recipe
    seed: int
    parts: Mapping[str, int]
    parameters: int
    device: str
    precision: str
    folder: Path
    remarks: tuple[str, ...]


def train(
    data: Data | None = None,
    *,
    model: str | None = None,
    epochs: int | None = None,
    size: str | None = None,
    seed: int = 0,
    recipe: str | os.PathLike[str] | None = None,
    settings: Mapping[str, object] | None = None,
    out: str | os.PathLike[str] | None = None,
    runs: str | os.PathLike[str] = "runs",
    watch: Watch | None = None,
) -> Run:
    """Train a classifier on `data`, measure it on a test part it never saw, write a report; give the Run.

    data: a folder with one sub-folder a class (or with train/ and test/), an .npz file, "cifar10", "digits", or a
    Dataset such as `from_arrays` gives. recipe: a TOML file; model, epochs, size and `settings` ({"fit.lr_peak": 0.01})
    go before it. The run goes to the folder `out`, else to one below `runs`.

    Raises UsageError, DataError or ResourceError, each with one sentence that says what to do.

        run = fv.train("photos", epochs=20)
        run.evaluation.accuracy, run.predict(["new.jpg"])
    """
    started = time.monotonic()
    watch = watch or Watch()
    from foveola.lab.recipe import compose, merge, read_tables
    from foveola.lab.runs import run_folder
    from foveola.lab.training import Session
    from foveola.store import digest, new_folder

    imported = time.monotonic()
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed {seed} is out of range: give a whole number from 0 to {2**32 - 1:,}")
    tables = read_tables(Path(recipe)) if recipe is not None else {}
    where = f"the recipe {recipe}" if recipe is not None else "the settings"
    source = os.fspath(data) if isinstance(data, str | os.PathLike) else None
    given = {"data.source": source, "data.size": size, "model.name": model, "fit.epochs": epochs, **(settings or {})}
    tables = merge(tables, given, where=where)
    early = compose(tables, where=where)
    _refuse_taken(out)
    dataset = data if data is not None and source is None else open_data(early, watch.tick)
    prepared, split = _prepare(dataset, early, seed, watch.tick)  # type: ignore[arg-type]
    done = _complete(merge(tables, {"data.source": source and printable(source)}), prepared, len(split.train))
    fingerprint = digest(done.fingerprint, prepared.dataset.fingerprint)
    folder = Path(out) if out is not None else run_folder(Path(runs), prepared.dataset.name, done, fingerprint, seed)
    session = Session(prepared, split, done, seed, folder)
    new_folder(folder)
    session.begin()
    watch.plan(_plan(session))
    first_step = 0.0
    for row in session.rows():
        first_step = first_step or time.monotonic()
        watch.row(row)
    session.finish()
    return _conclude(session, Clock(started, imported, first_step))


@dataclass(frozen=True)
class Clock:
    """When a run began, when torch was there, when the first step was done; monotonic seconds."""

    started: float
    imported: float
    first_step: float


def _refuse_taken(out: str | os.PathLike[str] | None) -> None:
    """Refuse an output folder in use before hours of work, not after; it is made only once the data is known good."""
    if out is not None and Path(out).exists() and (not Path(out).is_dir() or any(Path(out).iterdir())):
        from foveola.store import new_folder

        new_folder(Path(out))


def _prepare(dataset: Dataset, recipe: Recipe, seed: int, tick: Tick) -> tuple[Prepared, Any]:
    from foveola.data.prepare import prepare
    from foveola.data.split import split

    size = Size.parse(recipe.data.size) if recipe.data.size != "auto" else suggest_size(dataset)
    prepared = prepare(dataset, size, recipe.data.resize, tick=tick)
    return prepared, split(prepared.dataset, prepared.content, recipe.split, seed)


def _complete(tables: Mapping[str, Any], prepared: Prepared, n_train: int) -> Recipe:
    from foveola.lab.recipe import choose_model, complete

    dataset = prepared.dataset
    name = tables.get("model", {}).get("name", "auto")
    title = f"{printable(dataset.name)}, {choose_model(prepared.size) if name == 'auto' else name}"
    return complete(tables, prepared.size, n_train, title, mirror_safe=dataset.mirror_safe)


def _plan(session: Any) -> Plan:
    from foveola.data.prepare import describe
    from foveola.models.table import summary

    split = session.split
    return Plan(
        data=f"{session.prepared.dataset.name}: {describe(session.prepared)}",
        recipe=session.recipe,
        seed=session.seed,
        parts={"train": len(split.train), "val": len(split.val), "test": len(split.test)},
        parameters=summary(session.model, session.prepared.size).parameters,
        device=str(session.device),
        precision=str(session.dtype).removeprefix("torch."),
        folder=session.folder,
        remarks=(*session.prepared.dataset.notes, *split.notes),
    )


def _conclude(session: Any, clock: Clock) -> Run:
    """Report, then result.json: what makes the run finished."""
    from foveola.lab.runs import Run, numbers_of
    from foveola.report.pages import render
    from foveola.store import write_atomic

    run = Run(session.folder, {})
    card, best = run.card, session.best
    result = {
        "run": str(session.folder),
        "report": str(run.report),
        "data": card.name,
        "model": session.recipe.model.name,
        "seed": session.seed,
        **{f"n_{part}": sum(counts) for part, counts in card.counts.items()},
        **numbers_of(run.evaluation),
        "best_epoch": best.epoch,
        "epochs": run.history[-1].epoch,
        "files_found": card.files_found,
        "files_used": card.files_used,
        "files_ignored": card.files_ignored,
        "problems": [{"file": p.file, "reason": p.reason} for p in card.problems],
        "seconds_before_first_step": clock.first_step - clock.started,
        "seconds_importing": clock.imported - clock.started,
        "peak_memory_mb": peak_memory_mb(),
        "seconds": time.monotonic() - clock.started,
    }
    run = Run(session.folder, result)
    write_atomic(run.report, render(run))
    result["seconds"] = time.monotonic() - clock.started
    write_atomic(session.folder / "result.json", json.dumps(result, indent=1))
    return run


def peak_memory_mb() -> float | None:
    """The largest resident memory of this process so far, in megabytes (10^6 bytes); None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6, 1)


def open_data(recipe: Recipe, tick: Tick = no_tick) -> Dataset:
    """The data set that a recipe names: a path first, else a name. Raises DataError or UsageError."""
    from foveola.data.arrays import open_npz
    from foveola.data.cifar10 import cifar10_place, open_cifar10
    from foveola.data.folder import open_folder
    from foveola.data.samples import DATASETS

    spec = recipe.data
    if not spec.source:
        raise UsageError(
            f"no data is named: give a folder of class folders, an .npz file, or one of {', '.join(sorted(DATASETS))}"
        )
    path = Path(spec.source).expanduser()
    if not path.exists() and spec.source in DATASETS:
        return DATASETS[spec.source](tick)
    if cifar10_place(path):
        return open_cifar10(path, tick=tick)
    if path.is_file() and path.suffix.lower() == ".npz":
        return open_npz(path)
    return open_folder(
        path,
        labels=Path(spec.labels) if spec.labels else None,
        label_pattern=spec.label_pattern or None,
        group_by=spec.group_by or None,
        tick=tick,
    )


def suggest_size(dataset: Dataset) -> Size:
    """The size that "auto" takes: by the median of up to 500 pictures' longer sides, read from their headers."""
    from foveola.data.dataset import probe_sizes
    from foveola.lab.recipe import choose_size

    return choose_size(*probe_sizes(dataset))


def predict(
    run: str | os.PathLike[str], paths: Iterable[str | os.PathLike[str]], *, tick: Tick = no_tick
) -> list[Prediction]:
    """Label and probabilities for files and folders of pictures, by a finished run."""
    from foveola.lab.inference import predict_paths

    return predict_paths(Path(run), paths, tick=tick)


def evaluate(
    run: str | os.PathLike[str], data: Data | None = None, *, tick: Tick = no_tick
) -> tuple[Evaluation, Dataset | None]:
    """A run's answers to its own test part, or to all pictures of other data; classes are matched by name.

    Of data with parts of its own only the test part is asked; of the very data that the run was trained on, only the
    pictures that it kept aside.
    """
    from foveola.lab.runs import open_run

    opened = open_run(Path(run))
    if data is None:
        return opened.evaluation, None
    from foveola.data.prepare import prepare
    from foveola.lab.inference import load_network, logits, match_classes
    from foveola.lab.recipe import compose
    from foveola.learning.metrics import Evaluation

    network = load_network(opened.path)
    named = isinstance(data, str | os.PathLike)
    dataset = open_data(compose({"data": {"source": os.fspath(data)}}), tick) if named else data  # type: ignore[arg-type]
    labels = match_classes(dataset, network.class_names)  # type: ignore[arg-type]
    prepared = prepare(dataset, network.size, network.resize, tick=tick)  # type: ignore[arg-type]
    labels = match_classes(prepared.dataset, network.class_names)
    rows = _unseen(opened, prepared.dataset)
    ids = tuple(prepared.dataset.ids[i] for i in rows)
    answers = logits(network, prepared.pixels[rows])
    majority = opened.evaluation.majority
    return Evaluation(answers, labels[rows], ids, network.class_names, "test", majority), prepared.dataset


def _unseen(run: Run, dataset: Dataset) -> Any:
    """The rows to measure on: of the run's own data the test part that it kept aside, of other data its test part or all."""
    import numpy as np

    if dataset.fingerprint == run.card.fingerprint:
        kept_aside = set(run.evaluation.ids)
        return np.array([i for i, name in enumerate(dataset.ids) if name in kept_aside], np.int64)
    given = np.zeros(0) if dataset.parts is None else np.flatnonzero(dataset.parts == 2)
    return given if len(given) else np.arange(len(dataset))


def class_names(run: str | os.PathLike[str]) -> tuple[str, ...]:
    """The classes of a run, in the order of its probabilities."""
    from foveola.lab.runs import open_run

    return open_run(Path(run)).card.class_names


def write_predictions(path: Path, answers: Iterable[Prediction], names: tuple[str, ...]) -> None:
    """Write file, label, probability, the probability of each class, and the problem if there was one, as CSV.

    Cells that a spreadsheet would run as a formula (they begin with = + - @, tab or return) get a leading '.
    """
    import csv
    import io

    from foveola.store import write_atomic

    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["file", "label", "probability", *map(_harmless, names), "problem"])
    for a in answers:
        chances = ["" if a.problem else f"{p:.6f}" for p in a.probabilities]
        best = "" if a.problem else f"{a.probability:.6f}"
        writer.writerow([_harmless(a.file), _harmless(a.label), best, *chances, a.problem])
    write_atomic(path, out.getvalue())


def _harmless(cell: str) -> str:
    text = printable(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def printable(text: str) -> str:
    """A name fit for any screen: bytes that are no text and control characters are written as escapes."""
    from foveola.data.dataset import printable as escaped

    return escaped(text)


def headline(numbers: Mapping[str, Any]) -> str:
    """The main number of a result in one line, with its interval and the baseline."""
    from foveola.lab.runs import headline as line

    return line(numbers)


def count_files(dataset: Dataset) -> dict[str, Any]:
    """How the files of a data set add up, under the names that every JSON output uses."""
    return {
        "files_found": dataset.files_found,
        "files_used": len(dataset),
        "files_ignored": dataset.files_ignored,
        "problems": [{"file": p.file, "reason": p.reason} for p in dataset.problems],
    }


def report(run: str | os.PathLike[str]) -> Path:
    """Write a run's report.html anew from its folder; give its path."""
    from foveola.lab.runs import open_run
    from foveola.report.pages import render
    from foveola.store import write_atomic

    opened = open_run(Path(run))
    write_atomic(opened.report, render(opened))
    return opened.report


SHOW_DEFAULTS: Mapping[str, tuple[str, int]] = {"alexnet_mini": ("224x224", 2)}
"""Size and classes that `show` takes for a network when none are given: the course's; for the others 32x32 and 10."""


def show(model: str, size: Size, classes: int, options: Mapping[str, object] | None = None) -> Summary:
    """A network's table: layers, output shapes, parameters."""
    from foveola.models.table import build, summary

    if not 2 <= classes <= 100_000:
        raise UsageError(f"{classes} classes can't be told apart: give a number from 2 to 100,000")
    return summary(build(model, size, classes, options), size)


@dataclass(frozen=True)
class Entry:
    """One line of a listing: name, how it is called, what it is."""

    name: str
    signature: str
    text: str
    options: tuple[str, ...] = field(default=())


def listing(kind: str) -> list[Entry]:
    """What there is: kind "models" or "datasets". Raises UsageError for another kind."""
    import inspect

    from foveola.errors import unknown

    table: Mapping[str, Callable[..., Any]]
    if kind == "models":
        from foveola.models.table import MODELS as table
    elif kind == "datasets":
        from foveola.data.samples import DATASETS as table
    else:
        raise UsageError(unknown("listing", kind, ("models", "datasets")))
    entries = []
    for name, thing in sorted(table.items()):
        parameters = inspect.signature(thing).parameters.values()
        options = tuple(f"{p.name}={p.default!r}" for p in parameters if p.default is not p.empty)
        text = (inspect.getdoc(thing) or "").splitlines()
        entries.append(Entry(name, f"{name}({', '.join(options)})", text[0] if text else "", options))
    return entries


def runs(base: str | os.PathLike[str] = "runs") -> list[RunLine]:
    """The runs below a folder, finished or not."""
    from foveola.lab.runs import list_runs

    return list_runs(Path(base))


def demo(
    folder: str | os.PathLike[str] = "demo",
    *,
    epochs: int = 12,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    watch: Watch | None = None,
) -> Run:
    """The main job on embedded data: write the digits as an ordinary image folder, train on that folder.

    Digits must not be mirrored, so flips are off.
    """
    from foveola.data.samples import write_digits
    from foveola.store import folder_atomic

    place = Path(folder)
    if not (place / "digits").is_dir():
        with folder_atomic(place / "digits", 2_000_000) as digits:
            write_digits(digits)
    return train(
        place / "digits",
        model="fast",
        epochs=epochs,
        seed=seed,
        settings={"fit.flip": False, "title": "Hand-written digits, the demo"},
        out=out,
        runs=place / "runs",
        watch=watch,
    )


__all__ = [
    "Data",
    "Entry",
    "EpochRow",
    "Plan",
    "Row",
    "StepRow",
    "Watch",
    "class_names",
    "count_files",
    "demo",
    "evaluate",
    "headline",
    "listing",
    "open_data",
    "predict",
    "printable",
    "report",
    "runs",
    "show",
    "suggest_size",
    "train",
    "write_predictions",
]
