"""The values of a finished training, and the files that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from foveola.evaluation.calibration import Calibration
from foveola.evaluation.metrics import Evaluation
from foveola.recipes.recipe import Recipe
from foveola.runs.files import write_evaluation, write_table
from foveola.runs.predictor import save_network
from foveola.runs.previews import Previews
from foveola.storage import disk_errors_as_resource_error
from foveola.training.history import EpochLog, ProbeLog


@dataclass(frozen=True)
class Trained:
    """The values of a finished training. The run's folder has the same as files.

    head: the solutions of the last layer, () if it was not trained alone.
    """

    head: tuple[ProbeLog, ...]
    history: tuple[EpochLog, ...]
    evaluation: Evaluation
    calibration: Calibration
    previews: Previews


def write_trained(
    folder: Path,
    model: nn.Module,
    recipe: Recipe,
    rows: Sequence[EpochLog | ProbeLog],
    evaluation: Evaluation,
    calibration: Calibration,
    previews: Previews,
) -> Trained:
    """Write a finished network and its results into the run's folder, all files except report and result.

    model: on the processor; rows: of its training.
    """
    calibration.save(folder / "calibration.npz")
    names = evaluation.class_names
    save_network(folder / "weights.safetensors", model, recipe, names, calibration.temperature)
    write_evaluation(folder / "predictions.npz", evaluation)
    write_table(folder / "predictions.csv", evaluation)
    with disk_errors_as_resource_error(folder / "images.npz", 0):
        previews.save(folder)
    head = tuple(row for row in rows if isinstance(row, ProbeLog))
    history = tuple(row for row in rows if isinstance(row, EpochLog))
    return Trained(head, history, evaluation, calibration, previews)
