"""Comparisons: arms that differ in what the question is about and in nothing else, over the same seeds.

An arm is what it changes in a common recipe. A comparison is what the finished runs say, paired by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveola.errors import UsageError
from foveola.lab.paired import (
    LEAST_SEEDS,
    Difference,
    Verdict,
    bootstrap_difference,
    holm,
    mcnemar,
    paired_difference,
    verdict,
)
from foveola.lab.recipe import Recipe
from foveola.lab.runs import Run
from foveola.specs import parse_setting
from foveola.types import Interval

SHORT = {
    "chain": "data.chain",
    "size": "data.size",
    "resize": "data.resize",
    "model": "model.name",
    "epochs": "fit.epochs",
}
"""What may be written without its table."""


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: its name, and the dotted settings that it lays over the common recipe."""

    name: str
    settings: Mapping[str, object]


@dataclass(frozen=True)
class Paired:
    """One arm against the baseline: the difference in points, p corrected for the number of arms, the verdict.

    with_pictures: the interval that knows of the test pictures' chance too; mcnemar: one p a seed.
    """

    arm: str
    baseline: str
    difference: Difference
    corrected_p: float
    with_pictures: Interval | None
    mcnemar: tuple[float, ...]
    verdict: Verdict

    @property
    def sentence(self) -> str:
        """The verdict in words, with its numbers."""
        low, high, level = self.difference.interval
        found = f"{self.difference.mean:+.2f} points ({100 * level:.0f} % interval {low:+.2f} to {high:+.2f})"
        said = {
            "helps": "helps",
            "hurts": "hurts",
            "no_difference": "makes no difference larger than the margin",
            "not_enough_evidence": "not enough evidence",
        }[self.verdict]
        few = f"; a verdict takes {LEAST_SEEDS} seeds" if self.difference.n < LEAST_SEEDS else ""
        seeds = f"{self.difference.n} seed{'s' * (self.difference.n != 1)}"
        return f"{self.arm} against {self.baseline}: {said}: {found}, {seeds}{few}"


def parse_arm(text: str) -> Arm:
    """Read "sharpened: chain=sharpen; fit.epochs=4"; a name alone changes nothing.

    >>> parse_arm("blurred: chain=blur(size=3)|sharpen")
    Arm(name='blurred', settings={'data.chain': 'blur(size=3)|sharpen'})
    >>> parse_arm("plain").settings
    {}
    """
    name, colon, rest = text.partition(":")
    name = name.strip()
    if not name or "=" in name:
        raise UsageError(f"arm '{text}' has no name: write for example sharpened: chain=sharpen")
    settings: dict[str, object] = {}
    for part in filter(None, (piece.strip() for piece in rest.split(";"))):
        key, value = parse_setting(part)
        settings[SHORT.get(key, key)] = value
    if colon and not settings:
        raise UsageError(f"arm '{text}' names nothing behind the colon: write for example sharpened: chain=sharpen")
    return Arm(name, settings)


def require_fair(
    arms: Sequence[Arm], recipes: Sequence[Recipe], question: Sequence[str], allowed: Sequence[str]
) -> tuple[str, ...]:
    """What the arms differ in beyond the question, if that is allowed; the dotted names.

    question: the dotted settings that may differ; empty: whatever the arms themselves name. Raises UsageError for one arm,
    for two alike, for a name that is there twice, and for differences that nobody asked about.
    """
    if len(arms) < 2:
        raise UsageError(
            f"{len(arms)} arm is no comparison: give --arm twice or more, such as --arm plain --arm 'x: chain=sharpen'"
        )
    names = [arm.name for arm in arms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two arms are called '{twice}': give every arm a name of its own")
    prints = [recipe.fingerprint for recipe in recipes]
    for k, one in enumerate(prints):
        if one in prints[:k]:
            raise UsageError(
                f"arms '{names[prints.index(one)]}' and '{names[k]}' do the same: let them differ in something"
            )
    asked = set(question) or {key for arm in arms for key in arm.settings}
    extra = [key for key in differences(recipes) if key not in asked]
    refused = [key for key in extra if key not in allowed]
    if refused:
        raise UsageError(
            f"the arms differ in {', '.join(refused)} too, and the question is {', '.join(sorted(asked))}: make them equal, "
            f"or allow it with {' '.join(f'--allow {key}' for key in refused)}"
        )
    return tuple(extra)


def differences(recipes: Sequence[Recipe]) -> list[str]:
    """The dotted settings in which recipes differ, in the recipe's order; title and the data's place are none."""
    flat = [_flat(recipe.tables()) for recipe in recipes]
    keys = dict.fromkeys(key for one in flat for key in one)
    return [
        key
        for key in keys
        if key not in ("title", "data.source") and any(one.get(key) != flat[0].get(key) for one in flat[1:])
    ]


def _flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, Mapping):
            out |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            out[name] = value
    return out


@dataclass(frozen=True)
class Comparison:
    """What the finished runs of all arms over the same seeds say; the first arm is the baseline.

    runs: one row an arm, in the order of the seeds. test_to_train: n_test / n_train where each seed has a split of its own,
    0 where the test part is the same for all.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    runs: tuple[tuple[Run, ...], ...]
    margin: float = 0.5
    level: float = 0.95

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """float64 (arms, seeds), 0..1."""
        return np.array([[run.result["test_accuracy"] for run in row] for row in self.runs])

    @property
    def one_test_part(self) -> bool:
        """Whether all runs were measured on the same pictures."""
        return len({run.evaluation.ids for row in self.runs for run in row}) == 1

    @property
    def test_to_train(self) -> float:
        """n_test / n_train where every seed has a split of its own, else 0: see `paired.paired_difference`."""
        if self.one_test_part:
            return 0.0
        result = self.runs[0][0].result
        return float(result["n_test"] / (result["n_train"] + result["n_val"]))

    def against_baseline(self) -> list[Paired]:
        """Every other arm against the first."""
        accuracy, factor = self.accuracy, self.test_to_train
        found = [
            paired_difference(100 * (row - accuracy[0]), level=self.level, test_to_train=factor) for row in accuracy[1:]
        ]
        corrected = holm([one.p_value for one in found])
        base = [run.evaluation.correct for run in self.runs[0]]
        out = []
        for arm, runs, one, p in zip(self.arms[1:], self.runs[1:], found, corrected, strict=True):
            right = [run.evaluation.correct for run in runs]
            wide = (
                bootstrap_difference(np.stack(base), np.stack(right), level=self.level) if self.one_test_part else None
            )
            tests = tuple(mcnemar(b, r) for b, r in zip(base, right, strict=True))
            out.append(Paired(arm.name, self.arms[0].name, one, p, wide, tests, verdict(one, self.margin)))
        return out

    def to_json(self) -> dict[str, Any]:
        """The numbers under the names of docs/reference/json.md."""
        return {
            "arms": [
                {
                    "name": arm.name,
                    "mean_accuracy": float(row.mean()),
                    "accuracies": row.tolist(),
                    "seconds": float(np.mean([run.result["seconds"] for run in runs])),
                }
                for arm, row, runs in zip(self.arms, self.accuracy, self.runs, strict=True)
            ],
            "differences": [
                {
                    "arm": one.arm,
                    "baseline": one.baseline,
                    "mean_points": one.difference.mean,
                    "low_points": one.difference.interval.low,
                    "high_points": one.difference.interval.high,
                    "p_value": one.corrected_p,
                    "n_seeds": one.difference.n,
                    "verdict": one.verdict,
                }
                for one in self.against_baseline()
            ],
        }
