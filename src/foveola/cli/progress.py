"""Progress of a command on stderr: a live table with bars on a terminal, plain lines elsewhere.

Results go to stdout, so `foveola train photos --json > result.json` holds the result and nothing else.
"""

from __future__ import annotations

import functools
import time
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from foveola import workflows
from foveola.text import percent, printable
from foveola.workflows import (
    EpochLog,
    FoldLog,
    Plan,
    ProbeLog,
    Row,
    StepLog,
    fold_sentence,
    in_words,
    is_better,
    row_seconds,
    row_sentence,
    with_interval,
)

SHOWN_ROWS = 12
QUIET_SECONDS = 10.0
"""Seconds after which a long stage without a bar prints a line at each quarter."""

COLUMNS = (
    ("train loss", "train acc.", "val loss", "val acc. (95 %)", "seconds"),
    ("train acc.", "val acc. (95 %)", "seconds"),
    ("train acc.", "val acc.", "seconds"),
    ("val acc.",),
)
"""The table's columns after the first: all of them, and which are left on a narrower terminal."""


class TimeLeft(TimeRemainingColumn):
    """What rich expects to be left; for a task that knows better (`until`, by the monotonic clock) a countdown to that.

    rich goes by the last half minute, and one run of a comparison may take longer.
    """

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        if "until" not in task.fields:
            return super().render(task)
        until = task.fields["until"]
        if until is None:
            return Text("-:--:--", style="progress.remaining")
        left = timedelta(seconds=round(max(0.0, until - time.monotonic())))
        return Text(str(left), style="progress.remaining")


class Screen(workflows.Progress):
    """The progress of one command. Use it as a context manager. lines: whether stages print lines without a terminal."""

    def __init__(self, console: Console | None = None, *, lines: bool = True) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal
        self.bars = Progress(
            TextColumn("{task.description}"), BarColumn(max(8, min(40, self.console.width - 40))),
            TextColumn("{task.percentage:>3.0f} %"), TimeLeft(), console=self.console, transient=True,
        )  # fmt: skip
        self.lines = lines
        self.rows: list[tuple[EpochLog | ProbeLog, float]] = []
        self.n_val = 0
        self.doing = "starting"
        self._tasks: dict[str, TaskID] = {}
        self._spinner = Spinner("dots")
        self._display: Live | None = None
        self._last_line = time.monotonic()
        self._quarters: dict[str, int] = {}

    def __enter__(self) -> Screen:
        if self.live:
            self._display = Live(self._frame(), console=self.console, refresh_per_second=8, transient=False)
            self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            for task in self._tasks.values():
                self.bars.remove_task(task)
            self.doing = ""
            self._display.update(self._frame(), refresh=True)
            self._display.stop()

    def tick(self, stage: str, done: int, total: int) -> None:
        """A bar on a terminal; elsewhere a line at the end of a stage, and at the quarters of a long one."""
        if self._display is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self.bars.add_task(stage, total=total)
            elif done < total and self.bars.tasks[self.bars.task_ids.index(self._tasks[stage])].finished:
                self.bars.reset(self._tasks[stage], total=total)  # the stage comes again: its clock starts again
            self.bars.update(self._tasks[stage], completed=done, total=total, visible=done < total)
            self._display.update(self._frame())
        elif self.lines and (done == total or self._is_news(stage, 4 * done // max(1, total))):
            self._last_line = time.monotonic()
            self._line(f"{stage}: {done:,} of {total:,}")

    def note(self, line: str) -> None:
        """Nothing: the commands print the notes of a result after it."""

    def runs(self, done: int, total: int, seconds: float | None) -> None:
        """How many runs of a comparison are done, and the time left: a bar on a terminal; elsewhere their lines tell."""
        if self._display is None:
            return
        what, until = f"{done} of {total} runs", None if seconds is None else time.monotonic() + seconds
        if "runs" not in self._tasks:
            self._tasks["runs"] = self.bars.add_task(what, total=total, until=until)
        self.bars.update(self._tasks["runs"], description=what, completed=done, until=until, visible=done < total)
        self._display.update(self._frame())

    def tell(self, line: str) -> None:
        """Print a line that stays, above the bars."""
        self._line(printable(line))
        self._doing("working")

    def plan(self, plan: Plan) -> None:
        """Print the plan of the run before its first step."""
        self.n_val = plan.parts["val"]
        for line in plan.lines():
            self._line(line)
        self._doing("preparing the first step")

    def row(self, row: Row) -> None:
        """Move the bar for a step; add a table row for an epoch."""
        if isinstance(row, StepLog):
            if self._display is not None:
                self.tick("Training", row.step, row.total_steps)
            return
        if isinstance(row, FoldLog):
            self._line(fold_sentence(row))
            self._doing("training the next network")
            return
        seconds = row_seconds(row, self.rows[-1][0] if self.rows else None)
        self.rows.append((row, seconds))
        if self._display is None:
            self._line(row_sentence(row, self.n_val, seconds))
        else:
            self._doing("measuring on the test images, writing the report")

    def _doing(self, what: str) -> None:
        """What a terminal shows next to the spinner while no bar moves."""
        self.doing = what
        if self._display is not None:
            self._display.update(self._frame())

    def _is_news(self, stage: str, quarter: int) -> bool:
        if quarter <= self._quarters.get(stage, 0) or time.monotonic() - self._last_line < QUIET_SECONDS:
            return False
        self._quarters[stage] = quarter
        return True

    def _line(self, text: str) -> None:
        """Words are wrapped on a terminal; a file or pipe gets the line as it is."""
        self.console.print(Text(text), soft_wrap=not self.live)

    def _frame(self) -> Group:
        shown: list[RenderableType] = [self._table()] if self.rows else []
        if any(task.visible for task in self.bars.tasks):
            shown.append(self.bars)
        elif self.doing:
            self._spinner.update(text=f"{self.doing} ...")
            shown.append(self._spinner)
        return Group(*shown)

    def _table(self) -> Table:
        """The last rows of the kind that is trained now, in as many columns as the terminal is wide enough for."""
        kind = type(self.rows[-1][0])
        best = functools.reduce(lambda kept, row: row if is_better(row, kept) else kept, (row for row, _ in self.rows))
        rows = [(row, self._cells(row, seconds)) for row, seconds in self.rows if isinstance(row, kind)]
        first = ["epoch"] if kind is EpochLog else ["regularisation"]
        if any(isinstance(row, ProbeLog) and row.features for row, _ in rows):
            first.insert(0, "features of")
        names = _that_fit(first, [cells for _, cells in rows], self.console.width)
        table = Table(box=None, pad_edge=False, padding=(0, 1))
        for name in names:
            table.add_column(name, justify="right", no_wrap=True)
        if len(rows) > SHOWN_ROWS:
            table.add_row("...")
        for row, cells in rows[-SHOWN_ROWS:]:
            table.add_row(*(cells[name] for name in names), style="bold" if row is best else "")
        return table

    def _cells(self, row: EpochLog | ProbeLog, seconds: float) -> dict[str, str]:
        if isinstance(row, EpochLog):
            first = {"epoch": str(row.epoch)}
        else:
            first = {"features of": in_words(row.features), "regularisation": f"{row.strength:.2g}"}
        return {
            **first,
            "train loss": f"{row.train_loss:.3f}",
            "train acc.": percent(row.train_accuracy),
            "val loss": f"{row.val_loss:.3f}",
            "val acc.": percent(row.val_accuracy),
            "val acc. (95 %)": with_interval(row.val_accuracy, self.n_val),
            "seconds": f"{seconds:.1f}",
        }


def _that_fit(first: list[str], rows: list[dict[str, str]], width: int) -> tuple[str, ...]:
    """Return the columns that fit the terminal. A missing column is better than a number that is cut."""
    for others in COLUMNS:
        names = (*first, *others)
        widths = [max(len(name), *(len(cells[name]) for cells in rows)) for name in names]
        if sum(widths) + 2 * (len(names) - 1) <= width:
            return names
    return (first[-1], *COLUMNS[-1])
