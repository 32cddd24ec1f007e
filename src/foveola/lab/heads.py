"""A linear head on ready features: chosen by val, calibrated on pictures it has not learned from, fitted on all but test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foveola.data.prepare import Prepared
from foveola.data.split import Split
from foveola.data.units import contradictory, join
from foveola.lab.calibration import Calibration, folds_of
from foveola.lab.features import Floats
from foveola.learning.cross_fit import cross_fit
from foveola.learning.linear import Features, fit_head
from foveola.learning.rows import HeadRow
from foveola.types import Rows


@dataclass(frozen=True)
class ReadyHead:
    """What a head is fitted with: `kept` are the features of all prepared pictures as they are and mirrored, each (n, F)
    float32; it learns from both where pictures may be mirrored, and answers with their mean where answers are averaged."""

    head: nn.Linear
    prepared: Prepared
    split: Split
    kept: tuple[Floats, Floats]
    learns_mirrored: bool
    answers_mirrored: bool

    def rows(self) -> Iterator[HeadRow]:
        """Fit on train with one penalty after another, each measured on val."""
        yield from fit_head(self.head, self._learned(self.split.train), self._answered(self.split.val))

    def cross_fit(self, strength: float, seed: int) -> Calibration:
        """Answers for train and val together, by heads like the final one that each left a tenth out.

        A small val part says little about confidence, and val is learned from in the end.
        """
        dataset, rows = self.prepared.dataset, self._all_but_test()
        content = self.prepared.content[rows]
        rows = rows[~contradictory(dataset.labels[rows], content)]  # test has none of them either
        units = self.prepared.content[rows]
        if dataset.groups is not None:
            units = join(units, dataset.groups[rows])
        if self.split.together is not None:  # test has no copies of what was learned from either
            joined = join(units, self.split.together[rows])
            labels = dataset.labels[rows]
            # Where a class hangs together as a whole, nobody could be asked about it who has seen some of it.
            if all(len(np.unique(joined[labels == k])) > 1 for k in np.unique(labels)):
                units = joined
        answered = self._answered(rows)
        folds = folds_of(units, answered.labels, seed)
        found = cross_fit(self._learned(rows), folds, answered, strength, len(dataset.class_names))
        return Calibration.of(found, answered.labels, "cross-fit")

    def answers(self, rows: Rows) -> NDArray[np.float32]:
        """The logits of the head as it is now, float32 (n, K): the network's, within 1e-4, without running it again."""
        values = torch.from_numpy(self._answered(rows).values)
        with torch.inference_mode():
            logits: NDArray[np.float32] = self.head(values.to(self.head.weight.device)).cpu().numpy()
        return logits

    def refit(self, strength: float) -> None:
        """Fit once more with the penalty that val has chosen, on train and val together: val has no other use now.

        It is a tenth more to learn from, which a small set can well use.
        """
        both = self._learned(self._all_but_test())
        for _ in fit_head(self.head, both, both, [strength]):
            pass

    def _all_but_test(self) -> Rows:
        return np.sort(np.concatenate([self.split.train, self.split.val]))

    def _answered(self, rows: Rows) -> Features:
        """What pictures are answered with: the rows' features, or the mean of theirs and their mirror images'."""
        plain, mirrored = self.kept
        values = (plain[rows] + mirrored[rows]) * np.float32(0.5) if self.answers_mirrored else plain[rows]
        return Features(values, self.prepared.dataset.labels[rows])

    def _learned(self, rows: Rows) -> Features:
        """What a head is fitted on: the rows' features, and those of their mirror images where it learns from them."""
        parts = self.kept if self.learns_mirrored else self.kept[:1]
        labels = np.tile(self.prepared.dataset.labels[rows], len(parts))
        return Features(np.concatenate([part[rows] for part in parts]), labels)
