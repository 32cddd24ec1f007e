"""The number of threads: all cores on a free computer, fewer while others use it, and more again when they stop."""

import itertools
import os
import subprocess
import sys

import pytest
import torch

from foveola.compute.threads import Clock, Pace, Threads, adapting, current, one_thread_in_scipy
from foveola.errors import UsageError


class Computer:
    """Time as the threads see it on a computer with `cores` cores, of which `taken` are in use by other programs.

    Work on more threads than cores are free loses ten times the time; work on n free cores is n times as fast as on one.
    """

    def __init__(self, cores=4):
        self.cores, self.taken, self.threads = cores, 0, cores
        self.wall = self.own = self.idle = 0.0

    def clock(self):
        return Clock(lambda: self.wall, lambda: self.own, lambda: self.idle)

    def apply(self, number):
        self.threads = number

    def work(self, size):
        free = self.cores - self.taken
        crowded = self.threads > free
        seconds = size / self.threads * (10 if crowded else 1)
        self.wall += seconds
        self.own += seconds * (0.4 if crowded else 1.0)
        self.idle += seconds * max(0, free - self.threads)

    def waits(self, size):
        """Work whose pace is that of something else, such as a disk."""
        self.wall += size
        self.own += size / 2


@pytest.fixture
def computer(monkeypatch):
    return Computer()


@pytest.fixture
def working(computer, monkeypatch):
    """Do n units of a second's work on one core; gives the number of threads after each."""
    told = []
    threads = Threads(computer.cores, computer.apply, tell=told.append, clock=computer.clock())
    monkeypatch.setattr("foveola.compute.threads.current", lambda: threads)
    pace = Pace()

    def work(n, size=1.0):
        numbers = []
        for _ in range(n):
            with pace.unit(size):
                computer.work(size)
            numbers.append(threads.now)
        return numbers

    work.threads, work.told, work.pace = threads, told, pace
    return work


def test_a_free_computer_keeps_all_its_threads_and_nothing_is_told(working):
    assert set(working(200)) == {4}
    assert working.threads.used == [4]
    assert working.told == []


def test_while_another_program_takes_a_core_half_as_many_threads_work(working, computer):
    working(5)
    computer.taken = 1
    assert working(20)[-1] == 2
    assert working.told == ["Another program is using this computer: computing with 2 threads."]


def test_while_others_take_all_but_one_core_one_thread_works(working, computer):
    computer.taken = 3
    assert working(40)[-1] == 1
    assert working.told[-1] == "Another program is using this computer: computing with 1 thread."


def test_when_the_cores_are_free_again_all_threads_work(working, computer):
    computer.taken = 3
    working(40)
    computer.taken = 0
    assert working(200)[-1] == 4
    assert working.told[-1] == "The computer has free cores again: computing with 4 threads."


def test_more_threads_are_not_tried_while_no_core_is_idle(working, computer):
    computer.taken = 3
    working(40)
    assert set(working(400)) == {1}


def test_without_a_system_that_tells_idle_time_vain_trials_become_rare(working, computer, monkeypatch):
    computer.taken = 3
    working(40)
    monkeypatch.setattr(working.threads, "clock", working.threads.clock._replace(idle=lambda: None))
    numbers = working(1000)
    assert 1 <= numbers.count(2) <= 8
    assert (2, 2) not in itertools.pairwise(numbers)  # a clear loss ends a trial after one unit


def test_a_trial_that_is_slower_is_taken_back(working, computer, monkeypatch):
    """The main thread waits for something else, such as a disk: fewer threads do not help."""
    monkeypatch.setattr(working.threads, "clock", working.threads.clock._replace(own=lambda: computer.wall / 2))
    numbers = working(100)
    assert numbers[-1] == 4
    assert numbers.count(2) <= 10
    assert working.told == []


def test_work_that_ends_takes_its_open_trial_back(working, computer):
    computer.taken = 3
    with working.pace:
        while working.threads.trial is None:
            working(1)
    assert working.threads.now == 4


def test_other_work_does_not_judge_a_trial(working, computer):
    """A network is measured between two epochs: its units are not steps of training."""
    computer.taken = 3
    while working.threads.trial is None:
        working(1)
    other, trial = Pace(), working.threads.trial
    for _ in range(20):
        with other.unit(1):
            computer.work(1)
    assert working.threads.trial is trial


def test_a_fixed_number_stays_on_a_busy_computer(working, computer):
    working.threads.fixed = True
    computer.taken = 3
    assert set(working(50)) == {4}


def test_work_on_another_device_changes_nothing(working, computer):
    computer.taken = 3
    pace = Pace("cuda")
    for _ in range(50):
        with pace.unit(1):
            computer.work(1)
    assert working.threads.now == 4


def scipys(pool):
    """Whether this is the BLAS inside SciPy's wheel."""
    return "scipy.libs" in pool["filepath"] or "scipy/.dylibs" in pool["filepath"]


def test_one_window_without_the_cores_tries_nothing(working, computer):
    """A file that is read for the first time, or code that is compiled, takes no core away for long."""
    working(5)
    computer.taken = 3
    while not working.threads.clock.own() < computer.wall:
        working(1)
    computer.taken = 0
    assert set(working(100)) == {4}


def test_fewer_threads_must_be_clearly_faster_to_stay(working, computer, monkeypatch):
    """The main thread waits, and fewer threads are as fast: nothing is gained, so nothing changes."""
    monkeypatch.setattr(computer, "work", computer.waits)
    numbers = working(100)
    assert numbers[-1] == 4
    assert working.told == []


def test_scipys_own_blas_computes_with_one_thread_and_numpys_with_all():
    pytest.importorskip("scipy.optimize")
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not any(scipys(pool) for pool in pools):
        pytest.skip("SciPy and NumPy share one BLAS here")
    with adapting(2), one_thread_in_scipy():
        assert current().now == 2
        inside = {scipys(pool): pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    assert inside == {True: 1, False: 2}
    assert [pool for pool in threadpool_info() if pool["user_api"] == "blas"] == pools


def test_a_number_holds_for_torch_and_blas_and_afterwards_all_is_as_before():
    from threadpoolctl import threadpool_info

    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas" and not scipys(pool)}

    before = torch.get_num_threads(), blas()
    with adapting(3):
        assert current().now == torch.get_num_threads() == 3
        assert blas() == {3}
    assert (torch.get_num_threads(), blas()) == before


def test_within_another_the_outer_one_goes_on():
    with adapting(3):
        with adapting():
            assert current().now == 3
        with adapting(1):
            assert current().now == torch.get_num_threads() == 1
        assert current().now == torch.get_num_threads() == 3


def test_outside_there_are_none():
    assert current() is None


@pytest.mark.parametrize(("given", "printed"), [({"OMP_NUM_THREADS": "1"}, "1 True\n"), ({}, " False\n")])
def test_a_number_in_omp_num_threads_is_fixed(given, printed):
    code = "from foveola.compute.threads import *\nwith adapting(): print(current().now, current().fixed)"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | given
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.endswith(printed)


@pytest.mark.parametrize("number", [0, -1])
def test_fewer_than_one_are_refused(number):
    with pytest.raises(UsageError) as refusal, adapting(number):
        pass
    assert str(refusal.value) == (
        f"{number} is not a possible number of threads: give 1 or more, or leave it out to use the free cores"
    )
