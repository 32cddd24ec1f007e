"""Progress display in Jupyter notebooks: a progress bar, a summary of the training and live curves in the cell's output.

Jupyter is detected by the modules that it has imported. Outside notebooks nothing is imported and nothing changes.
"""

from __future__ import annotations

import functools
import html
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from foveola.report.curves import CurveLine, curves
from foveola.runs.progress import Plan, Progress, fold_sentence, row_seconds, row_sentence
from foveola.training.history import EpochLog, FoldLog, ProbeLog, Row, StepLog, is_better

if TYPE_CHECKING:
    from types import TracebackType

V = TypeVar("V", bound=Callable[..., Any])

PATIENCE_SECONDS = 0.5
"""A bar appears after this time, so that a fast call leaves the cell's output empty."""

REFRESH_SECONDS = 0.3

STYLE = """<style>
.foveola-progress { font: 13px/1.5 system-ui, sans-serif; }
.foveola-progress progress { width: 14em; vertical-align: middle; accent-color: #2b8cc4; }
.foveola-progress .figures { display: flex; flex-wrap: wrap; gap: 0 24px; }
.foveola-progress figure { flex: 0 1 360px; margin: 8px 0; }
.foveola-progress svg { display: block; width: 100%; height: auto; overflow: visible; }
.foveola-progress svg text { fill: currentColor; font-size: 13px; }
.foveola-progress svg .grid { stroke: #8886; }
.foveola-progress svg .kept { stroke: #888; stroke-dasharray: 2 3; }
.foveola-progress svg .line { fill: none; stroke-width: 2.2; }
.foveola-progress svg .line.train { stroke: #888; stroke-dasharray: 6 4; }
.foveola-progress svg .line.val { stroke: #2b8cc4; }
.foveola-progress svg .dot { fill: #888; }
.foveola-progress svg .dot.val, .foveola-progress svg .name.val { fill: #2b8cc4; }
</style>"""


def shown_in_notebooks(verb: V) -> V:
    """Decorate a verb with a progress display in notebooks. Nothing changes elsewhere or if the caller gives `progress`."""

    @functools.wraps(verb)
    def shown(*args: Any, **options: Any) -> Any:
        if not in_notebook() or options.get("progress") is not None:
            return verb(*args, **options)
        with Cell() as cell:
            return verb(*args, **{**options, "progress": cell})

    return cast(V, shown)


def in_notebook() -> bool:
    """Whether the code runs in a notebook (Jupyter, VS Code, Colab), not in IPython in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    if ipython is None or "ipykernel" not in sys.modules:
        return False
    shell = ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class Cell(Progress):
    """The output of one cell while a verb runs. Use it as a context manager."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.rows: list[EpochLog | ProbeLog] = []
        self.n_val = 0
        self.epochs = 0
        self._said = ""
        self._bar: tuple[str, int, int] | None = None
        self._opened = self._shown = time.monotonic()
        self._display: Any = None

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bar = None
        if self._display is not None:
            self._show()

    def tick(self, stage: str, done: int, total: int) -> None:
        """Update the bar; between two stages the finished bar stays."""
        self._bar = stage, done, total
        now = time.monotonic()
        if now - self._shown > REFRESH_SECONDS and (self._display is not None or now - self._opened > PATIENCE_SECONDS):
            self._show()

    def runs(self, done: int, total: int, seconds: float | None) -> None:
        """Show how many runs of a comparison are finished."""
        self._bar = "runs", done, total
        self._show()

    def tell(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)
        self._show()

    def plan(self, plan: Plan) -> None:
        """Show a summary of the training that is about to start."""
        self.n_val, self.epochs = plan.parts["val"], int(plan.recipe.fit.epochs)
        self.lines += plan.lines()
        self._show()

    def row(self, row: Row) -> None:
        """Update the bar after a step; add a point to the curves after an epoch."""
        if isinstance(row, StepLog):
            self.tick("training", row.step, row.total_steps)
            return
        if isinstance(row, FoldLog):
            self.tell(fold_sentence(row))
            return
        self._said = row_sentence(row, self.n_val, row_seconds(row, self.rows[-1] if self.rows else None))
        self.rows.append(row)
        self._show()

    def as_html(self) -> str:
        """The current output as HTML."""
        parts = [f"<div>{html.escape(line)}</div>" for line in self.lines]
        if self._bar is not None:
            stage, done, total = self._bar
            bar = f'<progress value="{done}" max="{max(1, total)}"></progress>'
            parts.append(f"<div>{html.escape(stage)} {bar} {done:,} of {total:,}</div>")
        parts.append(self._curves())
        if self._said:
            parts.append(f"<div>{html.escape(self._said)}</div>")
        return f'{STYLE}<div class="foveola-progress">{"".join(parts)}</div>'

    def as_text(self) -> str:
        """The current output as plain text, for frontends without HTML."""
        bar = [f"{self._bar[0]}: {self._bar[1]:,} of {self._bar[2]:,}"] if self._bar else []
        return "\n".join([*self.lines, *bar, *([self._said] if self._said else [])])

    def _curves(self) -> str:
        """Curves of loss and accuracy so far; "" before the second epoch."""
        epochs = [row for row in self.rows if isinstance(row, EpochLog)]
        if len(epochs) < 2:
            return ""
        best = functools.reduce(lambda kept, row: row if is_better(row, kept) else kept, epochs).epoch
        loss = [CurveLine(part, [getattr(row, f"{part}_loss") for row in epochs]) for part in ("train", "val")]
        accuracy = [CurveLine(part, [getattr(row, f"{part}_accuracy") for row in epochs]) for part in ("train", "val")]
        figures = (
            ("loss", curves("loss", loss, best)),
            ("accuracy", curves("accuracy", accuracy, best, as_percent=True)),
        )
        return f'<div class="figures">{"".join(f"<figure>{name}{figure}</figure>" for name, figure in figures)}</div>'

    def _show(self) -> None:
        from IPython.display import display

        self._shown = time.monotonic()
        data = {"text/html": self.as_html(), "text/plain": self.as_text()}
        if self._display is None:
            self._display = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._display.update(data, raw=True)
