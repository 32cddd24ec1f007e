"""What is printed: lines, tables, JSON on stdout; notes on stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from foveola import workflows
from foveola.errors import count

if TYPE_CHECKING:
    from foveola.lab.runs import Run


def print_run(run: Run, as_json: bool) -> None:
    """A finished run: what could not be used, its headline, its places."""
    result = run.result
    if as_json:
        print_json(result)
        return
    problems = [(problem["file"], problem["reason"]) for problem in result["problems"]]
    say_problems(problems, result["files_found"], "; the report lists them")
    say(run.headline)
    say(f"run     {workflows.printable(result['run'])}")
    say(f"report  {workflows.printable(result['report'])}")


def say_problems(problems: Sequence[tuple[str, str]], files: int, more: str = "") -> None:
    """The files that could not be used, the first five by name and reason."""
    if not problems:
        return
    say(f"{count(len(problems), 'file')} of {files:,} could not be used:")
    for file, reason in problems[:5]:
        say(f"    {workflows.printable(file)}: {reason}")
    if len(problems) > 5:
        say(f"    and {len(problems) - 5:,} more{more}")


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    say(json.dumps(value, indent=1))


def warn(notes: Sequence[str]) -> None:
    """What must not be missed, on stderr: with --json it stands in the result too."""
    for note in notes:
        typer.echo(f"note: {workflows.printable(note)}", err=True)


def say(text: str) -> None:
    """One line on stdout."""
    typer.echo(text)


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns under their heads; the first column to the left, numbers to the right."""
    cells = [header, *[tuple(workflows.printable(cell) for cell in row) for row in rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    right = [all(row[k][:1].isdigit() or not row[k] for row in cells[1:]) and k > 0 for k in range(len(header))]
    for row in cells:
        line = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
        say("  ".join(line).rstrip())
