"""Max pooling of 2x2 pixels, forward and backward, with the same bits as torch; sides may be odd."""

from __future__ import annotations

import numpy as np
from numba import njit

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS
from foveola_kernels.compiled.dtypes import get
from foveola_kernels.compiled.threads import CHUNKS, Task, feature_map, own_chunks, uint8s, words_of

DROPPED = 4
"""A value in the uint8 map of a pooling. 0 to 3 say which of the four pixels won, this one that dropout removed the value."""


@njit(**NUMBA_OPTIONS)
def _pool_row(above, below, width, channels, y, winner):
    for o in range(0, width // 2 * 2 * channels, 2 * channels):
        a, b = above[o : o + channels], above[o + channels : o + 2 * channels]
        c, d = below[o : o + channels], below[o + channels : o + 2 * channels]
        out, won = y[o // 2 : o // 2 + channels], winner[o // 2 : o // 2 + channels]
        for j in range(channels):
            # As in torch, the first of equal numbers wins, and NaN wins over all.
            best, bits, who = get(a, j), a[j], np.uint8(0)
            x = get(b, j)
            if x > best or x != x:
                best, bits, who = x, b[j], np.uint8(1)
            x = get(c, j)
            if x > best or x != x:
                best, bits, who = x, c[j], np.uint8(2)
            x = get(d, j)
            if x > best or x != x:
                best, bits, who = x, d[j], np.uint8(3)
            out[j] = bits
            won[j] = who


@njit(**NUMBA_OPTIONS)
def _chunk_of_pairs(pixels, height, width, k):
    """The pairs of rows of chunk k, from the first to one after the last; `pixels` is the number in all images."""
    pairs = pixels // (height * width) * (height // 2)
    step = -(-pairs // CHUNKS)
    return k * step, min((k + 1) * step, pairs)


@njit(**NUMBA_OPTIONS)
def _begin(pair, height):
    """The first row of a pair, counted through the rows of all images."""
    return pair // (height // 2) * height + pair % (height // 2) * 2


@njit(**NUMBA_OPTIONS)
def _pool_pairs(z, height, width, channels, k, y, winner):
    row, short = width * channels, width // 2 * channels
    first, beyond = _chunk_of_pairs(len(z) // channels, height, width, k)
    for pair in range(first, beyond):
        begin, there = _begin(pair, height) * row, slice(pair * short, (pair + 1) * short)
        _pool_row(z[begin : begin + row], z[begin + row : begin + 2 * row], width, channels, y[there], winner[there])


@Task
def max_pool(data):
    """y = maxpool2x2(z), and which of the four pixels each value comes from: z, n, height, width, channels, y, winner.

    z: (n, height, width, channels); y and winner: (n, height // 2, width // 2, channels), winner uint8, 0 and 1 above, 2 and
    3 below. An odd row or column at the end is ignored.
    """
    words = words_of(data, 7)
    n, height, width, channels = words[1], words[2], words[3], words[4]
    many, few = n * height * width * channels, n * (height // 2) * (width // 2) * channels
    z, y, winner = feature_map(data, words[0], many), feature_map(data, words[5], few), uint8s(words[6], few)
    for k in own_chunks():
        _pool_pairs(z, height, width, channels, k, y, winner)


@njit(**NUMBA_OPTIONS)
def spread(dy, winner, width, channels, out):
    """Two rows of gradients from one row after the pooling: each value goes to the pixel that won, the others get 0."""
    row, nothing = width * channels, dy.dtype.type(0)
    for o in range(0, width // 2 * 2 * channels, 2 * channels):
        some, won = dy[o // 2 : o // 2 + channels], winner[o // 2 : o // 2 + channels]
        for side in range(2):  # two places per loop: with four, the check for overlaps takes longer than the work
            a = out[side * row + o : side * row + o + channels]
            b = out[side * row + o + channels : side * row + o + 2 * channels]
            left, right = np.uint8(2 * side), np.uint8(2 * side + 1)
            for j in range(channels):
                a[j] = some[j] if won[j] == left else nothing
                b[j] = some[j] if won[j] == right else nothing
    if width % 2:
        out[row - channels : row] = nothing
        out[2 * row - channels : 2 * row] = nothing


@njit(**NUMBA_OPTIONS)
def _back_pairs(dy, winner, height, width, channels, k, dz):
    row, short = width * channels, width // 2 * channels
    first, beyond = _chunk_of_pairs(len(dz) // channels, height, width, k)
    for pair in range(first, beyond):
        begin, there = _begin(pair, height) * row, slice(pair * short, (pair + 1) * short)
        spread(dy[there], winner[there], width, channels, dz[begin : begin + 2 * row])
        if height % 2 and (pair + 1) % (height // 2) == 0:
            dz[begin + 2 * row : begin + 3 * row] = dy.dtype.type(0)


@Task
def max_pool_back(data):
    """The gradient of `max_pool`'s input, written whole: dz, n, height, width, channels, dy, winner."""
    words = words_of(data, 7)
    n, height, width, channels = words[1], words[2], words[3], words[4]
    many, few = n * height * width * channels, n * (height // 2) * (width // 2) * channels
    dz, dy, winner = feature_map(data, words[0], many), feature_map(data, words[5], few), uint8s(words[6], few)
    for k in own_chunks():
        _back_pairs(dy, winner, height, width, channels, k, dz)
