"""Writes docs/results.md and its figures: first the results files of the suites, then the measurements in `single.md`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import COURSE_EPOCHS
from benchmarks.plots import Axis, Curve, Point, around, figure
from benchmarks.suites import SUITES
from benchmarks.summary import spread, straight_line
from foveola.storage import write_atomic

COURSE_ACCURACY = 0.802
"""The accuracy that the course reports for its CIFAR-10 network after 14 epochs. It was not measured here."""

SINGLE = "single.md"
"""Measurements that no suite repeats, as Markdown tables, in the folder of the results files."""

HEAD = """# Results

`scripts/bench page` writes this page from the files in `benchmarks/results`. The tables of the suites show the median of n
runs, with the lowest and the highest in brackets. [How we measure, and what the numbers do not show]({method}).
"""


def write(results: Path, docs: Path) -> list[Path]:
    """Write the page and its figures for the results files that exist, and return the paths of these files.

    A folder in `results` holds the results of another machine. They follow those of this one, under the folder's name. The
    measurements in `single.md` end the page.
    """
    method = "why/measuring.md" if docs.name == "docs" else "../../docs/why/measuring.md"
    parts, written = [HEAD.format(method=method)], []
    for name, result in _read(results).items():
        parts.append(f"## {result['question']}\n")
        parts += _shown(name, result, docs, written)
    for folder in sorted(path for path in results.glob("*") if path.is_dir()):
        parts.append(f"## On another machine: {folder.name.replace('-', ' ')}\n")
        for name, result in _read(folder).items():
            parts.append(f"### {result['question']}\n")
            parts += _shown(name, result, docs, written, f"-{folder.name}")
    if (results / SINGLE).is_file():
        parts.append((results / SINGLE).read_text("utf-8"))
    write_atomic(docs / "results.md", "\n".join(parts))
    return [docs / "results.md", *written]


def _shown(name: str, result: Mapping[str, Any], docs: Path, written: list[Path], suffix: str = "") -> Iterator[str]:
    """A suite's figures, each written to a file of its own that is added to `written`, and its tables."""
    for label, text in _figures(name, result):
        path = docs / "images" / f"results-{label}{suffix}.svg"
        write_atomic(path, text)
        written.append(path)
        yield f"![{label}](images/{path.name})\n"
    yield section(result)


def _read(results: Path) -> dict[str, dict[str, Any]]:
    """The results files of a folder by their suites' names, in the suites' order."""
    there = {name: results / f"{name}.json" for name in SUITES}
    return {name: json.loads(path.read_text("utf-8")) for name, path in there.items() if path.is_file()}


def section(result: Mapping[str, Any]) -> str:
    """A suite's tables as Markdown: numbers, then commands, then the machine; who never ran is left out."""
    ran = {run["contestant"] for run in result["runs"]}
    contestants = [contestant for contestant in result["contestants"] if contestant["name"] in ran]
    shown = [c for c in result["columns"] if any(c[1] in numbers for numbers in result["summary"].values())]
    lines = ["| contestant | n | " + " | ".join(heading for heading, _, _ in shown) + " |"]
    lines.append("|---|---|" + "---|" * len(shown))
    for contestant in contestants:
        numbers = result["summary"].get(contestant["name"], {})
        n = max((int(value["n"]) for value in numbers.values()), default=0)
        cells = [_cell(numbers.get(key), kind) for _, key, kind in shown]
        lines.append(f"| {contestant['name']} | {n} | " + " | ".join(cells) + " |")
    lines += ["", "| contestant | command | versions |", "|---|---|---|"]
    for contestant in contestants:
        lines.append(f"| {contestant['name']} | `{contestant['command']}` | {_versions(result, contestant['name'])} |")
    lines += ["", *_remarks(result), _machine(result), ""]
    return "\n".join(lines)


def _remarks(result: Mapping[str, Any]) -> Iterator[str]:
    """What is missing, what failed, what is estimated; one line each."""
    for name, reason in result["absent"].items():
        yield f"- {name} is not here: {reason}"
    for run in result["runs"]:
        if run["error"]:
            yield f"- {run['contestant']}, run {run['repeat'] + 1}, failed: {run['error']}"
    for contestant in result["contestants"]:
        if contestant["note"] and contestant["name"] in {run["contestant"] for run in result["runs"]}:
            yield f"- {contestant['name']}: {contestant['note']}."
    measured = [numbers for numbers in result["summary"].values() if "estimated_seconds" in numbers]
    if measured:
        least = min(int(numbers["epochs"]["low"]) for numbers in measured)
        yield (
            f"- The time of {COURSE_EPOCHS} epochs is estimated from {least} full epochs: the first, plus "
            f"{COURSE_EPOCHS - 1} times the mean of the others."
        )
    yield ""


def _machine(result: Mapping[str, Any]) -> str:
    machine, runs = result["machine"], result["runs"]
    days = sorted({run["began"][:10] for run in runs})
    loads = [run["load_before"] for run in runs if run["load_before"] is not None]
    when = f"{days[0]} to {days[-1]}" if len(days) > 1 else "".join(days)
    load = f"; load before the runs {min(loads):g} to {max(loads):g}" if loads else ""
    bfloat16 = "with" if machine["bfloat16"] else "without"
    commits = ", ".join(sorted({run["commit"] for run in runs if run["commit"]})) or "unknown"
    return (
        f"Machine: {machine['processor']} ({bfloat16} bfloat16 instructions), {machine['threads']} of "
        f"{machine['cores']} cores, {machine['memory_gb']} GB, {machine['kernel']}. Measured {when}{load}; "
        f"foveola at commit {commits}."
    )


def _versions(result: Mapping[str, Any], name: str) -> str:
    """The versions that the contestant's runs named; several, should they differ."""
    runs = [run for run in result["runs"] if run["contestant"] == name]
    starts = [event for run in runs for event in run.get("events", []) if event["event"] == "start"]
    said = {", ".join(f"{package} {number}" for package, number in start["versions"].items()) for start in starts}
    return "; ".join(sorted(said))


def _cell(value: Mapping[str, float] | None, kind: str) -> str:
    if value is None:
        return ""
    median, low, high = (_written(value[name], kind) for name in ("median", "low", "high"))
    return f"{median} ({low} to {high})" if value["n"] > 1 else median


def _written(value: float, kind: str) -> str:
    if kind == "percent":
        return f"{100 * value:.1f} %"
    if kind == "whole":
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _figures(name: str, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if name == "cifar":
        curves = _accuracy_curves(result)
        if curves:
            yield "accuracy", _accuracy(curves)
    if name == "scale":
        for label, key, what in (
            ("seconds", "whole_seconds", "seconds"),
            ("memory", "peak_memory_mb", "peak memory, MB"),
        ):
            points = _against_n(result, key)
            if len(points) > 1:
                yield label, _growth(points, what)


def _accuracy(curves: Sequence[Curve]) -> str:
    xs = [v for c in curves for p in c.points for v in (p.x_low, p.x_high)] + [c.guess[0] for c in curves if c.guess]
    ys = [p.y_low for c in curves for p in c.points]
    x = Axis("training time in seconds, logarithmic, without measuring test images", *around(xs), log=True)
    y = Axis("test accuracy", max(0.0, min(ys) // 0.1 * 0.1), 1.0, log=False, percent=True)
    note = ""
    if any(c.guess for c in curves):
        note = f"Hollow: the estimated time of {COURSE_EPOCHS} epochs, at the accuracy the course reports for them."
    return figure("CIFAR-10: accuracy against training time", x, y, curves, note)


def _accuracy_curves(result: Mapping[str, Any]) -> list[Curve]:
    """One curve a peer, over its epochs; those of foveola that belong together as one, over their ends."""
    joined: dict[str, list[Point]] = {}
    curves = []
    for contestant in result["contestants"]:
        name = contestant["name"]
        runs = [run for run in result["runs"] if run["contestant"] == name and not run["error"]]
        if not runs:
            continue
        if contestant["curve"]:
            joined.setdefault(contestant["curve"], []).append(_point([run["events"][-1] for run in runs]))
            continue
        epochs = [[e for e in run["events"] if e["event"] == "epoch" and "accuracy" in e] for run in runs]
        points = [_point(events) for events in zip(*epochs, strict=False)]
        guess = result["summary"][name].get("estimated_seconds") if name == "Keras float32" else None
        if points:
            curves.append(Curve(name, points, guess=(guess["median"], COURSE_ACCURACY) if guess else None))
    for name, points in joined.items():
        curves.insert(0, Curve(name, sorted(points)))
    return curves


def _point(events: Sequence[Mapping[str, float]]) -> Point:
    x, y = spread(e["seconds"] for e in events), spread(e["accuracy"] for e in events)
    return Point(x.median, y.median, y.low, y.high, x.low, x.high)


def _against_n(result: Mapping[str, Any], key: str) -> list[Point]:
    points = []
    for contestant in result["contestants"]:
        value = result["summary"].get(contestant["name"], {}).get(key)
        if contestant["x"] and value:
            n = float(contestant["x"])
            points.append(Point(n, value["median"], value["low"], value["high"], n, n))
    return points


def _growth(points: Sequence[Point], what: str) -> str:
    ns = [point.x for point in points]
    line = straight_line(ns, [point.y for point in points])
    low, high = around(ns)
    steps = [low * (high / low) ** (k / 60) for k in range(61)]
    fitted = [(n, line.start + line.slope * n) for n in steps if line.start + line.slope * n > 0]
    ends = [y for point in points for y in (point.y_low, point.y_high)] + [y for _, y in fitted]
    y = Axis(f"{what}, logarithmic", *around(ends), log=True)
    x = Axis("images, logarithmic", low, high, log=True)
    note = (
        f"Dashed, a straight line: {_written(line.start, 'seconds')} + {line.slope * 1000:.3g} for every 1,000 images; "
        f"the medians lie within {100 * line.worst:.1f} % of it."
    )
    curve = Curve("foveola", points, joined=False, fit=fitted)
    return figure(f"{what[0].upper()}{what[1:]} against the number of images", x, y, [curve], note)
