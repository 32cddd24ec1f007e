"""ReLU and batch norm in two passes over a feature map, and both with pooling and dropout behind them: forward.

Words of the tasks: a feature map is its address, its number of elements beside it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from foveola.models.loops.numbers import HOW, draw, float_of_bits, get, lanes_of, put, relu, repeated
from foveola.models.loops.pool import DROPPED
from foveola.models.loops.threads import CHUNKS, Task, feature_map, float32s, own_chunks, uint8s, words_of


@njit(**HOW)
def _add_relu(z, shift, sums, squares):
    lanes = len(shift)
    for begin in range(0, len(z), lanes):
        some = z[begin : begin + lanes]
        for j in range(len(some)):
            x = relu(get(some, j)) - shift[j]
            sums[j] += x
            squares[j] += x * x


@njit(**HOW)
def first_pixel(z, channels):
    """The first pixel's relu(z): float32 (channels,)."""
    out = np.empty(channels, np.float32)
    for c in range(channels):
        out[c] = relu(get(z, c))
    return out


@njit(**HOW)
def _add_chunk(z, channels, k, sums, squares):
    lanes = lanes_of(channels)
    step = -(-len(z) // (lanes * CHUNKS)) * lanes
    sums[:], squares[:] = 0, 0
    # Squares of what is far from 0 lose digits: take the first pixel for 0.
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


@njit(**HOW)
def _affine(z, scale, offset, y):
    lanes = len(scale)
    for begin in range(0, len(z), lanes):
        some, out = z[begin : begin + lanes], y[begin : begin + lanes]
        for j in range(len(some)):
            put(out, j, relu(get(some, j)) * scale[j] + offset[j])


@njit(**HOW)
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


@njit(**HOW)
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


@njit(**HOW)
def _pool_chunk(z, scale, offset, width, key, dropped, keep, k, y, best, winner):
    pair = 2 * width * len(scale)
    step = -(-len(z) // (pair * CHUNKS)) * pair
    first, quarter = k * step // 4, slice(k * step // 4, (k + 1) * step // 4)
    part, own = z[k * step : (k + 1) * step], (y[quarter], best[quarter], winner[quarter])
    _pool_rows(part, scale, offset, width, key, dropped, keep, first, *own)


@Task
def relu_norm_pool_drop(data):
    """y = dropout(maxpool2x2(relu(z) * scale + offset)); which of the four pixels each value is from, and what z was there.

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
