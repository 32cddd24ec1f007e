"""Kernels that numba compiles on the first call: convolutions, and ReLU, batch norm, pooling and dropout in two passes.

Between two convolutions torch goes over a feature map once for every layer. For `vgg6` that took a third of a step, most of
it waiting for memory (docs/why/speed.md). Here one pass adds up sums and one writes the result, forward and backward.

Feature maps are flat and channels-last: float32, or bfloat16 as the uint16 of its bits. Sums are float32 within a chunk and
float64 over chunks. A result is rounded once, to nearest, ties to even. The work is cut into the same chunks for any number
of threads, so this number changes no bit.

Compiling takes seconds, once (docs/why/speed.md). `compile_cache` keeps the result.
"""

from __future__ import annotations

from numba import config

from foveola_kernels.compiled.compile_cache import compile_cache

if config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("NUMBA_DISABLE_JIT is set: nothing can be compiled")

with compile_cache():
    from foveola_kernels.compiled import rgb_conv_grad, winograd_strips
    from foveola_kernels.compiled.batchnorm_backward import add_gradients, coefficients, relu_norm_back
    from foveola_kernels.compiled.batchnorm_forward import (
        add_relu,
        normalise,
        normalise_strips,
        relu_norm,
        relu_norm_pool_drop,
    )
    from foveola_kernels.compiled.conv_weight_grad import GROUPS, add_weight_gradients
    from foveola_kernels.compiled.dtypes import lanes_of
    from foveola_kernels.compiled.max_pool import max_pool, max_pool_back
    from foveola_kernels.compiled.rgb_conv_grad import add_rgb_conv_gradients
    from foveola_kernels.compiled.threads import CHUNKS, pool
    from foveola_kernels.compiled.winograd_conv import add_gradients_3x3, convolve, gather_taps, spread_taps

pool()  # ImportError if this build of torch has no GNU OpenMP threads

__all__ = [
    "CHUNKS",
    "GROUPS",
    "add_gradients",
    "add_gradients_3x3",
    "add_relu",
    "add_rgb_conv_gradients",
    "add_weight_gradients",
    "coefficients",
    "convolve",
    "gather_taps",
    "lanes_of",
    "max_pool",
    "max_pool_back",
    "normalise",
    "normalise_strips",
    "relu_norm",
    "relu_norm_back",
    "relu_norm_pool_drop",
    "rgb_conv_grad",
    "spread_taps",
    "winograd_strips",
]  # fmt: skip
