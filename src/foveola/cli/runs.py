"""Commands for finished runs: evaluate, predict, explain, report, runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveola import workflows
from foveola.cli.application import (
    CostFalseNegative,
    CostFalsePositive,
    Json,
    MinSensitivity,
    MinSpecificity,
    Open,
    Overwrite,
    Reading,
    RunPath,
    command,
    reads_data,
)
from foveola.cli.output import (
    open_page,
    print_json,
    print_line,
    print_notes,
    print_problems,
    print_table,
    progress_on_screen,
)
from foveola.text import count, printable

if TYPE_CHECKING:
    from foveola.evaluation.metrics import ClassNumbers
    from foveola.evaluation.predictions import Prediction, Predictions
    from foveola.runs.folders import RunLine
    from foveola.workflows.evaluating import Measurement


@command("foveola evaluate latest", "foveola evaluate latest other-photos")
@reads_data
def evaluate(
    run: RunPath,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="Data set to measure on. [default: the test set of the run]")
    ] = None,
    *,
    reading: Reading,
    json_: Json = False,
) -> None:
    """Measure a trained network: accuracy with its interval, loss, and metrics of each class."""
    with progress_on_screen() as screen:
        found = workflows.evaluate(run, data, settings=reading, progress=screen)
    print_notes(found.notes)
    numbers = found.to_json()
    if json_:
        print_json(numbers)
        return
    _print_measurement(found, numbers, with_files=data is not None)


@command(
    "foveola predict latest photo.jpg",
    "foveola predict latest holiday/ --csv predictions.csv",
    "foveola predict latest holiday/ --abstain 0.05",
)
def predict(
    run: RunPath,
    files: Annotated[list[Path], typer.Argument(metavar="IMAGES", help="Image files, or folders of images.")],
    abstain: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help='Largest acceptable error rate, e.g. 0.05. Images that cannot be classified at this rate get "don\'t know".',
        ),
    ] = None,
    csv_: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write labels and all probabilities to this CSV file.")
    ] = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Predict the class of images, with calibrated probabilities."""
    if csv_ is not None:
        workflows.require_new(csv_, overwrite=overwrite)
    with progress_on_screen() as screen:
        recognise = True if csv_ is not None else None
        predictions = workflows.predict(run, files, abstain=abstain, recognise=recognise, progress=screen)
    with contextlib.ExitStack() as every:  # what can't be printed is written all the same, and the other way round
        if csv_ is not None:
            every.callback(predictions.to_csv, csv_, overwrite=overwrite)
        print_json(predictions.to_json()) if json_ else _print_predictions(predictions)
    if csv_ is not None and not json_:
        print_line(f"wrote {printable(str(csv_))}")
    unusable = [prediction.file for prediction in predictions if prediction.problem]
    if unusable and (len(unusable) == len(predictions) or {str(path) for path in files} & set(unusable)):
        raise typer.Exit(3)  # not for a damaged file in a folder: it has its row


@command(
    "foveola threshold latest --positive sick --min-sensitivity 0.95",
    "foveola threshold latest --positive sick --min-specificity 0.9",
    "foveola threshold latest --remove",
)
def threshold(
    run: RunPath,
    positive: Annotated[str | None, typer.Option(metavar="CLASS", help="The class that the threshold is for.")] = None,
    min_sensitivity: MinSensitivity = None,
    min_specificity: MinSpecificity = None,
    cost_false_positive: CostFalsePositive = None,
    cost_false_negative: CostFalseNegative = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the threshold: predict the most probable class again.")
    ] = False,
    json_: Json = False,
) -> None:
    """Choose the probability from which a class is predicted, for a stated sensitivity, specificity or cost.

    foveola chooses the threshold on images that the network was not trained on, and measures it on the test set.
    """
    with progress_on_screen() as screen:
        found = workflows.threshold(
            run, positive, min_sensitivity=min_sensitivity, min_specificity=min_specificity,
            cost_false_positive=cost_false_positive, cost_false_negative=cost_false_negative, remove=remove,
            progress=screen,
        )  # fmt: skip
    print_notes(found.notes)
    if json_:
        print_json(found.to_json())
        return
    for line in found.lines:
        print_line(line)


@command(
    "foveola explain latest photo.jpg why.png",
    "foveola explain latest photo.jpg maps --method feature_maps",
    "foveola explain latest - kernels.png --method kernels",
)
@reads_data
def explain(
    run: RunPath,
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="An image file. For the methods max_activating and embedding a data set, for kernels a dash (-).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="File for the figure (.png, .svg or .pdf), or a folder if there are several figures."
        ),
    ],
    *,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="What to draw. See `foveola list explanations`.")
    ] = "gradcam",
    stage: Annotated[
        str,
        typer.Option(
            metavar="LAYER",
            help="Name of a layer. [default: the last one; for kernels and one_pixel the first one; for feature_maps all]",
            show_default=False,
        ),
    ] = "",
    class_: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="The class to explain. [default: the predicted class]")
    ] = None,
    place: Annotated[
        tuple[int, int, int] | None,
        typer.Option(
            metavar="CHANNEL ROW COLUMN",
            help="For one_pixel: the output value to explain. [default: the largest value]",
        ),
    ] = None,
    how: Annotated[
        str | None, typer.Option(metavar="NAME", help="For embedding: the method, tsne or pca. [default: tsne]")
    ] = None,
    reading: Reading,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Draw what a network sees: heat maps, feature maps, kernels, or a map of the test images."""
    with progress_on_screen() as screen:
        found = workflows.explain(
            run,
            image,
            out,
            method,
            stage=stage,
            label=class_,
            place=place,
            how=how,
            settings=reading,
            overwrite=overwrite,
            progress=screen,
        )
    print_notes(found.notes)
    if json_:
        print_json(found.to_json())
        return
    if found.label:
        print_line(f"{found.label}, {100 * found.probability:.1f} %")
    for path in found.written:
        print_line(f"wrote {path}")


@command("foveola report latest", "foveola report latest --open")
def report(run: RunPath, open_: Open = False, json_: Json = False) -> None:
    """Write the report.html of a run again."""
    found = workflows.report(run)
    print_json(found.to_json()) if json_ else print_line(f"report  {found.path}")
    if open_:
        open_page(found.path)


@command("foveola runs", "foveola runs my-folder")
def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the runs.")] = Path("runs"),
    json_: Json = False,
) -> None:
    """List the runs in a folder, the newest first."""
    found = workflows.runs(folder)
    if json_:
        print_json(found.to_json())
    elif not found:
        print_line(f"there are no runs in {folder}: foveola train creates one")
    else:
        print_table(
            ("run", "date", "data", "images", "classes", "model", "test accuracy", "time"),
            [_run_row(line) for line in found],
            spare=("time", "classes", "images", "data"),
        )


def _print_measurement(found: Measurement, numbers: Mapping[str, Any], with_files: bool) -> None:
    for line in workflows.headlines(numbers):
        print_line(line)
    print_line(f"loss {found.loss:.3f} nats per image")
    print_line(_calibrated(numbers))
    if numbers["roc"] is not None:
        print_line(_areas(numbers["roc"]))
    print_table(
        ("class", "precision", "recall (95 % interval)", "F1", "images"),
        [_class_row(one) for one in found.per_class],
        spare=("F1", "images", "precision"),
    )
    if with_files:
        print_problems([(p.file, p.reason) for p in found.problems], found.files_found)
    if found.used_test and found.test_opened > 1:
        times = "twice" if found.test_opened == 2 else f"{found.test_opened:,} times"
        print_line(
            f"You have now looked at the test set {times}. If you use it to choose between models, its accuracy becomes too "
            "optimistic."
        )


def _class_row(one: ClassNumbers) -> tuple[str, ...]:
    recall = f"{one.recall:.3f} ({one.recall_low:.3f} to {one.recall_high:.3f})"
    return one.name, f"{one.precision:.3f}", recall, f"{one.f1:.3f}", f"{one.support:,}"


def _run_row(line: RunLine) -> tuple[str, ...]:
    images, classes = (f"{number:,}" if number else "" for number in (line.images, line.classes))
    measured = _interval(line) if line.status == "finished" else line.status
    date = datetime.fromisoformat(line.date).astimezone().strftime("%Y-%m-%d %H:%M")
    return str(line.path), date, line.data, images, classes, line.model, measured, _seconds(line.seconds)


def _print_predictions(predictions: Predictions) -> None:
    print_table(("file", "label", "probability"), [prediction_row(one) for one in predictions])
    if predictions.abstention is not None:
        print_line(_abstention(predictions, predictions.abstention))
    if predictions.decision is not None:
        rule, rates = workflows.decided(predictions.decision)
        print_line(rule)
        print_line(
            f"{'in cross-validation' if predictions.decision['fold_thresholds'] else 'on the test set'}, {rates}"
        )
    for line in predictions.notes:
        print_line(line)


def prediction_row(prediction: Prediction) -> tuple[str, ...]:
    """Return file, label (or the reason for none) and probability."""
    if prediction.problem:
        return (prediction.file, f"({prediction.problem})", "")
    if prediction.label_set is not None and not prediction.label:
        return (prediction.file, f"don't know ({' or '.join(prediction.label_set) or 'like none of the classes'})", "")
    return (prediction.file, prediction.label, f"{100 * prediction.probability:.1f} %")


def _calibrated(numbers: Mapping[str, Any]) -> str:
    """Describe how well the probabilities are calibrated, in one line."""
    on = count(numbers["n_calibration"], "image")
    return (
        f"probabilities calibrated on {on}, temperature {numbers['temperature']:.2f}; "
        f"expected calibration error {100 * numbers['ece']:.1f} % (95 % interval {100 * numbers['ece_low']:.1f} to "
        f"{100 * numbers['ece_high']:.1f} %, {100 * numbers['ece_by_chance']:.1f} % by chance alone)"
    )


def _areas(roc: Mapping[str, Any]) -> str:
    """Describe how well the probability of the positive class separates it from the rest, in one line."""
    auc, precision = (
        f"{roc[name]:.3f} (95 % interval {roc[f'{name}_low']:.3f} to {roc[f'{name}_high']:.3f})"
        for name in ("auc", "average_precision")
    )
    return f"'{printable(roc['positive'])}' against the rest: area under the ROC curve {auc}, average precision {precision}"


def _abstention(predictions: Sequence[Prediction], measured: Mapping[str, Any]) -> str:
    """Describe how many images got a label, with the promised and the measured error rate."""
    asked = [prediction for prediction in predictions if not prediction.problem]
    given = sum(bool(prediction.label) for prediction in asked)
    stated = f"Expect at most {100 * measured['error']:g} % wrong predictions on images like the training data."
    answered, wrong = (_share(measured, name) for name in ("answered", "wrong"))
    found = f"On the test set, {answered} got a class, and {wrong} got a wrong one."
    return f"Predicted {given:,} of {count(len(asked), 'image')}. {stated} {found}"


def _share(numbers: Mapping[str, Any], name: str) -> str:
    low, high = numbers[f"{name}_low"], numbers[f"{name}_high"]
    return f"{100 * numbers[name]:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def _interval(line: Any) -> str:
    return (
        "" if line.accuracy is None else f"{100 * line.accuracy:.1f} % ({100 * line.low:.1f} to {100 * line.high:.1f})"
    )


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f} s"
