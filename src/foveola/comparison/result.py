"""Result of a comparison: accuracies, paired differences and verdicts of arms over the same seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.comparison.arms import Arm, Change, changes
from foveola.comparison.statistics import (
    LEAST_SEEDS,
    Difference,
    Verdict,
    bootstrap_accuracy,
    bootstrap_difference,
    corrected_accuracy,
    holm,
    mcnemar,
    paired_difference,
    verdict,
)
from foveola.errors import UsageError
from foveola.runs.run import Run
from foveola.text import count, html_table
from foveola.types import Interval


@dataclass(frozen=True)
class PairedResult:
    """One arm against the baseline: difference in points, p value corrected for the number of arms, verdict.

    with_images: the interval that includes the variation between test images, None if every seed has its own test set
    (there the first interval includes it); mcnemar: one p value per seed; margin: in points.
    """

    arm: str
    baseline: str
    difference: Difference
    corrected_p: float
    with_images: Interval | None
    mcnemar: tuple[float, ...]
    verdict: Verdict
    margin: float

    @property
    def sentence(self) -> str:
        """The verdict in words, with its numbers."""
        low, high, level = self.difference.interval
        n = self.difference.n
        found = f"{self.difference.mean:+.2f} points"
        if math.isfinite(low):
            found += f" ({100 * level:.0f} % interval {low:+.2f} to {high:+.2f}{self._for_new_images})"
        few = f"; a verdict needs {LEAST_SEEDS} seeds" if n < LEAST_SEEDS else ""
        return f"{self.arm} against {self.baseline}: {self.said}: {found}, {count(n, 'seed')}{few}"

    @property
    def _for_new_images(self) -> str:
        wide = self.with_images
        return f"; with other test images {wide.low:+.2f} to {wide.high:+.2f}" if wide else ""

    @property
    def said(self) -> str:
        """The verdict in words."""
        small = -self.margin < self.difference.interval.low and self.difference.interval.high < self.margin
        less = f", by less than {self.margin:g} points" if small else ""
        return {
            "helps": f"helps{less}",
            "hurts": f"hurts{less}",
            "no_difference": f"no difference larger than {self.margin:g} points",
            "not_enough_evidence": "not enough evidence",
        }[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """The numbers under the names of docs/reference/json.md; a number that is not finite is None."""
        low, high, _ = self.difference.interval
        wide = self.with_images
        return {
            "arm": self.arm,
            "baseline": self.baseline,
            "mean_points": self.difference.mean,
            "low_points": _finite(low),
            "high_points": _finite(high),
            "p_value": self.corrected_p,
            "n_seeds": self.difference.n,
            "verdict": self.verdict,
            "low_points_new_pictures": _finite(wide.low) if wide else None,
            "high_points_new_pictures": _finite(wide.high) if wide else None,
            "mcnemar_p_values": list(self.mcnemar),
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison over the same seeds; the first arm is the baseline.

    runs: one row per arm, in the order of the seeds; margin: the smallest difference that matters, in points; question,
    allowed: the settings that differ on purpose, and other differences that the user allowed; notes: such as an ended
    budget; path: the folder of the page; unfinished: the progress, while seeds are missing.
    Raises UsageError where two runs of a seed were measured on different images.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    runs: tuple[tuple[Run, ...], ...]
    margin: float = 0.5
    level: float = 0.95
    question: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    path: Path | None = None
    unfinished: str = ""

    def __repr__(self) -> str:
        lines = [f"Comparison of {count(len(self.arms), 'arm')} over {count(len(self.seeds), 'seed')}"]
        lines += [one.sentence for one in self.against_baseline()]
        return "\n".join([*lines, f"page: {self.page}"] if self.page else lines)

    def _repr_html_(self) -> str:
        """Show the verdicts and a row for each arm in a notebook."""
        rows = [(arm.name, f"{100 * row.mean():.2f} %") for arm, row in zip(self.arms, self.accuracy, strict=True)]
        return html_table(("arm", "mean test accuracy"), rows, above="; ".join(repr(self).splitlines()))

    def __post_init__(self) -> None:
        for seed, pair in zip(self.seeds, zip(*self.runs, strict=True), strict=True):
            for arm, run in zip(self.arms[1:], pair[1:], strict=True):
                require_same_test(self.arms[0].name, pair[0].evaluation.ids, arm.name, run.evaluation.ids, seed)

    @property
    def page(self) -> Path | None:
        """The path of the page, or None."""
        return self.path / "comparison.html" if self.path else None

    @cached_property
    def accuracy(self) -> NDArray[np.float64]:
        """float64 (arms, seeds), 0..1."""
        return np.array([[run.result["test_accuracy"] for run in row] for row in self.runs])

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """Differences to the first arm's accuracy in percentage points: float64 (arms, seeds); the first row is 0."""
        return np.asarray(100 * (self.accuracy - self.accuracy[0]))

    @cached_property
    def one_test_part(self) -> bool:
        """Whether all runs were measured on the same images."""
        return len({run.evaluation.ids for row in self.runs for run in row}) == 1

    @property
    def test_to_train(self) -> float:
        """n_test / n_train where every seed has its own split, else 0: see `statistics.paired_difference`.

        Val counts as train: its images had a part in the choice of the weights.
        """
        if self.one_test_part:
            return 0.0
        result = self.runs[0][0].result
        return float(result["n_test"] / (result["n_train"] + result["n_val"]))

    @cached_property
    def correct(self) -> tuple[tuple[NDArray[np.bool_], ...], ...]:
        """For every arm and seed, which predictions are correct: bool (n,) each, in the order of the run's ids."""
        return tuple(tuple(run.evaluation.correct for run in row) for row in self.runs)

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The interval of each arm's mean accuracy, 0..1; with one seed that run's own, from its test images alone.

        It describes one arm, not the difference of two: variation that both arms share widens it and cancels in the
        difference.
        """
        return tuple(self._interval(k) for k in range(len(self.arms)))

    def _interval(self, k: int) -> Interval:
        if len(self.seeds) == 1:
            return self.runs[k][0].evaluation.interval
        if self.one_test_part:
            return bootstrap_accuracy(np.stack(self.correct[k]), level=self.level)
        images = len(self.correct[k][0])
        return corrected_accuracy(self.accuracy[k], images, level=self.level, test_to_train=self.test_to_train)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for every result: differences that the user allowed."""
        return tuple(
            f"the arms also differ in {key}, which you allowed: it may cause the difference" for key in self.allowed
        )

    def changes(self, k: int) -> list[Change]:
        """Settings in which arm k differs from the baseline."""
        return changes(self.runs[0][0].recipe, self.runs[k][0].recipe)

    def changes_in_words(self, k: int) -> list[str]:
        """The same as sentences: "data.chain = sharpen (plain: none)"."""
        base = self.arms[0].name
        return [f"{c.setting} = {_shown(c.arm)} ({base}: {_shown(c.baseline)})" for c in self.changes(k)]

    def seconds(self, k: int) -> float:
        """Mean seconds of a run of arm k."""
        return float(np.mean([run.result["seconds"] for run in self.runs[k]]))

    def against_baseline(self) -> list[PairedResult]:
        """Every other arm against the first."""
        return list(self._against)

    @cached_property
    def _against(self) -> tuple[PairedResult, ...]:
        how: dict[str, Any] = {"level": self.level, "test_to_train": self.test_to_train}
        found = [paired_difference(row, images=len(self.correct[0][0]), **how) for row in self.gaps[1:]]
        corrected = holm([one.p_value for one in found])
        return tuple(self._paired(k + 1, one, p) for k, (one, p) in enumerate(zip(found, corrected, strict=True)))

    def _paired(self, k: int, one: Difference, p: float) -> PairedResult:
        base, other = self.correct[0], self.correct[k]
        wide = None
        if self.one_test_part:
            wide = bootstrap_difference(np.stack(base), np.stack(other), level=self.level)
        tests = tuple(mcnemar(b, r) for b, r in zip(base, other, strict=True))
        word = verdict(one, self.margin, p, len(self.arms) - 1)
        return PairedResult(self.arms[k].name, self.arms[0].name, one, p, wide, tests, word, self.margin)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola compare --json` prints."""
        return {"page": None if self.page is None else str(self.page), **self.numbers()}

    def numbers(self) -> dict[str, Any]:
        """The numbers under the names of docs/reference/json.md; a number that is not finite is None."""
        return {
            "arms": [self._arm_json(k) for k in range(len(self.arms))],
            "differences": [one.to_json() for one in self._against],
            "seeds": list(self.seeds),
            "question": list(self.question),
            "warnings": list(self.warnings),
            "notes": [*self.notes, *([self.unfinished] if self.unfinished else [])],
        }

    def _arm_json(self, k: int) -> dict[str, Any]:
        row, interval = self.accuracy[k], self.intervals[k]
        return {
            "name": self.arms[k].name,
            "mean_accuracy": float(row.mean()),
            "low_accuracy": interval.low,
            "high_accuracy": interval.high,
            "accuracies": row.tolist(),
            "seconds": self.seconds(k),
            "changes": {change.setting: change.arm for change in self.changes(k)},
        }


def require_same_test(baseline: str, one: Sequence[str], arm: str, other: Sequence[str], seed: int) -> None:
    """Raise UsageError for a pair of runs that is measured on different images."""
    if tuple(one) != tuple(other):
        raise UsageError(
            f"with seed {seed} arms '{baseline}' and '{arm}' have different test images ({len(one):,} and {len(other):,}), "
            "so their runs can't be paired: give all arms the same data and split"
        )


def _shown(value: object) -> str:
    return "none" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)
