"""Where runs lie: the folder of a new one, and a line for each that is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from foveola.errors import UsageError
from foveola.lab.recipe import Recipe
from foveola.lab.runs import open_run


class RunLine(NamedTuple):
    """One run in a listing; `accuracy` is None while it is unfinished."""

    path: Path
    status: str
    data: str
    model: str
    accuracy: float | None
    low: float | None
    high: float | None
    seconds: float | None


def run_folder(base: Path, data_name: str, recipe: Recipe, fingerprint: str, seed: int) -> Path:
    """A new path below `base` that tells data, model, recipe and seed; a second run of the same gets "-2" behind.

    `runs/faces-alexnet_mini-3fa2c19b/seed-0003`
    """
    slug = re.sub(r"[^a-z0-9]+", "-", data_name.lower()).strip("-")[:40] or "data"
    key = f"{slug}-{recipe.model.name}-{fingerprint[:8]}"
    first = base / re.sub(r"[^A-Za-z0-9_.-]+", "-", key) / f"seed-{seed:04d}"
    path, number = first, 1
    while path.exists():
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def list_runs(base: Path) -> list[RunLine]:
    """The runs below a folder, finished or not, by path."""
    return [_line(recipe.parent) for recipe in sorted(base.glob("**/recipe.toml"))] if base.is_dir() else []


def _line(path: Path) -> RunLine:
    try:
        result = open_run(path).result
    except UsageError:
        return RunLine(path, "unfinished", "", "", None, None, None, None)
    numbers = (result.get(key) for key in ("test_accuracy", "test_accuracy_low", "test_accuracy_high", "seconds"))
    return RunLine(path, "finished", result.get("data", ""), result.get("model", ""), *numbers)
