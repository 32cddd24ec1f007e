"""Call a function many times, in processes next to this one.

The processes are joblib's, which need no `if __name__ == "__main__"` in the user's script. They outlive the calls they were
started for, so that the next calls need not start them again. So each call gets this process's working folder and foveola
settings along: a process started in another folder would read and write there.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
PREFIX = "FOVEOLA_"


def call_apart(
    function: Callable[..., T],
    calls: Iterable[tuple[Any, ...]],
    *,
    processes: int,
    idle_seconds: int,
    share: bool = False,
) -> Iterator[T]:
    """Yield function(*arguments) for each tuple of arguments, in their order.

    function: a function of a module, which the other processes import; idle_seconds: how long they wait for further
    calls; share: arrays of more than 1 MB are passed as files, once for all calls that take them. Errors of a call are
    raised here. When the caller stops early, calls that have not begun are cancelled.

    >>> list(call_apart(divmod, [(7, 2), (9, 4)], processes=2, idle_seconds=1))
    [(3, 1), (2, 1)]
    """
    import joblib  # 0.1 s, which commands without it need not pay

    # Between two calls, joblib replaces a process that has grown by 300 MB or was idle for too long. The thread that manages
    # the processes then gives a warning. If warnings are errors, that thread dies and the caller waits forever.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)
    place, settings = str(Path.cwd()), _settings()
    pool = joblib.Parallel(
        n_jobs=processes, return_as="generator", max_nbytes="1M" if share else None, idle_worker_timeout=idle_seconds
    )
    results = pool(joblib.delayed(_call_there)(place, settings, function, arguments) for arguments in calls)
    try:
        for result in results:  # noqa: UP028 - `yield from` would close them before the warning is off
            yield result
    finally:
        with warnings.catch_warnings():  # joblib warns about unused results
            warnings.simplefilter("ignore", UserWarning)
            results.close()


def _settings() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith(PREFIX)}


def _call_there(place: str, settings: Mapping[str, str], function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    """The call, in the other process."""
    os.chdir(place)
    for key in _settings().keys() - settings.keys():
        del os.environ[key]
    os.environ.update(settings)
    return function(*arguments)
