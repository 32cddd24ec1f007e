"""Metrics of a classifier: accuracy with its interval, loss, precision, recall, F1, confusion matrix, worst mistakes.

Everything is computed from logits and labels. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Part
from foveola.evaluation.class_averages import ClassAverageIntervals, class_average_intervals
from foveola.evaluation.intervals import Proportion, wilson
from foveola.evaluation.out_of_fold import OutOfFold, proportion
from foveola.text import count, html_table, printable
from foveola.types import Indices, Interval, Labels

Floats = NDArray[np.float64]

Standing: TypeAlias = Literal["better", "no_better", "worse"]
"""How an accuracy compares with the majority baseline: see `against_baseline`."""

UNEQUAL = 1.5
"""Classes count as unequal when the largest has at least this many times the images of the smallest."""


class ClassNumbers(NamedTuple):
    """Precision, recall, F1 and support (number of images) of one class.

    recall_low, recall_high: 95 % interval of the recall, 0 to 1 if the class has no images.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    recall_low: float
    recall_high: float


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The predictions of a network for one part of the data, and their metrics.

    logits: float32 (n, K); labels: int64 (n,); ids: n names; class_names: K names; part: the part of the data; temperature:
    the number that logits are divided by before the softmax (see `calibration.fit_temperature`); trained_on: bool (n,),
    whether an image or a near-duplicate of it is in the training or validation set, None if unknown; out_of_fold: for
    predictions of a cross-validation, which network made each one.
    """

    logits: NDArray[np.float32]
    labels: Labels
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    part: Part
    temperature: float = 1.0
    trained_on: NDArray[np.bool_] | None = None
    out_of_fold: OutOfFold | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shown = ", ".join(self.class_names[:4]) + (", ..." if len(self.class_names) > 4 else "")
        return f"{type(self).__name__}({self.sentence}, {count(len(self.class_names), 'class', 'classes')}: {shown})"

    @property
    def images(self) -> int:
        """The number of different images: that of the predictions, or of those in one repeat of a cross-validation."""
        return len(self) if self.repeats == 1 else len(set(self.ids))

    @property
    def repeats(self) -> int:
        """How often each image was predicted: more than once in a repeated cross-validation only."""
        return self.out_of_fold.repeats if self.out_of_fold else 1

    @cached_property
    def once(self) -> Evaluation:
        """The same with one prediction of each image: those of the first repeat of a cross-validation."""
        return self if self.out_of_fold is None else self.take(np.flatnonzero(self.out_of_fold.repeat == 0))

    def take(self, rows: Indices) -> Evaluation:
        """The evaluation of these predictions only, in this order."""
        return replace(
            self,
            logits=self.logits[rows],
            labels=self.labels[rows],
            ids=tuple(self.ids[i] for i in rows),
            trained_on=None if self.trained_on is None else self.trained_on[rows],
            out_of_fold=None if self.out_of_fold is None else self.out_of_fold.take(rows),
        )

    @property
    def sentence(self) -> str:
        """The accuracy with its interval and the number of images, as text."""
        low, high, _ = self.interval
        interval = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
        return f"accuracy {100 * self.accuracy:.1f} % ({interval}), n = {self.images:,}"

    def _repr_html_(self) -> str:
        """HTML for notebooks: the accuracy, and a row for each class."""
        rows = [
            (
                r.name,
                f"{r.precision:.3f}",
                f"{r.recall:.3f} ({r.recall_low:.3f} to {r.recall_high:.3f})",
                f"{r.f1:.3f}",
                r.support,
            )
            for r in self.per_class
        ]
        return html_table(("class", "precision", "recall (95 % interval)", "F1", "images"), rows, above=self.sentence)

    @cached_property
    def probabilities(self) -> Floats:
        """Softmax of logits / temperature: float64 (n, K), rows sum to 1."""
        return softmax(self.logits, self.temperatures)

    @property
    def temperatures(self) -> float | Floats:
        """The divisor of the logits: one number, or float64 (n, 1) for predictions of several networks."""
        return self.temperature if self.out_of_fold is None else self.out_of_fold.temperatures[:, None]

    @property
    def confidence(self) -> Floats:
        """The probability of each predicted class: float64 (n,), 1/K..1."""
        return np.asarray(self.probabilities.max(axis=1), np.float64)

    @cached_property
    def predicted(self) -> Labels:
        """The class with the highest logit, the first among equals: int64 (n,)."""
        return np.asarray(self.logits.argmax(axis=1), np.int64)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is right: bool (n,)."""
        return np.equal(self.predicted, self.labels)

    @property
    def accuracy(self) -> float:
        """Share of correct predictions, 0..1."""
        return float(self.correct.mean())

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the accuracy: Wilson's, or for a cross-validation `clustered_wilson`."""
        return self._interval(np.arange(len(self)))

    def _interval(self, rows: Indices) -> Interval:
        """The interval of the share of correct predictions in some rows; 0 to 1 without any."""
        if not len(rows):
            return Interval(0.0, 1.0, 0.95)
        if self.out_of_fold is not None:
            return self.out_of_fold.interval(self.correct, rows)
        return wilson(int(self.correct[rows].sum()), len(rows))

    def proportion(self, hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Proportion:
        """The images with `hits` among some, both bool (n,), with the interval for these predictions."""
        return proportion(hits, among, self.out_of_fold)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that occur in the labels, 0..1: each class has the same weight."""
        counts = self.counts
        return float((np.diag(self.confusion)[counts > 0] / counts[counts > 0]).mean())

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that occur in the labels or the predictions, 0..1."""
        occurring = self.counts + self.confusion.sum(axis=0) > 0
        return float(np.array([row.f1 for row in self.per_class])[occurring].mean())

    @cached_property
    def class_average_intervals(self) -> ClassAverageIntervals:
        """The 95 % intervals of `balanced_accuracy` and `macro_f1`: see `class_averages`."""
        if self.out_of_fold is None:
            return class_average_intervals(self.confusion)
        rows = [np.flatnonzero(self.labels == k) for k in range(len(self.class_names))]
        independent = [self.out_of_fold.independent(self.correct, some) if len(some) else 0.0 for some in rows]
        return class_average_intervals(self.confusion, independent=np.array(independent))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Images of each class: int64 (K,)."""
        return np.asarray(self.confusion.sum(axis=1), np.int64)

    @property
    def majority(self) -> int:
        """The number of the most frequent class of these images, the first among equals."""
        return int(self.counts.argmax())

    @property
    def majority_accuracy(self) -> float:
        """Majority baseline: the accuracy of always predicting the most frequent class of these images."""
        return float(self.counts.max() / len(self))

    @property
    def standing(self) -> Standing | None:
        """How the accuracy compares with the majority baseline; None if all images are of one class."""
        return against_baseline(self.interval, self.majority_accuracy)

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the probabilities, in nats per image."""
        return mean_loss(self.logits, self.labels, self.temperatures)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Confusion matrix of the predictions, int64 (K, K): rows are the true classes, columns the predicted ones."""
        k = len(self.class_names)
        return np.bincount(self.labels * k + self.predicted, minlength=k * k).reshape(k, k).astype(np.int64)

    @property
    def confusion_shares(self) -> Floats:
        """The confusion matrix as shares of the true class: float64 (K, K), 0..1; a row without images is 0."""
        return np.asarray(self.confusion / np.maximum(self.counts[:, None], 1), np.float64)

    @property
    def per_class(self) -> tuple[ClassNumbers, ...]:
        """Precision, recall, F1 and number of images of each class; 0 where undefined."""
        hits = np.diag(self.confusion).astype(np.float64)
        called, are = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        precision, recall = _ratio(hits, called), _ratio(hits, are)
        f1 = _ratio(2 * hits, called + are)
        out = []
        for k, name in enumerate(self.class_names):
            low, high, _ = self._interval(np.flatnonzero(self.labels == k))
            n = int(are[k]) // self.repeats
            out.append(ClassNumbers(name, float(precision[k]), float(recall[k]), float(f1[k]), n, low, high))
        return tuple(out)

    @property
    def without_trained_on(self) -> Evaluation | None:
        """The evaluation without the images that were trained on; None if there are none of these, or no others."""
        if self.trained_on is None or not self.trained_on.any() or self.trained_on.all():
            return None
        return replace(self.take(np.flatnonzero(~self.trained_on)), trained_on=None)

    def likely_classes(self, row: int, most: int) -> list[int]:
        """The `most` most probable classes of image `row`, the most probable first.

        The true class takes the last place if it is not among them, so that a figure of the probabilities always shows it.
        """
        order = [int(k) for k in np.argsort(-self.probabilities[row], kind="stable")[:most]]
        true = int(self.labels[row])
        return order if true in order else [*order[:-1], true]

    def worst(self, most: int) -> Indices:
        """The wrong predictions with the lowest probabilities of the true class, worst first: int64 (m,)."""
        wrong = np.flatnonzero(~self.correct)
        true = self.probabilities[wrong, self.labels[wrong]]
        return wrong[np.argsort(true, kind="stable")][:most]


def result_numbers(evaluation: Evaluation) -> dict[str, Any]:
    """Return the numbers of an evaluation under the names that every JSON output uses (docs/reference/json.md)."""
    trained_on, rest = evaluation.trained_on, evaluation.without_trained_on
    return {
        **_numbers(evaluation),
        "n_trained_on": None if trained_on is None else int(trained_on.sum()) // evaluation.repeats,
        "without_trained_on": None if rest is None else {"n_test": rest.images, **_numbers(rest)},
    }


def _numbers(evaluation: Evaluation) -> dict[str, Any]:
    low, high, _ = evaluation.interval
    balanced, macro_f1 = evaluation.class_average_intervals
    return {
        "test_accuracy": evaluation.accuracy,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "majority_accuracy": evaluation.majority_accuracy,
        "against_majority": evaluation.standing,
        "balanced_accuracy": evaluation.balanced_accuracy,
        "balanced_accuracy_low": balanced.low,
        "balanced_accuracy_high": balanced.high,
        "macro_f1": evaluation.macro_f1,
        "macro_f1_low": macro_f1.low,
        "macro_f1_high": macro_f1.high,
        "test_loss": evaluation.loss,
        "per_class": [{**row._asdict(), "name": printable(row.name)} for row in evaluation.per_class],
        "confusion": evaluation.confusion.tolist(),
    }


def against_baseline(interval: tuple[float, float, float], baseline: float) -> Standing | None:
    """How an accuracy with this interval compares with a majority baseline, 0..1.

    "better" if the whole interval is above the baseline, "worse" if it is below, "no_better" if it contains the baseline.
    None for a baseline of 1, because all images are then of one class and no accuracy can be better.

    >>> against_baseline(wilson(35, 40), 0.5), against_baseline(wilson(22, 40), 0.5), against_baseline(wilson(7, 20), 0.9)
    ('better', 'no_better', 'worse')
    """
    low, high, _ = interval
    if baseline >= 1:
        return None
    return "better" if low > baseline else "worse" if high < baseline else "no_better"


def is_imbalanced(counts: Sequence[int]) -> bool:
    """Whether the class sizes are unequal (see UNEQUAL); classes without images are ignored.

    >>> is_imbalanced([30, 30, 0]), is_imbalanced([30, 20])
    (False, True)
    """
    some = [count for count in counts if count]
    return max(some) >= UNEQUAL * min(some)


def mean_loss(logits: NDArray[np.float32], labels: Labels, temperature: float | Floats = 1.0) -> float:
    """Mean cross-entropy in nats of softmax(logits / temperature), stable if a probability underflows."""
    scaled = logits.astype(np.float64) / temperature
    peak = scaled.max(axis=1)
    log_sum = peak + np.log(np.exp(scaled - peak[:, None]).sum(axis=1))
    return float((log_sum - scaled[np.arange(len(labels)), labels]).mean())


def softmax(logits: NDArray[np.float32], temperature: float | Floats = 1.0) -> Floats:
    """Softmax of logits / temperature (a number, or one a row) in float64: (n, K) in, (n, K) out."""
    powers: Floats = np.exp((logits.astype(np.float64) - logits.max(axis=1, keepdims=True)) / temperature)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _ratio(above: Floats, below: NDArray[np.int64]) -> Floats:
    out = np.zeros_like(above)
    np.divide(above, below, out=out, where=below > 0)
    return out
