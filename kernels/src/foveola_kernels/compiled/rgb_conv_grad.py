"""The gradient of the weights of a first layer, whose images have few channels, such as red, green and blue.

The numbers under one row of the convolution's kernel are adjacent in memory (nine for 3x3 taps on RGB). They are the height
of a tile, the outputs are its width. oneDNN pads its vectors with empty channels here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS
from foveola_kernels.compiled.row_kernels import backed
from foveola_kernels.compiled.simd import WIDE
from foveola_kernels.compiled.threads import CHUNKS, Task, float32s, own_chunks, own_thread, words_of
from foveola_kernels.compiled.tiles import add_few_taps
from foveola_kernels.compiled.winograd_strips import add_pixels

ROWS = 4
"""Number of rows of a map that stay in a core's nearest cache while all taps are computed."""


@njit(**NUMBA_OPTIONS)
def _add_image(x, dy, dw, totals, width, inputs, kernel, rows, columns, z, factors, patch):
    """Add one image's maps to the sums, all three addresses; z, factors and patch are addresses too, or 0."""
    outputs, (tall, broad) = len(totals), kernel
    for top in range(0, rows, ROWS):
        many, own = min(ROWS, rows - top), 4 * top * columns * outputs
        gradient = patch if z else dy + own
        if z:
            at = z + own, dy + own, patch, factors, factors + 4 * outputs, factors + 8 * outputs
            backed(at, many * columns, outputs // WIDE)
        add_pixels(totals, gradient, many * columns)
        for i in range(tall):
            at, to = x + 4 * (top + i) * width * inputs, dw + 4 * i * broad * inputs * outputs
            add_few_taps(
                gradient, at, to, many, columns, columns * outputs, width * inputs, outputs, inputs, broad * inputs
            )


@Task
def add_rgb_conv_gradients(data):
    """Each chunk's sums over its images: x, dy, sums, totals, n, height, width, inputs, outputs, the kernel's sides, z,
    factors, memory, its bytes for each thread.

    x: (n, height, width, inputs), padded already; dy: (n, height - kernel + 1, the same of the width, outputs), outputs a
    multiple of 24 or 32. Written whole: sums (CHUNKS, kernel, kernel, inputs, outputs), kernel's width times inputs a
    multiple of 3, and totals of dy (CHUNKS, outputs). All float32. With z, like dy, and factors, of
    `batchnorm_backward.coefficients`, dy still has to go back through a batch norm and a ReLU, ROWS rows at a time in the
    memory; all four may be 0.
    """
    words = words_of(data, 15)
    n, height, width, inputs, outputs = words[4], words[5], words[6], words[7], words[8]
    kernel = words[9], words[10]
    rows, columns, size = height - kernel[0] + 1, width - kernel[1] + 1, kernel[0] * kernel[1] * inputs * outputs
    patch = words[13] + own_thread() * words[14]
    for k in own_chunks():
        sums, totals = words[2] + 4 * k * size, float32s(words[3] + 4 * k * outputs, outputs)
        float32s(sums, size)[:] = np.float32(0)
        totals[:] = np.float32(0)
        for image in range(n * k // CHUNKS, n * (k + 1) // CHUNKS):
            x, own = words[0] + 4 * image * height * width * inputs, 4 * image * rows * columns * outputs
            z = words[11] + own if words[11] else 0
            _add_image(x, words[1] + own, sums, totals, width, inputs, kernel, rows, columns, z, words[12], patch)
