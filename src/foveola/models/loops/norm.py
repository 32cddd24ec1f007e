"""ReLU and batch norm in two passes, and both with pooling and dropout behind them; forward and back."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from foveola.models.loops.numbers import CHUNKS, HOW, LANES, PARALLEL, by_channel, draw, get, put, relu, repeated
from foveola.models.loops.pool import DROPPED, spread


@njit(**HOW)
def _add_relu(z, shift, sums, squares):
    lanes = len(shift)
    for begin in range(0, len(z), lanes):
        some = z[begin : begin + lanes]
        for j in range(len(some)):
            x = relu(get(some, j)) - shift[j]
            sums[j] += x
            squares[j] += x * x


@njit(**PARALLEL)
def statistics(z, mean, inverse, running_mean, running_var, momentum, eps):
    """Mean of relu(z) and 1 / sqrt(variance + eps), a number a channel; the running ones move on as torch moves them.

    z: flat, n pixels of C channels; all others float32 (C,), the first two are written. The variance of a batch is biased,
    the running one is not.
    """
    channels = len(mean)
    lanes = channels * -(-LANES // channels)
    step = -(-len(z) // (lanes * CHUNKS)) * lanes
    shift = np.empty(channels, np.float32)  # squares of what is far from 0 lose digits: take the first pixel as 0
    for c in range(channels):
        shift[c] = relu(get(z, c))
    shifts = repeated(shift, lanes)
    sums, squares = np.zeros((CHUNKS, lanes), np.float32), np.zeros((CHUNKS, lanes), np.float32)
    for k in prange(CHUNKS):
        _add_relu(z[k * step : (k + 1) * step], shifts, sums[k], squares[k])
    first, second = by_channel(sums, channels), by_channel(squares, channels)
    n = len(z) // channels
    for c in range(channels):
        off = first[c] / n
        variance = max(second[c] / n - off * off, 0.0)
        mean[c] = shift[c] + off
        inverse[c] = 1 / np.sqrt(variance + eps)
        running_mean[c] += momentum * (mean[c] - running_mean[c])
        running_var[c] += momentum * (variance * n / max(n - 1, 1) - running_var[c])


@njit(**HOW)
def _affine(z, scale, offset, y):
    lanes = len(scale)
    for begin in range(0, len(z), lanes):
        some, out = z[begin : begin + lanes], y[begin : begin + lanes]
        for j in range(len(some)):
            put(out, j, relu(get(some, j)) * scale[j] + offset[j])


@njit(**PARALLEL)
def relu_norm(z, scale, offset, y):
    """y = relu(z) * scale + offset; z, y flat, scale and offset float32 (C,)."""
    lanes = len(scale) * -(-LANES // len(scale))
    step = -(-len(z) // (lanes * CHUNKS)) * lanes
    scales, offsets = repeated(scale, lanes), repeated(offset, lanes)
    for k in prange(CHUNKS):
        _affine(z[k * step : (k + 1) * step], scales, offsets, y[k * step : (k + 1) * step])


@njit(**HOW)
def _pool_rows(z, scale, offset, width, key, dropped, keep, first, y, winner):
    channels = len(scale)
    row = width * channels
    for r in range(len(z) // (2 * row)):
        above, below = z[2 * r * row : (2 * r + 1) * row], z[(2 * r + 1) * row : (2 * r + 2) * row]
        for o in range(0, row, 2 * channels):
            a, b = above[o : o + channels], above[o + channels : o + 2 * channels]
            c, d = below[o : o + channels], below[o + channels : o + 2 * channels]
            at = (r * row + o) // 2
            out, won = y[at : at + channels], winner[at : at + channels]
            for j in range(channels):
                best, who = relu(get(a, j)) * scale[j], np.uint8(0)
                x = relu(get(b, j)) * scale[j]
                if x > best or x != x:
                    best, who = x, np.uint8(1)
                x = relu(get(c, j)) * scale[j]
                if x > best or x != x:
                    best, who = x, np.uint8(2)
                x = relu(get(d, j)) * scale[j]
                if x > best or x != x:
                    best, who = x, np.uint8(3)
                best = (best + offset[j]) * keep
                if draw(key, np.uint64(first + at + j)) < dropped:
                    best, who = np.float32(0), np.uint8(DROPPED)
                put(out, j, best)
                won[j] = who


@njit(**PARALLEL)
def relu_norm_pool_drop(z, scale, offset, width, key, dropped, keep, y, winner):
    """y = dropout(maxpool2x2(relu(z) * scale + offset)), and which of the four pixels each value is from.

    z: flat, rows of `width` pixels, an even number of both; y flat, a quarter as long, winner uint8 like y. key: uint64, of
    `draw`; a place is 0 when its 32 bits are below `dropped` (uint32), else it is multiplied by `keep` (float32).
    """
    pair = 2 * width * len(scale)
    step = -(-len(z) // (pair * CHUNKS)) * pair
    for k in prange(CHUNKS):
        part, quarter = slice(k * step, (k + 1) * step), slice(k * step // 4, (k + 1) * step // 4)
        _pool_rows(z[part], scale, offset, width, key, dropped, keep, k * step // 4, y[quarter], winner[quarter])


@njit(**HOW)
def _add_gradients(z, dy, mean, sums, products):
    lanes = len(mean)
    for begin in range(0, len(z), lanes):
        some, gradient = z[begin : begin + lanes], dy[begin : begin + lanes]
        for j in range(len(some)):
            g = get(gradient, j)
            sums[j] += g
            products[j] += g * (relu(get(some, j)) - mean[j])


@njit(**HOW)
def _add_pooled(z, dy, winner, width, channels, mean, sums, products):
    pair = 2 * width * channels
    gradient = np.empty(pair, dy.dtype)
    for begin in range(0, len(z), pair):
        quarter = slice(begin // 4, (begin + pair) // 4)
        spread(dy[quarter], winner[quarter], width, channels, gradient)
        _add_gradients(z[begin : begin + pair], gradient, mean, sums, products)


@njit(**HOW)
def _back(z, dy, slope, tilt, level, dz):
    lanes = len(slope)
    for begin in range(0, len(z), lanes):
        some, gradient, out = z[begin : begin + lanes], dy[begin : begin + lanes], dz[begin : begin + lanes]
        for j in range(len(some)):
            x = get(some, j)
            g = slope[j] * get(gradient, j) + (tilt[j] * x + level[j])
            put(out, j, np.float32(0) if x <= np.float32(0) else g)


@njit(**HOW)
def _back_pooled(z, dy, winner, width, channels, slope, tilt, level, dz):
    pair = 2 * width * channels
    gradient = np.empty(pair, dy.dtype)
    for begin in range(0, len(z), pair):
        quarter = slice(begin // 4, (begin + pair) // 4)
        spread(dy[quarter], winner[quarter], width, channels, gradient)
        _back(z[begin : begin + pair], gradient, slope, tilt, level, dz[begin : begin + pair])


@njit(**PARALLEL)
def gradients(z, dy, winner, width, keep, weight, mean, inverse, dz, dweight, dbias):
    """Gradients of z, weight and bias through [dropout, pooling,] batch norm and ReLU: the three last are written.

    With r = relu(z), x = (r - mean) * inverse and g the gradient of the norm's output, n pixels: dbias = sum g,
    dweight = sum g x, dz = weight * inverse * (g - dbias / n - x * dweight / n) where z > 0 (S. Ioffe and C. Szegedy, 2015,
    arXiv:1502.03167). winner: of `relu_norm_pool_drop`, or empty: no pooling. The constant `keep` is taken into the sums'
    and the slope's factors.
    """
    channels = len(weight)
    lanes = channels * -(-LANES // channels)
    pooled = len(winner) > 0
    unit = 2 * width * channels if pooled else lanes
    step = -(-len(z) // (unit * CHUNKS)) * unit
    means = repeated(mean, lanes)
    sums, products = np.zeros((CHUNKS, lanes), np.float32), np.zeros((CHUNKS, lanes), np.float32)
    for k in prange(CHUNKS):
        part, quarter = slice(k * step, (k + 1) * step), slice(k * step // 4, (k + 1) * step // 4)
        if pooled:
            _add_pooled(z[part], dy[quarter], winner[quarter], width, channels, means, sums[k], products[k])
        else:
            _add_gradients(z[part], dy[part], means, sums[k], products[k])
    first, second = by_channel(sums, channels), by_channel(products, channels)
    n = len(z) // channels
    slope, tilt, level = np.empty(channels, np.float32), np.empty(channels, np.float32), np.empty(channels, np.float32)
    for c in range(channels):
        dbias[c] = first[c] * keep
        dweight[c] = second[c] * keep * inverse[c]
        factor = weight[c] * inverse[c]
        slope[c] = factor * keep
        tilt[c] = -factor * inverse[c] * dweight[c] / n
        level[c] = -factor * dbias[c] / n - tilt[c] * mean[c]
    slopes, tilts, levels = repeated(slope, lanes), repeated(tilt, lanes), repeated(level, lanes)
    for k in prange(CHUNKS):
        part, quarter = slice(k * step, (k + 1) * step), slice(k * step // 4, (k + 1) * step // 4)
        if pooled:
            _back_pooled(z[part], dy[quarter], winner[quarter], width, channels, slopes, tilts, levels, dz[part])
        else:
            _back(z[part], dy[part], slopes, tilts, levels, dz[part])
