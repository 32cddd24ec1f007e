"""What a classifier's answers are worth: accuracy with its interval, loss, per-class numbers, the worst mistakes.

Everything is derived from logits and labels; nothing is stored twice. Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Part
from foveola.types import Interval, Labels, Rows

Floats = NDArray[np.float64]


class ClassNumbers(NamedTuple):
    """One class: of those called so, how many are (precision); of those that are, how many were found (recall)."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """The answers of a network to one part of the data.

    logits: float32 (n, K); labels: int64 (n,); ids: n names; class_names: K; part: which part was asked; majority: the
    number of the class that is most frequent in train, the answer of one who never looks.
    """

    logits: NDArray[np.float32]
    labels: Labels
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    part: Part
    majority: int

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def probabilities(self) -> Floats:
        """Softmax of the logits: float64 (n, K), rows sum to 1."""
        return softmax(self.logits)

    @cached_property
    def predicted(self) -> Labels:
        """The class with the highest logit, the first of equals: int64 (n,)."""
        return np.asarray(self.logits.argmax(axis=1), np.int64)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """bool (n,)."""
        return np.equal(self.predicted, self.labels)

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0..1."""
        return float(self.correct.mean())

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy."""
        return wilson(int(self.correct.sum()), len(self))

    @property
    def majority_accuracy(self) -> float:
        """The accuracy of always answering train's most frequent class: what a network must beat."""
        return float((self.labels == self.majority).mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats per picture."""
        logits = self.logits.astype(np.float64)
        peak = logits.max(axis=1)
        log_sum = peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))
        return float((log_sum - logits[np.arange(len(self)), self.labels]).mean())

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """int64 (K, K): rows are the true classes, columns the predicted ones."""
        k = len(self.class_names)
        return np.bincount(self.labels * k + self.predicted, minlength=k * k).reshape(k, k).astype(np.int64)

    @property
    def per_class(self) -> tuple[ClassNumbers, ...]:
        """Precision, recall, F1 and number of pictures of each class; 0 where a quotient has no denominator."""
        hits = np.diag(self.confusion).astype(np.float64)
        called, are = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        precision, recall = _ratio(hits, called), _ratio(hits, are)
        f1 = _ratio(2 * hits, called + are)
        return tuple(
            ClassNumbers(name, float(p), float(r), float(f), int(n))
            for name, p, r, f, n in zip(self.class_names, precision, recall, f1, are, strict=True)
        )

    def worst(self, most: int) -> Rows:
        """The wrong answers that were given with the least probability for the true class, worst first: int64 (m,)."""
        wrong = np.flatnonzero(~self.correct)
        true = self.probabilities[wrong, self.labels[wrong]]
        return wrong[np.argsort(true, kind="stable")][:most]


def wilson(right: int, n: int, level: float = 0.95) -> Interval:
    """The interval of a share by Wilson (1927), J. Amer. Stat. Assoc. 22, 209-212; as SciPy computes it.

    >>> low, high, level = wilson(132, 160)
    >>> round(low, 3), round(high, 3)
    (0.759, 0.876)
    """
    # SciPy's statistics take a second to import and are needed once, at the end: nobody should wait for them at the start.
    from scipy.stats import binomtest

    found = binomtest(right, n).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high), level)


def softmax(logits: NDArray[np.float32]) -> Floats:
    """exp(logit) over their sum, in float64: (n, K) in, (n, K) out."""
    powers: Floats = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _ratio(above: Floats, below: NDArray[np.int64]) -> Floats:
    out = np.zeros_like(above)
    np.divide(above, below, out=out, where=below > 0)
    return out
