"""How near a training step is to what the processor can do: `scripts/bench limit`.

For `fast` and `vgg6`, at 32x32, each by its recommended recipe:

1. the step as `fit` takes it, timed from outside (median), then profiled: what share of its time lies in convolutions;
2. each convolution of the network alone, same shapes, same precision, same gradients: what the processor makes of it;
3. the quotient of the two: the rate of the convolutions inside the step, as a share of the bare rate.

A step can't be faster than 2.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from foveola.learning.device import choose_precision
from foveola.learning.fit import _forward_backward
from foveola.learning.fit_spec import FitSpec
from foveola.learning.groups import make_optimizer
from foveola.models.table import RECOMMENDED_FIT, build, initialise_from
from foveola.specs import build as build_spec
from foveola.types import Size

CPU = torch.device("cpu")
CONVOLUTIONS = ("aten::mkldnn_convolution", "aten::convolution_backward", "aten::_slow_conv2d_forward")
"""The profiler's names of the work inside convolutions: forward, and both gradients."""


@dataclass(frozen=True)
class Bare:
    """One convolution alone: its shape in words, seconds of forward and backward, floating point operations of both."""

    name: str
    forward: float
    backward: float
    forward_flops: float
    backward_flops: float


def main(words: list[str] | None = None) -> None:
    """Measure and print, for both networks."""
    parser = argparse.ArgumentParser(prog="scripts/bench limit")
    parser.add_argument("--quick", action="store_true", help="few repeats")
    repeats = 3 if parser.parse_args(words).quick else 30
    for name in ("fast", "vgg6"):
        report(name, repeats)


def report(name: str, repeats: int) -> None:
    """Print one network's table and its two numbers."""
    spec = build_spec(FitSpec, {**RECOMMENDED_FIT[name], "epochs": 1}, where=name)
    dtype = choose_precision("auto", CPU)
    model = build(name, Size(32, 32), 10)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (spec.batch_size, 32, 32, 3), dtype=torch.uint8, generator=generator).permute(
        0, 3, 1, 2
    )
    labels = torch.randint(0, 10, (spec.batch_size,), generator=generator)
    initialise_from(model, images)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, spec, dtype)

    def step() -> None:
        loss, _ = _forward_backward(model, images, labels, spec, dtype)
        float(loss)
        optimizer.step(1e-3)

    whole = timed(step, repeats)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(repeats):
            step()
    # The profiler lengthens a step by a few microseconds an operation, and most operations are small: the seconds in
    # convolutions (a handful of calls) are taken from it, the length of the step is not.
    microseconds = sum(event.self_cpu_time_total for event in seen.key_averages() if event.key in CONVOLUTIONS)
    within = 1e-6 * microseconds / repeats
    parts = -(-spec.batch_size // (spec.micro_batch_size or spec.batch_size))
    bare = [measure(layer, shape, needs, dtype, repeats) for layer, shape, needs in shapes(model, images, parts)]
    alone = parts * sum(one.forward + one.backward for one in bare)
    dtype_name = str(dtype).removeprefix("torch.")
    print(f"\n{name}: batch {spec.batch_size} in {parts} part(s), {dtype_name}, {torch.get_num_threads()} threads")
    for one in bare:
        print(
            f"  {one.name:34} forward {1e3 * one.forward:7.2f} ms {rate(one.forward_flops, one.forward):>10}"
            f"   backward {1e3 * one.backward:7.2f} ms {rate(one.backward_flops, one.backward):>10}"
        )
    print(f"  a step                              {1e3 * whole:7.1f} ms (median of {repeats})")
    print(
        f"  of it in convolutions               {1e3 * within:7.1f} ms, {100 * within / whole:.1f} % (wanted: 75 % or more)"
    )
    print(f"  the same convolutions alone         {1e3 * alone:7.1f} ms")
    print(f"  their rate in the step              {100 * alone / within:7.1f} % of alone (wanted: 85 % or more)")


def shapes(model: nn.Module, images: Tensor, parts: int) -> list[tuple[nn.Conv2d, Tensor, tuple[bool, bool, bool]]]:
    """Every convolution, what goes into it, and which gradients it must give: of input, weight and bias."""
    found = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.Conv2d)
        bias = layer.bias is not None and layer.bias.requires_grad
        found.append((layer, inputs[0].detach(), (inputs[0].requires_grad, layer.weight.requires_grad, bias)))

    hooks = [m.register_forward_pre_hook(note) for m in model.modules() if isinstance(m, nn.Conv2d)]
    model(images.tensor_split(parts)[0])
    for hook in hooks:
        hook.remove()
    return found


def measure(
    layer: nn.Conv2d, example: Tensor, needs: tuple[bool, bool, bool], dtype: torch.dtype, repeats: int
) -> Bare:
    """The layer's convolution with nothing around it."""
    x = torch.randn(example.shape).to(dtype).contiguous(memory_format=torch.channels_last)
    w = layer.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)
    side = (layer.kernel_size[0] - 1) // 2 if layer.padding != (0, 0) or type(layer) is not nn.Conv2d else 0
    stride, padding = list(layer.stride), [side, side]

    def forward() -> Tensor:
        return torch.nn.functional.conv2d(x, w, bias, layer.stride, (side, side))

    gradient = torch.randn_like(forward())
    sizes = [len(bias)] if bias is not None else None

    def backward() -> None:
        torch.ops.aten.convolution_backward(
            gradient, x, w, sizes, stride, padding, [1, 1], False, [0, 0], layer.groups, list(needs)
        )

    flops = 2.0 * w[0].numel() * gradient.numel()
    kernel = "x".join(map(str, layer.kernel_size))
    name = f"{x.shape[1]} to {w.shape[0]}, {kernel}, at {x.shape[2]}x{x.shape[3]}"
    return Bare(
        name,
        timed(forward, repeats),
        timed(backward, repeats) if any(needs) else 0.0,
        flops,
        flops * (needs[0] + needs[1]),
    )


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call, after three that don't count."""
    for _ in range(3):
        call()
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
