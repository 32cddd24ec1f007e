"""A run held to its end, by a clock that only the epochs move."""

from types import SimpleNamespace

import pytest

from foveola.runs import time_budget as deadlines
from foveola.runs.time_budget import Deadline
from foveola.training.config import FitSpec

SPEC = FitSpec(epochs=20, batch_size=10)

PLANNED = 100
"""Pictures an epoch; in batches of 10 that take a second, 10 seconds, and one for val."""


@pytest.fixture
def trained(monkeypatch):
    """Train 20 epochs where the machine takes `speed(epoch)` times the seconds that were planned; 5 s follow them.

    late: seconds that what came before the first epoch took more than planned. Gives the epochs' lengths, and by how many
    seconds the end is late.
    """

    def run(speed, spec=SPEC, steps=None, planned=PLANNED, late=0.0):
        steps, now = steps or {1.0: 1.0}, [0.0]
        monkeypatch.setattr(deadlines, "time", SimpleNamespace(monotonic=lambda: now[0]))
        plan = Deadline(0.0, 0.0, steps, step_pictures=10, val=1.0, rest=5.0, spec=spec)
        cost = [plan._trained(epoch, planned) for epoch in range(1, 21)]
        plan.end = sum(cost) + 20 + 5
        plan.slack = 0.02 * plan.end
        now[0] = late
        lengths = []
        for epoch in range(1, 21):
            lengths.append(plan.pictures(epoch, planned))
            now[0] += speed(epoch) * (cost[epoch - 1] * lengths[-1] / planned + 1.0)
        return lengths, now[0] + speed(20) * 5 - plan.end

    return run


def test_on_a_machine_as_fast_as_planned_nothing_changes(trained):
    assert trained(lambda epoch: 1.0) == ([PLANNED] * 20, pytest.approx(0))


def test_a_hundredth_more_is_let_be(trained):
    assert trained(lambda epoch: 1.01)[0] == [PLANNED] * 20


@pytest.mark.parametrize("speed", [0.6, 1.5])
def test_a_machine_of_another_speed_ends_as_planned(trained, speed):
    lengths, late = trained(lambda epoch: speed)
    assert lengths[0] == PLANNED and len(set(lengths[1:])) <= 2
    assert abs(late) <= 0.02 * 225


@pytest.mark.parametrize("speed", [0.6, 1.5])
def test_a_machine_that_changes_half_way_ends_as_planned(trained, speed):
    lengths, late = trained(lambda epoch: speed if epoch > 10 else 1.0)
    assert lengths[:11] == [PLANNED] * 11
    assert abs(late) <= 0.02 * 225


@pytest.mark.parametrize("late", [-60, 90])
def test_what_came_before_the_first_epoch_counts(trained, late):
    lengths, off = trained(lambda epoch: 1.0, late=late)
    assert lengths[0] == lengths[1] == round(PLANNED * (200 - late) / 200)
    assert abs(off) <= 0.02 * 225


def test_epochs_of_larger_pictures_are_expected_to_take_longer(trained):
    spec = FitSpec(epochs=20, batch_size=10, start_scale=0.5, whole_from=0.7)
    lengths, late = trained(lambda epoch: 1.0, spec, {0.5: 0.25, 0.75: 0.6, 1.0: 1.0})
    assert (lengths, late) == ([PLANNED] * 20, pytest.approx(0))


def test_no_epoch_becomes_shorter_than_a_third_or_longer_than_thrice_what_was_planned(trained):
    assert trained(lambda epoch: 30.0)[0] == [100] + [33] * 19
    assert trained(lambda epoch: 0.01)[0] == [100] + [300] * 19


def test_no_epoch_becomes_shorter_than_a_batch(trained):
    assert trained(lambda epoch: 30.0, planned=12)[0] == [12] + [10] * 19
    assert trained(lambda epoch: 30.0, planned=8)[0] == [8] * 20


def test_a_clock_that_stands_still_divides_nothing_by_nought(trained):
    assert trained(lambda epoch: 0.0)[0] == [100] + [300] * 19
