"""Inverted bottlenecks whose wide maps never leave a core's own cache, for networks that are looked at and not learned from.

Row by row: a 1x1 convolution makes the input's rows wide, the depthwise convolution takes as many of them as its kernel has
(`depthwise`), a second 1x1 convolution makes what comes out narrow again. Map by map, the wide ones, six times the input, go
to memory and back three times each.
"""

from __future__ import annotations

from numba import njit
from numba.extending import register_jitable

from foveola.models.loops.depthwise import LINE, TOGETHER, fill_row, write_row
from foveola.models.loops.numbers import HOW
from foveola.models.loops.strips import clear, copy
from foveola.models.loops.threads import CHUNKS, Task, float32s, int64s, own_chunks, own_thread, words_of
from foveola.models.loops.tiles import ROWS, multiply
from foveola.models.loops.vectors import WIDE

MOST = 5
"""Rows of the largest kernel."""


def memory_of(width: int, inputs: int, inner: int, outputs: int, kernel: int, stride: int) -> int:
    """How many bytes each thread needs: for addresses, the ring, and rows on their way to and from the 1x1 convolutions."""
    ring = kernel * (_padded(-(-width // stride), kernel, stride) * inner + LINE)
    needed = 8 * MOST + 4 * (ring + -(-width // ROWS) * ROWS * (inner + max(inputs, outputs)))
    return -(-needed // 64) * 64  # no two threads write to one line of the cache


@register_jitable(**HOW)
def _padded(columns, kernel, stride):
    """How many pixels a row of the ring has, so that one of so many columns comes out by groups of TOGETHER."""
    return (-(-columns // TOGETHER) * TOGETHER - 1) * stride + kernel


@njit(**HOW)
def _widen(words, image, row, line, long, room):
    """Put a row of the image, made wide if it is not, into a line of the ring; zeros for a row outside of it."""
    height, width, inputs, inner = words[3], words[4], words[5], words[6]
    if not 0 <= row < height:
        clear(line, 0, long * inner)
        return
    x = image + 4 * row * width * inputs
    if words[13]:
        wide = room + 4 * -(-width // ROWS) * ROWS * inputs
        copy(x, room, 0, width * inputs)  # the product reads on behind the row's end
        multiply(room, words[13], wide, width, inputs, inner, words[15])
        x = wide
    fill_row(line, x, words[14], width, inner, words[11], long)


@njit(**HOW)
def _narrow(words, x, y, columns, room):
    """Make a row of the wide map, at `room`, narrow: y, with the row x of the input added where the block does so."""
    inner, outputs, adds = words[6], words[7], words[12]
    sums = room + 4 * -(-columns // ROWS) * ROWS * inner
    multiply(room, words[18], sums, columns, inner, outputs, words[20])
    bias = float32s(words[19], outputs)
    for column in range(columns):
        at = 4 * column * outputs
        out, got, before = float32s(y + at, outputs), float32s(sums + at, outputs), float32s(x + at, outputs)
        for c in range(outputs):
            out[c] = got[c] + bias[c]
        if adds:
            for c in range(outputs):
                out[c] += before[c]


@Task
def bottleneck(data):
    """x, y, n, height, width, inputs, inner, outputs, kernel, stride, rows of padding above, columns at the left, adds,
    expand, its bias and panel, taps, their bias, project, its bias and panel, memory, bytes of it a thread.

    x: (n, height, width, inputs); y: (n, ceil(height / stride), ceil(width / stride), outputs); expand: (inner / panel,
    inputs, panel), or it and its bias 0 where the inputs are taken as they are; taps: (inner / 8, kernel * kernel, 8);
    project: (outputs / panel, inner, panel). All float32, channels multiples of 8, kernel 3 or 5, stride 1 or 2.
    """
    words = words_of(data, 23)
    n, height, width, inputs, inner, outputs = words[2], words[3], words[4], words[5], words[6], words[7]
    kernel, stride, taps = words[8], words[9], words[16]
    down, across = -(-height // stride), -(-width // stride)
    groups, long = -(-across // TOGETHER), _padded(across, kernel, stride)
    rows = words[21] + own_thread() * words[22]
    first, line = rows + 8 * MOST, 4 * (long * inner + LINE)
    room, places = first + kernel * line, int64s(rows, kernel)
    for k in own_chunks():
        seen, before = 0, -1
        for out in range(n * down * k // CHUNKS, n * down * (k + 1) // CHUNKS):
            picture, begin = out // down, out % down * stride
            image = words[0] + 4 * picture * height * width * inputs
            for row in range(max(seen, begin) if picture == before else begin, begin + kernel):
                _widen(words, image, row - words[10], first + row % kernel * line, long, room)
            for row in range(kernel):
                places[row] = first + (begin + row) % kernel * line
            for c in range(0, inner, WIDE):
                at = c * long, taps + 4 * c * kernel * kernel, words[17] + 4 * c, room + 4 * c
                write_row(rows, *at, groups, inner, kernel, stride)
            x, y = image + 4 * (out % down) * width * inputs, words[1] + 4 * out * across * outputs
            _narrow(words, x, y, across, room)
            seen, before = begin + kernel, picture
