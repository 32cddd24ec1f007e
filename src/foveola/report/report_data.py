"""The values that the report of a run shows. `train` has them in memory; for an old run they are read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foveola.evaluation.calibration import CalibrationReport
from foveola.evaluation.decisions import Threshold
from foveola.evaluation.metrics import Evaluation
from foveola.models.summary import Summary
from foveola.recipes.candidates import CandidateResult, read_results
from foveola.recipes.recipe import read_tables
from foveola.runs.data_summary import DataSummary
from foveola.runs.previews import Previews
from foveola.runs.run import Run
from foveola.training.history import EpochLog, FoldLog, ProbeLog


@dataclass(frozen=True)
class ReportData:
    """The values that the report of a run shows.

    recipe: the tables of recipe.toml, not a `Recipe`, because they may name a network that this process has not registered;
    environment: the entries of environment.json; head: the solutions of the last layer, () if it was not trained alone;
    history: the epochs; best_epoch: the epoch whose weights were kept, 0 if none; seconds: the total time; folder: the
    path of the run's folder, as the page shows it; folds: the tests of the folds of a cross-validation; test_uses: how often
    the test set has been used, 1 after training; has_csv: whether predictions.csv is next to the page;
    threshold: that of one class, None without; candidates: the networks that were compared on held-out images before this one
    was chosen.
    """

    recipe: Mapping[str, Any]
    model: str
    seed: int
    environment: Mapping[str, Any]
    data: DataSummary
    network: Summary
    head: tuple[ProbeLog, ...]
    history: tuple[EpochLog, ...]
    best_epoch: int
    seconds: float
    evaluation: Evaluation
    confidence: CalibrationReport
    previews: Previews
    folder: str
    folds: tuple[FoldLog, ...] = ()
    test_uses: int = 1
    has_csv: bool = True
    threshold: Threshold | None = None
    candidates: tuple[CandidateResult, ...] = ()


def read_report_data(run: Run) -> ReportData:
    """Read the values of a finished run from its folder. Raises UsageError for a damaged run."""
    return ReportData(
        recipe=read_tables(run.path / "recipe.toml"),
        model=run.result["model"],
        seed=run.seed,
        environment=run.environment,
        data=run.card,
        network=run.network,
        head=run.head,
        history=run.history,
        best_epoch=run.result["best_epoch"],
        seconds=run.result["seconds"],
        evaluation=run.evaluation,
        confidence=run.confidence,
        previews=Previews(run.images, run.data_preview, run.network_preview, run.augmentation_preview),
        folder=str(run.result.get("run", run.path)),
        folds=run.folds,
        test_uses=run.test_opened,
        has_csv=(run.path / "predictions.csv").is_file(),
        threshold=run.threshold,
        candidates=read_results(run.result.get("candidates", ())),
    )
