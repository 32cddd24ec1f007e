"""Loops that torch has no single operation for, compiled on the first call: ReLU, batch norm, pooling, dropout in two passes.

Between two convolutions torch goes over a feature map once for every layer; for `vgg6` that was a third of a step, spent in
waiting for memory (docs/why/speed.md). Here one pass takes the sums and one writes the result, forward and back.

Convolutions in float32 have loops, too (`winograd`, `weights`, `narrow`), for processors on which torch's are slower.

Feature maps come flat, channels last: float32, or bfloat16 as the uint16 of its bits. Sums are float32 within a chunk's lane,
float64 beyond; what is written is rounded once, to nearest, ties to even. The work is cut into the same chunks whatever the
number of threads, so that this number changes no bit.

Compiling takes seconds, once (docs/why/speed.md); `keeping` says where the outcome is kept.
"""

from __future__ import annotations

from numba import config

from foveola.models.loops.keeping import kept

if config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("NUMBA_DISABLE_JIT is set: nothing can be compiled")

with kept():
    from foveola.models.loops import narrow, strips
    from foveola.models.loops.back import add_gradients, coefficients, relu_norm_back
    from foveola.models.loops.narrow import add_narrow_gradients
    from foveola.models.loops.norm import add_relu, relu_norm, relu_norm_pool_drop
    from foveola.models.loops.numbers import lanes_of
    from foveola.models.loops.pool import max_pool, max_pool_back
    from foveola.models.loops.statistics import normalise, normalise_strips
    from foveola.models.loops.threads import CHUNKS, pool
    from foveola.models.loops.weights import GROUPS, add_weight_gradients
    from foveola.models.loops.winograd import add_gradients_3x3, convolve, gather_taps, spread_taps

pool()  # an ImportError where torch's threads can't be had

__all__ = [
    "CHUNKS", "GROUPS", "add_gradients", "add_gradients_3x3", "add_narrow_gradients", "add_relu", "add_weight_gradients",
    "coefficients", "convolve", "gather_taps", "lanes_of", "max_pool", "max_pool_back",
    "narrow", "normalise", "normalise_strips", "relu_norm", "relu_norm_back", "relu_norm_pool_drop", "spread_taps", "strips",
]  # fmt: skip
