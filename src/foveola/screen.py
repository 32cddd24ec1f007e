"""What the command line shows while it works: a live table with bars on a terminal, plain lines elsewhere; all on stderr.

Results go to stdout, so `foveola train photos --json > result.json` holds the result and nothing else.
"""

from __future__ import annotations

import functools
import time
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from foveola.workflows import EpochRow, HeadRow, Plan, Row, StepRow, Watch, better, wilson

SHOWN_ROWS = 12


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


class Screen:
    """Shows the progress of one command. Use as a context; `watch` is what the verbs take."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self.live = self.console.is_terminal
        self.bars = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeLeft(),
            console=self.console, transient=True,
        )  # fmt: skip
        self.rows: list[EpochRow | HeadRow] = []
        self.n_val = 0
        self._tasks: dict[str, TaskID] = {}
        self._display: Live | None = None
        self._last_line = time.monotonic()

    @property
    def watch(self) -> Watch:
        return Watch(tick=self.tick, plan=self.plan, row=self.row)

    def __enter__(self) -> Screen:
        if self.live:
            self._display = Live(self._picture(), console=self.console, refresh_per_second=8, transient=False)
            self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            for task in self._tasks.values():
                self.bars.remove_task(task)
            self._display.update(self._picture(), refresh=True)
            self._display.stop()

    def tick(self, stage: str, done: int, total: int) -> None:
        """A bar on a terminal; elsewhere a line at the end of a stage, and every ten seconds of a long one."""
        if self._display is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self.bars.add_task(stage, total=total)
            elif done < total and self.bars.tasks[self.bars.task_ids.index(self._tasks[stage])].finished:
                self.bars.reset(self._tasks[stage], total=total)  # the stage comes again: its clock begins anew
            self.bars.update(self._tasks[stage], completed=done, total=total, visible=done < total)
            self._display.update(self._picture())
        elif done == total or time.monotonic() - self._last_line > 10:
            self._last_line = time.monotonic()
            self._line(f"{stage}: {done:,} of {total:,}")

    def bar(self, stage: str, done: int, total: int) -> None:
        """The tick of a verb that has lines of its own: a bar on a terminal, nothing elsewhere."""
        if self._display is not None:
            self.tick(stage, done, total)

    def runs(self, done: int, total: int, seconds: float | None) -> None:
        """How many runs of a comparison are done, and the time left: a bar on a terminal; elsewhere their lines tell."""
        if self._display is None:
            return
        what, until = f"{done} of {total} runs", None if seconds is None else time.monotonic() + seconds
        if "runs" not in self._tasks:
            self._tasks["runs"] = self.bars.add_task(what, total=total, until=until)
        self.bars.update(self._tasks["runs"], description=what, completed=done, until=until, visible=done < total)
        self._display.update(self._picture())

    def tell(self, line: str) -> None:
        """A line that stays, above the bars where there are any."""
        self._line(line)

    def plan(self, plan: Plan) -> None:
        """What is about to be trained, before the first step."""
        fit, parts = plan.recipe.fit, plan.parts
        self.n_val = parts["val"]
        self._line(plan.data)
        self._line(f"split: {parts['train']:,} train, {parts['val']:,} val, {parts['test']:,} test, seed {plan.seed}")
        self._line(
            f"{plan.recipe.model.name}, {plan.parameters:,} parameters, pictures of {plan.recipe.data.size}, "
            f"{fit.epochs} epochs, on {plan.device} in {plan.precision}"
        )
        for remark in plan.remarks:
            self._line(f"note: {remark}")

    def row(self, row: Row) -> None:
        """A step moves the bar; an epoch becomes a line of the table."""
        if isinstance(row, StepRow):
            if self._display is not None:
                self.tick("Training", row.step, row.total_steps)
            return
        self.rows.append(row)
        if self._display is not None:
            self._display.update(self._picture())
        else:
            self._line(_sentence(row, self.n_val))

    def _line(self, text: str) -> None:
        self.console.print(Text(text))

    def _picture(self) -> Group:
        return Group(*([self._table()] if self.rows else []), self.bars)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        first = "epoch" if isinstance(self.rows[-1], EpochRow) else "penalty"
        seconds = "seconds" if first == "epoch" else "seconds so far"
        for name in (first, "train loss", "train acc.", "val loss", "val acc. (95 %)", seconds):
            table.add_column(name, justify="right")
        best = functools.reduce(lambda kept, row: row if better(row, kept) else kept, self.rows)
        if len(self.rows) > SHOWN_ROWS:
            table.add_row("...")
        for row in self.rows[-SHOWN_ROWS:]:
            number = str(row.epoch) if isinstance(row, EpochRow) else f"{row.strength:.2g}"
            cells = (number, f"{row.train_loss:.3f}", _percent(row.train_accuracy), f"{row.val_loss:.3f}")
            val = _with_interval(row.val_accuracy, self.n_val)
            table.add_row(*cells, val, f"{row.seconds:.1f}", style="bold" if row is best else "")
        return table


def _sentence(row: EpochRow | HeadRow, n_val: int) -> str:
    what = f"epoch {row.epoch:3d}" if isinstance(row, EpochRow) else f"head, penalty {row.strength:.2g}"
    return (
        f"{what}: train loss {row.train_loss:.3f}, accuracy {_percent(row.train_accuracy)}; "
        f"val loss {row.val_loss:.3f}, accuracy {_with_interval(row.val_accuracy, n_val)}; {row.seconds:.1f} s"
    )


def _with_interval(share: float, n: int) -> str:
    """A val accuracy with its 95 % interval; train's has none: it is of the very pictures that were learned from."""
    if not n:
        return _percent(share)
    low, high, _ = wilson(round(share * n), n)
    return f"{_percent(share)} ({100 * low:.1f} to {100 * high:.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
