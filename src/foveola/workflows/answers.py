"""A finished run put to use: predict, evaluate, report."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveola.types import Tick, no_tick
from foveola.workflows.material import Data, open_data, printable

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.lab.inference import Prediction
    from foveola.lab.runs import Run
    from foveola.learning.metrics import Evaluation


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
    from foveola.data.filtered import filtered
    from foveola.data.prepare import prepare
    from foveola.lab.inference import load_network, logits, match_classes
    from foveola.lab.recipe import compose
    from foveola.learning.metrics import Evaluation

    network = load_network(opened.path)
    if isinstance(data, str | os.PathLike):
        data = open_data(compose({"data": {"source": os.fspath(data)}}), tick)
    match_classes(data, network.class_names)  # strangers are refused before minutes of decoding
    prepared = filtered(prepare(data, network.size, network.resize, tick=tick), network.chain, tick=tick)
    labels = match_classes(prepared.dataset, network.class_names)
    rows = unseen(opened, prepared.dataset)
    ids = tuple(prepared.dataset.ids[i] for i in rows)
    answers = logits(network, prepared.pixels[rows])
    majority = opened.evaluation.majority
    return Evaluation(answers, labels[rows], ids, network.class_names, "test", majority), prepared.dataset


def unseen(run: Run, dataset: Dataset) -> Any:
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


def headline(numbers: Mapping[str, Any]) -> str:
    """The main number of a result in one line, with its interval and the baseline."""
    from foveola.lab.runs import headline as line

    return line(numbers)


def report(run: str | os.PathLike[str]) -> Path:
    """Write a run's report.html anew from its folder; give its path."""
    from foveola.lab.runs import open_run
    from foveola.report.pages import render
    from foveola.store import write_atomic

    opened = open_run(Path(run))
    write_atomic(opened.report, render(opened))
    return opened.report
