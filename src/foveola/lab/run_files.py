"""What a run writes of its answers and its network, and what must be true of answers that are read again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import printable
from foveola.learning.metrics import Evaluation
from foveola.models.table import Summary
from foveola.store import write_atomic


def require_answers(logits: NDArray[Any], labels: NDArray[Any], classes: int) -> None:
    """Raise ValueError unless logits (n, K) are finite and labels (n,), n at least 1, are class numbers 0..K-1."""
    fitting = logits.ndim == 2 and logits.shape == (len(labels), classes) and len(labels) > 0
    if not (fitting and np.isfinite(logits).all() and labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"logits {logits.shape} and {len(labels)} labels of {classes} classes")


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Keep logits, labels and ids; arrays only, so nothing is ever pickled."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        logits=evaluation.logits,
        labels=evaluation.labels,
        ids=np.frombuffer(json.dumps(evaluation.ids).encode(), np.uint8),
    )
    write_atomic(path, buffer.getvalue())


def write_network(path: Path, network: Summary) -> None:
    """Keep the network's table."""
    rows = [[row.name, row.kind, list(row.shape), row.parameters] for row in network.rows]
    write_atomic(path, json.dumps({"rows": rows, "parameters": network.parameters, "trainable": network.trainable}))


def numbers_of(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of an evaluation under the names that every JSON output uses."""
    low, high, _ = evaluation.interval
    return {
        "test_accuracy": evaluation.accuracy,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "majority_accuracy": evaluation.majority_accuracy,
        "against_majority": evaluation.standing,
        "balanced_accuracy": evaluation.balanced_accuracy,
        "macro_f1": evaluation.macro_f1,
        "test_loss": evaluation.loss,
        "per_class": [{**row._asdict(), "name": printable(row.name)} for row in evaluation.per_class],
        "confusion": evaluation.confusion.tolist(),
    }
