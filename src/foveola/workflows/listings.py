"""Lists: networks, data sets, filters, explanations, options and runs; and the layer table of a network."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foveola.config import checks_keywords
from foveola.data.builtin import DATASETS
from foveola.errors import UsageError
from foveola.explanations import EXPLANATIONS
from foveola.filters.chain import FILTERS
from foveola.models.registry import MODELS
from foveola.models.summary import LayerRow, Summary
from foveola.recipes.recipe import options
from foveola.registry import REQUIRED, Registry
from foveola.runs.folders import RunList, list_runs
from foveola.text import html_table, unknown
from foveola.types import Size, SizeLike


def show_defaults(model: str) -> tuple[str, int]:
    """Default size and number of classes of `show` for a network. Raises UsageError for an unknown one."""
    entry = MODELS.entry(model)
    return entry.show_size, entry.show_classes


@dataclass(frozen=True, repr=False)
class ModelLayers:
    """The layers of a network, as `show` returns them; size: of the images; parameters and trainable are counts."""

    model: str
    size: Size
    classes: int
    rows: tuple[LayerRow, ...]
    parameters: int
    trainable: int

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola show --json` prints."""
        layers = [
            {"layer": row.name, "kind": row.kind, "output_shape": list(row.shape), "parameters": row.parameters}
            for row in self.rows
        ]
        return {
            "model": self.model,
            "size": str(self.size),
            "classes": self.classes,
            "layers": layers,
            "parameters": self.parameters,
            "trainable": self.trainable,
        }

    @property
    def _summary(self) -> Summary:
        return Summary(self.rows, self.parameters, self.trainable)

    def __repr__(self) -> str:
        return f"{self.model} for images of {self.size}: {self._summary!r}"

    def _repr_html_(self) -> str:
        """Show a row for each layer in a notebook."""
        return self._summary._repr_html_()


@checks_keywords()
def show(
    model: str, size: SizeLike | None = None, classes: int | None = None, options: Mapping[str, object] | None = None
) -> ModelLayers:
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

    found = summary(build(model, size, classes, options), size)
    return ModelLayers(model, size, classes, found.rows, found.parameters, found.trainable)


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


class Catalog(list[Entry]):
    """The entries of one kind: "models", "datasets", "filters", "explanations" or "options"."""

    def __init__(self, kind: str, entries: Iterable[Entry]) -> None:
        super().__init__(entries)
        self.kind = kind

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola list --json` prints."""
        return {self.kind: [{"name": e.name, "options": list(e.options), "text": e.text} for e in self]}

    def _repr_html_(self) -> str:
        """Show a row for each entry in a notebook."""
        return html_table(("name", "what it is", "options"), [(e.name, e.text, "; ".join(e.options)) for e in self])


@checks_keywords()
def catalog(kind: str = "models") -> Catalog:
    """List what there is: kind is "models", "datasets", "filters", "explanations" or "options" (the options of recipes).

    Raises UsageError for another kind.

        [entry.name for entry in fv.catalog("filters")]
    """
    return Catalog(kind, _recipe_options() if kind == "options" else _entries(kind))


def _entries(kind: str) -> list[Entry]:
    tables: Mapping[str, Registry[Any]] = {
        "models": MODELS,
        "datasets": DATASETS,
        "filters": FILTERS,
        "explanations": EXPLANATIONS,
    }
    if kind not in tables:
        raise UsageError(unknown("listing", kind, [*tables, "options"]))
    entries = []
    for name in sorted(tables[kind]):
        text, parameters = tables[kind].describe(name)
        # `tick` is for progress bars; users don't write one.
        defaults = [(key, value) for key, value in parameters.items() if key != "tick"]
        if kind == "filters":  # the image is given by whoever calls; an option without a default must be said
            options = tuple(f"{key}={'...' if value is REQUIRED else _written(value)}" for key, value in defaults[1:])
        elif kind == "explanations":  # as options of `foveola explain`
            options = tuple(EXPLAIN_OPTIONS[key] for key, _ in defaults if key in EXPLAIN_OPTIONS)
        else:
            options = tuple(f"{key}={_written(value)}" for key, value in defaults if value is not REQUIRED)
        entries.append(Entry(name, f"{name}({', '.join(options)})", text, options))
    return entries


def _recipe_options() -> list[Entry]:
    return [Entry(o.name, f"{o.name}=...", o.text, (o.values, f"default: {o.default}")) for o in options()]


def _written(value: object) -> str:
    """Format a default value: 50, not 50.0."""
    return f"{value:g}" if isinstance(value, float) else repr(value)


@checks_keywords()
def runs(base: str | os.PathLike[str] = "runs") -> RunList:
    """List the runs below a folder, finished or not, the newest first: a list of `RunLine`.

    fv.runs()[0].path
    """
    return list_runs(Path(base))


_loaded: set[Path] = set()


def load_plugin(file: str | os.PathLike[str]) -> None:
    """Run a Python file that registers networks, filters or explanations, once per process.

    Raises UsageError for a file that does not exist, is not a Python file, or fails.

        # tiny.py
        import foveola as fv

        @fv.MODELS.register("tiny")
        def tiny(*, size, classes, width: int = 16): ...
    """
    path = Path(file).absolute()
    if path in _loaded:
        return
    if not path.is_file() or path.suffix != ".py":
        raise UsageError(
            f"the plugin {file} is not a Python file: give a .py file that registers your network or filter"
        )
    spec = importlib.util.spec_from_file_location(f"foveola_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"the plugin {file} fails: {type(error).__name__}: {error}") from error
    _loaded.add(path)
