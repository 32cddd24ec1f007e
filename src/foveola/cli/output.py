"""Printing: lines, tables and JSON on stdout; notes on stderr."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import textwrap
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from foveola import workflows
from foveola.text import count, printable

if TYPE_CHECKING:
    from foveola.cli.progress import Screen
    from foveola.runs.run import Run


def progress_on_screen(*, lines: bool = True) -> Screen:
    """The progress of one command on stderr; use it as a context manager. lines: see `Screen`."""
    from foveola.cli.progress import Screen  # rich takes 40 ms, and --help needs none of it

    return Screen(lines=lines)


def print_run(run: Run, as_json: bool, open_: bool) -> None:
    """Print a finished run: unusable files, the headline, its paths and the next commands. `open_` opens the report."""
    result = run.to_json()
    if as_json:
        print_json(result)
    else:
        problems = [(problem["file"], problem["reason"]) for problem in result["problems"]]
        print_problems(problems, result["files_found"], "; the report lists them")
        for line in workflows.headlines(result):
            print_line(line)
        print_line(f"kept    {_kept(result)}")
        print_line(f"run     {printable(result['run'])}")
        print_line(f"report  {printable(result['report'])}")
        plugins = "".join(f" --plugin {as_typed(file)}" for file in run.plugins)
        print_line(f"next    foveola predict {as_typed(result['run'])} photo.jpg{plugins}")
        if not open_:
            print_line(f"        foveola report {as_typed(result['run'])} --open")
    if open_:
        open_page(result["report"])


def _kept(result: Mapping[str, Any]) -> str:
    """What was chosen on the validation images."""
    if result["folds"]:
        chosen = (
            f"{count(result['best_epoch'], 'epoch')} of {result['epochs']}"
            if result["best_epoch"]
            else f"regularisation {result['head_penalty']:.2g}"
        )
        return f"a network trained on all images, with {chosen}: the best on val, on average over the folds"
    if result["best_epoch"]:
        return f"the weights of epoch {result['best_epoch']} of {result['epochs']}, the best on val"
    features = workflows.on_features(result.get("head_features") or "")
    return f"the last layer{features} with regularisation {result['head_penalty']:.2g}, the best on val"


def as_typed(path: str) -> str:
    """Quote a path for the command line if it contains spaces or special characters of the shell."""
    if os.name == "nt":
        return f'"{path}"' if any(letter in path for letter in " &()^;,") else path
    return shlex.quote(printable(path))


def open_page(path: str | os.PathLike[str] | None) -> None:
    """Open a page in the browser, or say that no browser could be opened."""
    if path is not None and not webbrowser.open(Path(path).resolve().as_uri()):
        print_notes([f"no browser could be opened: open {path} yourself"])


def print_problems(problems: Sequence[tuple[str, str]], files: int, more: str = "") -> None:
    """Print the files that could not be used: the first five with their reasons."""
    if not problems:
        return
    print_line(f"{count(len(problems), 'file')} of {files:,} could not be used:")
    for file, reason in problems[:5]:
        print_line(f"    {printable(file)}: {reason}")
    if len(problems) > 5:
        print_line(f"    and {len(problems) - 5:,} more{more}")


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(value, indent=1))


def print_notes(notes: Sequence[str]) -> None:
    """Print notes on stderr. With --json the result contains them, too."""
    for note in notes:
        print_error(f"note: {printable(note)}")


def print_error(text: str) -> None:
    """Print one line on stderr, wrapped on a terminal."""
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    print(text if width is None else _wrapped(text, width, 0), file=sys.stderr)


def print_line(text: str, indent: int = 0, *, severity: str = "") -> None:
    """Print one line on stdout: wrapped at words and indented on a terminal, unchanged in a file or pipe.

    severity: the first word has the colour of this severity on a terminal, unless the variable NO_COLOR is set.
    """
    width = _terminal_width()
    if width is None:
        typer.echo(text)
        return
    first, space, rest = _wrapped(text, width, indent).partition(" ")
    if severity and not os.environ.get("NO_COLOR"):
        first = typer.style(first, fg=SEVERITY_COLOURS[severity], bold=True)
    typer.echo(first + space + rest)


SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}

LEAST_TEXT = 14
"""A column of text is not made narrower than this: below it hardly a word fits."""


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, spare: Sequence[str] = ()) -> None:
    """Print a table: text is aligned left, numbers right.

    Where the terminal is too narrow, the words of text columns are wrapped; if that does not help, the columns named in
    `spare` are left out, the first of them first. Numbers are never broken.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    columns = [_Column(name, [row[k] for row in cells], k > 0) for k, name in enumerate(header)]
    natural = sum(max(map(cell_len, (one.name, *one.cells))) + GAP for one in columns) - GAP
    width = _terminal_width() or natural
    columns = _that_fit(columns, width, list(spare))
    shown = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="", show_edge=False)
    for one in columns:
        shown.add_column(
            Text(one.name), no_wrap=one.is_number, overflow="fold", min_width=one.least,
            justify="right" if one.is_number else "left",
        )  # fmt: skip
    for row in zip(*(one.cells for one in columns), strict=True):
        shown.add_row(*map(Text, row))
    needed = sum(one.least + GAP for one in columns) - GAP
    console = Console(width=max(width, needed), color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


GAP = 2
"""Spaces between two columns."""


class _Column:
    """One column of a table: its head, its cells, and the least width that it can have."""

    def __init__(self, name: str, cells: Sequence[str], may_be_numbers: bool) -> None:
        from rich.cells import cell_len

        self.name, self.cells = name, cells
        self.is_number = may_be_numbers and all(cell[:1].isdigit() or not cell for cell in cells)
        widest = max(map(cell_len, (name, *cells)))
        self.least = widest if self.is_number else min(LEAST_TEXT, widest)


def _that_fit(columns: list[_Column], width: int, spare: list[str]) -> list[_Column]:
    """The columns without as many of `spare` as it takes to make the rest fit."""
    while spare and sum(one.least + GAP for one in columns) - GAP > width:
        left_out = spare.pop(0)
        columns = [one for one in columns if one.name != left_out]
    return columns


def _wrapped(text: str, width: int, indent: int) -> str:
    """Wrapped at words; what has no place to break, such as a path, is left whole.

    >>> print(_wrapped("note:    three words here", 18, 9))
    note:    three
             words
             here
    """
    return textwrap.fill(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def _terminal_width() -> int | None:
    """Return the width of the terminal in characters, or None if stdout is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
