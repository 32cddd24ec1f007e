"""The gradient of a convolution's weights in float32, for any kernel size; `winograd_conv` computes it for 3x3.

oneDNN computes it at half the speed of its other convolutions (docs/why/speed.md). Here a tile of 4 or 6 outputs by 8 to 24
inputs stays in registers while all pixels of an image are added: each pixel adds the outer product of the input and the
output's gradient. Nothing is packed: with channels-last the numbers of a tile are adjacent.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS
from foveola_kernels.compiled.threads import Task, float32s, own_part, words_of
from foveola_kernels.compiled.tiles import add_products

GROUPS, QUARTERS = 8, 4
"""The pieces of work: groups of images, each with separate sums, times shares of the outputs."""


@njit(**NUMBA_OPTIONS)
def _add_image(x, dy, dw, shape, first, beyond):
    """Add one image's maps to the sums, all three addresses: the outputs from `first` to `beyond`."""
    height, width, inputs, outputs, tall, broad, above, left = shape
    rows, columns = height + 2 * above - tall + 1, width + 2 * left - broad + 1
    for i in range(tall):
        top, bottom = max(0, above - i), min(rows, height + above - i)
        for j in range(broad):
            begin, end = max(0, left - j), min(columns, width + left - j)
            if top < bottom and begin < end:
                at = x + 4 * ((top + i - above) * width + begin + j - left) * inputs
                gradient, place = dy + 4 * (top * columns + begin) * outputs, dw + 4 * (i * broad + j) * inputs
                size = bottom - top, end - begin, width * inputs, columns * outputs
                add_products(at, gradient, place, *size, inputs, outputs, tall * broad * inputs, first, beyond)


@Task
def add_weight_gradients(data):
    """Each group's sums over its images: x, dy, sums, n, height, width, inputs, outputs, kernel's sides, padding's sides.

    x: (n, height, width, inputs), inputs a multiple of 8; dy: (n, height + 2 padding - kernel + 1, the same of the width,
    outputs), outputs a multiple of 4; sums are written whole: float32 (GROUPS, outputs, kernel, kernel, inputs).
    """
    words = words_of(data, 12)
    n, height, width, inputs, outputs = words[3], words[4], words[5], words[6], words[7]
    tall, broad, above, left = words[8], words[9], words[10], words[11]
    shape = height, width, inputs, outputs, tall, broad, above, left
    pixels, fewer = height * width, (height + 2 * above - tall + 1) * (width + 2 * left - broad + 1)
    step = tall * broad * inputs
    part = own_part(GROUPS * QUARTERS)
    for group in range(part.start // QUARTERS, -(-part.stop // QUARTERS)):
        # This thread's quarters of a group at once. The terms of a sum and their order do not change.
        first = outputs // 4 * max(part.start - QUARTERS * group, 0) // QUARTERS * 4
        beyond = outputs // 4 * min(part.stop - QUARTERS * group, QUARTERS) // QUARTERS * 4
        if first == beyond:
            continue
        sums = words[2] + 4 * group * outputs * step
        float32s(sums + 4 * first * step, (beyond - first) * step)[:] = np.float32(0)
        for image in range(n * group // GROUPS, n * (group + 1) // GROUPS):
            x, dy = words[0] + 4 * image * pixels * inputs, words[1] + 4 * image * fewer * outputs
            _add_image(x, dy, sums, shape, first, beyond)
