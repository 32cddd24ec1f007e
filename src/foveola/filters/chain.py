"""Filter chains such as `blur(size=3)|canny(low=50, high=150)`, and FILTERS, the table of filters by name.

A chain is written as a Python expression of names and calls with keyword options, joined by `|`. It is parsed, never
evaluated. All options are checked while it is parsed; the filters then run without checks. Users add filters with
`FILTERS.register`.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, get_type_hints

import numpy as np

from foveola.config import check
from foveola.errors import UsageError
from foveola.filters.ops import (
    bilateral,
    blur,
    box,
    canny,
    denoise,
    describe_value,
    emboss,
    equalize,
    gamma,
    grayscale,
    invert,
    kernel,
    laplacian,
    median,
    require_order,
    require_pictures,
    resize_down_up,
    scale,
    scharr,
    sharpen,
    sobel,
    unsharp,
    upscale,
)
from foveola.registry import Registry
from foveola.text import joined
from foveola.types import Image, Images

Filter: TypeAlias = Callable[..., Images]
"""uint8 (..., H, W, 3) and keyword options in, uint8 of the same shape out; `scale` and `upscale` alone resize."""

FILTERS = Registry[Filter](
    "filter",
    {
        "bilateral": bilateral,
        "blur": blur,
        "box": box,
        "canny": canny,
        "denoise": denoise,
        "emboss": emboss,
        "equalize": equalize,
        "gamma": gamma,
        "grayscale": grayscale,
        "invert": invert,
        "kernel": kernel,
        "laplacian": laplacian,
        "median": median,
        "resize_down_up": resize_down_up,
        "scale": scale,
        "scharr": scharr,
        "sharpen": sharpen,
        "sobel": sobel,
        "unsharp": unsharp,
        "upscale": upscale,
    },
)

TOGETHER: Mapping[str, Callable[..., None]] = {"canny": require_order}
"""What a filter's options must be to each other, where each alone is right; called with all of them, before any image."""


MAX_LETTERS = 2_000

_AS_ONE_LINE = str.maketrans("\r\n", "  ")
"""A recipe may hold a chain in several lines; positions count through all of them."""

_EXAMPLE = "write for example blur(size=3)|sharpen"


@dataclass(frozen=True)
class Step:
    """One filter of a chain with the options that differ from its defaults; `str` gives its text."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={_written(value)}" for key, value in self.options)
        return f"{self.name}({inside})" if inside else self.name

    def __call__(self, image: Image) -> Image:
        """Filter one image. Raises UsageError if a registered filter does not return an image."""
        return self.bound(image)

    @functools.cached_property
    def bound(self) -> Callable[[Image], Image]:
        """The filter with its options; of ours the bare function of one image: calls are half of a small one's time."""
        filter_, options = FILTERS[self.name], dict(self.options)
        if _is_ours(filter_):
            return functools.partial(inspect.unwrap(filter_), **options)

        def checked(image: Image) -> Image:
            out = filter_(image.copy(), **options)  # it may write to what it is given
            if isinstance(out, np.ndarray) and out.dtype == np.uint8 and out.ndim == 3 and out.shape[-1] == 3:
                return out
            raise UsageError(
                f"the filter '{self.name}' returned {describe_value(out)}; it must return uint8 (height, width, 3)"
            )

        return checked


@dataclass(frozen=True)
class Chain:
    """A sequence of filters. Call a chain like a filter, and join two chains with +.

    >>> chain = Chain.parse("blur(size=3) | sharpen()")
    >>> str(chain), str(chain + Chain.parse("canny(high=200)"))
    ('blur|sharpen', 'blur|sharpen|canny(high=200)')
    >>> chain(np.zeros((2, 8, 8, 3), np.uint8)).shape
    (2, 8, 8, 3)
    """

    steps: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Chain:
        """Read a sentence; an empty one is the chain that changes nothing.

        Raises UsageError that names the position (from 1) of what can't be read, of an unknown filter or option, or of a
        wrong value.
        """
        source = text.strip().translate(_AS_ONE_LINE)
        return cls(tuple(_step(node, source) for node in _nodes(source)))

    @property
    def is_ours(self) -> bool:
        """Whether all filters are foveola's own, which change with its version only; a user's may change at any time."""
        return all(_is_ours(FILTERS[step.name]) for step in self.steps)

    def __str__(self) -> str:
        return "|".join(map(str, self.steps))

    def __add__(self, other: Chain) -> Chain:
        return Chain(self.steps + other.steps)

    def __call__(self, images: Images) -> Images:
        """uint8 (..., H, W, 3) through all steps, image by image."""
        require_pictures(images)
        calls = [step.bound for step in self.steps]
        if images.ndim == 3:
            return functools.reduce(lambda image, call: call(image), calls, images)
        flat = images.reshape(-1, *images.shape[-3:])
        if not len(flat) or not self.steps:
            return images.copy()
        first = self(flat[0])
        out = np.empty((len(flat), *first.shape), np.uint8)
        out[0] = first
        for k in range(1, len(flat)):
            image = flat[k]
            for call in calls:
                image = call(image)
            out[k] = image
        return out.reshape(*images.shape[:-3], *first.shape)


UNCHANGED = Chain()
"""The chain that changes nothing."""


def _is_ours(filter_: Filter) -> bool:
    return filter_.__module__.startswith("foveola.filters.")


def options_of(filter_: Filter) -> Mapping[str, inspect.Parameter]:
    """A filter's options: its parameters without the first, which is the image."""
    return dict(list(inspect.signature(filter_).parameters.items())[1:])


def _written(value: Any) -> str:
    """A value as a person writes it: 200 for 200.0, in lists too. It is read back as the same number."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)


def names_in(text: str) -> tuple[str, ...]:
    """The names of the filters in a chain, whether foveola knows them or not. Raises UsageError for what can't be read.

    >>> names_in("blur(size=3)|mine")
    ('blur', 'mine')
    """
    calls = [node.func if isinstance(node, ast.Call) else node for node in _nodes(text.strip())]
    return tuple(call.id for call in calls if isinstance(call, ast.Name))


def _nodes(source: str) -> list[ast.expr]:
    """The filters of a chain as Python's parser reads them. Raises UsageError that names the position."""
    if len(source) > MAX_LETTERS:
        raise UsageError(f"the chain has {len(source):,} characters: at most {MAX_LETTERS:,} are allowed")
    if not source:
        return []
    try:
        return _operands(ast.parse(source, mode="eval").body)
    except SyntaxError as error:
        at = min(error.offset or len(source), len(source))
        raise UsageError(f"chain '{source}', position {at}: this can't be read; {_EXAMPLE}") from None
    except (ValueError, RecursionError, MemoryError):
        raise UsageError(f"chain '{source[:40]}' can't be read; {_EXAMPLE}") from None


def _operands(node: ast.expr) -> list[ast.expr]:
    """The filters between the bars, from left to right."""
    found: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _step(node: ast.expr, text: str) -> Step:
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not isinstance(call.func, ast.Name):
        _refuse(text, node, f"this is not a filter; {_EXAMPLE}")
    name = call.func.id
    try:
        filter_ = FILTERS[name]
    except UsageError as error:
        _refuse(text, node, str(error))
    known = options_of(filter_)
    first = next(iter(known), "option")
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        named = f"write {name}({first}=...)" if known else "it has none"
        _refuse(text, node, f"{name} takes its options by name: {named}")
    hints = get_type_hints(inspect.unwrap(filter_), include_extras=True)
    good = _checked(call, name, {key: hints.get(key, Any) for key in known}, text)
    missing = [key for key, p in known.items() if p.default is p.empty and key not in good]
    if missing:
        _refuse(text, node, f"{name} needs {joined(missing)}: write {name}({missing[0]}=...)")
    if name in TOGETHER:
        try:
            TOGETHER[name](**{key: good.get(key, p.default) for key, p in known.items()})
        except UsageError as error:
            _refuse(text, node, str(error))
    return Step(name, tuple((key, good[key]) for key, p in known.items() if key in good and good[key] != p.default))


def _checked(call: ast.Call, name: str, types: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The options of a call, each checked against its type; all that is wrong in one sentence, each at its place."""
    good: dict[str, Any] = {}
    wrong: list[str] = []
    for key, value in _literals(call, name, text).items():
        keyword = next(one for one in call.keywords if one.arg == key)
        at = _position(keyword.value if key in types else keyword, text)
        try:
            good |= check(types, {key: value}, where=f"position {at}, {name}")
        except UsageError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError(f"chain '{text}', {'; '.join(wrong)}")
    return good


def _literals(call: ast.Call, name: str, text: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for keyword in call.keywords:
        key = str(keyword.arg)
        if key in values:
            _refuse(text, keyword, f"{name}: {key} is given twice: leave one out")
        try:
            values[key] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            _refuse(text, keyword.value, f"{name}: {key} must be a number or a list of numbers")
    return values


def _refuse(text: str, where: ast.AST, what: str) -> NoReturn:
    raise UsageError(f"chain '{text}', position {_position(where, text)}: {what}")


def _position(node: ast.AST, text: str) -> int:
    # ast counts bytes of UTF-8; a reader counts letters.
    return len(text.encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore")) + 1
