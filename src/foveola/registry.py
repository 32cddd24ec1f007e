"""A table of named things that users can add to: the one shape of every extension point."""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar, cast

from foveola.errors import UsageError, unknown
from foveola.html_table import table

T = TypeVar("T")


class Later(NamedTuple):
    """A thing that its module holds under the name that it has in the table; imported when it is first asked for."""

    module: str


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

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that files its object under `name`. Raises UsageError when the name is taken."""

        def add(item: T) -> T:
            if name in self._items:
                raise UsageError(f"{self.kind} '{name}' is registered already: choose another name")
            self._items[name] = item
            return item

        return add

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
        rows = [(name, (inspect.getdoc(thing) or "").partition("\n")[0]) for name, thing in sorted(self.items())]
        return table((self.kind, "what it is"), rows)

    def __len__(self) -> int:
        return len(self._items)
