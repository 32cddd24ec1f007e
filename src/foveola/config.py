"""Settings: build frozen dataclasses from mappings, check keywords, and report all mistakes in one error.

Each package defines its own settings (FitSpec next to the training loop, SplitSpec next to the split). Pydantic checks the
types; the error texts are foveola's.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import tomllib
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from foveola.errors import KeywordError, UsageError
from foveola.text import joined, unknown

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


@dataclasses.dataclass(frozen=True)
class Meaning:
    """The description of an option, as `foveola list options` prints it; attached to the option's type by `Annotated`.

    values: the allowed values, and left_out: the behaviour without a value, if the type and the default don't show them.
    """

    text: str
    values: str = ""
    left_out: str = ""


def build(spec: type[S], values: Mapping[str, object], *, where: str) -> S:
    """Make a `spec` (a dataclass) from `values`.

    Raises UsageError that names every unknown key with its nearest known one, and every wrong value with what is
    allowed; `where` is the place where the user wrote them.
    """
    hints = get_type_hints(spec, include_extras=True)
    known = {field.name: hints[field.name] for field in dataclasses.fields(spec)}  # type: ignore[arg-type]
    return spec(**check(known, values, where=where))


def check_options(function: Callable[..., object], options: Mapping[str, object], *, where: str) -> dict[str, Any]:
    """Check keyword options against a factory's signature: the parameters that have a default are its options."""
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    known = {p.name: hints.get(p.name, Any) for p in parameters if p.default is not p.empty}
    return check(known, options, where=where)


def check(known: Mapping[str, Any], values: Mapping[str, object], *, where: str) -> dict[str, Any]:
    """The values, checked against their types. Raises one UsageError that names every mistake."""
    good: dict[str, Any] = {}
    wrong: list[str] = []
    for key, value in values.items():
        if key not in known:
            wrong.append(unknown("option", key, known))
            continue
        try:
            good[key] = _adapter(known[key]).validate_python(value)
        except ValidationError as error:
            wrong.append(f"{key} = {value!r} can't be used: {_requirement(error.errors()[0])}")
    if wrong:
        raise UsageError(f"{where}: {'; '.join(wrong)}")
    return good


_REQUIREMENTS = {
    "int_type": "a valid integer",
    "int_from_float": "a valid integer",
    "float_type": "a valid number",
    "finite_number": "a finite number",
    "bool_type": "a valid boolean",
    "string_type": "a valid text",
    "list_type": "a valid list",
    "tuple_type": "a valid list",
    "dict_type": "a valid table",
    "none_required": "left out",
    "too_short": "a list of {min_length} or more values",
    "too_long": "a list of {max_length} values or fewer",
    "literal_error": "{expected}",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "greater than or equal to {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "less than or equal to {le}",
}
"""Pydantic's error types (docs.pydantic.dev/latest/errors/validation_errors) -> what the value must be."""


def _requirement(error: ErrorDetails) -> str:
    """What a wrong value must be instead."""
    needed = _REQUIREMENTS.get(error["type"])
    if needed is None:  # a check of ours, such as "it must be odd", raises its own sentence
        return error["msg"]
    limits = error.get("ctx", {})
    plain = {name: int(n) if isinstance(n, float) and n.is_integer() else n for name, n in limits.items()}
    return f"it must be {needed.format(**plain)}"


def allowed_values(hint: Any) -> str:
    """Describe the values that a type allows.

    >>> allowed_values(Annotated[float, Gt(0), Le(1)]), allowed_values(bool | Literal["auto"])
    ('number above 0, up to 1', 'true, false or auto')
    """
    return joined(_values(hint), "or")


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
        return f", {format_value(least)} or more"
    low = f" above {format_value(above)}" if above is not None else ""
    high = f", below {format_value(below)}" if below is not None else ""
    if least is not None:
        low = f" from {format_value(least)}"
    if most is not None:
        high = f"{' to' if least is not None else ', up to'} {format_value(most)}"
    return low + high


def format_value(value: object) -> str:
    """A value as a list of options shows it: true, 4,096, 0.01."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_setting(text: str) -> tuple[str, object]:
    """Read "key=value" from a command line; the value in TOML's notation, anything else is taken as plain text.

    >>> parse_setting("fit.epochs=3"), parse_setting("head_batchnorm=true"), parse_setting("model.init=glorot_uniform")
    (('fit.epochs', 3), ('head_batchnorm', True), ('model.init', 'glorot_uniform'))
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"setting '{text}' is not KEY=VALUE: write for example fit.epochs=10")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _adapter(hint: Any) -> TypeAdapter[Any]:
    # Strict, because "8" for a number or 1 for true is more often a mistake than intended.
    return TypeAdapter(hint, config=ConfigDict(strict=True))


def no_hint(name: str) -> str:
    """No hint (the default)."""
    return ""


def checks_keywords(hint: Callable[[str], str] = no_hint) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that makes a function refuse an unknown keyword and name the nearest one that it takes.

    hint: gives an additional sentence about an unknown keyword, or "". The function raises KeywordError, which is a
    UsageError and a TypeError.

    >>> @checks_keywords()
    ... def train(*, epochs: int = 1, lr: float = 0.1) -> int:
    ...     return epochs
    >>> train(epoch=3)
    Traceback (most recent call last):
    foveola.errors.KeywordError: train: unknown keyword 'epoch' (did you mean 'epochs'?); known: epochs, lr
    """

    def checked(function: Callable[P, R]) -> Callable[P, R]:
        known = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def call(*args: P.args, **keywords: P.kwargs) -> R:
            for name in keywords:
                if name not in known:
                    raise KeywordError(f"{function.__name__}: {unknown('keyword', name, known)}{hint(name)}")
            return function(*args, **keywords)

        return call

    return checked
