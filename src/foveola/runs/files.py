"""Read and write a run's predictions and network."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.out_of_fold import OutOfFold
from foveola.evaluation.predictions import csv_cell
from foveola.models.summary import Summary
from foveola.storage import disk_errors_as_resource_error, write_atomic


def require_valid_predictions(logits: NDArray[Any], labels: NDArray[Any], classes: int) -> None:
    """Raise ValueError unless logits (n, K) are finite and labels (n,), n at least 1, are class numbers 0..K-1."""
    fitting = logits.ndim == 2 and logits.shape == (len(labels), classes) and len(labels) > 0
    if not (fitting and np.isfinite(logits).all() and labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"logits {logits.shape} and {len(labels)} labels of {classes} classes")


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Save logits, labels and ids as arrays, without pickle; for a cross-validation also the networks that made them."""
    buffer, origin = io.BytesIO(), evaluation.out_of_fold
    arrays: dict[str, NDArray[Any]] = {"logits": evaluation.logits, "labels": evaluation.labels}
    arrays["ids"] = np.frombuffer(json.dumps(evaluation.ids).encode(), np.uint8)
    if origin is not None:
        arrays |= {name: getattr(origin, name) for name in _ORIGIN}
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())


_ORIGIN = ("repeat", "fold", "units", "temperatures")


def read_evaluation(
    path: Path, class_names: tuple[str, ...], temperature: float, leaked: Collection[str]
) -> Evaluation:
    """Read what `write_evaluation` wrote. leaked: the ids with a copy in train or val.

    Raises OSError, ValueError or others for a missing or damaged file.
    """
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        ids, logits, labels = tuple(json.loads(arrays["ids"].tobytes())), arrays["logits"], arrays["labels"]
        origin = OutOfFold(*(arrays[name] for name in _ORIGIN)) if "fold" in arrays else None
    require_valid_predictions(logits, labels, len(class_names))
    lengths = {len(ids), len(labels), *(len(getattr(origin, name)) for name in _ORIGIN if origin)}
    if len(lengths) > 1:
        raise ValueError(f"arrays of {lengths} predictions")
    trained_on = np.array([name in leaked for name in ids], bool)
    return Evaluation(logits, labels, ids, class_names, "test", temperature, trained_on, origin)


def write_table(path: Path, evaluation: Evaluation) -> None:
    """Write predictions as CSV: image, true class, predicted class and its probability, one row per prediction.

    Those of a cross-validation also have the repeat and the fold, from 1.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    origin = evaluation.out_of_fold
    folds = [] if origin is None else (1 + np.stack([origin.repeat, origin.fold], axis=1)).tolist()
    writer.writerow(["image", "true_class", "predicted_class", "probability", *["repeat", "fold"][: 2 * bool(folds)]])
    names = [csv_cell(name) for name in evaluation.class_names]
    predictions = zip(evaluation.ids, evaluation.labels, evaluation.predicted, evaluation.confidence, strict=True)
    for row, (name, true, predicted, p) in enumerate(predictions):
        cells = (csv_cell(name), names[true], names[predicted], csv_cell(float(p)))
        writer.writerow([*cells, *(folds[row] if folds else [])])
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
