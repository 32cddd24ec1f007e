"""Run contestants as programs of their own, interleaved, and keep every event: one results file a suite.

A B C A B C and not A A B B: what the machine does meanwhile then meets all alike. The file is written anew, whole,
after each run; an interrupted benchmark keeps what it has and goes on from there.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.contestants import Contestant, Suite, numbers_of, reader
from benchmarks.environments import Environment, environment, last_line
from benchmarks.summary import spread
from foveola.errors import UsageError
from foveola.storage import write_atomic


@dataclass
class Results:
    """One results file: machine, runs, summary. `runs` has one record a run; those that failed carry an `error`."""

    path: Path
    head: dict[str, Any]
    runs: list[dict[str, Any]] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, suite: Suite, threads: int, *, again: Sequence[str]) -> Results:
        """The file as it was left, or an empty one. Raises UsageError when it was measured on another machine.

        again: names of contestants whose runs are left out; where these are all, another machine's file is begun anew.
        """
        head = {
            "suite": suite.name,
            "question": suite.question,
            "columns": suite.columns,
            "machine": machine.describe() | {"threads": threads},
        }
        if not path.is_file() or {c.name for c in suite.contestants} <= set(again):
            return cls(path, head)
        found = json.loads(path.read_text("utf-8"))
        for name in ("processor", "bfloat16", "cores", "threads"):
            there, here = found["machine"].get(name), head["machine"][name]
            if there != here:
                raise UsageError(
                    f"{path.name} was measured with {name} = {there} and here it is {here}: "
                    "use --results FOLDER for this machine's own results, or --again to measure everything again"
                )
        kept = [run for run in found["runs"] if run["contestant"] not in again]
        return cls(path, found | head, kept, found["absent"])

    def has(self, contestant: Contestant, repeat: int) -> bool:
        """Whether this run is there, went well, and was made by the same command."""
        wanted = (contestant.name, repeat, contestant.shown)
        return any(
            (run["contestant"], run["repeat"], run["command"]) == wanted and not run["error"] for run in self.runs
        )

    def add(self, record: dict[str, Any]) -> None:
        """Keep a run in the place of an older one of the same number."""
        same = (record["contestant"], record["repeat"])
        self.runs = [run for run in self.runs if (run["contestant"], run["repeat"]) != same] + [record]

    def save(self, contestants: Sequence[Contestant]) -> None:
        """Write the file whole."""
        facts = {
            "contestants": [
                {"name": c.name, "command": c.shown, "repeats": c.repeats, "note": c.note, "curve": c.curve, "x": c.x}
                for c in contestants
            ],
            "absent": self.absent,
            "summary": {c.name: summarise(self.runs, c) for c in contestants},
            "runs": self.runs,
        }
        write_atomic(self.path, json.dumps(self.head | facts, indent=1) + "\n")


def interleaved(contestants: Iterable[Contestant]) -> list[tuple[Contestant, int]]:
    """Who runs when: every contestant once, then every one again; those with fewer repeats drop out early."""
    everyone = list(contestants)
    rounds = max((c.repeats for c in everyone), default=0)
    return [(c, repeat) for repeat in range(rounds) for c in everyone if repeat < c.repeats]


def summarise(runs: Iterable[Mapping[str, Any]], contestant: Contestant) -> dict[str, dict[str, float]]:
    """Median and spread of every number that the contestant's good runs with today's command have in common."""
    good = [
        numbers_of(run, contestant)
        for run in runs
        if run["contestant"] == contestant.name and run["command"] == contestant.shown and not run["error"]
    ]
    names = [name for name in good[0] if all(name in numbers for numbers in good)] if good else []
    return {name: spread(numbers[name] for numbers in good)._asdict() for name in names}


def measure(suite: Suite, path: Path, threads: int, *, again: bool = False, only: str = "") -> Results:
    """Run what is missing of a suite; write the results file after each run; give the results.

    only: a text; contestants without it in their name are left as they are, and their environments are not made.
    """
    asked = [contestant for contestant in suite.contestants if only in contestant.name]
    results = Results.open(path, suite, threads, again=[c.name for c in asked] if again else [])
    environments = {peer: environment(peer) for peer in dict.fromkeys(c.peer for c in asked)}
    problems = {c.name: environments[c.peer].problem for c in asked}
    results.absent = {n: reason for n, reason in (results.absent | problems).items() if reason}
    for name, reason in problems.items():
        if reason:
            print(f"bench: {suite.name}: {name} is left out: {reason}", file=sys.stderr)
    results.save(suite.contestants)
    for contestant, repeat in interleaved(asked):
        if contestant.name in results.absent or results.has(contestant, repeat):
            continue
        record = run(contestant, repeat, environments[contestant.peer], threads)
        results.add(record)
        results.save(suite.contestants)
        outcome = record["error"] or f"{record['wall_seconds']:.1f} s"
        print(f"bench: {suite.name}: {contestant.name}, run {repeat + 1}: {outcome}", file=sys.stderr)
    return results


def run(contestant: Contestant, repeat: int, where: Environment, threads: int) -> dict[str, Any]:
    """Run a contestant once; give its record."""
    record: dict[str, Any] = {
        "contestant": contestant.name,
        "repeat": repeat,
        "command": contestant.shown,
        "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load_before": machine.load(),
        "commit": machine.commit(),
    }
    work = Path(tempfile.mkdtemp(prefix="foveola-bench-"))
    try:
        command = contestant.command(where.python, seed=repeat, out=work / "run", threads=threads)
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_NUM_THREADS")}
        env |= {} if contestant.chooses_threads else machine.pinned(threads)
        env |= {"FOVEOLA_CACHE": str(work / "cache")} if contestant.fresh_cache else {}
        with machine.busy(contestant.busy):
            started = time.monotonic()
            code, out, err, peak_mb = _execute(command, env, work / "err", threads)
            record |= {"wall_seconds": time.monotonic() - started, "peak_memory_mb": peak_mb}
        record["events"] = reader(contestant)(out, work / "run") if code == 0 else []
        ended = any(event["event"] == "end" for event in record["events"])
        record["error"] = None if ended else f"exit code {code}: {last_line(err)}"
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return record


def _execute(
    command: Sequence[str], env: Mapping[str, str], err: Path, threads: int
) -> tuple[int, str, str, float | None]:
    """Exit code, stdout, stderr and the largest resident memory in 10^6 bytes of a program."""

    def pin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, machine.cores()[:threads])

    with err.open("w+b") as errors:
        # Safe here: the bench has a single thread, and pinning is one system call.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=env, cwd=machine.ROOT, preexec_fn=pin
        )
        assert process.stdout is not None
        try:
            with process.stdout as pipe:
                out = pipe.read().decode("utf-8", "replace")
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            process.wait()
            raise
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return process.returncode, out, err.read_text("utf-8", "replace"), round(peak, 1)
