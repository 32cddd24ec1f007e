"""The application that all commands belong to, and the words that several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

app = typer.Typer(
    help="From a folder of pictures to an image classifier, measured honestly, on a laptop.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout; progress goes to stderr.")
]
RunPath: TypeAlias = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", "--option", metavar="KEY=VALUE", help="Any option by its name; may be given again."),
]
Seed: TypeAlias = Annotated[int, typer.Option(help="Decides split, first weights, order and augmentation.")]
Out: TypeAlias = Annotated[Path | None, typer.Option(help="Make this new folder the run folder.")]


def settings_of(texts: list[str] | None) -> dict[str, object]:
    """What `--set KEY=VALUE` says, by its keys."""
    from foveola.specs import parse_setting

    return dict(parse_setting(text) for text in texts or [])
