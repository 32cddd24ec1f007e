"""Read and write a run's predictions and network."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.predictions import csv_cell
from foveola.models.summary import Summary
from foveola.storage import disk_errors_as_resource_error, write_atomic


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
    rows = zip(evaluation.ids, evaluation.labels, evaluation.predicted, evaluation.confidence, strict=True)
    writer.writerows(
        [csv_cell(name), names[true], names[predicted], csv_cell(float(p))] for name, true, predicted, p in rows
    )
    write_atomic(path, out.getvalue())


def write_network(path: Path, network: Summary) -> None:
    """Save the network's layer table."""
    rows = [[row.name, row.kind, list(row.shape), row.parameters] for row in network.rows]
    write_atomic(path, json.dumps({"rows": rows, "parameters": network.parameters, "trainable": network.trainable}))


TEST_USES = "test_opened_again.jsonl"


def count_test_uses(run: Path) -> int:
    """Return the number of uses: 1 after training."""
    try:
        return 1 + (run / TEST_USES).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 1


def record_test_use(run: Path, by: str) -> int:
    """Record one more use of the test set; return the number of uses.

    One line, appended by one write and flushed to the disk: two processes at once leave two lines, and a kill none or one.
    Raises ResourceError if the folder can't be written.
    """
    line = json.dumps({"when": datetime.now(UTC).isoformat(timespec="seconds"), "by": by}) + "\n"
    path = run / TEST_USES
    with disk_errors_as_resource_error(path, len(line)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    return count_test_uses(run)
