"""`evaluate` and `report`: measure a finished run, and rebuild its report."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveola.checks.fingerprints import SeenCounts
from foveola.compute.threads import adapting
from foveola.config import checks_keywords
from foveola.data.dataset import Dataset, Problem
from foveola.data.exclude import exclude
from foveola.data.prepare import apply_filters, prepare
from foveola.errors import DamagedRunError, ResourceError, UsageError
from foveola.evaluation.calibration import Calibration, CalibrationReport
from foveola.evaluation.decisions import Threshold, decision_numbers
from foveola.evaluation.metrics import Evaluation, result_numbers
from foveola.evaluation.roc import Roc, main_class, roc_curve, roc_numbers
from foveola.jupyter import shown_in_notebooks
from foveola.report.report_data import read_report_data
from foveola.report.run_page import render
from foveola.runs.data_summary import DataSummary
from foveola.runs.files import record_test_use
from foveola.runs.progress import Progress
from foveola.runs.run import Run, open_run
from foveola.storage import write_atomic
from foveola.text import count, printable
from foveola.training.history import FoldLog
from foveola.types import Indices
from foveola.workflows.datasets import Data, open_as, require_there

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from foveola.data.prepare import Prepared


@checks_keywords()
@shown_in_notebooks
@adapting()
def evaluate(
    run: str | os.PathLike[str],
    data: Data | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Measure a run on its test set, or on other data; classes are matched by name.

    If the data has its own test set, only that is measured. If it is the run's own data, only the run's test set is
    measured. The network of a run with folds was trained on all of its data, and `trained_on` says so. The run counts each
    use of its test set, and the report shows the number. If the run folder is not writable, a note says so (a Python
    warning).

    `trained_on` marks images that the run was trained on and near-duplicates of them, whatever their names, formats and
    sizes. `without_trained_on` is the evaluation without them.

    settings: how to read `data`, such as {"data.labels": "table.csv"}.

        found = fv.evaluate(run, "other-photos")
        found.accuracy, found.interval, found.files_used
    """
    progress, opened, notes = progress or Progress(), open_run(run), list[str]()
    if data is not None:
        require_there(data)  # before torch is imported
    about: Dataset | DataSummary
    read_as: tuple[str, ...] = ()
    if data is None:
        _require_no_settings(settings)
        found, about, seen, used_test = opened.evaluation, opened.card, None, True
    else:
        found, about, seen = _evaluate_on(opened, data, settings, notes.append, progress)
        read_as = about.notes
        own = about.fingerprint == opened.card.fingerprint
        used_test = (own and not opened.folds) or _holds_test_part(opened, seen)
    if used_test:
        use_test_set(opened, "evaluate", notes.append)
    for line in notes:
        progress.note(line)
    return Measurement.of(opened, found, about, (*read_as, *notes), used_test, seen)


def _evaluate_on(
    run: Run, data: Data, settings: Mapping[str, object] | None, note: Callable[[str], None], progress: Progress
) -> tuple[Evaluation, Dataset, SeenCounts | None]:
    """Return the evaluation on other data or on the run's own test set, the data, and which images the run has seen."""
    from foveola.runs.predictor import Predictor, match_classes

    predictor, tick = Predictor.open(run), progress.tick
    dataset = drop_excluded(run, open_as(data, settings, tick, known=predictor.class_names))
    match_classes(dataset, predictor.class_names)  # refuse other classes before minutes of decoding
    prepared = prepare(dataset, predictor.size, predictor.resize, tick=tick)
    labels = match_classes(prepared.dataset, predictor.class_names)
    rows = held_out_rows(run, prepared.dataset)
    ids = tuple(prepared.dataset.ids[i] for i in rows)
    trained_on: NDArray[np.bool_] | None
    if run.folds and prepared.dataset.fingerprint == run.card.fingerprint:
        seen, trained_on = None, np.ones(len(rows), bool)
    elif prepared.dataset.fingerprint == run.card.fingerprint:
        seen, leaked = None, set(run.card.leaked)
        trained_on = np.array([name in leaked for name in ids], bool)
    else:
        seen = _seen_in(run, prepared, rows, note, progress)
        trained_on = seen.trained_on
    logits = predictor.logits(apply_filters(prepared, predictor.chain, tick=tick).pixels[rows])
    found = Evaluation(logits, labels[rows], ids, predictor.class_names, "test", predictor.temperature, trained_on)
    return found, prepared.dataset, seen


def _seen_in(
    run: Run, prepared: Prepared, rows: Indices, note: Callable[[str], None], progress: Progress
) -> SeenCounts:
    """Find images of other data that the run was trained on."""
    known = run.seen_images
    if not known.prints.has_greys and known.prints.large.any():
        note(
            f"the run has {count(len(known.ids), 'image')}, too many for near-duplicate search: "
            "foveola recognises only exact copies"
        )
    return known.in_data(prepared, rows, tick=progress.tick)


def _holds_test_part(run: Run, seen: SeenCounts | None) -> bool:
    """Whether data holds at least half of the run's test images, so that measuring on it uses the test set."""
    if seen is None:
        return False
    found = {name for name, tested in zip(seen.names, seen.tested_on, strict=True) if tested}
    return not run.folds and 2 * len(found) >= len(run.evaluation)


def _require_no_settings(settings: Mapping[str, object] | None) -> None:
    given = [key.partition(".")[2].replace("_", "-") for key, value in (settings or {}).items() if value is not None]
    if given:
        raise UsageError(
            f"--{given[0]} sets how foveola reads other data, but no data is given: use foveola evaluate RUN DATA"
        )


def use_test_set(run: Run, by: str, note: Callable[[str], None]) -> None:
    """Count a use of the run's test set before the result is shown, and update the report.

    A read-only run (a colleague's, an archive's) can be measured, too: if foveola refused, people would copy it, and the
    copy would lose the count. `note` then gets a sentence.
    """
    _ = run.evaluation  # a damaged run raises before the use is counted
    try:
        record_test_use(run.path, by)
    except (ResourceError, OSError) as problem:
        note(
            f"this use of the test set of {run.path} could not be recorded ({_reason(problem)}). The result is "
            "shown anyway; keep count yourself"
        )
        return
    try:
        write_atomic(run.report, render(read_report_data(run)))
    except (DamagedRunError, ResourceError, OSError) as problem:
        note(
            f"this use of the test set of {run.path} is recorded, but its report could not be updated ({_reason(problem)}): "
            "run foveola report to update it"
        )


def _reason(problem: Exception) -> str:
    """Return the system's own reason, in lower case."""
    cause = problem.__cause__ if isinstance(problem.__cause__, OSError) else problem
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).lower()


def drop_excluded(run: Run, dataset: Dataset) -> Dataset:
    """The data set without what the run's exclude list left out, if the run was trained on it; else as it is.

    Without this foveola would not recognise the run's own data, and would measure on training images.
    """
    known = set(dataset.ids)
    out = [problem.file for problem in run.card.problems if problem.kind == "excluded"]
    if not out or not known.issuperset(out):
        return dataset
    fewer = exclude(dataset, out, "the run", for_training=False)
    return fewer if fewer.fingerprint == run.card.fingerprint else dataset


def held_out_rows(run: Run, dataset: Dataset) -> Any:
    """Return the rows to measure: the run's test set in its own data; in other data the test set, or all images."""
    if dataset.fingerprint == run.card.fingerprint:
        kept_aside = set(run.evaluation.ids)
        return np.array([i for i, name in enumerate(dataset.ids) if name in kept_aside], np.int64)
    given = np.zeros(0) if dataset.parts is None else np.flatnonzero(dataset.parts == 2)
    return given if len(given) else np.arange(len(dataset))


@dataclass(frozen=True)
class Report:
    """The page of a run: `path` is its file, `run` the run's folder. It can stand wherever a path is asked for."""

    run: Path
    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola report --json` prints."""
        return {"run": str(self.run), "report": str(self.path)}

    def _repr_html_(self) -> str:
        """Show the path in a notebook."""
        return f"<p>report: <code>{html.escape(str(self.path))}</code></p>"


@checks_keywords()
def report(run: str | os.PathLike[str], *, progress: Progress | None = None) -> Report:
    """Rebuild a run's report.html from its folder. Raises UsageError for an unknown or damaged run."""
    opened = open_run(run)
    write_atomic(opened.report, render(read_report_data(opened)))
    return Report(opened.path, opened.report)


@dataclass(frozen=True, repr=False, kw_only=True)
class Measurement(Evaluation):
    """An `Evaluation` of a run on a data set, with everything that `foveola evaluate` prints.

    run: the run's folder; data: the data set's name; files_found, files_used, files_ignored and problems: how the files of
    that data set add up; calibration: the run's held-out predictions; test_opened:
    how often the run's test set has been opened by now; used_test: whether this measurement used it; copy_of: for each image
    that was trained on (`trained_on`) the name of the training image that it is or nearly is, "" for the others and where it
    is not known; notes: how the folders were read, and what a reader of the numbers must know; folds: the tested networks, if
    these are the out-of-fold predictions of a run with folds.

        found = fv.evaluate("latest", "other-photos")
        found.accuracy, found.interval, found.per_class
    """

    run: Path
    data: str
    files_found: int
    files_used: int
    files_ignored: int
    problems: tuple[Problem, ...] = ()
    calibration: Calibration
    test_opened: int = 1
    used_test: bool = True
    copy_of: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    threshold: Threshold | None = None
    folds: tuple[FoldLog, ...] = ()

    def roc(self, positive: str) -> Roc:
        """The ROC and the precision-recall curve of a class against the rest. Raises UsageError for an unknown class."""
        return roc_curve(self, positive)

    @classmethod
    def of(
        cls,
        run: Run,
        evaluation: Evaluation,
        data: Dataset | DataSummary,
        notes: Sequence[str],
        used_test: bool = True,
        seen: SeenCounts | None = None,
    ) -> Measurement:
        """The measurement that a run's predictions for this data make."""
        copies = seen.of_training if seen else ("",) * len(evaluation)
        return cls(
            **{field.name: getattr(evaluation, field.name) for field in fields(evaluation)},
            run=run.path,
            data=data.name,
            files_found=data.files_found,
            files_used=data.files_used if isinstance(data, DataSummary) else len(data),
            files_ignored=data.files_ignored,
            problems=data.problems,
            calibration=run.calibration,
            test_opened=run.test_opened,
            used_test=used_test,
            copy_of=copies,
            notes=tuple(notes),
            threshold=run.threshold,
            folds=run.folds if evaluation.out_of_fold else (),
        )

    def to_json(self) -> dict[str, Any]:
        """What `foveola evaluate --json` prints."""
        shown = main_class(self, self.threshold.positive if self.threshold else None)
        return {
            "run": str(self.run),
            "data": self.data,
            "n_test": self.images,
            **result_numbers(self),
            **CalibrationReport(self, self.calibration).numbers(),
            "one_against_rest": roc_numbers(self.once),
            "roc": None if shown is None else self.roc(shown).to_json(),
            "decision": decision_numbers(self.threshold, self),
            "trained_on": [
                {"file": printable(name), "copy_of": printable(original)}
                for name, original, known in zip(self.ids, self.copy_of, self.trained_on, strict=True)
                if known
            ]
            if self.trained_on is not None
            else None,
            "folds": [row._asdict() for row in self.folds] or None,
            "test_opened": self.test_opened,
            "used_test": self.used_test,
            "notes": list(self.notes),
            "files_found": self.files_found,
            "files_used": self.files_used,
            "files_ignored": self.files_ignored,
            "problems": [{"file": problem.file, "reason": problem.reason} for problem in self.problems],
        }
