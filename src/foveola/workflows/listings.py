"""Lists: networks, data sets, filters, explanations, options and runs; and the layer table of a network."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveola.errors import UsageError, unknown
from foveola.keywords import checks_keywords
from foveola.types import Size, SizeLike

if TYPE_CHECKING:
    from foveola.models.summary import Summary
    from foveola.runs.folders import RunList


def show_defaults(model: str) -> tuple[str, int]:
    """Default size and number of classes of `show` for a network. Raises UsageError for an unknown one."""
    from foveola.models.registry import MODELS

    entry = MODELS.entry(model)
    return entry.show_size, entry.show_classes


@checks_keywords()
def show(
    model: str, size: SizeLike | None = None, classes: int | None = None, options: Mapping[str, object] | None = None
) -> Summary:
    """Return the layers of a network with their output shapes and parameters.

    size: text "WIDTHxHEIGHT" or a pair (height, width); default size and classes: 32x32 and 10, or the network's own
    (`show_size` and `show_classes` of its `ModelEntry`); options: of the network, such as {"width": 32}.

    Raises UsageError for an unknown network or option, and for an invalid size or number of classes.

        fv.show("fast", "64x64", 2)
    """
    usual_size, usual_classes = show_defaults(model)  # refuses an unknown network before torch is imported
    size = Size.of(usual_size if size is None else size)
    classes = usual_classes if classes is None else classes
    if not 2 <= classes <= 100_000:
        raise UsageError(f"the number of classes must be from 2 to 100,000; got {classes}")
    from foveola.models.build import build, summary

    return summary(build(model, size, classes, options), size)


EXPLAIN_OPTIONS: Mapping[str, str] = {
    **dict.fromkeys(("layer", "stage", "stages"), "--stage LAYER"),
    "target": "--class NAME",
    "how": "--how tsne or --how pca",
    "channel": "--place CHANNEL ROW COLUMN",
}
"""The option of `foveola explain` that sets a parameter of an explanation."""


@dataclass(frozen=True)
class Entry:
    """One entry of a list: name, call and description."""

    name: str
    signature: str
    text: str
    options: tuple[str, ...] = field(default=())


def listing(kind: str) -> list[Entry]:
    """List entries of kind "models", "datasets", "filters", "explanations" or "options". Raises UsageError for others."""
    if kind == "options":
        return _recipe_options()
    table: Mapping[str, Callable[..., Any]]
    if kind == "models":
        from foveola.models.registry import MODELS as table
    elif kind == "datasets":
        from foveola.data.builtin import DATASETS as table
    elif kind == "filters":
        from foveola.filters.chain import FILTERS as table
    elif kind == "explanations":
        from foveola.explanations.registry import EXPLANATIONS as table
    else:
        raise UsageError(unknown("listing", kind, ("models", "datasets", "filters", "explanations", "options")))
    entries = []
    for name, thing in sorted(table.items()):
        # `tick` is for progress bars; users don't write one.
        parameters = [p for p in inspect.signature(thing).parameters.values() if p.name != "tick"]
        if kind == "filters":  # the image is given by whoever calls; an option without a default must be said
            options = tuple(
                f"{p.name}=..." if p.default is p.empty else f"{p.name}={_written(p.default)}" for p in parameters[1:]
            )
        elif kind == "explanations":  # as options of `foveola explain`
            options = tuple(EXPLAIN_OPTIONS[p.name] for p in parameters if p.name in EXPLAIN_OPTIONS)
        else:
            options = tuple(f"{p.name}={_written(p.default)}" for p in parameters if p.default is not p.empty)
        text = (inspect.getdoc(thing) or "").splitlines()
        entries.append(Entry(name, f"{name}({', '.join(options)})", text[0] if text else "", options))
    return entries


def _recipe_options() -> list[Entry]:
    from foveola.recipes.options import options

    return [Entry(o.name, f"{o.name}=...", o.text, (o.values, f"default: {o.default}")) for o in options()]


def _written(value: object) -> str:
    """Format a default value: 50, not 50.0."""
    return f"{value:g}" if isinstance(value, float) else repr(value)


@checks_keywords()
def runs(base: str | os.PathLike[str] = "runs") -> RunList:
    """List the runs below a folder, finished or not, the newest first: a list of `RunLine`.

    fv.runs()[0].path
    """
    from foveola.runs.folders import list_runs

    return list_runs(Path(base))


def find_run(run: str | os.PathLike[str]) -> Path:
    """Find the folder of a finished run: see `foveola.open_run`."""
    from foveola.runs.folders import find_run as find

    return find(run)
