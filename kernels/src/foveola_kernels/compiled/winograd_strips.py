"""Maps are cut into strips of tiles, which are transformed from pixels to the planes of `winograd_transforms`, and back.

The pixels of a strip with their margin are copied and transformed into 36 planes (tiles, channels). Several strips are
combined, so that the planes have enough rows for a matrix product and still fit a core's cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import register_jitable

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS
from foveola_kernels.compiled.dtypes import relu
from foveola_kernels.compiled.row_kernels import finished, finished_with_products, finished_with_squares, normed
from foveola_kernels.compiled.simd import WIDE
from foveola_kernels.compiled.threads import float32s
from foveola_kernels.compiled.tiles import ROWS
from foveola_kernels.compiled.winograd_transforms import back_to_pixels, transform_gradients, transform_pixels

PLANES, SIDE, MARGIN = 36, 4, 2
TILES = 48
"""Number of tiles that are computed together, at least one row of a map. 12 to 96 are equally fast."""


@register_jitable(**NUMBA_OPTIONS)
def cut_of(rows, columns):
    """How an output map is cut: (strips, rows of tiles in a strip, tiles in a row, strips that are combined)."""
    down, across = -(-rows // SIDE), -(-columns // SIDE)
    strips = min(down, -(-down * across // TILES))
    down = -(-down // strips)
    return strips, down, across, max(1, TILES // (down * across))


@register_jitable(**NUMBA_OPTIONS)
def plane_of(cut, channels):
    """The distance of two planes in numbers: with one more cache line, so that not all 36 use the same lines."""
    tiles = cut[1] * cut[2] * cut[3]
    return -(-tiles // ROWS) * ROWS * channels + 16


def memory_of(rows: int, columns: int, inputs: int, outputs: int) -> int:
    """The bytes that each thread needs for output maps of this size: planes, the pixels of a strip, totals.

    The memory is passed to a task. A task that allocates arrays would need a second function that takes their addresses, and
    each function is compiled with everything that it calls.
    """
    cut = cut_of(rows, columns)
    pixels = (cut[1] * SIDE + MARGIN) * (cut[2] * SIDE + MARGIN) * max(inputs, outputs)
    needed = PLANES * (plane_of(cut, inputs) + plane_of(cut, outputs)) + pixels + outputs
    return -(-4 * needed // 64) * 64  # no two threads write to one cache line


# Loops and no slices: numba would compile the text of the error for slices of different lengths, 4 seconds.
@njit(**NUMBA_OPTIONS)
def copy(source, target, begin, end):
    there, here = float32s(source, end), float32s(target, end)
    for place in range(begin, end):
        here[place] = there[place]


@njit(**NUMBA_OPTIONS)
def clear(target, begin, end):
    here = float32s(target, end)
    for place in range(begin, end):
        here[place] = np.float32(0)


@njit(**NUMBA_OPTIONS)
def _copy_in(image, shape, top, left, to, rows, columns, norm):
    """Copy rows and columns of an image, starting at (top, left); pixels outside of the image are zero.

    image, to: addresses; shape: height, width, channels; norm: as in `spread`.
    """
    height, width, channels = shape
    begin = min(columns, max(0, -left)) * channels
    end = max(begin, min(columns, width - left) * channels)
    for row in range(rows):
        line = to + 4 * row * columns * channels
        beyond = end if 0 <= top + row < height else begin
        source, pixels = image + 4 * ((top + row) * width + left) * channels, (beyond - begin) // channels
        if not norm:
            copy(source, line, begin, beyond)
        elif pixels:
            at = source + 4 * begin, line + 4 * begin, norm, norm + 4 * channels
            normed(at, pixels, channels // WIDE)
        clear(line, 0, begin)
        clear(line, beyond, columns * channels)


@njit(**NUMBA_OPTIONS)
def add_pixels(totals, patch, pixels):
    """Add pixels to the totals, one total per channel."""
    channels = len(totals)
    for pixel in range(pixels):
        some = float32s(patch + 4 * pixel * channels, channels)
        for c in range(channels):
            totals[c] += some[c]


@njit(**NUMBA_OPTIONS)
def spread(maps, shape, origin, margin, cut, part, patch, planes, plane, totals, norm):
    """Transform the strips of a part, range of their numbers, into planes: pixels where there is a margin, else gradients.

    maps: address (images, *shape); origin: the position of the first strip's first pixel; patch: memory for one strip's
    pixels; totals: an array to which they are added by channel, or an empty one; norm: 0, or the address of scale and offset,
    (2, channels), of a ReLU and batch norm that are applied first.
    """
    strips, down, across, _ = cut
    channels, columns = shape[2], across * SIDE + margin
    for strip in part:
        image = maps + 4 * (strip // strips) * shape[0] * shape[1] * channels
        top = origin[0] + strip % strips * down * SIDE
        _copy_in(image, shape, top, origin[1], patch, down * SIDE + margin, columns, norm)
        if len(totals):
            add_pixels(totals, patch, (down * SIDE + margin) * columns)
        for tile in range(down * across):
            pixel = (tile // across * columns + tile % across) * SIDE
            source = patch + 4 * pixel * channels
            target = planes + 4 * ((strip - part.start) * down * across + tile) * channels
            if margin:
                transform_pixels(source, target, columns * channels, channels, 6 * plane, plane, channels // 8)
            else:
                transform_gradients(source, target, columns * channels, channels, 6 * plane, plane, channels // 8)


@njit(**NUMBA_OPTIONS)
def gather(planes, plane, cut, part, patch, bias, maps, shape, added, z, mean):
    """Transform the strips of a part back, add the bias and write to maps: address (images, *shape).

    added: three addresses (strips, channels), or zeros. With x = relu(maps), it gets each strip's first x, the sum of the
    differences from it, and the sum of their squares. With z, address (images, *shape), whose gradients the maps are, x =
    relu(z) and it gets the sums of the gradients and of their products with x - mean, an address.
    """
    strips, down, across, _ = cut
    rows, columns, channels = shape
    line, vectors = across * SIDE * channels, channels // WIDE
    for strip in part:
        for tile in range(down * across):
            source = planes + 4 * ((strip - part.start) * down * across + tile) * channels
            target = patch + 4 * (tile // across * line + tile % across * channels) * SIDE
            back_to_pixels(source, target, 6 * plane, plane, line, channels, vectors)
        top, own = strip % strips * down * SIDE, 4 * strip * channels
        about, sums, products = added[0] + own, added[1] + own, added[2] + own
        if added[1]:
            clear(sums, 0, channels)
            clear(products, 0, channels)
            if not z:
                _relu_pixel(patch, bias, about, channels)
        for row in range(min(down * SIDE, rows - top)):
            place = 4 * ((strip // strips * rows + top + row) * columns) * channels
            source, target = patch + 4 * row * line, maps + place
            if not added[1]:
                finished((source, target, bias), columns, vectors)
            elif z:
                at = source, target, z + place, bias, mean, sums, products
                finished_with_products(at, columns, vectors)
            else:
                finished_with_squares((source, target, bias, about, sums, products), columns, vectors)


@njit(**NUMBA_OPTIONS)
def _relu_pixel(pixel, bias, to, channels):
    some, offset, out = float32s(pixel, channels), float32s(bias, channels), float32s(to, channels)
    for c in range(channels):
        out[c] = relu(some[c] + offset[c])
