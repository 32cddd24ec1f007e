"""Adaptive number of threads for torch and BLAS: all cores, and fewer while other programs use them.

Threads that share one computation wait for each other after every operation, hundreds of times in a training step. When
another program takes one of the cores, each of these waits can last a whole time slice of the system (about 3 ms). Two
threads then become several times slower than one. The remedy here: measure every unit of work (a training step, a few
images), notice when this program no longer gets its cores, and try half as many threads for a few units. The faster
number stays.

    with adapting(tell=print), Pace(device.type) as pace:    # all cores, adapted while it works; adapting(1) fixes the number
        for images in batches:
            with pace.unit(len(images)):
                step(images)

The units are real work: nothing is computed only to be timed. On a computer that does nothing else the number never changes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from foveola.errors import UsageError
from foveola.text import count
from foveola.types import Tell, tell_nobody

P = ParamSpec("P")
R = TypeVar("R")


OWN_SHARE = 0.85
"""This program has lost a core when its main thread computes for less than this share of the time: 0.97 to 1.00 on a free
computer, 0.33 to 0.65 next to one busy process (`fast`, `vgg6` and `alexnet_mini` with two threads on two cores of an AMD
EPYC). While threads wait for each other they spin, which counts as computing. So on a free computer the share is near 1 for
any number of cores."""

WINDOW_S = 0.5
"""Seconds of work in a window of measurement; a trial needs a fifth of it. Fewer threads are tried after two windows in a row
in which a core was lost: one alone can be a file that is read for the first time or code that is compiled."""

CLEARLY = 1.1
"""Another number of threads stays when it is this much faster."""

FEWER_PAUSE_S, MORE_PAUSE_S, LONGEST_PAUSE_S = 2.0, 15.0, 240.0
"""Seconds before fewer or more threads are tried again after a trial that brought nothing; doubled each time."""

FREE_CORES = 0.5
"""More threads are tried only when this many cores of the computer were idle, where the system tells."""


class Clock(NamedTuple):
    """Where times come from, in seconds: the wall, the processor time of this thread, and idle time summed over all cores."""

    wall: Callable[[], float] = time.perf_counter
    own: Callable[[], float] = time.thread_time
    idle: Callable[[], float | None] = lambda: _idle_seconds()


@dataclass
class Threads:
    """The number of threads in use, and the rules by which it changes.

    most: all that may be used; apply: makes torch and BLAS use a number of threads; tell: receives a sentence when the number
    changes; used: all numbers that were in use since the last `start_list`, in their order.
    """

    most: int
    apply: Callable[[int], None]
    fixed: bool = False
    tell: Tell = tell_nobody
    clock: Clock = field(default_factory=Clock)
    now: int = 0
    used: list[int] = field(default_factory=list)
    trial: Trial | None = None
    fewer_pause: float = FEWER_PAUSE_S
    more_pause: float = MORE_PAUSE_S
    _vain: int = 0
    _fewer_from: float = 0.0
    _more_from: float = 0.0

    def __post_init__(self) -> None:
        self.now = self.now or self.most
        self.start_list()

    def set(self, number: int) -> None:
        """Compute with this many threads from now on."""
        self.apply(number)
        self.now = number
        if number != self.used[-1]:
            self.used.append(number)

    def start_list(self) -> None:
        """Begin the list of numbers in use again: a new run starts."""
        self.used = [self.now]

    @property
    def fewer(self) -> int:
        """The number to try where cores are missing: half, or 1 if half did not help."""
        half = max(1, self.now // 2)
        return 1 if half == self._vain else half

    def may_try(self, number: int) -> bool:
        """Whether enough time has passed since the last vain trial in this direction."""
        return self.clock.wall() >= (self._fewer_from if number < self.now else self._more_from)

    def start(self, trial: Trial) -> None:
        """Compute with the trial's number until `keep` or `give_back` ends it."""
        self.trial = trial
        self.set(trial.number)

    def keep(self, trial: Trial) -> None:
        """The trial's number stays."""
        self.trial = None
        if trial.number > trial.before:
            self.more_pause = MORE_PAUSE_S
            self.tell(f"The computer has free cores again: computing with {count(self.now, 'thread')}.")
        else:
            self._vain, self.fewer_pause = 0, FEWER_PAUSE_S
            self._more_from = self.clock.wall() + self.more_pause
            self.tell(f"Another program is using this computer: computing with {count(self.now, 'thread')}.")

    def give_back(self, trial: Trial) -> None:
        """The trial brought nothing: return to the number before, and wait longer before the next trial."""
        self.trial, now = None, self.clock.wall()
        if trial.number < trial.before:
            self._vain = trial.number
            self._fewer_from, self.fewer_pause = now + self.fewer_pause, min(2 * self.fewer_pause, LONGEST_PAUSE_S)
        else:
            self._more_from, self.more_pause = now + self.more_pause, min(2 * self.more_pause, LONGEST_PAUSE_S)
        self.set(trial.before)


class _Work:
    """What `adapting` has opened: the number asked for, and the Threads, made when the first work is measured."""

    def __init__(self, asked: int | None, tell: Tell) -> None:
        self.asked, self.tell = asked, tell
        self.stack = ExitStack()

    @cached_property
    def threads(self) -> Threads:
        import torch

        before = torch.get_num_threads()
        self.stack.callback(torch.set_num_threads, before)
        fixed = self.asked is not None or bool(os.environ.get("OMP_NUM_THREADS"))
        made = Threads(self.asked or before, self._apply, fixed, self.tell)
        if self.asked is not None:
            made.set(self.asked)
        return made

    def _apply(self, number: int) -> None:
        import torch

        torch.set_num_threads(number)
        self.stack.enter_context(_limited(number, in_scipy=False))


_WORK: ContextVar[_Work | None] = ContextVar("work", default=None)


def current() -> Threads | None:
    """The threads of the work that is going on, or None outside of `adapting`."""
    work = _WORK.get()
    return work.threads if work else None


@contextmanager
def one_thread_in_scipy() -> Iterator[None]:
    """SciPy's own BLAS computes with one thread in this block.

    The wheels of NumPy and SciPy hold an OpenBLAS each, and the threads of both spin for a while after every operation. So
    L-BFGS, whose vectors are short, took the cores from the matrix products of its objective. On 4,000 rows of 1,280 features
    and two cores: 28 evaluations a second with two threads in both, 64 with one in SciPy's (means of two runs).
    """
    with _limited(1, in_scipy=True):
        yield


def _limited(number: int, *, in_scipy: bool) -> AbstractContextManager[object]:
    """Limits SciPy's own BLAS, or all others that are loaded, to a number of threads; leaving the context undoes it."""
    from threadpoolctl import ThreadpoolController

    loaded = ThreadpoolController().select(user_api="blas")
    paths = [Path(one.filepath) for one in loaded.lib_controllers]
    scipys = [path for path in paths if path.parent.name == "scipy.libs" or path.parent.parent.name == "scipy"]
    # On leaving, threadpoolctl restores the number of all it selected: select no others, which may have changed meanwhile.
    chosen = loaded.select(filepath=[str(path) for path in paths if (path in scipys) == in_scipy])
    limited: AbstractContextManager[object] = chosen.limit(limits=number)
    return limited


def require_threads(threads: int | None) -> None:
    """Raises UsageError for a number of threads below 1."""
    if threads is not None and threads < 1:
        raise UsageError(
            f"{threads} is not a possible number of threads: give 1 or more, or leave it out to use the free cores"
        )


@contextmanager
def adapting(threads: int | None = None, tell: Tell = tell_nobody) -> Iterator[None]:
    """Compute with all cores and adapt to other programs, or with exactly `threads` threads; afterwards it is as before.

    A number in the environment's OMP_NUM_THREADS counts as fixed. Inside another `adapting` that one goes on, unless a number
    is given. Imports nothing before there is work. Raises UsageError for a number below 1.
    """
    require_threads(threads)
    if threads is None and _WORK.get() is not None:
        yield
        return
    work = _Work(threads, tell)
    token = _WORK.set(work)
    try:
        with work.stack:
            yield
    finally:
        _WORK.reset(token)


class Pace:
    """Measures the units of one kind of work and changes the number of threads where that pays. Use as a context.

    device: the type of the device that works, such as "cpu" or "cuda"; only the processor's work is measured.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device, self._seen = device, _Window()
        self._lost: _Window | None = None  # the window before, if a core was lost in it

    def __enter__(self) -> Pace:
        return self

    def __exit__(self, *_: object) -> None:
        """The work is over: a trial of it that is still open is taken back, since it has shown nothing yet."""
        threads = current()
        if threads is not None and threads.trial is not None and threads.trial.by is self:
            threads.give_back(threads.trial)

    @contextmanager
    def unit(self, size: float) -> Iterator[None]:
        """Do one unit of the work in this block; size: how much it is, in any measure that time is proportional to."""
        threads = current()
        if threads is None or threads.fixed or threads.most == 1 or self._device != "cpu":
            yield
            return
        clock, seen = threads.clock, self._seen
        if not seen.units:
            seen.idle_from = clock.idle()
        began, own = clock.wall(), clock.own()
        yield
        seen.add(size, clock.wall() - began, clock.own() - own)
        if threads.trial is None:
            self._judge(threads)
        elif threads.trial.by is self:
            self._judge_trial(threads, threads.trial)

    def each(self, function: Callable[P, R]) -> Callable[P, R]:
        """The same function, each call of it one unit."""

        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.unit(1):
                return function(*args, **kwargs)

        return measured

    def _judge(self, threads: Threads) -> None:
        seen, now = self._seen, threads.now
        if seen.wall < WINDOW_S:
            return
        self._seen = _Window()
        fewer, more = threads.fewer, min(threads.most, 2 * now)
        before, self._lost = self._lost, seen if seen.own < OWN_SHARE * seen.wall else None
        if before and self._lost and fewer < now and threads.may_try(fewer):
            threads.start(Trial(self, fewer, now, max(seen.rate, before.rate)))
        elif more > now and threads.may_try(more) and seen.free_cores(threads.clock.idle()) >= FREE_CORES:
            threads.start(Trial(self, more, now, seen.rate))

    def _judge_trial(self, threads: Threads, trial: Trial) -> None:
        """The number tried stays if it is clearly faster; a clear loss ends a trial at once."""
        seen = self._seen
        lost = seen.rate < 0.7 * trial.rate
        if not lost and (seen.wall < WINDOW_S / 5 or (seen.units < 2 and seen.wall < WINDOW_S)):
            return
        self._seen, self._lost = _Window(), None
        if not lost and seen.rate >= CLEARLY * trial.rate:
            threads.keep(trial)
        else:
            threads.give_back(trial)


class Trial(NamedTuple):
    """A number of threads that is tried: by whose work, the number before, and the rate then, in size a second."""

    by: Pace
    number: int
    before: int
    rate: float


@dataclass
class _Window:
    """What was measured since the last judgement."""

    units: int = 0
    size: float = 0.0
    wall: float = 0.0
    own: float = 0.0
    idle_from: float | None = None

    def add(self, size: float, wall: float, own: float) -> None:
        self.units += 1
        self.size += size
        self.wall += wall
        self.own += own

    @property
    def rate(self) -> float:
        return self.size / max(self.wall, 1e-9)

    def free_cores(self, idle: float | None) -> float:
        """How many cores of the computer were idle meanwhile; infinite if the system does not report it."""
        if idle is None or self.idle_from is None:
            return float("inf")
        return (idle - self.idle_from) / max(self.wall, 1e-9)


def _idle_seconds() -> float | None:
    """Idle time summed over all cores since the system started; None where there is no /proc/stat (man 5 proc)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()
        return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
