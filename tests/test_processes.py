"""Calls in other processes: their order, errors, working folder and settings."""

import os
import time
import warnings
from pathlib import Path

import pytest

from foveola.processes import call_apart


def where_and_cache(_):
    return str(Path.cwd()), os.environ.get("FOVEOLA_CACHE")


def test_results_come_in_the_order_of_the_calls():
    assert list(call_apart(divmod, [(k, 3) for k in range(9)], processes=2, idle_seconds=20)) == [
        (k // 3, k % 3) for k in range(9)
    ]


def test_an_error_of_a_call_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        list(call_apart(divmod, [(1, 1), (1, 0)], processes=2, idle_seconds=20))


def test_processes_started_in_another_folder_work_in_the_present_one(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("FOVEOLA_CACHE", f"cache of the {name}")
        there = set(call_apart(where_and_cache, [(k,) for k in range(4)], processes=2, idle_seconds=20))
        assert there == {(str(tmp_path / name), f"cache of the {name}")}


def test_a_setting_that_is_gone_here_is_gone_there(monkeypatch):
    monkeypatch.setenv("FOVEOLA_CACHE", "somewhere")
    list(call_apart(where_and_cache, [(0,), (1,)], processes=2, idle_seconds=20))
    monkeypatch.delenv("FOVEOLA_CACHE")
    assert {cache for _, cache in call_apart(where_and_cache, [(0,), (1,)], processes=2, idle_seconds=20)} == {None}


GROWN = []


def grow(megabytes):
    GROWN.append(bytearray(b"x" * (megabytes << 20)))
    time.sleep(1.1)  # joblib looks at the memory at most once a second
    return os.getpid()


@pytest.mark.slow
def test_a_process_that_grew_is_replaced_and_the_other_calls_go_on():
    there = list(call_apart(grow, [(1,), (1,), (400,), (400,), (1,), (1,)], processes=2, idle_seconds=20))
    assert len(there) == 6
    assert len(set(there)) > 2


def test_stopping_early_warns_of_nothing():
    calls = call_apart(time.sleep, [(0.5,)] * 8, processes=2, idle_seconds=20)
    assert next(calls) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calls.close()
