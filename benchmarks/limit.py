"""How near a training step is to what the processor can do: `scripts/bench limit`.

For `fast` and `vgg6`, at 32x32, each by its recommended recipe, in a process of its own, as a run is, and in rounds, since a
shared machine's speed changes by the second and only what lies close together can be compared. A round is

1. the step as `fit` takes it, timed from outside, then profiled: what share of its time lies in convolutions;
2. each convolution of the network alone, by torch, same shapes, same precision, same gradients: the bare rate;
3. the quotient of the two: the rate of the convolutions inside the step, as a share of the bare rate.

With torch's convolutions a step can't be faster than 2; with our own (foveola-kernels) it can. The numbers are medians over
the rounds, the quotients medians of each round's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.bare import Calls, alone, shapes
from benchmarks.machine import ROOT
from foveola.compute.device import choose_precision
from foveola.config import build as build_spec
from foveola.models.build import adapt, build
from foveola.models.registry import MODELS
from foveola.training.config import FitSpec
from foveola.training.loop import Stepper
from foveola.types import Size

CPU = torch.device("cpu")
CONVOLUTIONS = ("aten::mkldnn_convolution", "aten::convolution_backward", "aten::_slow_conv2d_forward")
"""The profiler's names of the work inside torch's convolutions, forward and both gradients."""

OWN_NAMES = ("foveola::convolution", "foveola::convolution_images", "foveola::convolution_weights")
"""The same for foveola-kernels."""


NETWORKS = ("fast", "vgg6")

STEPS = 5
"""Calls of each kind a round."""


def main(words: list[str] | None = None) -> None:
    """Measure and print, for both networks."""
    parser = argparse.ArgumentParser(prog="scripts/bench limit")
    parser.add_argument("network", nargs="?", choices=NETWORKS, help="this one only, in this process")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    args = parser.parse_args(words)
    if args.network:
        report(args.network, 2 if args.quick else 15)
        return
    quiet = os.environ | {"KINETO_LOG_LEVEL": "6"}  # else torch's profiler tells of each of its starts and stops
    for name in NETWORKS:
        flags = ["--quick"] if args.quick else []
        subprocess.run([sys.executable, "-m", "benchmarks.limit", name, *flags], check=True, cwd=ROOT, env=quiet)


def report(name: str, rounds: int) -> None:
    """Print one network's table and its two numbers."""
    spec = build_spec(FitSpec, {**MODELS.entry(name).fit, "epochs": 1}, where=name)
    dtype = choose_precision("auto", CPU)
    model = build(name, Size(32, 32), 10)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (spec.batch_size, 32, 32, 3), dtype=torch.uint8, generator=generator).permute(
        0, 3, 1, 2
    )
    labels = torch.randint(0, 10, (spec.batch_size,), generator=generator)
    adapt(model, images)
    model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    stepper = Stepper(model, spec, CPU, dtype)

    def step() -> object:
        return stepper.take(images, labels, 1e-3, 1.0, (0, 0, 0))

    parts = spec.parts(spec.batch_size)
    bare = [alone(layer, shape, needs, dtype) for layer, shape, needs in shapes(model, images, parts)]
    own = [one for one in bare if one.by_kernels]
    kinds = [one.by_torch for one in bare] + [one.by_kernels for one in own if one.by_kernels]
    whole, within, single = measure(step, kinds, rounds)
    dtype_name = str(dtype).removeprefix("torch.")
    print(f"\n{name}: batch {spec.batch_size} in {parts} part(s), {dtype_name}, {torch.get_num_threads()} threads")
    titles = [one.name for one in bare] + [f"{one.name}, foveola-kernels" for one in own]
    for one, title, found in zip(bare + own, titles, zip(*single, strict=True), strict=True):
        seconds = [statistics.median(some) for some in zip(*found, strict=True)]
        columns = [f"{1e3 * s:7.2f} ms {rate(flops, s):>10}" for s, flops in zip(seconds, one.flops, strict=True)]
        print(f"  {title:46} forward {columns[0]}   backward {columns[1]}")
    say_ms(f"a step (medians of {rounds} rounds)", whole)
    say_ms("of it in convolutions", within, share_of=whole, wanted="75 % or more")
    ideal = [parts * sum(map(sum, found[: len(bare)])) for found in single]
    say_ms("the same convolutions alone, by torch", ideal)
    say_ms("their rate in the step, of alone", (), share_of=within, shares=ideal, wanted="85 % or more")
    if own:
        later = iter(range(len(bare), len(kinds)))
        taken = [next(later) if one.by_kernels else number for number, one in enumerate(bare)]
        ideal = [parts * sum(sum(found[number]) for number in taken) for found in single]
        say_ms("alone, by foveola-kernels where it has one", ideal)
        say_ms("their rate in the step, of these", (), share_of=within, shares=ideal, wanted="85 % or more")


def measure(
    step: Callable[[], object], pairs: Sequence[Calls], rounds: int
) -> tuple[list[float], list[float], list[list[list[float]]]]:
    """Seconds a round: of a step, of its convolutions, and of forward and backward of each pair alone."""
    for call in (step, *(call for pair in pairs for call in pair)):
        timed(call, 3)  # the first calls prepare the convolutions
    whole: list[float] = []
    within: list[float] = []
    single: list[list[list[float]]] = []
    for _ in range(rounds):
        whole.append(timed(step, STEPS))
        within.append(in_convolutions(step, STEPS))
        single.append([[timed(call, STEPS) for call in pair] for pair in pairs])
    return whole, within, single


def say_ms(
    what: str,
    seconds: Sequence[float],
    *,
    share_of: Sequence[float] = (),
    shares: Sequence[float] = (),
    wanted: str = "",
) -> None:
    """Print a line: the median in ms, and what share of another row it is: median and range over the rounds."""
    text = f"  {what:38}" + (f" {1e3 * statistics.median(seconds):7.1f} ms" if seconds else " " * 11)
    if share_of:
        found = sorted(100 * part / all_ for part, all_ in zip(shares or seconds, share_of, strict=True))
        text += f" {statistics.median(found):6.1f} % ({found[0]:.0f} to {found[-1]:.0f}; wanted: {wanted})"
    print(text)


def in_convolutions(step: Callable[[], object], steps: int) -> float:
    """Seconds of a step that lie in convolutions.

    The profiler lengthens a step by a few microseconds per operation, and most operations are small: the seconds in
    convolutions (a handful of calls) are taken from it, the length of the step is not.
    """
    found: list[float] = []
    for _ in range(steps):
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            step()
        events = seen.key_averages()
        theirs = sum(event.self_cpu_time_total for event in events if event.key in CONVOLUTIONS)
        found.append(theirs + sum(event.cpu_time_total for event in events if event.key in OWN_NAMES))
    return 1e-6 * statistics.median(found)


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def rate(flops: float, seconds: float) -> str:
    """In GFLOP/s; "-" where nothing is to be computed."""
    return f"{flops / seconds / 1e9:.0f} GFLOP/s" if flops and seconds else "-"


if __name__ == "__main__":
    main()
