"""One arm against the baseline: the verdict in words, and the numbers behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from foveola.errors import count
from foveola.lab.paired import LEAST_SEEDS, Difference, Verdict
from foveola.types import Interval


@dataclass(frozen=True)
class Paired:
    """One arm against the baseline: the difference in points, p corrected for the number of arms, the verdict.

    with_pictures: the interval that knows of the test pictures' chance too, None where every seed has a test part of its
    own (there the first one knows of it); mcnemar: one p a seed; margin: in points.
    """

    arm: str
    baseline: str
    difference: Difference
    corrected_p: float
    with_pictures: Interval | None
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
            found += f" ({100 * level:.0f} % interval {low:+.2f} to {high:+.2f}{self._for_new_pictures})"
        few = f"; a verdict takes {LEAST_SEEDS} seeds" if n < LEAST_SEEDS else ""
        return f"{self.arm} against {self.baseline}: {self.said}: {found}, {count(n, 'seed')}{few}"

    @property
    def _for_new_pictures(self) -> str:
        wide = self.with_pictures
        return f"; for new test pictures too {wide.low:+.2f} to {wide.high:+.2f}" if wide else ""

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
        wide = self.with_pictures
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
