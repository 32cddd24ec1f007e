"""The gradient of a convolution's weights in float32, for processors with vectors of eight numbers (AVX2).

oneDNN computes it there at half the rate of its other convolutions (docs/why/speed.md). Here a tile of 4 or 6 outputs by 8 to
24 inputs stays in registers while some rows of a picture go by: each pixel adds the outer product of what came in and the
gradient of what went out. Before that a picture's channels are laid side by side as the tiles take them. Method: K. Goto and
R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008, doi:10.1145/1356052.1356053.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from foveola.models.loops.numbers import HOW
from foveola.models.loops.threads import Task, float32s, own_part, words_of
from foveola.models.loops.tiles import add_tile, height_of_tile, width_of_tile

GROUPS, QUARTERS = 8, 4
"""The work comes in pieces: pictures in so many groups, each with sums of its own, times so many shares of the outputs."""

_AT_ONCE = 2**14
"""So many bytes of a packed map, half of a core's first cache, are gone over before the next rows are begun."""


@njit(**HOW)
def _pack(maps, pixels, channels, begin, wide, out):
    """Write the channels from `begin` on, `wide` of them, of all pixels side by side."""
    for pixel in range(pixels):
        place = pixel * channels + begin
        some, to = maps[place : place + wide], out[pixel * wide : (pixel + 1) * wide]
        for j in range(wide):
            to[j] = some[j]


@njit(**HOW)
def _pack_inputs(x, pixels, inputs, out):
    begin = 0
    while begin < inputs:
        wide = width_of_tile(inputs, begin)
        _pack(x, pixels, inputs, begin, wide, out[begin * pixels :])
        begin += wide


@njit(**HOW)
def _pack_outputs(dy, pixels, inputs, outputs, first, beyond, out):
    begin = first
    while begin < beyond:
        high = height_of_tile(inputs, beyond, begin)
        _pack(dy, pixels, outputs, begin, high, out[begin * pixels :])
        begin += high


@njit(**HOW)
def _add_rows(x, dy, dw, shape, begin, end, wide, high):
    """Add the rows of dy from `begin` to `end` to one tile at every place of the kernel; x, dy, dw: addresses of the tile."""
    height, width, inputs, _, tall, broad, above, left = shape
    columns, step = width + 2 * left - broad + 1, tall * broad * inputs
    for i in range(tall):
        top, bottom = max(begin, above - i), min(end, height + above - i)
        for j in range(broad):
            first, beyond = max(0, left - j), min(columns, width + left - j)
            if top < bottom and first < beyond:
                at = ((top + i - above) * width + first + j - left) * wide
                gradient, place = (top * columns + first) * high, (i * broad + j) * inputs
                size = bottom - top, beyond - first, width * wide, columns * high
                add_tile(x + 4 * at, dy + 4 * gradient, dw + 4 * place, *size, wide, high, step)


@njit(**HOW)
def _add_picture(x, dy, dw, shape, first, beyond):
    """Add one picture, its packed maps as arrays, to the sums at the address dw: the outputs from `first` to `beyond`."""
    height, width, inputs, _, tall, broad, above, left = shape
    rows, columns = height + 2 * above - tall + 1, width + 2 * left - broad + 1
    many = max(1, _AT_ONCE // (4 * 16 * columns))
    for begin in range(0, rows, many):
        from_input = 0
        while from_input < inputs:
            wide = width_of_tile(inputs, from_input)
            from_output = first
            while from_output < beyond:
                high = height_of_tile(inputs, beyond, from_output)
                its_x = x.ctypes.data + 4 * from_input * height * width
                its_dy = dy.ctypes.data + 4 * from_output * rows * columns
                its_dw = dw + 4 * (from_output * tall * broad * inputs + from_input)
                _add_rows(its_x, its_dy, its_dw, shape, begin, min(begin + many, rows), wide, high)
                from_output += high
            from_input += wide


@Task
def add_weight_gradients(data):
    """Each group's sums over its pictures: x, dy, sums, n, height, width, inputs, outputs, kernel's sides, padding's sides.

    x: (n, height, width, inputs), inputs a multiple of 8; dy: (n, height + 2 padding - kernel + 1, the same of the width,
    outputs), outputs a multiple of 4; sums are written whole: float32 (GROUPS, outputs, kernel, kernel, inputs).
    """
    words = words_of(data, 12)
    n, height, width, inputs, outputs = words[3], words[4], words[5], words[6], words[7]
    tall, broad, above, left = words[8], words[9], words[10], words[11]
    shape = height, width, inputs, outputs, tall, broad, above, left
    pixels, fewer = height * width, (height + 2 * above - tall + 1) * (width + 2 * left - broad + 1)
    x, dy = np.empty(pixels * inputs, np.float32), np.empty(fewer * outputs, np.float32)
    step = tall * broad * inputs
    part = own_part(GROUPS * QUARTERS)
    for group in range(part.start // QUARTERS, -(-part.stop // QUARTERS)):
        # All of a group's quarters that are this thread's at once: what is added to a number, and in which order, stays.
        first = outputs // 4 * max(part.start - QUARTERS * group, 0) // QUARTERS * 4
        beyond = outputs // 4 * min(part.stop - QUARTERS * group, QUARTERS) // QUARTERS * 4
        if first == beyond:
            continue
        sums = words[2] + 4 * group * outputs * step
        float32s(sums + 4 * first * step, (beyond - first) * step)[:] = np.float32(0)
        for picture in range(n * group // GROUPS, n * (group + 1) // GROUPS):
            _pack_inputs(float32s(words[0] + 4 * picture * len(x), len(x)), pixels, inputs, x)
            its_dy = float32s(words[1] + 4 * picture * len(dy), len(dy))
            _pack_outputs(its_dy, fewer, inputs, outputs, first, beyond, dy)
            _add_picture(x, dy, sums, shape, first, beyond)
