"""Registry: a table of named objects that users can add to, used for every extension point."""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast, overload

from foveola.errors import UsageError
from foveola.text import html_table, unknown

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Later(NamedTuple):
    """An entry of a table that is imported from its module when it is first used."""

    module: str


REQUIRED = inspect.Parameter.empty
"""The default of a parameter that has none."""


class Description(NamedTuple):
    """What a list shows of an entry: the first line of its docstring, and each parameter's default, or REQUIRED."""

    text: str
    parameters: Mapping[str, object]


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from name to thing that refuses a taken name and helps with an unknown one.

    >>> FRUIT = Registry[str]("fruit", {"apple": "red"})
    >>> FRUIT["aple"]
    Traceback (most recent call last):
    foveola.errors.UsageError: unknown fruit 'aple' (did you mean 'apple'?); known: apple
    """

    def __init__(self, kind: str, items: Mapping[str, T | Later]) -> None:
        self.kind = kind
        self._items: dict[str, T | Later] = dict(items)

    @overload
    def register(self, name: str) -> Callable[[T], T]: ...

    @overload
    def register(self, name: str, item: T) -> T: ...

    @overload
    def register(self, name: F) -> F: ...

    def register(self, name: Any, item: Any = None) -> Any:
        """Add a thing to the table: `register("name", thing)`, or as a decorator `@register("name")` or `@register`.

        `@register` takes the name of the function or class. Raises UsageError when the name is taken or is no text.

        >>> FRUIT = Registry[str]("fruit", {})
        >>> FRUIT.register("fig", "green")
        'green'
        """
        if item is not None:
            return self._add(name, item)
        if isinstance(name, str):
            return lambda thing: self._add(name, thing)
        return self._add(getattr(name, "__name__", name), name)

    def unregister(self, name: str) -> None:
        """Take a thing out of the table again. Raises UsageError for an unknown name."""
        self.require(name)
        del self._items[name]

    def _add(self, name: object, item: T) -> T:
        if not isinstance(name, str):
            raise UsageError(f"a {self.kind} is registered under a name, not under {name!r}: give the name as text")
        if name in self._items:
            raise UsageError(f"{self.kind} '{name}' is registered already: choose another name")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        self.require(name)
        item = self._items[name]
        if isinstance(item, Later):
            item = self._items[name] = cast(T, getattr(importlib.import_module(item.module), name))
        return item

    def require(self, name: str) -> None:
        """Refuse an unknown name, and import nothing. Raises UsageError."""
        if name not in self._items:
            raise UsageError(unknown(self.kind, name, self._items))

    def describe(self, name: str) -> Description:
        """What a list shows of an entry. One that is imported later is read from its source: importing torch takes seconds.

        >>> Registry("table", {"describe_source": Later("foveola.registry")}).describe("describe_source").parameters
        {'module': <class 'inspect._empty'>, 'function': <class 'inspect._empty'>}
        """
        self.require(name)
        item = self._items[name]
        if isinstance(item, Later):
            return describe_source(item.module, name)
        return Description(_first_line(inspect.getdoc(item)), _parameters(item))

    def get(self, name: str, default: Any = None) -> Any:  # Mapping's own would let our UsageError through
        return self[name] if name in self._items else default

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"{len(self)} {self.kind}s: {', '.join(sorted(self))}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the names, and what each one is."""
        rows = [(name, self.describe(name).text) for name in sorted(self)]
        return html_table((self.kind, "what it is"), rows)

    def __len__(self) -> int:
        return len(self._items)


def describe_source(module: str, function: str) -> Description:
    """The description of a function in a module that is not imported; a default that is no plain value is given as text."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, f"there is no module {module}"
    nodes = ast.parse(Path(spec.origin).read_bytes()).body
    node = next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == function)
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    defaults = [*[None] * (len(names) - len(node.args.defaults)), *node.args.defaults, *node.args.kw_defaults]
    names += [one.arg for one in node.args.kwonlyargs]
    return Description(_first_line(ast.get_docstring(node)), dict(zip(names, map(_value, defaults), strict=True)))


def _parameters(item: object) -> dict[str, object]:
    try:
        signature = inspect.signature(item)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # not a function, or one of Python's own without a signature
        return {}
    return {parameter.name: parameter.default for parameter in signature.parameters.values()}


def _value(default: ast.expr | None) -> object:
    if default is None:
        return REQUIRED
    try:
        return ast.literal_eval(default)
    except ValueError:
        return ast.unparse(default)


def _first_line(docstring: str | None) -> str:
    return (docstring or "").partition("\n")[0]
