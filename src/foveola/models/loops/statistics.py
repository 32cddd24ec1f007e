"""A batch's statistics out of the sums over parts of a feature map: what batch norm needs before it can write anything."""

from __future__ import annotations

import numpy as np
from numba import njit

from foveola.models.loops.norm import first_pixel
from foveola.models.loops.numbers import HOW, by_channel, lanes_of
from foveola.models.loops.strips import SIDE, cut_of
from foveola.models.loops.threads import CHUNKS, Task, feature_map, float32s, own_part, words_of


@Task
def normalise(data):
    """What `add_relu` has added up becomes the batch's statistics; the running ones move on as torch moves them.

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


@njit(**HOW)
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
    """The same from what `strips.gather` has added up while the map was written.

    added, pictures, rows, columns, channels, weight, bias, running mean, running variance, momentum, eps, numbers: added is
    (3, pictures * strips, channels), the others are as in `normalise`.
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


@njit(**HOW)
def _of_strips(added, pictures, rows, columns, shift):
    """Sums over all strips of relu(z) - shift, and of its squares: float64 (channels,).

    Each strip's own are about a number of its own, d away from the shift: n d more, and 2 d times the sum and n d^2 more.
    Source: T. Chan, G. Golub, R. LeVeque, "Algorithms for Computing the Sample Variance", The American Statistician 37(3),
    1983, doi:10.1080/00031305.1983.10483115.
    """
    channels, cut = len(shift), cut_of(rows, columns)
    strips, down, size = cut[0], cut[1] * SIDE, pictures * cut[0] * channels
    about, sums = float32s(added, size), float32s(added + 4 * size, size)
    squares = float32s(added + 8 * size, size)
    total, total_squares = np.zeros(channels), np.zeros(channels)
    for strip in range(pictures * strips):
        # Behind the last row there can be a strip of none.
        n = max(0, min(down, rows - strip % strips * down)) * columns
        for c in range(channels):
            at = strip * channels + c
            d = np.float64(about[at]) - np.float64(shift[c])
            total[c] += sums[at] + n * d
            total_squares[c] += squares[at] + d * (2 * np.float64(sums[at]) + n * d)
    return total, total_squares
