"""What a step costs, by a clock that only the steps move."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from foveola.training import timing
from foveola.training.config import FitSpec
from foveola.training.timing import mean_step, prediction_seconds, sizes_of, step_seconds

CPU, FLOAT32 = torch.device("cpu"), torch.float32


class Batches:
    """Endless pictures that nothing is read from."""

    def epoch(self, number):
        yield None, None


@pytest.fixture
def measured(monkeypatch):
    """`step_seconds` where the k-th step at a size takes `cost(size, k)` seconds; the sizes stepped at come along."""

    def measure(spec, cost, **how):
        taken, now = [], [0.0]

        class Stepper:
            def __init__(self, *_):
                pass

            def take(self, images, labels, rate, share, key):
                now[0] += cost(share, taken.count(share))
                taken.append(share)

        monkeypatch.setattr(timing, "Stepper", Stepper)
        monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))
        return step_seconds(nn.Identity(), Batches(), spec, CPU, FLOAT32, **how), taken

    return measure


def test_a_step_costs_what_those_after_the_first_cost(measured):
    seconds, taken = measured(FitSpec(), lambda size, k: 9.0 if k == 0 else 0.25)
    assert (seconds, taken) == ({1.0: 0.25}, [1.0] * 4)


def test_each_size_of_the_pictures_is_timed(measured):
    spec = FitSpec(start_scale=0.5, whole_from=0.7)
    costs = {0.5: 0.125, 0.75: 0.25, 1.0: 0.5}
    assert measured(spec, lambda size, k: costs[size]) == (costs, [0.5, 0.75, 1.0] * 4)


def test_sizes_weigh_as_much_as_they_have_of_the_run_or_of_a_part_of_it():
    spec = FitSpec(start_scale=0.5, whole_from=0.7)
    assert sizes_of(spec) == {0.5: 8, 0.75: 6, 1.0: 6}
    assert sizes_of(spec, 0.3, 0.5) == {0.5: 10, 0.75: 10}
    assert mean_step({0.5: 1.0, 0.75: 2.0}, sizes_of(spec, 0.3, 0.5)) == 1.5


def test_a_size_that_was_too_short_to_be_timed_costs_what_the_nearest_does():
    spec = FitSpec(start_scale=0.5, whole_from=0.98)
    assert set(sizes_of(spec)) == {0.5, 0.75}
    assert mean_step({0.5: 1.0, 0.75: 2.0}, sizes_of(spec, 0.99, 1.0)) == 2.0


def test_very_long_steps_are_timed_once(measured):
    assert measured(FitSpec(), lambda size, k: 30.0) == ({1.0: 30.0}, [1.0, 1.0])


def test_a_slow_moment_counts_for_as_long_as_it_lasts(measured):
    # Steps of 3 s up to the fourth that is timed, then of 1 s: after 20 s twelve were done.
    seconds, taken = measured(FitSpec(), lambda size, k: 3.0 if k <= 4 else 1.0, least_seconds=20.0)
    assert seconds[1.0] == pytest.approx((4 * 3 + 8 * 1) / 12)
    assert len(taken) == 1 + 12


def test_an_answer_is_timed_on_as_many_pictures_as_are_answered_at_once(monkeypatch):
    asked, now = [], [0.0]

    def read(images):
        asked.append(len(images))
        now[0] += 0.5
        return torch.zeros(len(images), 2)

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    batch = torch.zeros(1000, 3, 32, 32, dtype=torch.uint8), torch.zeros(1000, dtype=torch.int64)
    assert prediction_seconds(nn.Identity(), read, iter([batch]), CPU, FLOAT32) == 0.5 / 256
    assert asked == [256] * 4
