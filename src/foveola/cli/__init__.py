"""The command line: each command parses its options, calls one workflow and prints the result.

Exit codes: 0 done, 2 usage, 3 data, 4 resource, 130 interrupted. Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

from foveola.cli import data, runs, train  # each module registers its commands
from foveola.cli.application import app, width_of_help
from foveola.cli.output import print_error
from foveola.errors import FoveolaError, FoveolaWarning, ResourceError
from foveola.text import printable

__all__ = ["app", "data", "main", "runs", "train"]


def main() -> None:
    """Run the command line, print errors in one sentence and exit with the error's code."""
    _escape_what_an_encoding_lacks()
    warnings.showwarning = _show_warning
    try:
        app(prog_name="foveola", terminal_width=width_of_help())
    except FoveolaError as error:
        print_error(f"foveola: {printable(str(error))}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:  # not handled by a workflow: a path without permission, a name that is too long
        where = printable(str(error.filename or "a file"))
        why = (error.strerror or str(error)).lower()
        print_error(f"foveola: the system refused access to {where} ({why}): check the path and its permissions")
        sys.exit(ResourceError.exit_code)
    except SystemExit as end:
        if end.code == 130:
            print_error(f"foveola: interrupted. {_left_by_interrupt(end)}")
        raise


_usual_warning = warnings.showwarning


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print a warning of foveola in one sentence, and others as Python does."""
    if issubclass(category, FoveolaWarning):
        print_error(f"foveola: warning: {printable(str(message))}")
    else:
        _usual_warning(message, category, *where, **more)


def _left_by_interrupt(end: BaseException) -> str:
    """Return what the interrupted command left: the notes of the KeyboardInterrupt that Typer turned into an exit."""
    cause: BaseException | None = end
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    notes = getattr(cause, "__notes__", ())
    return printable(" ".join(notes)) or "No unfinished files were left."


def _escape_what_an_encoding_lacks() -> None:
    """Print letters that the terminal's or file's encoding lacks as escapes (cp1252 on Windows), instead of ending there."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
