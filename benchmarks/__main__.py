"""The bench's command line: `scripts/bench`, `scripts/bench NAME ...`, `scripts/bench --list`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks import machine, page
from benchmarks.material import Material
from benchmarks.measure import measure
from benchmarks.suites import SUITES
from foveola.errors import FoveolaError

HERE = Path(__file__).resolve().parent
OTHERS = {
    "limit": "Measure the share of a training step in convolutions, and their rate compared with convolutions alone.",
    "page": "Write docs/results.md and its figures from the existing results. This measures nothing.",
}


def main(words: list[str] | None = None) -> int:
    """Run the benchmarks that the words name. Returns 0 if all succeed, else 1."""
    args = _arguments(words)
    names = args.names or [*SUITES, *OTHERS]
    if args.list:
        for name in [*SUITES, *OTHERS]:
            print(f"{name:10} {OTHERS.get(name) or (SUITES[name].__doc__ or '').strip().splitlines()[0]}")
        return 0
    material = Material(args.data, args.quick)
    failed = []
    for name in names:
        try:
            if name == "limit":
                _limit(args.quick)
            elif name == "page":
                _page(args)
            else:
                path = args.results / f"{name}.json"
                measure(SUITES[name](material), path, args.threads, again=args.again, only=args.only)
        except FoveolaError as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            failed.append(name)
    return 1 if failed else 0


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Benchmarks; see benchmarks/README.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="Benchmarks to run. [default: all of --list]")
    parser.add_argument("--list", action="store_true", help="Print the names.")
    parser.add_argument("--data", default="", help="Folder with cifar10 and faces. [default: FOVEOLA_BENCH_DATA]")
    parser.add_argument("--again", action="store_true", help="Measure everything again.")
    parser.add_argument("--only", default="", metavar="TEXT", help="Run only contestants with this text in their name.")
    parser.add_argument("--quick", action="store_true", help="Use tiny settings, to test the benchmarks.")
    parser.add_argument("--threads", type=int, default=len(machine.cores()), help="Number of cores. [default: all]")
    parser.add_argument("--results", type=Path, help="Folder of the results files.")
    parser.add_argument("--docs", type=Path, help="Folder of the page.")
    args = parser.parse_args(words)
    unknown = [name for name in args.names if name not in SUITES and name not in OTHERS]
    if unknown:
        parser.error(f"there is no benchmark '{unknown[0]}': choose from {', '.join([*SUITES, *OTHERS])}")
    if not 1 <= args.threads <= len(machine.cores()):
        parser.error(f"--threads must be from 1 to {len(machine.cores())} on this machine; got {args.threads}")
    own = HERE / ".quick"
    args.results = args.results or (own if args.quick else HERE / "results")
    args.docs = args.docs or (own if args.quick else HERE.parent / "docs")
    return args


def _page(args: argparse.Namespace) -> None:
    for path in page.write(args.results, args.docs):
        print(f"bench: wrote {path}", file=sys.stderr)


def _limit(quick: bool) -> None:
    """Imported by name: it is a program of its own, with no contestants."""
    importlib.import_module("benchmarks.limit").main(["--quick"] if quick else [])


if __name__ == "__main__":
    sys.exit(main())
