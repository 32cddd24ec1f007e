"""Layout of `--help`: sections of commands, whole sentences and examples.

Typer's own layout cuts a command's sentence after a few words and keeps two columns on a screen of 40.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Train a network and use it": ("demo", "train", "predict", "evaluate", "explain"),
    "Check your data and compare settings": ("check", "compare", "show-data", "filter"),
    "Look up runs, networks and options": ("runs", "report", "show", "list", "course"),
}
"""The headings of `foveola --help` and the commands below each, in the order in which a newcomer needs them."""

NARROW, WIDE = 60, 100
"""Narrower terminals show each explanation below its option (first number); no line is longer than the second."""


def width_of_help() -> int:
    """How many letters a line of help may have: the terminal's width, less a margin."""
    return min(shutil.get_terminal_size().columns - 2, WIDE)


class Command(TyperCommand):
    """A command whose epilog holds examples, one a line."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Give the usage line without Typer's braces around what is required: brackets mark what is not."""
        pieces = [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]
        return [
            piece[1:-4] if piece.startswith("[[") else piece for piece in pieces
        ]  # brackets and dots in the metavar

    def get_short_help_str(self, limit: int = 0) -> str:
        """Give the whole first sentence, for the list of commands."""
        return inspect.cleandoc(self.help or "").split("\n\n")[0]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        _write_parameters(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are: a command that is wrapped can't be copied."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"  {line}\n")


class Commands(TyperGroup):
    """The application: its commands by section, each with its whole first sentence."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the order of the sections."""
        order = [name for names in SECTIONS.values() for name in names]
        return sorted(super().list_commands(ctx), key=order.index)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        for title, names in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                _write_rows(formatter, [(name, found.get_short_help_str()) for name, found in commands if found])
        _write_parameters(self.get_params(ctx), ctx, formatter)


def _write_parameters(parameters: Iterable[Any], ctx: Any, formatter: Any) -> None:
    rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for parameter in parameters:
        if record := parameter.get_help_record(ctx):
            name, text = record
            rows[parameter.param_type_name].append((name.partition(" <")[0], text))  # RUN, not RUN <path>
    for kind, found in rows.items():
        if found:
            with formatter.section(f"{kind.capitalize()}s"):
                _write_rows(formatter, found)


def _write_rows(formatter: Any, rows: Sequence[tuple[str, str]]) -> None:
    if formatter.width >= NARROW:
        formatter.write_dl(rows, col_max=26)
        return
    for name, text in rows:
        formatter.write(f"  {name}\n")
        with formatter.indentation(), formatter.indentation():
            formatter.write_text(text)
