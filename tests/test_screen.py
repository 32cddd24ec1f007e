"""The screen: bars on a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console

from foveola.cli.output import print_table
from foveola.cli.progress import Screen
from foveola.training.history import EpochLog, ProbeLog


def console(terminal, width=100):
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, highlight=False)


@pytest.fixture
def now(monkeypatch):
    """The screen's clock, set by hand."""
    at = [100.0]
    monkeypatch.setattr("foveola.cli.progress.time.monotonic", lambda: at[0])
    return at


def shown(screen):
    """What stands on the screen now."""
    paper = console(False)
    paper.print(screen._frame())
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
    with Screen(console(False), lines=False) as screen:
        screen.runs(1, 4, 10.0)
        screen.tick("Reading files", 7, 7)
        screen.tell("seed 0, plain: 81.00 %")
        screen.runs(4, 4, 0.0)
    assert screen.console.file.getvalue() == "seed 0, plain: 81.00 %\n"


def table_at(width, rows):
    """The lines of the live table on a terminal so wide."""
    with Screen(console(True, width)) as screen:
        screen.n_val = 40
        for row in rows:
            screen.row(row)
        paper = console(False, width)
        paper.print(screen._table())
        return paper.file.getvalue().splitlines()


EPOCHS = [EpochLog(k, 10 * k, 0.5, 0.75, 0.6, 0.7, 1e-3, 12.5) for k in range(1, 4)]


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (80, ["epoch", "train loss", "train acc.", "val loss", "val acc. (95 %)", "seconds"]),
        (60, ["epoch", "train acc.", "val acc. (95 %)", "seconds"]),
        (40, ["epoch", "train acc.", "val acc.", "seconds"]),
        (20, ["epoch", "val acc."]),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns_and_whole_numbers(width, heads):
    lines = table_at(width, EPOCHS)
    assert (
        lines[0].split("  ")[0].split() + [head.strip() for head in lines[0].split("  ")[1:] if head.strip()] == heads
    )
    assert len(lines) == 1 + len(EPOCHS)
    assert all(len(line) <= width for line in lines)
    assert all("70.0 %" in line for line in lines[1:])
    assert ("70.0 % (54.6 to 81.9)" in lines[1]) == ("val acc. (95 %)" in heads)


def test_the_seconds_of_fits_are_each_ones_own():
    rows = [ProbeLog(k, 2, 10.0 / k, 0.5, 0.75, 0.6, 0.7, seconds) for k, seconds in ((1, 2.0), (2, 2.5))]
    lines = table_at(100, rows)
    assert lines[0].split()[0] == "regularisation"
    assert [line.split()[-1] for line in lines[1:]] == ["2.0", "0.5"]


def test_fits_on_sets_of_features_say_which():
    rows = [ProbeLog(k, 2, 0.1, 0.5, 0.75, 0.6, 0.7, k, name) for k, name in ((1, "top"), (2, "top + stage7 + stage5"))]
    lines = table_at(120, rows)
    assert lines[0].strip().split("  ")[0] == "features of"
    assert [line.strip().split("  ")[0] for line in lines[1:]] == [
        "the last stage",
        "the last stage and two earlier ones",
    ]
    assert "earlier" not in table_at(40, rows)[2]


def test_a_pipe_gets_a_line_a_quarter_of_a_long_stage_and_no_more(now):
    with Screen(console(False)) as screen:
        for done in range(1, 401):
            now[0] += 1
            screen.tick("Reading images", done, 400)
    assert screen.console.file.getvalue().splitlines() == [
        f"Reading images: {done} of 400" for done in (100, 200, 300, 400)
    ]


def test_a_short_stage_gets_one_line_in_a_pipe(now):
    with Screen(console(False)) as screen:
        for done in range(1, 9):
            now[0] += 1
            screen.tick("Reading images", done, 8)
    assert screen.console.file.getvalue() == "Reading images: 8 of 8\n"


def test_a_terminal_is_never_empty(now):
    with Screen(console(True)) as screen:
        assert "starting ..." in shown(screen)
        screen.tell("reading photos ...")
        assert "working ..." in shown(screen)
        screen.tick("Reading images", 3, 10)
        assert "Reading images" in shown(screen) and "working" not in shown(screen)
        screen.tick("Reading images", 10, 10)
        assert "working ..." in shown(screen)
    assert shown(screen) == "\n" or shown(screen) == ""


def test_words_are_wrapped_on_a_terminal_and_left_alone_in_a_pipe():
    line = "note: " + "word " * 30 + "end"
    for terminal in (True, False):
        with Screen(console(terminal, 40)) as screen:
            screen.tell(line)
        printed = screen.console.file.getvalue()
        assert (line in printed) is not terminal


HEADS = ("file", "images", "interval")
ROWS = [("tulips/a long name of a file.jpg", "3,670", "0.91 to 0.95"), ("[red]花", "12", "")]


def test_a_table_in_a_pipe_is_plain_text_with_numbers_to_the_right(capsys):
    print_table(HEADS, ROWS, spare=("interval",))
    assert capsys.readouterr().out.splitlines() == [
        "file                              images      interval",
        "tulips/a long name of a file.jpg   3,670  0.91 to 0.95",
        "[red]花                               12",  # the sign is as wide as two letters
    ]


def test_a_table_on_a_narrow_terminal_leaves_out_spare_columns_and_wraps_names(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(HEADS, ROWS, spare=("interval",))
    assert capsys.readouterr().out.splitlines() == [
        "file                    images",
        "tulips/a long name of    3,670",
        "a file.jpg",
        "[red]花                     12",
    ]


def test_a_table_wider_than_the_terminal_keeps_its_numbers_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(("class", "images"), [("tulip", "3,670,000")])
    assert capsys.readouterr().out.splitlines() == ["class     images", "tulip  3,670,000"]
