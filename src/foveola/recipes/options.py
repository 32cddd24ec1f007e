"""Describe the options of a recipe (values, default, meaning) from the specs that check them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from foveola.config import Meaning
from foveola.data.split import SplitSpec
from foveola.models.registry import MODELS
from foveola.recipes.recipe import DataSpec, ModelSpec
from foveola.training.config import FitSpec

SPECS: Mapping[str, type] = {"data": DataSpec, "split": SplitSpec, "model": ModelSpec, "fit": FitSpec}


class Option(NamedTuple):
    """One option of a recipe, as `--set` takes it."""

    name: str
    values: str
    default: str
    text: str


def options() -> Iterator[Option]:
    """All options of a recipe, in the order of its tables.

    >>> next(option for option in options() if option.name == "fit.cutout_px").values
    'whole number from 0 to 512'
    """
    yield Option("title", "text", "data and network", "Title of the run and its report.")
    for table, spec in SPECS.items():
        hints = get_type_hints(spec, include_extras=True)
        for field in dataclasses.fields(spec):
            meaning = _meaning(hints[field.name])
            if meaning is None:  # the options of the networks themselves: `foveola list models`
                continue
            default = meaning.left_out or _defaults(table, field.name, field.default)
            yield Option(
                f"{table}.{field.name}", meaning.values or allowed_values(hints[field.name]), default, meaning.text
            )
    yield Option("model.*", "see `foveola list models`", "by network", "Options of the network itself, by their names.")


def allowed_values(hint: Any) -> str:
    """Describe the values that a type allows.

    >>> allowed_values(Annotated[float, Gt(0), Le(1)]), allowed_values(bool | Literal["auto"])
    ('number above 0, up to 1', 'true, false or auto')
    """
    return _listed(list(_values(hint)), "or")


def _values(hint: Any) -> Iterator[str]:
    """Each way in which a value of this type may be written."""
    bounds: list[Any] = []
    if get_origin(hint) is Annotated:
        hint, *bounds = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        for one in get_args(hint):
            yield from _values(one)
    elif get_origin(hint) is Literal:
        yield from map(str, get_args(hint))
    elif hint is bool:
        yield from ("true", "false")
    else:
        kind = {int: "whole number", float: "number", str: "text"}.get(hint, str(hint))
        yield kind + _range(bounds)


def _range(bounds: list[Any]) -> str:
    """Bounds in words, to stand behind "number"."""
    least = next((b.ge for b in bounds if isinstance(b, Ge)), None)
    above = next((b.gt for b in bounds if isinstance(b, Gt)), None)
    most = next((b.le for b in bounds if isinstance(b, Le)), None)
    below = next((b.lt for b in bounds if isinstance(b, Lt)), None)
    if least is not None and most is None and below is None:
        return f", {_number(least)} or more"
    low = f" from {_number(least)}" if least is not None else f" above {_number(above)}" if above is not None else ""
    to = " to" if least is not None else ", up to"
    high = f"{to} {_number(most)}" if most is not None else f", below {_number(below)}" if below is not None else ""
    return low + high


def _meaning(hint: Any) -> Meaning | None:
    return next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Meaning)), None)


def _defaults(table: str, name: str, default: object) -> str:
    """Describe the default, and the networks that have another default."""
    others = defaultdict(list)
    if table == "fit":
        for network, entry in MODELS.entries():
            if entry.fit.get(name, default) != default:
                others[entry.fit[name]].append(network)
    mine = "none" if default == "" else _number(default)
    theirs = (f"{_number(value)} for {_listed(names, 'and')}" for value, names in others.items())
    return "; ".join([mine, *theirs])


def _number(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(names: list[str], last_word: str) -> str:
    *others, last = names
    return f"{', '.join(others)} {last_word} {last}" if others else last
