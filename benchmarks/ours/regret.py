"""How good the choice among candidates is: tables from the runs that `benchmarks.ours.candidates` has measured.

    python -m benchmarks.ours.regret candidates.jsonl

The choice is the candidate with the lowest loss on held-out images of the subset, as in `foveola train`. It is compared with
the candidates on images outside the subset (on the run's own test set if the subset is everything there is). A subset size
is compared on the seeds for which all candidates have been measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

RACED = ("transfer", "transfer_pair", "fast")
"""The candidates of the race, unless others are named."""

Row = Mapping[str, Any]
Runs = Mapping[int, Mapping[str, Row]]
"""Seed -> candidate -> its run."""


@dataclass(frozen=True)
class Comparison:
    """The choice on subsets of one data set and size. runs: the seeds that have all candidates, with all runs they have;
    before: the candidate that foveola took before it compared any, which some of them may lack."""

    data: str
    images: int
    candidates: tuple[str, ...]
    before: str
    runs: Runs

    @property
    def chosen(self) -> dict[int, str]:
        """Seed -> the candidate with the lowest loss on held-out images."""
        return {
            seed: min(self.candidates, key=lambda name: runs[name]["held_loss"]) for seed, runs in self.runs.items()
        }

    @property
    def chosen_accuracies(self) -> list[float]:
        """The accuracy of the choice, for each seed."""
        return [accuracy(self.runs[seed][name]) for seed, name in self.chosen.items()]

    def accuracies(self, name: str) -> list[float]:
        """The accuracies of a candidate, for each seed that has it."""
        return [accuracy(runs[name]) for runs in self.runs.values() if name in runs]

    @property
    def best(self) -> str:
        """The candidate with the highest mean accuracy over the seeds."""
        return max(self.candidates, key=lambda name: mean(self.accuracies(name)))

    @property
    def regret(self) -> float:
        """The mean accuracy of `best` less that of the choice. Negative if the choice beats every fixed candidate."""
        return mean(self.accuracies(self.best)) - mean(self.chosen_accuracies)

    @property
    def regret_of_seeds(self) -> float:
        """The mean of (highest accuracy of a candidate less that of the choice), seed by seed.

        It is too high on average: the highest of several accuracies on few images is partly luck.
        """
        highest = [max(accuracy(runs[name]) for name in self.candidates) for runs in self.runs.values()]
        return mean(highest) - mean(self.chosen_accuracies)


def accuracy(run: Row) -> float:
    """The accuracy on images outside the subset, or on the test set if all images are in it."""
    return float(run.get("outside_accuracy", run.get("test_accuracy")))


def read(path: Path) -> list[Row]:
    """The runs that succeeded."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row for row in rows if "error" not in row]


def grouped(rows: Iterable[Row]) -> dict[tuple[str, int], dict[int, dict[str, Row]]]:
    """(data, images) -> seed -> candidate -> run. All images (0) come last."""
    found: dict[tuple[str, int], dict[int, dict[str, Row]]] = {}
    for row in sorted(rows, key=lambda row: (row["data"], row["images"] == 0, row["images"], row["seed"])):
        found.setdefault((row["data"], row["images"]), {}).setdefault(row["seed"], {})[row["contender"]] = row
    return found


def comparison(data: str, images: int, runs: Runs, raced: Sequence[str]) -> Comparison | None:
    """The comparison on the seeds that have all candidates; None without two candidates."""
    present = {name for some in runs.values() for name in some}
    candidates = tuple(name for name in raced if name in present)
    small = any(row["small"] for some in runs.values() for row in some.values())
    before = "fast" if small else "transfer, last stage"
    whole = {seed: some for seed, some in runs.items() if set(candidates) <= some.keys()}
    return Comparison(data, images, candidates, before, whole) if whole and len(candidates) > 1 else None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float]) -> str:
    """Mean (lowest to highest) in percent."""
    if not values:
        return ""
    low, high = 100 * min(values), 100 * max(values)
    return f"{100 * mean(values):.1f}" + (f" ({low:.1f} to {high:.1f})" if len(values) > 1 else "")


def accuracy_table(groups: Mapping[tuple[str, int], Runs]) -> str:
    """Accuracy of each candidate, on all seeds that it has been measured with."""
    names = list(dict.fromkeys(name for runs in groups.values() for some in runs.values() for name in some))
    rows = []
    for (data, images), runs in groups.items():
        cells = []
        for name in names:
            found = [accuracy(some[name]) for some in runs.values() if name in some]
            cells.append(spread(found) + (f", {len(found)}" if found else ""))
        rows.append([data, str(images or "all"), *cells])
    return table(["data", "images", *names], rows)


def choice_table(found: Sequence[Comparison]) -> str:
    """The choice, the network of before and the regret of each comparison, and their means."""
    rows = []
    for one in found:
        votes = [f"{name} {times}" for name in one.candidates if (times := list(one.chosen.values()).count(name))]
        before, now = one.accuracies(one.before), one.chosen_accuracies
        rows.append([
            one.data, str(one.images or "all"), str(len(now)), ", ".join(votes), spread(now),
            f"{spread(before)}, {one.before}, {len(before)}" if before else "not measured",
            f"{one.best}, {100 * mean(one.accuracies(one.best)):.1f}",
            f"{100 * one.regret:.1f}", f"{100 * one.regret_of_seeds:.1f}",
        ])  # fmt: skip
    regrets = [f"{100 * mean(some):.2f}" for some in zip(*((o.regret, o.regret_of_seeds) for o in found), strict=True)]
    rows.append(["mean", "", "", "", "", "", "", *regrets])
    head = [
        "data", "images", "seeds", "chosen", "accuracy of the choice", "accuracy before, network, seeds", "best by its mean",
        "regret, to the best by its mean", "regret, to the best of each seed",
    ]  # fmt: skip
    return table(head, rows)


def error_sentence(found: Sequence[Comparison]) -> str:
    """The mean error of the choice next to that of the network of before, where both were measured."""
    both = [one for one in found if one.accuracies(one.before)]
    if not both:
        return "The network that foveola took before has not been measured."
    now = 1 - mean(mean(one.chosen_accuracies) for one in both)
    before = 1 - mean(mean(one.accuracies(one.before)) for one in both)
    change = f"{100 * (1 - now / before):.0f} % lower"
    return f"Mean error on {len(both)} kinds of subsets: {100 * now:.1f} %, before {100 * before:.1f} %, {change}."


def cost_table(groups: Mapping[tuple[str, int], Runs]) -> str:
    """Processor seconds and peak memory of each candidate: means over the seeds."""
    names = list(dict.fromkeys(name for runs in groups.values() for some in runs.values() for name in some))
    rows = []
    for (data, images), runs in groups.items():
        cells = []
        for name in names:
            some = [one[name] for one in runs.values() if name in one]
            seconds, memory = (
                mean(run[key] for run in some) if some else 0 for key in ("cpu_seconds", "peak_memory_mb")
            )
            cells.append(f"{seconds:.0f} s, {memory:,.0f} MB" if some else "")
        rows.append([data, str(images or "all"), *cells])
    return table(["data", "images", *names], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the file that benchmarks.ours.candidates wrote")
    parser.add_argument("--race", default=";".join(RACED), help="the candidates to choose from")
    args = parser.parse_args()
    groups = grouped(read(args.runs))
    made = (comparison(data, images, runs, args.race.split(";")) for (data, images), runs in groups.items())
    found = [one for one in made if one]
    print("Accuracy in percent: mean (lowest to highest), seeds\n")
    print(accuracy_table(groups))
    if found:
        print("\nThe choice\n\n" + choice_table(found) + "\n\n" + error_sentence(found))
    print("\nCost\n\n" + cost_table(groups))


if __name__ == "__main__":
    main()
