"""Predictions for images: one Prediction each, and all of them as JSON, CSV, array or data frame."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import normalise_name
from foveola.errors import UsageError
from foveola.evaluation.decisions import Threshold, decision_numbers
from foveola.evaluation.headline import headlines, seen
from foveola.evaluation.metrics import Evaluation, result_numbers
from foveola.storage import write_atomic
from foveola.text import count, html_table, printable

MOST_SHOWN = 20
"""Number of predictions that a notebook or the Python prompt shows."""


@dataclass(frozen=True, repr=False, eq=False)
class Prediction:
    """The prediction for one image: class name and float64 (K,) probabilities; or why there is none (`problem`).

    file: the file, or "image 1" by its position if it is not a file; class_names: K names in the order of the probabilities.

    label_set: with abstaining, the classes that can't be ruled out at the stated error rate, most probable first. `label` is
    "" (don't know) unless there is exactly one of them.

    copy_of: the training or validation image that this image is an exact or near-duplicate of, "" if there is none, None if
    this was not checked.
    """

    file: str
    label: str
    probabilities: NDArray[np.float64]
    problem: str = ""
    label_set: tuple[str, ...] | None = None
    class_names: tuple[str, ...] = ()
    copy_of: str | None = None

    @property
    def probability(self) -> float:
        """The probability of the predicted class, 0..1; the largest without a label, 0 if there is no prediction."""
        if self.label in self.class_names:
            return float(self.probabilities[self.class_names.index(self.label)])
        return float(self.probabilities.max(initial=0.0))

    def to_dict(self) -> dict[str, float]:
        """Class name -> probability, most probable first; empty if the image could not be read."""
        if self.problem:
            return {}
        order = np.argsort(-self.probabilities, kind="stable").tolist()
        return {self.class_names[k]: float(self.probabilities[k]) for k in order}

    def to_json(self) -> dict[str, Any]:
        """The prediction as `foveola predict --json` prints it."""
        if self.problem:
            return {"file": self.file, "problem": self.problem}
        chances = {name: float(p) for name, p in zip(self.class_names, self.probabilities, strict=True)}
        out = {"file": self.file, "label": self.label, "probability": self.probability, "probabilities": chances}
        if self.copy_of is not None:
            out["copy_of"] = printable(self.copy_of)
        return out if self.label_set is None else {**out, "label_set": self.label_set}

    def __repr__(self) -> str:
        return f"Prediction({self.file!r}: {_in_words(self)})"


def labels_by_folder(files: Sequence[str], class_names: Sequence[str]) -> list[int] | None:
    """Class numbers from folder names; None unless there are several files and each folder has the name of a class.

    >>> labels_by_folder(["a/cat/1.png", "b/dog/1.png"], ("cat", "dog")), labels_by_folder(["cat/1.png", "2.png"], ("cat",))
    ([0, 1], None)
    """
    number = {normalise_name(name): k for k, name in enumerate(class_names)}
    found = [number.get(normalise_name(Path(file).parent.name)) for file in files]
    labels = [k for k in found if k is not None]
    return labels if len(labels) == len(files) > 1 else None


def _in_words(one: Prediction) -> str:
    """The prediction as text."""
    if one.problem:
        return one.problem
    if one.label_set is not None and not one.label:
        return f"don't know ({' or '.join(one.label_set) or 'like none of the classes'})"
    ranked = one.to_dict()
    shown = sorted(ranked, key=lambda name: name != one.label)[:3]  # a threshold can choose a less probable class
    return ", ".join(f"{name} {100 * ranked[name]:.1f} %" for name in shown)


class Predictions(Sequence[Prediction]):
    """The predictions for several images, in their order; a sequence with conversions to JSON, CSV, NumPy and pandas.

    class_names: the classes in the order of the probabilities; run: the run's folder, "" without a run; abstention: with
    abstaining, the results of this error rate on the run's test set, under the names of docs/reference/json.md; threshold:
    the threshold that decided the labels, None for the most probable class; decision: the threshold and its rates on the
    run's test set, under the names of docs/reference/json.md.

        predictions = fv.predict("latest", "holiday")
        predictions[0].label, predictions.to_array(), predictions.to_dataframe()
    """

    def __init__(
        self,
        predictions: Iterable[Prediction],
        class_names: tuple[str, ...],
        run: str = "",
        abstention: Mapping[str, Any] | None = None,
        threshold: Threshold | None = None,
        decision: Mapping[str, Any] | None = None,
    ) -> None:
        self._predictions = tuple(predictions)
        self.class_names, self.run, self.abstention = class_names, run, abstention
        self.threshold, self.decision = threshold, decision

    @overload
    def __getitem__(self, at: int) -> Prediction: ...
    @overload
    def __getitem__(self, at: slice) -> Predictions: ...
    def __getitem__(self, at: int | slice) -> Prediction | Predictions:
        if isinstance(at, slice):
            more = (self.class_names, self.run, self.abstention, self.threshold, self.decision)
            return Predictions(self._predictions[at], *more)
        return self._predictions[at]

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self._predictions)

    def __len__(self) -> int:
        return len(self._predictions)

    def by_folder(self) -> Evaluation | None:
        """Evaluate the probabilities with the names of the images' folders as true classes.

        None unless all folders have the name of a class. Images that could not be read are left out. Its predictions are
        the most probable classes; `threshold.measure` counts those by a threshold.
        """
        read = [one for one in self if not one.problem]
        labels = labels_by_folder([one.file for one in read], self.class_names)
        if labels is None:
            return None
        chances = np.stack([one.probabilities for one in read])
        logits = np.log(np.maximum(chances, 1e-30)).astype(np.float32)
        looked = all(one.copy_of is not None for one in read)
        trained_on = np.array([bool(one.copy_of) for one in read]) if looked else None
        ids = tuple(one.file for one in read)
        return Evaluation(logits, np.array(labels, np.int64), ids, self.class_names, "test", trained_on=trained_on)

    def to_array(self) -> NDArray[np.float64]:
        """The probabilities: float64 (n, K), rows sum to 1; a row of NaN for an image that could not be read."""
        out = np.full((len(self), len(self.class_names)), np.nan)
        for row, one in zip(out, self, strict=True):
            if not one.problem:
                row[:] = one.probabilities
        return out

    @property
    def notes(self) -> tuple[str, ...]:
        """How many images the run was trained on; for folders with the names of classes also the accuracy, in lines."""
        found = self.by_folder()
        if found is None:
            known = [bool(one.copy_of) for one in self if one.copy_of is not None]
            return (seen(sum(known), len(known)),) if any(known) else ()
        accuracy, *more = headlines(self._by_folder_numbers(found))
        return (f"with the folder names as true classes: {accuracy}", *more)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola predict --json` prints."""
        found = self.by_folder()
        out: dict[str, Any] = {"run": self.run, "class_names": list(self.class_names)}
        out["predictions"] = [one.to_json() for one in self]
        if self.abstention is not None:
            out["abstain"] = dict(self.abstention)
        if self.decision is not None:
            out["decision"] = dict(self.decision)
        return out if found is None else {**out, "by_folder": self._by_folder_numbers(found)}

    def _by_folder_numbers(self, found: Evaluation) -> dict[str, Any]:
        decision = decision_numbers(self.threshold, found)
        more = {} if decision is None else {"decision": decision}
        return {"n_test": len(found), **result_numbers(found), **more}

    def to_dataframe(self) -> Any:
        """A pandas DataFrame: file, label, probability, one column for each class, problem; label_set after abstaining.

        Raises UsageError if pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise UsageError("a data frame needs pandas, which is not installed: pip install pandas") from None
        header, *rows = self._table()
        return pandas.DataFrame(rows, columns=header)

    def to_csv(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write file, label, probability, the probability of each class and the problem to a CSV file; return its path.

        overwrite: replace an existing file. Raises UsageError for an existing file unless overwrite.

        With abstaining there is one more column: the classes that can't be ruled out, most probable first, joined by |.

        Cells that a spreadsheet would run as a formula (they begin with = + - @, tab or return) get a leading '.
        """
        out = io.StringIO(newline="")
        csv.writer(out).writerows([csv_cell(value) for value in row] for row in self._table())
        write_atomic(Path(path), out.getvalue(), overwrite=overwrite)
        return Path(path)

    def _table(self) -> list[list[Any]]:
        """The header and a row for each prediction; None stands for a missing probability."""
        abstaining = any(one.label_set is not None for one in self)
        looked = any(one.copy_of is not None for one in self)
        header = ["file", "label", "probability", *self.class_names, "problem", *["label_set"] * abstaining]
        header += ["copy_of"] * looked
        rows = [
            [
                one.file,
                one.label,
                None if one.problem else one.probability,
                *([None] * len(self.class_names) if one.problem else one.probabilities.tolist()),
                one.problem,
                *["|".join(one.label_set or ())] * abstaining,
                *[one.copy_of or ""] * looked,
            ]
            for one in self
        ]
        return [header, *rows]

    def __repr__(self) -> str:
        lines = [f"{one.file}: {_in_words(one)}" for one in self[:MOST_SHOWN]]
        more = [f"and {len(self) - MOST_SHOWN:,} more"] if len(self) > MOST_SHOWN else []
        return "\n".join([f"Predictions for {count(len(self), 'image')}", *lines, *more])

    def _repr_html_(self) -> str:
        """HTML for notebooks: a table of the first predictions."""
        return html_table(("image", "prediction"), [(one.file, _in_words(one)) for one in self])


def csv_cell(value: Any) -> str:
    """A cell of a CSV file: numbers with six decimals, "" for None, text that no spreadsheet runs as a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    text = printable(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
