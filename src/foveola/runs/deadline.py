"""A run that ends at a given time: its later epochs become shorter or longer as the machine turns out slower or faster.

A shared machine changes its speed by half for a quarter of an hour, and no measurement before the start can know that: a
plan of 30 minutes ended after 25 once and after 35 once (docs/why/speed.md). The schedule counts epochs,
so it is complete whatever their lengths. The recipe records the lengths in the end, so it repeats the run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from foveola.training.config import FitSpec
from foveola.training.timing import mean_step, sizes_of

SLACK = 0.02
"""By less than this share of the budget the end may lie off before anything is changed."""

RECENT = 3
"""The last N epochs say how fast the machine is."""

LEAST, MOST = 1 / 3, 3.0
"""So much shorter or longer than planned an epoch can become."""


@dataclass
class Deadline:
    """When a run should end, what its epochs should cost, and what they did.

    end: monotonic seconds; slack, val, rest: seconds, of what may be off, of a pass over val, of what follows the epochs;
    steps: seconds a step, by the images' size; step_pictures: how many images such a step had; spec: with the number of
    epochs.
    """

    end: float
    slack: float
    steps: dict[float, float]
    step_pictures: float
    val: float
    rest: float
    spec: FitSpec
    factor: float = 1.0
    _asked: float = 0.0
    _expected: list[float] = field(default_factory=list)
    _took: list[float] = field(default_factory=list)

    def pictures(self, epoch: int, planned: int) -> int:
        """How many images the epoch (from 1) shows, where N were planned for each; asked as each begins."""
        assert isinstance(self.spec.epochs, int), "a planned run has a number of epochs"
        now, speed = time.monotonic(), 1.0
        if epoch > 1:
            self._took.append(now - self._asked)
            speed = max(sum(self._took[-RECENT:]) / sum(self._expected[-RECENT:]), 1e-9)
        left = range(epoch, self.spec.epochs + 1)
        trained, around = sum(self._trained(one, planned) for one in left), self.val * len(left) + self.rest
        off = now + speed * (self.factor * trained + around) - self.end
        if abs(off) > self.slack:  # before the first epoch, too: features and head may have taken longer than planned
            wanted = (self.end - now - speed * around) / (speed * trained)
            self.factor = min(max(wanted, LEAST), MOST)
        self._asked = now
        n = max(min(planned, self.spec.batch_size), round(planned * self.factor))
        self._expected.append(self._trained(epoch, n) + self.val)
        return n

    def _trained(self, epoch: int, pictures: int) -> float:
        """Seconds that the epoch's steps should take."""
        epochs = self.spec.epochs
        assert isinstance(epochs, int)
        sizes = sizes_of(self.spec, (epoch - 1) / epochs, epoch / epochs)
        return mean_step(self.steps, sizes) * pictures / self.step_pictures
