"""The Typer application, the layout of its help, and the options that several commands share.

Typer's own layout of `--help` cuts a command's sentence after a few words and keeps two columns on a screen of 40.
"""

from __future__ import annotations

import functools
import inspect
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from foveola import __version__, workflows
from foveola.config import parse_setting
from foveola.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Train a network and use it": ("demo", "train", "predict", "threshold", "evaluate", "explain"),
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
    """A command whose epilog contains examples, one per line."""

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


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"foveola {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def foveola(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train image classifiers that you can trust, from folders of images, on a laptop.

    Try `foveola demo` first. `foveola COMMAND --help` explains a command and shows examples.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def command(*examples: str, name: str | None = None) -> Callable[[F], F]:
    """Register a function as a command; `examples` are the command lines that its help shows."""
    register = app.command(name, cls=Command, epilog="\n".join(examples))

    def add(function: F) -> F:
        register(_with_plugins(function))
        return function

    return add


Plugins: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Python file that registers your networks, filters or heat maps. Can be repeated.",
    ),
]


def _with_plugins(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --plugin, whose files are run before it."""

    @functools.wraps(command)
    def with_plugins(*, plugin: list[Path] | None = None, **given: object) -> None:
        for file in plugin or []:
            workflows.load_plugin(file)
        command(**given)

    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugins)
    parameters = [*signature.parameters.values(), option]
    with_plugins.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_plugins.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_plugins


DATA = "A folder with one folder of images for each class, an .npz file, cifar10 or digits."

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object on stdout. Progress goes to stderr.")
]
Open: TypeAlias = Annotated[bool, typer.Option("--open", help="Open the page in the web browser.")]
RunPath: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A finished run: its folder, a part of its name, or latest for the newest one.",
    ),
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE",
        help="Set any option of `foveola list options`, e.g. fit.lr_peak=0.01. Can be repeated.",
    ),
]  # fmt: skip
Seed: TypeAlias = Annotated[
    int,
    typer.Option(
        metavar="N", help="Random seed for the split, the initial weights, the order of images and augmentation."
    ),
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Compute with exactly N threads. [default: all cores, or fewer while other programs use them]",
    ),
]
Out: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Folder for this run. It must be new or empty.")
]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace output files that exist. By default this is an error.")
]
MinSensitivity: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="RATE",
        help="Find at least this share of the images of --positive, e.g. 0.95, on new images at 95 % confidence.",
    ),
]
MinSpecificity: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="RATE",
        help="Leave at least this share of all other images alone, e.g. 0.95, on new images at 95 % confidence.",
    ),
]
CostFalsePositive: TypeAlias = Annotated[
    float | None, typer.Option(metavar="COST", help="The cost of predicting --positive for an image of another class.")
]
CostFalseNegative: TypeAlias = Annotated[
    float | None, typer.Option(metavar="COST", help="The cost of missing an image of --positive.")
]
GroupBy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN|REGEX",
        help="Keep all images of one person, plant or video in the same set (train, val or test). Give a column of "
        "--labels, or a regular expression on the file path. Its first group names the person.",
    ),
]

Reading: TypeAlias = Mapping[str, object]
"""The options about reading data that the user typed, by their recipe names ("data.labels")."""


def _class_level(text: str) -> int | str:
    if text == "leaf" or (text.isdecimal() and int(text) > 0):
        return text if text == "leaf" else int(text)
    raise UsageError(f"--class-level must be 1, 2, 3... or leaf, not '{text}': 1 is for the folders directly in DATA")


READING = {
    "labels": Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file with one column for the file and one for its label.")
    ],
    "label_pattern": Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Regular expression on the file path. Its first group is the class."),
    ],
    "class_level": Annotated[
        str | None,
        typer.Option(
            metavar="N|leaf", parser=_class_level,
            help="Which folders are the classes: 1 for the folders in DATA, 2 for the folders inside them, leaf for "
            "the deepest ones. [default: found from the folders]",
        ),
    ],
    "exclude": Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text file of images to leave out, as written by `foveola check --fix`."),
    ],
}  # fmt: skip
"""The options of every command that opens a data set; each sets `data.NAME` of a recipe."""


def reads_data(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options in READING where it has the keyword `reading`, which takes what the user typed."""
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name == "reading":
            options = (parameter.replace(name=name, annotation=kind, default=None) for name, kind in READING.items())
            parameters.extend(options)
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def with_options(**given: object) -> None:
        typed = {name: given.pop(name) for name in READING}
        reading = {name: str(value) if isinstance(value, Path) else value for name, value in typed.items()}
        command(**given, reading={f"data.{name}": value for name, value in reading.items() if value is not None})

    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options


def settings_of(texts: list[str] | None) -> dict[str, object]:
    """Parse the values of `--set KEY=VALUE` into a dictionary."""
    return dict(parse_setting(text) for text in texts or [])
