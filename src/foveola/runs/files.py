"""Read and write a run's predictions and network."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.predictions import csv_cell
from foveola.models.summary import Summary
from foveola.storage import write_atomic


def require_valid_predictions(logits: NDArray[Any], labels: NDArray[Any], classes: int) -> None:
    """Raise ValueError unless logits (n, K) are finite and labels (n,), n at least 1, are class numbers 0..K-1."""
    fitting = logits.ndim == 2 and logits.shape == (len(labels), classes) and len(labels) > 0
    if not (fitting and np.isfinite(logits).all() and labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"logits {logits.shape} and {len(labels)} labels of {classes} classes")


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Save logits, labels and ids as arrays, without pickle."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        logits=evaluation.logits,
        labels=evaluation.labels,
        ids=np.frombuffer(json.dumps(evaluation.ids).encode(), np.uint8),
    )
    write_atomic(path, buffer.getvalue())


def write_table(path: Path, evaluation: Evaluation) -> None:
    """Write predictions as CSV: image, true class, predicted class and its probability, one row per image."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["image", "true_class", "predicted_class", "probability"])
    names = [csv_cell(name) for name in evaluation.class_names]
    answers = zip(evaluation.ids, evaluation.labels, evaluation.predicted, evaluation.confidence, strict=True)
    writer.writerows([csv_cell(name), names[true], names[said], csv_cell(float(p))] for name, true, said, p in answers)
    write_atomic(path, out.getvalue())


def write_network(path: Path, network: Summary) -> None:
    """Save the network's layer table."""
    rows = [[row.name, row.kind, list(row.shape), row.parameters] for row in network.rows]
    write_atomic(path, json.dumps({"rows": rows, "parameters": network.parameters, "trainable": network.trainable}))
