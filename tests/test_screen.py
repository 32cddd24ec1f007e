"""The screen: bars on a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console

from foveola.screen import Screen


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None, highlight=False)


@pytest.fixture
def now(monkeypatch):
    """The screen's clock, set by hand."""
    at = [100.0]
    monkeypatch.setattr("foveola.screen.time.monotonic", lambda: at[0])
    return at


def shown(screen):
    """What stands on the screen now."""
    paper = console(False)
    paper.print(screen._picture())
    return paper.file.getvalue()


def test_a_comparison_on_a_terminal_shows_runs_done_and_the_time_left(now):
    with Screen(console(True)) as screen:
        screen.runs(3, 20, 75.0)
        assert "3 of 20 runs" in shown(screen)
        assert " 15 % 0:01:15" in shown(screen)


def test_the_time_left_counts_down_between_two_runs_and_not_below_nothing(now):
    with Screen(console(True)) as screen:
        screen.runs(3, 20, 75.0)
        now[0] += 30
        assert "0:00:45" in shown(screen)
        now[0] += 60
        assert "0:00:00" in shown(screen)


def test_before_a_run_was_trained_no_time_is_guessed(now):
    with Screen(console(True)) as screen:
        screen.runs(0, 20, None)
        assert "0 of 20 runs" in shown(screen)
        assert "-:--:--" in shown(screen)


def test_the_bar_goes_when_all_runs_are_done(now):
    with Screen(console(True)) as screen:
        screen.runs(3, 4, 10.0)
        screen.runs(4, 4, 0.0)
        assert "runs" not in shown(screen)


def test_lines_stay_above_the_bar(now):
    with Screen(console(True)) as screen:
        screen.runs(1, 4, 10.0)
        screen.tell("seed 0, plain: 81.00 %")
    assert "seed 0, plain: 81.00 %\n" in screen.console.file.getvalue()


def test_elsewhere_there_are_the_lines_and_nothing_else(now):
    with Screen(console(False)) as screen:
        screen.runs(1, 4, 10.0)
        screen.bar("Reading files", 7, 7)
        screen.tell("seed 0, plain: 81.00 %")
        screen.runs(4, 4, 0.0)
    assert screen.console.file.getvalue() == "seed 0, plain: 81.00 %\n"
