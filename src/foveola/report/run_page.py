"""The report of a run: one HTML page with its data, training, accuracy, confidence, mistakes and recipe.

The page has no scripts, network requests or web fonts; texts from the data are cleaned and escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w
from markupsafe import Markup

from foveola.evaluation.intervals import wilson
from foveola.evaluation.metrics import Evaluation, Standing, is_imbalanced
from foveola.models.feature_sets import in_words
from foveola.report.augmentation_section import augmentation_section
from foveola.report.curves import CurveLine, curves
from foveola.report.data_section import data_section, findings_section
from foveola.report.decisions_section import decisions_section
from foveola.report.folds_section import folds_section
from foveola.report.formatting import date, environment, number, shell, typed, without_home
from foveola.report.network_section import blocks, network_section
from foveola.report.report_data import ReportData
from foveola.report.results_section import confidence_section, predictions_section
from foveola.report.svg import accuracy_axis, baseline_label
from foveola.text import joined, percent
from foveola.training.history import EpochLog, ProbeLog, best_head

SECTIONS = (
    ("data", "Data"),
    ("learning", "Training"),
    ("numbers", "Accuracy"),
    ("confidence", "Confidence"),
    ("decisions", "One class against the rest"),
    ("images", "Test images"),
    ("mistakes", "Worst mistakes"),
    ("activations", "What the network sees"),
    ("network", "Network"),
    ("recipe", "Recipe and environment"),
    ("use", "Use this network"),
)


@dataclass(frozen=True)
class Headline:
    """The accuracy, its interval and its baseline, as text.

    standing: how the accuracy compares with the majority baseline (see `metrics.standing`); unequal: whether the classes
    of the test images are unequal.
    """

    accuracy: str
    low: str
    high: str
    n: int
    right: int
    majority: str
    baseline: str
    standing: Standing | None
    unequal: bool
    balanced: str
    balanced_interval: str
    macro_f1: str
    macro_f1_interval: str
    figure: Markup


@dataclass(frozen=True)
class Stage:
    """One stage of training: its curves and its rows; `kept` is the number of the kept row, 0 if it is in another stage."""

    unit: str
    rows: tuple[EpochLog | ProbeLog, ...]
    kept: int
    loss: Markup
    accuracy: Markup


@dataclass(frozen=True)
class TriedFeatures:
    """A set of features in words, the best last layer on it, and whether that one is the best of all."""

    words: str
    best: ProbeLog
    kept: bool


@dataclass(frozen=True)
class TrainingSection:
    """The stages of training (penalties of the last layer, epochs), and the row that was kept.

    chosen: what the validation images decided; features: the sets of features that the last layer was fitted on, () if there
    is one; n_val: the validation images that intervals are for, 0 if the accuracies are means over networks, or weighted;
    smaller_until: the last epoch that was measured on smaller images, 0 if none; refitted: whether the last layer was fitted
    again on train and val together.
    """

    stages: tuple[Stage, ...]
    best: EpochLog | ProbeLog
    epochs: int
    planned: int
    chosen: str
    n_val: int
    features: tuple[TriedFeatures, ...] = ()
    smaller_until: int = 0
    refitted: bool = False


@dataclass(frozen=True)
class PageFooter:
    """Date, command, data and folder of a run as the page shows them; "" if unknown.

    command: as typed; data: the path of the data as given; run: the run's folder; data_word, run_word: the same two, quoted
    for a shell.
    """

    on: str
    command: str
    data: str
    data_word: str
    run: str
    run_word: str


def render(run: ReportData) -> str:
    """Render the report of a run as HTML text; the same values give the same text, which is valid UTF-8."""
    tables = _shown_recipe(run.recipe)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            card=run.data,
            network=run.network,
            evaluation=run.evaluation,
            recipe=tables,
            title=tables.get("title") or f"{run.data.name}, {run.model}",
            sections=SECTIONS,
            made=page_footer(run, tables),
            environment=[
                (key, value) for key, value in run.environment.items() if key not in ("started", "command", "weights")
            ],
            predictions_csv="predictions.csv" if run.has_csv else "",
            blocks=blocks(run.network),
            headline=headline(run.evaluation),
            data=data_section(run.data, run.previews.images, run.previews.data),
            augmentation=augmentation_section(run.previews.augmentation, tables["fit"]),
            learning=training_section(run, tables["fit"]),
            predictions=predictions_section(run.evaluation, run.previews.images),
            confidence=confidence_section(run.confidence),
            decisions=decisions_section(run.evaluation.once, run.threshold, run.confidence.calibration),
            findings=findings_section(run.data, run.evaluation),
            folds=folds_section(run.folds, run.evaluation),
            activations=network_section(run.previews.network, run.evaluation.once),
            command=command(tables, run.seed),
            recipe_lines=tomli_w.dumps(tables).splitlines(),
        )
    )


def _shown_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's tables with home folders as "~"."""
    data = dict(recipe.get("data", {}))
    for key in ("source", "labels", "exclude"):
        if data.get(key):
            data[key] = without_home(data[key])
    return {**recipe, "data": data}


def page_footer(run: ReportData, tables: dict[str, Any]) -> PageFooter:
    """Date, command, data and folder of a run. Home folders become "~", because readers may share the page."""
    data, folder = tables.get("data", {}).get("source", ""), without_home(run.folder)
    return PageFooter(
        on=date(run.environment["started"]),
        command=typed(run.environment.get("command", ())),
        data=data,
        data_word=shell(data),
        run=folder,
        run_word=shell(folder),
    )


def headline(evaluation: Evaluation) -> Headline:
    """The accuracy, its interval and its baseline, computed from the evaluation."""
    low, high, _ = evaluation.interval
    name = evaluation.class_names[evaluation.majority]
    majority = evaluation.majority_accuracy
    balanced, macro_f1 = evaluation.class_average_intervals
    return Headline(
        accuracy=percent(evaluation.accuracy),
        low=percent(low),
        high=percent(high),
        n=evaluation.images,
        right=int(evaluation.once.correct.sum()),
        majority=name,
        baseline=percent(majority),
        standing=evaluation.standing,
        unequal=is_imbalanced(evaluation.counts.tolist()),
        balanced=percent(evaluation.balanced_accuracy),
        balanced_interval=f"{100 * balanced.low:.1f} to {percent(balanced.high)}",
        macro_f1=f"{evaluation.macro_f1:.3f}",
        macro_f1_interval=f"{macro_f1.low:.3f} to {macro_f1.high:.3f}",
        figure=accuracy_axis(evaluation.accuracy, low, high, majority, baseline_label(name)),
    )


def training_section(run: ReportData, fit: dict[str, Any]) -> TrainingSection:
    """The curves of a run: the penalties of its last layer on the best set of features first, then its epochs."""
    kept_epoch, head_best = run.best_epoch, best_head(run.head)
    # a weighted accuracy is not a share of images, and a mean over networks has no validation set
    n_val = 0 if fit.get("class_weights") == "balanced" else sum(run.data.counts["val"])
    stages = []
    if head_best:
        same = [row for row in run.head if row.features == head_best.features]
        path = tuple(sorted(same, key=lambda row: -row.strength))
        strengths = [number(row.strength) for row in path]
        stages.append(_stage("penalty", path, 0 if kept_epoch else 1 + path.index(head_best), n_val, strengths))
    if run.history:
        stages.append(_stage("epoch", run.history, kept_epoch, n_val))
    best = run.history[kept_epoch - 1] if kept_epoch else head_best
    assert best is not None, "a run has at least one row"
    tried = _tried_features(run.head)
    choices = [
        (bool(run.candidates), "which network to keep"),
        (bool(tried), "which features the last layer uses"),
        (bool(head_best), f"how strongly {'it' if tried else 'the last layer'} is regularised"),
        (bool(run.history), "which epoch’s weights to keep"),
    ]
    chosen = joined(text for applies, text in choices if applies)
    smaller = max((row.epoch for row in run.history if row.val_scale < 1), default=0)
    refitted = not kept_epoch and (not run.history or fit.get("finetune", False))
    return TrainingSection(
        tuple(stages), best, len(run.history), int(fit["epochs"]), chosen, n_val, tried, smaller, refitted
    )


def _tried_features(head: Sequence[ProbeLog]) -> tuple[TriedFeatures, ...]:
    kept, names = best_head(head), dict.fromkeys(row.features for row in head)
    if len(names) < 2:
        return ()
    bests = [best_head([row for row in head if row.features == name]) for name in names]
    return tuple(TriedFeatures(in_words(row.features), row, row is kept) for row in bests if row)


def _stage(
    unit: str, rows: tuple[EpochLog | ProbeLog, ...], kept: int, n_val: int, strengths: Sequence[str] = ()
) -> Stage:
    loss = [CurveLine("train", [row.train_loss for row in rows]), CurveLine("val", [row.val_loss for row in rows])]
    known = [wilson(round(row.val_accuracy * n_val), n_val)[:2] for row in rows] if n_val else []
    shares = [
        CurveLine("train", [row.train_accuracy for row in rows]),
        CurveLine("val", [row.val_accuracy for row in rows], known),
    ]
    axis = "penalty, from strong to weak" if strengths else ""
    return Stage(
        unit,
        rows,
        kept,
        loss=curves("Loss", loss, kept, unit=unit, places=strengths, axis=axis),
        accuracy=curves("Accuracy", shares, kept, as_percent=True, unit=unit, places=strengths, axis=axis),
    )


def command(tables: dict[str, Any], seed: int) -> str:
    """The command that trains the same run again; DATA stands for data that was not given as a path."""
    source = tables.get("data", {}).get("source")
    return f"foveola train {shell(source) if source else 'DATA'} --recipe recipe.toml --seed {seed}"
