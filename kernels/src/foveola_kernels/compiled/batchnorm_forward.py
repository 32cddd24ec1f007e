"""Forward: ReLU and batch norm in two passes over a feature map, with or without pooling and dropout after them.

The first pass adds up sums, from which the batch's statistics follow. The second pass writes the result. Words of the
tasks: a feature map is its address, followed by its number of elements.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS
from foveola_kernels.compiled.dtypes import by_channel, draw, float_of_bits, get, lanes_of, put, relu, repeated
from foveola_kernels.compiled.max_pool import DROPPED
from foveola_kernels.compiled.threads import CHUNKS, Task, feature_map, float32s, own_chunks, own_part, uint8s, words_of
from foveola_kernels.compiled.winograd_strips import SIDE, cut_of


@njit(**NUMBA_OPTIONS)
def _add_relu(z, shift, sums, squares):
    lanes = len(shift)
    for begin in range(0, len(z), lanes):
        some = z[begin : begin + lanes]
        for j in range(len(some)):
            x = relu(get(some, j)) - shift[j]
            sums[j] += x
            squares[j] += x * x


@njit(**NUMBA_OPTIONS)
def first_pixel(z, channels):
    """The first pixel's relu(z): float32 (channels,)."""
    out = np.empty(channels, np.float32)
    for c in range(channels):
        out[c] = relu(get(z, c))
    return out


@njit(**NUMBA_OPTIONS)
def _add_chunk(z, channels, k, sums, squares):
    lanes = lanes_of(channels)
    step = -(-len(z) // (lanes * CHUNKS)) * lanes
    sums[:], squares[:] = 0, 0
    # Squares of numbers far from 0 lose digits, so the first pixel is subtracted.
    _add_relu(z[k * step : (k + 1) * step], repeated(first_pixel(z, channels), lanes), sums, squares)


@Task
def add_relu(data):
    """Sums of relu(z) and of its squares about the first pixel, for each chunk and lane.

    z, n, channels, sums, squares; sums and squares are float32 (CHUNKS, lanes).
    """
    words = words_of(data, 5)
    z, channels = feature_map(data, words[0], words[1]), words[2]
    lanes = lanes_of(channels)
    for k in own_chunks():
        sums, squares = float32s(words[3] + 4 * k * lanes, lanes), float32s(words[4] + 4 * k * lanes, lanes)
        _add_chunk(z, channels, k, sums, squares)


@njit(**NUMBA_OPTIONS)
def _affine(z, scale, offset, y):
    lanes = len(scale)
    for begin in range(0, len(z), lanes):
        some, out = z[begin : begin + lanes], y[begin : begin + lanes]
        for j in range(len(some)):
            put(out, j, relu(get(some, j)) * scale[j] + offset[j])


@njit(**NUMBA_OPTIONS)
def _affine_chunk(z, scale, offset, k, y):
    lanes = lanes_of(len(scale))
    step = -(-len(z) // (lanes * CHUNKS)) * lanes
    part = slice(k * step, (k + 1) * step)
    _affine(z[part], repeated(scale, lanes), repeated(offset, lanes), y[part])


@Task
def relu_norm(data):
    """y = relu(z) * scale + offset: z, n, channels, scale, offset, y; scale and offset float32 (channels,)."""
    words = words_of(data, 6)
    n, channels = words[1], words[2]
    scale, offset = float32s(words[3], channels), float32s(words[4], channels)
    z, y = feature_map(data, words[0], n), feature_map(data, words[5], n)
    for k in own_chunks():
        _affine_chunk(z, scale, offset, k, y)


@njit(**NUMBA_OPTIONS)
def _pool_rows(z, scale, offset, width, key, dropped, keep, first, y, best, winner):
    channels = len(scale)
    row = width * channels
    for r in range(len(z) // (2 * row)):
        above, below = z[2 * r * row : (2 * r + 1) * row], z[(2 * r + 1) * row : (2 * r + 2) * row]
        for o in range(0, row, 2 * channels):
            a, b = above[o : o + channels], above[o + channels : o + 2 * channels]
            c, d = below[o : o + channels], below[o + channels : o + 2 * channels]
            at = (r * row + o) // 2
            out, won, kept = y[at : at + channels], winner[at : at + channels], best[at : at + channels]
            for j in range(channels):
                top, bits, who = relu(get(a, j)) * scale[j], a[j], np.uint8(0)
                x = relu(get(b, j)) * scale[j]
                if x > top or x != x:
                    top, bits, who = x, b[j], np.uint8(1)
                x = relu(get(c, j)) * scale[j]
                if x > top or x != x:
                    top, bits, who = x, c[j], np.uint8(2)
                x = relu(get(d, j)) * scale[j]
                if x > top or x != x:
                    top, bits, who = x, d[j], np.uint8(3)
                top = (top + offset[j]) * keep
                if draw(key, np.uint64(first + at + j)) < dropped:
                    top, who = np.float32(0), np.uint8(DROPPED)
                put(out, j, top)
                kept[j] = bits
                won[j] = who


@njit(**NUMBA_OPTIONS)
def _pool_chunk(z, scale, offset, width, key, dropped, keep, k, y, best, winner):
    pair = 2 * width * len(scale)
    step = -(-len(z) // (pair * CHUNKS)) * pair
    first, quarter = k * step // 4, slice(k * step // 4, (k + 1) * step // 4)
    part, own = z[k * step : (k + 1) * step], (y[quarter], best[quarter], winner[quarter])
    _pool_rows(part, scale, offset, width, key, dropped, keep, first, *own)


@Task
def relu_norm_pool_drop(data):
    """y = dropout(maxpool2x2(relu(z) * scale + offset)); which of the four pixels each value comes from, and z there.

    z, n, channels, scale, offset, y, width, key, dropped, keep, best, winner. z: rows of `width` pixels, an even
    number of both; y and best: a quarter of it; winner: uint8 like y, 0 and 1 above, 2 and 3 below, or DROPPED. A place is
    dropped when the 32 bits of `draw` with this key are below `dropped`, else multiplied by `keep`, the bits of a float32.
    """
    words = words_of(data, 12)
    n, channels = words[1], words[2]
    scale, offset = float32s(words[3], channels), float32s(words[4], channels)
    width, key, dropped, keep = words[6], np.uint64(words[7]), np.uint32(words[8]), float_of_bits(np.uint32(words[9]))
    z, y = feature_map(data, words[0], n), feature_map(data, words[5], n // 4)
    best, winner = feature_map(data, words[10], n // 4), uint8s(words[11], n // 4)
    for k in own_chunks():
        _pool_chunk(z, scale, offset, width, key, dropped, keep, k, y, best, winner)


@Task
def normalise(data):
    """Compute the batch's statistics from the sums of `add_relu`, and update the running ones as torch does.

    z, n, channels, sums, squares, weight, bias, running mean, running variance, momentum, eps, numbers. The first five are
    those of `add_relu`; momentum and eps are float64's bits; numbers, written, are float32 (4, channels), the rest are
    (channels,): mean of relu(z), inverse = 1 / sqrt(variance + eps), and norm(x) = x * scale + offset. The variance of a
    batch is biased, the running one is not.
    """
    words = words_of(data, 12)
    channels, alone = words[2], own_part(1)
    if alone.start < alone.stop:
        lanes = lanes_of(channels)
        shift = first_pixel(feature_map(data, words[0], words[1]), channels)
        sums, squares = float32s(words[3], CHUNKS * lanes), float32s(words[4], CHUNKS * lanes)
        added = by_channel(sums, channels), by_channel(squares, channels)
        learned = float32s(words[5], channels), float32s(words[6], channels)
        running = float32s(words[7], channels), float32s(words[8], channels)
        rates, numbers = words.view(np.float64), float32s(words[11], 4 * channels)
        _statistics(added, shift, words[1] // channels, learned, running, rates[9], rates[10], numbers)


@njit(**NUMBA_OPTIONS)
def _statistics(added, shift, n, learned, running, momentum, eps, numbers):
    channels, (weight, bias), (running_mean, running_var) = len(shift), learned, running
    mean, inverse = numbers[:channels], numbers[channels : 2 * channels]
    scale, offset = numbers[2 * channels : 3 * channels], numbers[3 * channels :]
    for c in range(channels):
        off = added[0][c] / n
        variance = max(added[1][c] / n - off * off, 0.0)
        mean[c] = shift[c] + off
        inverse[c] = 1 / np.sqrt(variance + eps)
        running_mean[c] += momentum * (mean[c] - running_mean[c])
        running_var[c] += momentum * (variance * n / max(n - 1, 1) - running_var[c])
        scale[c] = weight[c] * inverse[c]
        offset[c] = bias[c] - mean[c] * scale[c]


@Task
def normalise_strips(data):
    """The same from the sums that `winograd_strips.gather` took while it wrote the map.

    added, images, rows, columns, channels, weight, bias, running mean, running variance, momentum, eps, numbers: added is
    (3, images * strips, channels), the others are as in `normalise`.
    """
    words = words_of(data, 12)
    channels, alone = words[4], own_part(1)
    if alone.start < alone.stop:
        shift = float32s(words[0], channels)
        added = _of_strips(words[0], words[1], words[2], words[3], shift)
        learned = float32s(words[5], channels), float32s(words[6], channels)
        running = float32s(words[7], channels), float32s(words[8], channels)
        rates, numbers = words.view(np.float64), float32s(words[11], 4 * channels)
        n = words[1] * words[2] * words[3]
        _statistics(added, shift, n, learned, running, rates[9], rates[10], numbers)


@njit(**NUMBA_OPTIONS)
def _of_strips(added, images, rows, columns, shift):
    """Sums over all strips of relu(z) - shift, and of its squares: float64 (channels,).

    Each strip's sums are about its own number, which differs from the shift by d. So n d is added to the sum, and 2 d times
    the sum plus n d^2 to the sum of squares.
    Source: T. Chan, G. Golub, R. LeVeque, "Algorithms for Computing the Sample Variance", The American Statistician 37(3),
    1983, doi:10.1080/00031305.1983.10483115.
    """
    channels, cut = len(shift), cut_of(rows, columns)
    strips, down, size = cut[0], cut[1] * SIDE, images * cut[0] * channels
    about, sums = float32s(added, size), float32s(added + 4 * size, size)
    squares = float32s(added + 8 * size, size)
    total, total_squares = np.zeros(channels), np.zeros(channels)
    for strip in range(images * strips):
        # After the last row there can be an empty strip.
        n = max(0, min(down, rows - strip % strips * down)) * columns
        for c in range(channels):
            at = strip * channels + c
            d = np.float64(about[at]) - np.float64(shift[c])
            total[c] += sums[at] + n * d
            total_squares[c] += squares[at] + d * (2 * np.float64(sums[at]) + n * d)
    return total, total_squares
