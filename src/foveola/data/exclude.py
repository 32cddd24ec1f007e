"""Exclude lists: text files with images to leave out, written by `foveola check --fix`, read by `foveola train --exclude`.

Each line holds one id; lines that begin with # give the format and the reasons. An ambiguous id (it begins with # or a
quote, or contains outer spaces, a line break or bytes that are not text) is written as a JSON string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from foveola.data.dataset import Dataset, Files, Problem, require_classes, require_images
from foveola.data.file_finder import FileFinder
from foveola.data.scan import is_side_file
from foveola.errors import DataError, UsageError
from foveola.storage import digest, require_ordinary
from foveola.text import count, printable

FORMAT = 1
"""The number of the lists' format, in their first line. It changes with the way that ids are written."""


def write_list(sections: Iterable[tuple[str, Iterable[str]]], opening: Sequence[str] = ()) -> str:
    """The text of a list: sections of (why, ids), each id once, where it comes first.

    >>> print(write_list([("copies", ["a.png", "#b.png"]), ("damaged", ["a.png", "c.png"])]), end="")
    # foveola exclude list, format 1
    <BLANKLINE>
    # copies
    a.png
    "#b.png"
    <BLANKLINE>
    # damaged
    c.png
    """
    seen: set[str] = set()
    blocks = ["\n".join(f"# {line}" for line in (f"foveola exclude list, format {FORMAT}", *opening))]
    for why, ids in sections:
        new = [name for name in dict.fromkeys(ids) if name not in seen]
        seen.update(new)
        if new:
            blocks.append("\n".join([f"# {printable(why)}", *map(format_line, new)]))
    return "\n\n".join(blocks) + "\n"


def format_line(name: str) -> str:
    """The line for an image on an exclude list: its id, as a JSON string if the plain id would be ambiguous."""
    plain = name == name.strip() and printable(name) == name and len(name.splitlines()) == 1
    return name if plain and name[:1] not in ("#", '"') else json.dumps(name)


def read_list(path: Path) -> tuple[str, ...]:
    """The ids in a list, each once. A list without a format line, written by hand, is read as one of this format.

    Raises UsageError if the file does not exist, is not a list or has another format.
    """
    try:
        require_ordinary(path)
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UsageError(f"the exclude list {path} does not exist: check the path") from None
    except UnicodeDecodeError:
        raise UsageError(
            f"the exclude list {path} is not text: write one id per line, as foveola check --fix does"
        ) from None
    except OSError as error:
        raise UsageError(f"the exclude list {path} can't be read: {(error.strerror or str(error)).lower()}") from None
    _require_format(path, lines)
    wanted = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(dict.fromkeys(_read(line, path) for line in wanted))


def _require_format(path: Path, lines: Sequence[str]) -> None:
    for found in filter(None, (re.fullmatch(r"#\s*foveola exclude list, format (\d+)\s*", line) for line in lines)):
        if int(found[1]) != FORMAT:
            raise UsageError(
                f"the exclude list {path} has format {found[1]}, but this version of foveola reads format {FORMAT} only: "
                "make a new list with foveola check --fix"
            )


def _read(line: str, path: Path) -> str:
    if not line.startswith('"'):
        return line
    try:
        name = json.loads(line)
    except ValueError:
        name = None
    if not isinstance(name, str):
        raise UsageError(
            f"the exclude list {path} has the line {line[:80]}, which begins with a quote but is not a JSON string"
        )
    return name


def exclude(dataset: Dataset, ids: Sequence[str], name: str, *, for_training: bool = True) -> Dataset:
    """The data set without these images, each listed as a problem that names the list, with a different fingerprint.

    Files that can't be used anyway may be on the list: they are left out as they are. Raises UsageError for ids that the
    data does not have, DataError when no image is left, or a class has none to train on.
    """
    out = [row for row in _rows_of(dataset, ids, name) if row < len(dataset)]
    if not out:
        return dataset
    dropped = np.zeros(len(dataset), bool)
    dropped[out] = True
    gone = [Problem(dataset.ids[i], f"excluded by the list {name}", kind="excluded") for i in np.flatnonzero(dropped)]
    left = dataset.take(np.flatnonzero(~dropped), gone)
    try:
        require_images(dataset.name, left.labels)
        if for_training:
            require_classes(dataset.name, left.class_names, left.labels)
    except DataError as error:
        raise DataError(f"with the images of {name} left out, {error}") from None
    return replace(left, fingerprint=digest(dataset.fingerprint, "without", *sorted(dataset.ids[i] for i in out)))


def _rows_of(dataset: Dataset, ids: Sequence[str], name: str) -> list[int]:
    """The rows of the images that a list names. Unusable files count as rows after the last image.

    Raises UsageError for names that the data does not have, or that fit several files.
    """
    files = [*dataset.ids, *(problem.file for problem in dataset.problems)]
    root = dataset.source.root if isinstance(dataset.source, Files) else Path(dataset.name)
    finder = FileFinder(files, root)
    matches = {one: finder.find(one).rows for one in ids}
    strangers = [one for one, rows in matches.items() if not rows and not is_side_file(one)]
    if strangers:
        more = f" and {count(len(strangers) - 1, 'more file')}" if len(strangers) > 1 else ""
        near = finder.closest(strangers[0])
        close = f" (did you mean '{near}'?)" if near else ""
        raise UsageError(
            f"the exclude list {name} names '{printable(strangers[0])}'{more}, which {printable(dataset.name)} does not "
            f"have{close}: remove it from the list, or check that the list was made for this data"
        )
    several = next((one for one, rows in matches.items() if len(rows) > 1), None)
    if several is not None:
        first, second = (printable(files[row]) for row in matches[several][:2])
        raise UsageError(
            f"the exclude list {name} names '{printable(several)}', which fits both '{first}' and '{second}': write the path"
        )
    return list(dict.fromkeys(rows[0] for rows in matches.values() if rows))
