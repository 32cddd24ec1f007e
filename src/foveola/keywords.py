"""Suggest the nearest keyword when a function is called with an unknown one, where Python raises a bare TypeError."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from foveola.errors import KeywordError
from foveola.text import unknown

P = ParamSpec("P")
R = TypeVar("R")


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
