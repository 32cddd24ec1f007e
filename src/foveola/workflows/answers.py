"""Use a finished run: predict, evaluate, report."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveola.compute.threads import adapting
from foveola.errors import DamagedRunError, ResourceError, UsageError, count
from foveola.jupyter import shown_in_notebooks
from foveola.keywords import checks_keywords
from foveola.types import Indices, Tell, Tick, no_tick
from foveola.workflows.datasets import Data, open_as, require_there

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from foveola.checks.fingerprints import SeenCounts
    from foveola.data.dataset import Dataset
    from foveola.data.prepare import Prepared
    from foveola.evaluation.inputs import Inputs
    from foveola.evaluation.metrics import Evaluation
    from foveola.evaluation.predictions import Predictions
    from foveola.runs.data_summary import DataSummary
    from foveola.runs.measurement import Measurement
    from foveola.runs.run import Run


NO_FINGERPRINTS = (
    "this run keeps no fingerprints of its images, so foveola can't tell whether it was trained on any of these images: "
    "train again"
)


def warn(line: str) -> None:
    """Issue a Python warning at the caller's line. Workflows without a `tell` argument use this."""
    level, frame = 1, inspect.currentframe()
    ours = ("foveola", "contextlib")  # a verb may be wrapped in a context manager
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ours:
        level, frame = level + 1, frame.f_back
    warnings.warn(line, stacklevel=level)


@checks_keywords()
@shown_in_notebooks
@adapting()
def predict(
    run: str | os.PathLike[str],
    images: Inputs,
    *,
    abstain: float | None = None,
    recognise: bool | None = None,
    tick: Tick = no_tick,
) -> Predictions:
    """Predict labels and calibrated probabilities of images with a finished run.

    run: as for `open_run`. images: a file, a folder (all images in it), a Pillow image, an array uint8 (H, W, 3) or
    (n, H, W, 3) in RGB, the bytes of an image file, or a list of these.

    abstain: the largest acceptable error rate, 0..1, such as 0.05. Images that can't be classified at this rate get the
    label "" (don't know), and `label_set` has the possible classes. The rate holds for images like the training data.

    recognise: whether to search for training images and near-duplicates of them; `copy_of` then names the training image.
    None: only if all images lie in folders named after classes; `by_folder` measures these predictions.

    Raises UsageError for an invalid run, input or rate. An image that can't be read has a `problem` and no label.

        answers = fv.predict("latest", ["new.jpg", "holiday"])
        answers[0].label, answers[0].to_dict(), answers.to_dataframe()
    """
    from foveola.evaluation.calibration import require_rate
    from foveola.evaluation.inputs import gather
    from foveola.runs.folders import find_run

    # All that can be refused without torch is refused before it is imported.
    path, asked = find_run(run), gather(images)
    if abstain is not None:
        require_rate(abstain)
    from foveola.runs.predictor import predict_images

    return predict_images(path, asked, abstain=abstain, recognise=recognise, tick=tick)


def prediction_notes(answers: Predictions) -> tuple[tuple[str, ...], Mapping[str, Any] | None]:
    """Summarise predictions in lines, with numbers if the images lie in folders named after classes.

    The lines show the accuracy by folder names and how many images the run was trained on.
    """
    from foveola.evaluation.headline import seen
    from foveola.runs.files import result_numbers

    found = answers.by_folder()
    if found is not None:
        numbers = {"n_test": len(found), **result_numbers(found)}
        accuracy, *more = headline(numbers)
        unknown = () if any(one.copy_of is not None for one in answers) else (NO_FINGERPRINTS,)
        return (f"with the folder names as true classes: {accuracy}", *more, *unknown), numbers
    known = [bool(one.copy_of) for one in answers if one.copy_of is not None]
    return ((seen(sum(known), len(known)),) if any(known) else ()), None


def abstained(run: str | os.PathLike[str], error: float) -> Mapping[str, Any]:
    """Measure abstaining at this error rate on the run's test set, under the names of `result.json`."""
    from foveola.evaluation.calibration_report import abstention_numbers
    from foveola.runs.run import open_run

    opened = open_run(run)
    calibration = opened.calibration
    assert calibration is not None, "`predict` has refused a run without"
    return abstention_numbers(calibration.abstention(opened.evaluation, error), len(calibration))


@checks_keywords()
@shown_in_notebooks
@adapting()
def evaluate(
    run: str | os.PathLike[str],
    data: Data | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    tell: Tell = warn,
    tick: Tick = no_tick,
) -> Measurement:
    """Measure a run on its test set, or on other data; classes are matched by name.

    If the data has its own test set, only that is measured. If it is the run's own data, only the run's test set is
    measured. The run counts each use of its test set, and the report shows the number. If the run folder is not writable,
    `tell` gets a note (without `tell`: a Python warning).

    `trained_on` marks images that the run was trained on and near-duplicates of them, whatever their names, formats and
    sizes. `without_trained_on` is the evaluation without them.

    settings: how to read `data`, such as {"data.labels": "table.csv"}.

        found = fv.evaluate(run, "other-photos")
        found.accuracy, found.interval, found.files_used
    """
    from foveola.runs.folders import find_run

    run = find_run(run)
    if data is not None:
        require_there(data)  # as all that can be refused without torch is, before it is imported
    from foveola.runs.measurement import Measurement
    from foveola.runs.run import open_run

    opened, notes = open_run(run), list[str]()
    about: Dataset | DataSummary
    read_as: tuple[str, ...] = ()
    if data is None:
        _require_no_settings(settings)
        found, about, seen, used_test = opened.evaluation, opened.card, None, True
    else:
        found, about, seen = _answers_to(opened, data, settings, notes.append, tick)
        read_as = about.notes
        used_test = about.fingerprint == opened.card.fingerprint or _holds_test_part(opened, seen)
    if used_test:
        use_test_part(opened, "evaluate", notes.append)
    for line in notes:
        tell(line)
    return Measurement.of(opened, found, about, (*read_as, *notes), used_test, seen)


def _answers_to(
    run: Run, data: Data, settings: Mapping[str, object] | None, tell: Tell, tick: Tick
) -> tuple[Evaluation, Dataset, SeenCounts | None]:
    """Return the evaluation on other data or on the run's own test set, the data, and which images the run has seen."""
    import numpy as np

    from foveola.data.prepare import apply_filters, prepare
    from foveola.evaluation.metrics import Evaluation
    from foveola.runs.predictor import load_network, logits, match_classes

    network = load_network(run.path)
    dataset = drop_excluded(run, open_as(data, settings, tick, known=network.class_names))
    match_classes(dataset, network.class_names)  # strangers are refused before minutes of decoding
    prepared = prepare(dataset, network.size, network.resize, tick=tick)
    labels = match_classes(prepared.dataset, network.class_names)
    rows = held_out_rows(run, prepared.dataset)
    ids = tuple(prepared.dataset.ids[i] for i in rows)
    if prepared.dataset.fingerprint == run.card.fingerprint:
        seen, leaked = None, set(run.card.leaked)
        trained_on: NDArray[np.bool_] | None = np.array([name in leaked for name in ids], bool)
    else:
        seen = _seen_in(run, prepared, rows, tell, tick)
        trained_on = None if seen is None else seen.trained_on
    answers = logits(network, apply_filters(prepared, network.chain, tick=tick).pixels[rows])
    found = Evaluation(answers, labels[rows], ids, network.class_names, "test", network.temperature, trained_on)
    return found, prepared.dataset, seen


def _seen_in(run: Run, prepared: Prepared, rows: Indices, tell: Tell, tick: Tick) -> SeenCounts | None:
    """Find images of other data that the run was trained on; None (with a note) if the run keeps no fingerprints."""
    if run.seen_images is None:
        tell(NO_FINGERPRINTS)
        return None
    if not run.seen_images.prints.has_greys and run.seen_images.prints.large.any():
        tell(
            f"the run has {count(len(run.seen_images.ids), 'image')}, too many for near-duplicate search: "
            "foveola recognises only exact copies"
        )
    return run.seen_images.in_data(prepared, rows, tick=tick)


def _holds_test_part(run: Run, seen: SeenCounts | None) -> bool:
    """Whether data holds at least half of the run's test images, so that measuring on it uses the test set."""
    if seen is None:
        return False
    found = {name for name, tested in zip(seen.names, seen.tested_on, strict=True) if tested}
    return 2 * len(found) >= len(run.evaluation)


def _require_no_settings(settings: Mapping[str, object] | None) -> None:
    given = [key.partition(".")[2].replace("_", "-") for key, value in (settings or {}).items() if value is not None]
    if given:
        raise UsageError(
            f"--{given[0]} sets how foveola reads other data, but no data is given: use foveola evaluate RUN DATA"
        )


def use_test_part(run: Run, by: str, tell: Tell) -> None:
    """Count a use of the run's test set before the result is shown, and update the report.

    A read-only run (a colleague's, an archive's) can be measured, too: if foveola refused, people would copy it, and the
    copy would lose the count. `tell` then gets a note.
    """
    from foveola.report.run_page import render
    from foveola.runs.usage import record_test_use
    from foveola.storage import write_atomic

    _ = run.evaluation  # a damaged run raises before the use is counted
    try:
        record_test_use(run.path, by)
    except (ResourceError, OSError) as problem:
        tell(
            f"this use of the test set of {run.path} could not be recorded ({_reason(problem)}). The result is "
            "shown anyway; keep count yourself"
        )
        return
    try:
        write_atomic(run.report, render(run))
    except (DamagedRunError, ResourceError, OSError) as problem:
        tell(
            f"this use of the test set of {run.path} is recorded, but its report could not be updated ({_reason(problem)}): "
            "run foveola report to update it"
        )


def _reason(problem: Exception) -> str:
    """Return the system's own reason, in lower case."""
    cause = problem.__cause__ if isinstance(problem.__cause__, OSError) else problem
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).lower()


def test_uses_of(run: str | os.PathLike[str]) -> int:
    """Return how often a run's test set has been used."""
    from foveola.runs.folders import find_run
    from foveola.runs.usage import count_test_uses as counted

    return counted(find_run(run))


def drop_excluded(run: Run, dataset: Dataset) -> Dataset:
    """The data set without what the run's exclude list left out, if the run was trained on it; else as it is.

    Without this foveola would not recognise the run's own data, and would measure on training images.
    """
    from foveola.data.exclude import exclude

    known = set(dataset.ids)
    out = [problem.file for problem in run.card.problems if problem.kind == "excluded"]
    if not out or not known.issuperset(out):
        return dataset
    fewer = exclude(dataset, out, "the run", for_training=False)
    return fewer if fewer.fingerprint == run.card.fingerprint else dataset


def held_out_rows(run: Run, dataset: Dataset) -> Any:
    """Return the rows to measure: the run's test set in its own data; in other data the test set, or all images."""
    import numpy as np

    if dataset.fingerprint == run.card.fingerprint:
        kept_aside = set(run.evaluation.ids)
        return np.array([i for i, name in enumerate(dataset.ids) if name in kept_aside], np.int64)
    given = np.zeros(0) if dataset.parts is None else np.flatnonzero(dataset.parts == 2)
    return given if len(given) else np.arange(len(dataset))


def headline(numbers: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the main numbers in lines: accuracy, accuracy without training images, and balanced accuracy for unequal
    classes."""
    from foveola.evaluation.headline import balanced, trained_on
    from foveola.evaluation.headline import headline as line

    return tuple(filter(None, (line(numbers), trained_on(numbers), balanced(numbers))))


@checks_keywords()
def report(run: str | os.PathLike[str]) -> Path:
    """Rebuild a run's report.html from its folder; return its path."""
    from foveola.report.run_page import render
    from foveola.runs.run import open_run
    from foveola.storage import write_atomic

    opened = open_run(run)
    write_atomic(opened.report, render(opened))
    return opened.report
