"""Match file names in tables and lists to the files of a data folder.

People write paths as their own computer shows them: absolute, below another folder, with backslashes, without the zeros that
a spreadsheet dropped. A path is taken as it is written where there is such a file, else by what it has in common with
exactly one file. Where several files fit, none is chosen.
"""

from __future__ import annotations

import difflib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from foveola.data.dataset import normalise_name
from foveola.text import printable

_SAME_SUFFIX = {".jpeg": ".jpg", ".jpe": ".jpg", ".tiff": ".tif"}


class Match(NamedTuple):
    """The rows of the files that fit: one, none, or several that the path does not tell apart; loose: spelt otherwise."""

    rows: Sequence[int]
    loose: bool = False


class FileFinder:
    """Finds files by what people call them. ids: the files' paths below `root`; near: folders that paths may start from.

    >>> finder = FileFinder(["a/0.png", "b/0.png", "b/0017.jpg"], Path("pics"))
    >>> finder.find("a/0.png").rows, finder.find("pics/b/17.JPEG").rows, finder.find("0.png").rows, finder.find("x").rows
    ([0], [2], [0, 1], [])
    """

    def __init__(self, ids: Sequence[str], root: Path, near: Sequence[Path] = ()) -> None:
        self._ids = ids
        self._rows = {name: row for row, name in enumerate(ids)}
        self._roots = tuple(dict.fromkeys((str(root.absolute()), os.path.realpath(root))))
        self._names = {normalise_name(Path(place).name).casefold() for place in self._roots} - {""}
        self._near = [str(place.absolute()) for place in (Path(), *near)]
        self._starts: dict[str, tuple[str, ...]] = {}
        self._indexes: dict[tuple[Callable[[str], str], bool, bool], dict[str, list[int]]] = {}

    def find(self, written: str) -> Match:
        """The files that this may mean."""
        if written in self._rows:  # nearly always
            return Match([self._rows[written]])
        path = written.replace("\\", "/").removeprefix("./")
        folder, _, name = path.rpartition("/")
        whole = [path, *(f"{start}{name}" for start in self._starts_of(folder))]
        for spelling in (str, normalise_name, _loosely):
            for with_suffix in (True, False):
                paths = self._index(spelling, with_suffix, tails=False)
                found = [rows for one in whole if (rows := paths.get(spelling(one)))]
                if found:
                    return Match(sorted({row for rows in found for row in rows}), spelling is _loosely)
                ends = self._index(spelling, with_suffix, tails=True).get(spelling(path))
                if ends:
                    return Match(ends, spelling is _loosely)
        return Match([])

    def closest(self, written: str) -> str:
        """The file whose name is most like this one, for "did you mean"; "" where none is."""
        path = unquote(written.replace("\\", "/")).partition("?")[0]
        paths: dict[str, list[str]] = defaultdict(list)
        for one in self._ids[:5000]:
            paths[_stem(one)].append(one)  # without suffixes, which make all names alike
        names = difflib.get_close_matches(_stem(path), paths, n=3, cutoff=0.6)
        alike = [one for name in names for one in paths[name][:100]]
        near = difflib.get_close_matches(path, alike, n=1, cutoff=0)
        return printable(near[0]) if near else ""

    def _index(self, spelling: Callable[[str], str], with_suffix: bool, *, tails: bool) -> dict[str, list[int]]:
        """Rows by the files' paths, or by the ends of these ("b/c.png" and "c.png" of "a/b/c.png"); made when needed."""
        key = (spelling, with_suffix, tails)
        if key not in self._indexes:
            index: dict[str, list[int]] = defaultdict(list)
            for row, name in enumerate(self._ids):
                rest = spelling(name if with_suffix else _without_suffix(name))
                if not tails:
                    index[rest].append(row)
                while tails and "/" in rest:
                    rest = rest.partition("/")[2]
                    index[rest].append(row)
            self._indexes[key] = dict(index)
        return self._indexes[key]

    def _starts_of(self, folder: str) -> tuple[str, ...]:
        """Where a written folder may lie below the data folder: "" for that itself, "sub/" for one in it."""
        if folder not in self._starts:
            self._starts[folder] = tuple(dict.fromkeys((*self._by_place(folder), *self._by_name(folder))))
        return self._starts[folder]

    def _by_place(self, folder: str) -> Iterator[str]:
        """By where the folder really is, seen from here and from the folders near."""
        for place in self._near:
            whole = os.path.normpath(os.path.join(place, folder))  # noqa: PTH118 - text, an absolute folder stays
            for one in (whole, os.path.realpath(whole)):
                for root in self._roots:
                    if one == root or one.startswith(f"{root}{os.sep}"):
                        yield f"{one[len(root) + 1 :].replace(os.sep, '/')}/".removeprefix("/")

    def _by_name(self, folder: str) -> Iterator[str]:
        """By the data folder's own name in the path: that of another computer, or one that starts a folder higher."""
        pieces = folder.split("/")
        for k, piece in enumerate(pieces, start=1):
            if normalise_name(piece).casefold() in self._names:
                yield "".join(f"{one}/" for one in pieces[k:])


def _without_suffix(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122 - ten times as fast, of 60,000 names


def _stem(name: str) -> str:
    return _without_suffix(name.rpartition("/")[2])


def _loosely(name: str) -> str:
    """The name without case, %20 for a space, the zeros before a number and the longer one of two usual suffixes."""
    name = unquote(name) if "%" in name else name
    folder, slash, last = normalise_name(name).casefold().rpartition("/")
    stem, suffix = os.path.splitext(last)  # noqa: PTH122 - as above
    if stem.isdecimal():
        stem = stem.lstrip("0") or "0"
    return f"{folder}{slash}{stem}{_SAME_SUFFIX.get(suffix, suffix)}"
