"""What a contestant and a suite are, and how a program's output becomes events: the same shape for all of them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.summary import total_of

Events = list[dict[str, Any]]
"""start (versions, threads), epoch (epoch, seconds so far, accuracy if measured), end (numbers)."""

COURSE_EPOCHS = 14
"""How long the course trains its CIFAR-10 network."""


@dataclass(frozen=True)
class Contestant:
    """One program with its arguments.

    words: the command behind the Python, {seed}, {out}, {threads} and the names of `places` standing for what differs;
    places: name -> path, shown in the results by the name; peer: whose environment, "" is foveola's own; reads: what
    the program leaves, events on stdout, a run folder of foveola's, or nothing but the time it took; fresh_cache: an empty
    FOVEOLA_CACHE each time; repeats: runs, each with its number as seed; curve: contestants drawn as one line; x: its place
    on the axis of n; busy: how many other processes keep a core busy meanwhile; chooses_threads: it is not told with how
    many threads to compute.
    """

    name: str
    words: tuple[str, ...]
    places: tuple[tuple[str, Path], ...] = ()
    peer: str = ""
    reads: Literal["events", "run", "nothing"] = "events"
    fresh_cache: bool = False
    repeats: int = 3
    curve: str = ""
    x: int = 0
    estimates: bool = False
    note: str = ""
    busy: int = 0
    chooses_threads: bool = False

    def command(self, python: Path, *, seed: int, out: Path, threads: int) -> list[str]:
        """The command to run."""
        values = {name: str(path) for name, path in self.places}
        return [str(python), *(word.format(seed=seed, out=out, threads=threads, **values) for word in self.words)]

    @property
    def shown(self) -> str:
        """The command for readers: without this machine's paths, the same for all repeats."""
        names = {name: name.upper() for name, _ in self.places}
        words = [word.format(seed="SEED", out="RUN", threads="THREADS", **names) for word in self.words]
        if words[:2] == ["-m", "foveola"]:
            return " ".join(["foveola", *words[2:]])
        return " ".join(["python", *words])


@dataclass(frozen=True)
class Suite:
    """A question and the programs that answer it. `columns`: (heading, number's name, how it is written) of the table."""

    name: str
    question: str
    contestants: tuple[Contestant, ...]
    columns: tuple[tuple[str, str, str], ...]


def reader(contestant: Contestant) -> Callable[[str, Path], Events]:
    """What turns the contestant's output into events."""
    return {"run": read_run, "events": read_events, "nothing": read_nothing}[contestant.reads]


def read_nothing(_: str, __: Path) -> Events:
    """The events of a command that only takes time."""
    return [{"event": "start", "versions": {}}, {"event": "end"}]


def read_events(out: str, _: Path) -> Events:
    """The events among the lines of stdout; libraries print other things there too."""
    events = []
    for line in out.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "event" in value:
            events.append(value)
    return events


def read_run(out: str, folder: Path) -> Events:
    """The events of `foveola train --json`. Measuring val is left out of an epoch's time, as measuring test is for peers."""
    result = json.loads(out)
    known = json.loads((folder / "environment.json").read_text("utf-8"))
    history = folder / "history.jsonl"
    rows = [json.loads(line) for line in history.read_text("utf-8").splitlines()] if history.is_file() else []
    versions = {name: known[name] for name in ("foveola", "torch", "python") if name in known}
    start = {"event": "start", "versions": versions, "threads": known.get("threads"), "model": result["model"]}
    events, seconds = [start], 0.0
    for row in rows:
        seconds += row.get("seconds", 0.0) - row.get("val_seconds", 0.0)
        events.append(
            {"event": "epoch", "epoch": row.get("epoch"), "seconds": seconds, "val_accuracy": row.get("val_accuracy")}
        )
    numbers = {
        "seconds": seconds,
        "pictures_shown": _shown(folder, result),
        "accuracy": result["test_accuracy"],
        "whole_seconds": result["seconds"],
        "before_first_step_seconds": result["seconds_before_first_step"],
        "epochs": result["epochs"],
        "n_train": result["n_train"],
        "n_test": result["n_test"],
    }
    if rows and "train_accuracy" in rows[-1]:
        numbers["train_accuracy"] = rows[-1]["train_accuracy"]
    return [*events, {"event": "end", **numbers}]


def _shown(folder: Path, result: Mapping[str, Any]) -> int:
    """How many images the epochs of a run showed: with a budget, epochs differ in length."""
    recipe = tomllib.loads((folder / "recipe.toml").read_text("utf-8"))
    given = recipe.get("fit", {}).get("epoch_images", 0) or result["n_train"]
    return sum(given) if isinstance(given, list) else int(given) * int(result["epochs"])


def numbers_of(run: Mapping[str, Any], contestant: Contestant) -> dict[str, float]:
    """All numbers of a good run: what it said at its end, what was measured from outside, and what follows from both."""
    end = next(event for event in run["events"] if event["event"] == "end")
    numbers = {name: value for name, value in end.items() if isinstance(value, int | float)}
    numbers |= {"wall_seconds": run["wall_seconds"]}
    # A program that knows its own peak says so: the one seen from outside counts what it did before measuring, too.
    numbers = {"peak_memory_mb": run["peak_memory_mb"]} | numbers
    seconds = [event["seconds"] for event in run["events"] if event["event"] == "epoch"]
    if not numbers.get("epochs", 1):  # a head on features: its seconds are no training of epochs
        numbers.pop("seconds", None)
    shown = numbers.get("pictures_shown")
    if shown is None and "--budget" not in contestant.words and {"n_train", "epochs"} <= numbers.keys():
        shown = numbers["n_train"] * numbers["epochs"]
    if shown and numbers.get("seconds"):
        numbers["pictures_per_second"] = shown / numbers["seconds"]
        numbers["seconds_per_50000"] = 50_000 / numbers["pictures_per_second"]
    if contestant.estimates and len(seconds) >= 2:
        numbers["estimated_seconds"] = total_of(seconds, COURSE_EPOCHS)
    return numbers
