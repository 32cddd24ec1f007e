"""Backward: through dropout, pooling, batch norm and ReLU in two passes over a feature map; words as in `batchnorm_forward`.

With r = relu(z), x = (r - mean) * inverse and g the gradient of the norm's output, n pixels: dbias = sum g,
dweight = sum g x, dz = weight * inverse * (g - dbias / n - x * dweight / n) where z > 0. Source: S. Ioffe and C. Szegedy,
"Batch Normalization", ICML 2015, arXiv:1502.03167.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS
from foveola_kernels.compiled.dtypes import by_channel, get, lanes_of, put, relu, repeated
from foveola_kernels.compiled.max_pool import DROPPED, spread
from foveola_kernels.compiled.threads import CHUNKS, Task, feature_map, float32s, own_chunks, own_part, uint8s, words_of


@njit(**NUMBA_OPTIONS)
def _add_gradients(z, dy, mean, sums, products):
    lanes = len(mean)
    for begin in range(0, len(z), lanes):
        some, gradient = z[begin : begin + lanes], dy[begin : begin + lanes]
        for j in range(len(some)):
            g = get(gradient, j)
            sums[j] += g
            products[j] += g * (relu(get(some, j)) - mean[j])


@njit(**NUMBA_OPTIONS)
def _add_pooled(best, dy, winner, mean, sums, products):
    lanes = len(mean)
    for begin in range(0, len(best), lanes):
        some, gradient, won = best[begin : begin + lanes], dy[begin : begin + lanes], winner[begin : begin + lanes]
        for j in range(len(some)):
            g = np.float32(0) if won[j] == DROPPED else get(gradient, j)
            sums[j] += g
            products[j] += g * (relu(get(some, j)) - mean[j])


@njit(**NUMBA_OPTIONS)
def _add_chunk(z, dy, winner, mean, k, sums, products):
    lanes = lanes_of(len(mean))
    sums[:], products[:] = 0, 0
    step = -(-len(z) // (lanes * CHUNKS)) * lanes
    part, means = slice(k * step, (k + 1) * step), repeated(mean, lanes)
    if len(winner):
        _add_pooled(z[part], dy[part], winner[part], means, sums, products)
    else:
        _add_gradients(z[part], dy[part], means, sums, products)


@Task
def add_gradients(data):
    """Sums of g and of g (r - mean), for each chunk and lane: z, n, channels, dy, winner, mean, sums, products.

    Without pooling, winner is 0; else winner and z are the maps `winner` and `best` of
    `batchnorm_forward.relu_norm_pool_drop`. mean is float32 (channels,), sums and products are float32 (CHUNKS, lanes).
    """
    words = words_of(data, 8)
    n, channels = words[1], words[2]
    lanes = lanes_of(channels)
    z, dy = feature_map(data, words[0], n), feature_map(data, words[3], n)
    winner, mean = uint8s(words[4], n if words[4] else 0), float32s(words[5], channels)
    for k in own_chunks():
        sums, products = float32s(words[6] + 4 * k * lanes, lanes), float32s(words[7] + 4 * k * lanes, lanes)
        _add_chunk(z, dy, winner, mean, k, sums, products)


@Task
def coefficients(data):
    """The gradients of weight and bias, and dz = (factors[0] dy + factors[1] r + factors[2]) where z > 0.

    sums, products, channels, pixels, keep, weight, numbers, dweight, dbias, factors, n. sums, products: n numbers each, of
    `add_gradients` or of `winograd_strips.gather`; keep: what dropout multiplied by, a float64's bits; numbers: as
    `batchnorm_forward.normalise` gives them; dweight, dbias and factors are written, float32 (channels,), factors (3,
    channels).
    """
    words = words_of(data, 11)
    channels, alone = words[2], own_part(1)
    if alone.start < alone.stop:
        size = words[10]
        added = by_channel(float32s(words[0], size), channels), by_channel(float32s(words[1], size), channels)
        weight, numbers = float32s(words[5], channels), float32s(words[6], 2 * channels)
        dweight, dbias = float32s(words[7], channels), float32s(words[8], channels)
        _coefficients(
            added,
            words[3],
            words.view(np.float64)[4],
            weight,
            numbers,
            dweight,
            dbias,
            float32s(words[9], 3 * channels),
        )


@njit(**NUMBA_OPTIONS)
def _coefficients(added, n, keep, weight, numbers, dweight, dbias, factors):
    channels = len(weight)
    mean, inverse = numbers[:channels], numbers[channels:]
    for c in range(channels):
        dbias[c] = added[0][c] * keep
        dweight[c] = added[1][c] * keep * inverse[c]
        slope = weight[c] * inverse[c]
        tilt = -slope * inverse[c] * dweight[c] / n
        factors[c] = slope * keep
        factors[channels + c] = tilt
        factors[2 * channels + c] = -slope * dbias[c] / n - tilt * mean[c]


# Compiled separately it is not vectorised, because too many arrays might overlap: 5 times as slow. Without forceinline the
# process that compiled it called that version.
@njit(forceinline=True, **NUMBA_OPTIONS)
def _back(z, dy, slope, tilt, level, dz):
    lanes = len(slope)
    for begin in range(0, len(z), lanes):
        some, gradient, out = z[begin : begin + lanes], dy[begin : begin + lanes], dz[begin : begin + lanes]
        for j in range(len(some)):
            x = get(some, j)
            g = slope[j] * get(gradient, j) + (tilt[j] * x + level[j])
            put(out, j, np.float32(0) if x <= np.float32(0) else g)


@njit(**NUMBA_OPTIONS)
def _back_pooled(z, dy, winner, width, channels, slope, tilt, level, dz):
    pair = 2 * width * channels
    gradient = np.empty(pair, dy.dtype)
    for begin in range(0, len(z), pair):
        quarter = slice(begin // 4, (begin + pair) // 4)
        spread(dy[quarter], winner[quarter], width, channels, gradient)
        _back(z[begin : begin + pair], gradient, slope, tilt, level, dz[begin : begin + pair])


@njit(**NUMBA_OPTIONS)
def _back_chunk(z, dy, winner, width, factors, k, dz):
    channels = len(factors) // 3
    lanes = lanes_of(channels)
    slope, tilt = repeated(factors[:channels], lanes), repeated(factors[channels : 2 * channels], lanes)
    level = repeated(factors[2 * channels :], lanes)
    unit = 2 * width * channels if len(winner) else lanes
    step = -(-len(z) // (unit * CHUNKS)) * unit
    part, quarter = slice(k * step, (k + 1) * step), slice(k * step // 4, (k + 1) * step // 4)
    if len(winner):
        _back_pooled(z[part], dy[quarter], winner[quarter], width, channels, slope, tilt, level, dz[part])
    else:
        _back(z[part], dy[part], slope, tilt, level, dz[part])


@Task
def relu_norm_back(data):
    """dz: z, n, channels, dy, winner, width, factors, dz.

    winner: as in `add_gradients`; dy: as long as z, or a quarter; factors: as `coefficients` gives them.
    """
    words = words_of(data, 8)
    n, channels, width = words[1], words[2], words[5]
    small, winner = n // 4 if words[4] else n, uint8s(words[4], n // 4 if words[4] else 0)
    z, dy, dz = feature_map(data, words[0], n), feature_map(data, words[3], small), feature_map(data, words[7], n)
    factors = float32s(words[6], 3 * channels)
    for k in own_chunks():
        _back_chunk(z, dy, winner, width, factors, k, dz)
