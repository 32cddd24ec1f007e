"""Run folders: name a new one, find one by name, list all.

Needs no torch, so a command can refuse an unknown run at once.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from foveola.errors import DamagedRunError, OtherFormatError, UsageError
from foveola.text import MOST_ROWS, count, html_table

if TYPE_CHECKING:
    from foveola.recipes.recipe import Recipe

RUNS = Path("runs")
"""Default folder of runs."""

LATEST = "latest"
"""Name of the run that finished last."""

MOST_SHOWN = 6
"""Number of runs that an error lists if a name matches several."""

_LISTS = "foveola runs lists the runs"


def run_folder(base: Path, data_name: str, recipe: Recipe, fingerprint: str, seed: int) -> Path:
    """The path below `base` that tells data, model, recipe and seed (a second run of the same gets a number: see `store`).

    `runs/faces-alexnet_mini-3fa2c19b/seed-0003`
    """
    model = re.sub(r"[^A-Za-z0-9_.-]+", "-", recipe.model.name)
    return base / f"{slug(data_name)}-{model}-{fingerprint[:8]}" / f"seed-{seed:04d}"


def slug(name: str) -> str:
    """Turn a name into a part of a folder's name: its letters and digits, in any script, with hyphens between.

    >>> slug("My photos (2024)"), slug("Кошки"), slug("..")
    ('my-photos-2024', 'кошки', 'data')
    """
    letters = unicodedata.normalize("NFC", name.lower())
    kept = (one if one.isalnum() or unicodedata.category(one).startswith("M") else " " for one in letters)
    return "-".join("".join(kept).split())[:40].strip("-") or "data"


def find_run(run: str | os.PathLike[str], base: Path = RUNS) -> Path:
    """Find the folder of a finished run.

    run: the folder of a run, a folder that holds exactly one run, a part of a run's path below `base` that no other run
    has, or "latest" ("demo/latest": the latest one below demo).

    Raises UsageError if no finished run or more than one matches; the error lists the candidates.
    Raises DamagedRunError for a run whose result can't be read.

    >>> find_run("no-such-run")
    Traceback (most recent call last):
    foveola.errors.UsageError: there is no run no-such-run: no folder and no run in runs has this name; foveola runs lists the runs
    """  # noqa: E501 - the whole sentence
    path = _meant(Path(run), base)
    read_result(path)
    return path


def _meant(path: Path, base: Path) -> Path:
    """The folder of the run, finished or not."""
    if is_run(path):
        return path
    if path.name == LATEST and not path.exists():
        return _latest(path.parent if len(path.parts) > 1 else base)
    inside = list(_runs_below(path, levels=3))
    if inside:
        return _only(inside, f"{path} contains")
    named = _named(path, base)
    if named:
        return _only(named, f"'{path}' matches")
    if path.is_dir():
        raise UsageError(f"{path} is not a run folder: it has no recipe.toml; {_LISTS}")
    raise UsageError(f"there is no run {path}: no folder and no run in {base} has this name; {_LISTS}")


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run, finished or not."""
    return (path / "recipe.toml").is_file()


def read_result(path: Path) -> dict[str, Any]:
    """Read result.json of a run. Raises UsageError for an unfinished, a damaged or a run of another format."""
    try:
        found = dict(json.loads((path / "result.json").read_text("utf-8")))
    except FileNotFoundError:
        raise UsageError(f"the run {path} is not finished: it has no result.json; train again") from None
    except (ValueError, TypeError):
        raise DamagedRunError(path, "result.json") from None
    require_format(found, f"the run {path}", "train again")
    return found


FORMAT = 2
"""The number of the layout of run folders and comparison folders, in their result.json and comparison.json. It changes with
the layout."""


def require_format(found: Mapping[str, Any], what: str, remedy: str) -> None:
    """Raise OtherFormatError for a folder of another format. found: its JSON file; what: the folder, for the sentence."""
    number = found.get("format")
    if number != FORMAT:
        has = "no format number" if number is None else f"format {number}"
        raise OtherFormatError(f"{what} has {has}, but this version of foveola reads format {FORMAT} only: {remedy}")


def _runs_below(folder: Path, levels: int | None = None) -> Iterator[Path]:
    """The folders of runs in a folder, at most N levels down."""
    for at, folders, files in os.walk(folder):
        here = Path(at)
        if "recipe.toml" in files and here != folder:
            yield here
            folders.clear()
        elif levels is not None and len(here.relative_to(folder).parts) == levels:
            folders.clear()


def _latest(base: Path) -> Path:
    finished = [path for path in _runs_below(base) if _is_finished(path)]
    if not finished:
        raise UsageError(f"there is no finished run in {base}: foveola train creates one")
    return max(finished, key=_when)


def _named(called: Path, base: Path) -> list[Path]:
    """The runs below `base` that have this in their path; the one that ends in it, if there is one."""
    word = called.relative_to(base) if called.is_relative_to(base) else called
    part = word.as_posix().casefold()
    paths = {path: path.relative_to(base).as_posix().casefold() for path in _runs_below(base)}
    exact = [path for path, text in paths.items() if f"/{text}".endswith(f"/{part}")]
    if exact or re.search(r"seed-\d{4,}(-\d+)?$", part):  # a whole name must not mean the run next to it
        return exact
    return [path for path, text in paths.items() if part in text]


def _only(paths: Sequence[Path], said: str) -> Path:
    """The only finished run among some; the only one, finished or not, where none is finished."""
    found = [path for path in paths if _is_finished(path)] or list(paths)
    if len(found) == 1:
        return found[0]
    newest = [str(path) for path in sorted(found, key=_when, reverse=True)]
    more = f" and {len(newest) - MOST_SHOWN:,} more" if len(newest) > MOST_SHOWN else ""
    raise UsageError(
        f"{said} {count(len(newest), 'run')}: {', '.join(newest[:MOST_SHOWN])}{more}: give the name of one"
    )


def _is_finished(path: Path) -> bool:
    return (path / "result.json").is_file()


def _when(path: Path) -> tuple[str, int]:
    """When a run was finished, or begun if it is not finished, as ISO 8601 in UTC; and the file's time in nanoseconds, which
    orders runs of the same second."""
    file = path / ("result.json" if _is_finished(path) else "recipe.toml")
    changed = file.stat().st_mtime_ns
    try:
        said = read_result(path)["finished"]
    except (UsageError, OSError, KeyError):
        said = None
    return str(said or datetime.fromtimestamp(changed / 1e9, UTC).isoformat(timespec="seconds")), changed


class RunLine(NamedTuple):
    """One run in a list.

    status: "finished", "unfinished", or "damaged" (also: of another format); date: when it was finished, or begun if it
    is not finished (ISO 8601, UTC); images: how many there are in train, val and test; accuracy: on test, with low and
    high, the ends of its 95 % interval. What is not known is None or "".
    """

    path: Path
    status: str
    date: str
    data: str = ""
    images: int | None = None
    classes: int | None = None
    model: str = ""
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    seconds: float | None = None


class RunList(list[RunLine]):
    """Some runs, shown as a table."""

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola runs --json` prints."""
        return {"runs": [{**line._asdict(), "path": str(line.path)} for line in self]}

    def __repr__(self) -> str:
        return "\n".join(
            [f"RunList of {count(len(self), 'run')}", *("  ".join(row) for row in self._rows()[:MOST_ROWS])]
        )

    def _repr_html_(self) -> str:
        """Show a row for each run in a notebook."""
        return html_table(
            ("run", "finished", "data", "model", "test accuracy"), self._rows(), above=count(len(self), "run")
        )

    def _rows(self) -> list[tuple[str, ...]]:
        measured = ["" if one.accuracy is None else f"{100 * one.accuracy:.1f} %" for one in self]
        return [
            (str(one.path), one.date[:16].replace("T", " "), one.data, one.model, said or one.status)
            for one, said in zip(self, measured, strict=True)
        ]


def list_runs(base: Path) -> RunList:
    """List the runs in a folder, finished or not, the newest first."""
    paths = [base] if is_run(base) else list(_runs_below(base))
    return RunList(_line(path) for path in sorted(paths, key=_when, reverse=True))


def _line(path: Path) -> RunLine:
    date, _ = _when(path)
    keys = {"accuracy": "test_accuracy", "low": "test_accuracy_low", "high": "test_accuracy_high", "seconds": "seconds"}
    try:
        result = read_result(path)
        numbers: dict[str, Any] = {name: result[key] for name, key in keys.items()}
    except (DamagedRunError, OtherFormatError, KeyError):
        return RunLine(path, "damaged", date, **_begun(path))
    except UsageError:
        return RunLine(path, "unfinished", date, **_begun(path))
    return RunLine(path, "finished", date, **_begun(path), **numbers)


def _begun(path: Path) -> dict[str, Any]:
    """What a run's folder says of its data and network from the start."""
    found: dict[str, Any] = {}
    try:
        found["model"] = tomllib.loads((path / "recipe.toml").read_text("utf-8"))["model"]["name"]
        card = json.loads((path / "data.json").read_text("utf-8"))
        found |= {"data": card["name"], "classes": len(card["class_names"])}
        found["images"] = card["files_used"]
    except (OSError, ValueError, KeyError, TypeError):  # not written yet, or damaged: a list shows what there is
        pass
    return found
