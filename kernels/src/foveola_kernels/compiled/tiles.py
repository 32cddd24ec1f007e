"""Tiles of a matrix product in registers: the innermost loops of `conv_weight_grad` and `winograd_conv`.

Method: K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008,
doi:10.1145/1356052.1356053.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS
from foveola_kernels.compiled.simd import INDEX, NUMBER, VECTOR, WIDE, Loop, load, outer_product, store


def _adding(outputs, vectors):
    """A function that adds the outer products of an image's pixels to a tile of the gradient: `outputs` x 8 `vectors`
    numbers.

    (x, dy, dw, rows, pixels, x_row, dy_row, x_pixel, dy_pixel, dw_output): three addresses, the size of the region, at least
    1x1, and the distances in numbers between rows, pixels and outputs.
    """

    @intrinsic
    def add(_, x, dy, dw, rows, pixels, x_row, dy_row, x_pixel, dy_pixel, dw_output):
        def generate(context, builder, signature, got):
            x, dy, dw = (builder.inttoptr(address, NUMBER.as_pointer()) for address in got[:3])
            rows, pixels, x_row, dy_row, x_pixel, dy_pixel, dw_output = got[3:]
            places = _places(builder, dw, outputs, vectors, dw_output)
            sums = [load(builder, place) for place in places]
            row = Loop(builder, rows, [(x, x_row), (dy, dy_row)], sums)
            pixel = Loop(builder, pixels, [(row.at[0], x_pixel), (row.at[1], dy_pixel)], row.sums)
            pixel.end(outer_product(builder, *pixel.at, INDEX(1), vectors, pixel.sums))
            row.end(pixel.results)
            for place, total in zip(places, row.results, strict=True):
                store(builder, total, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), generate

    return add


def _multiplying(rows, vectors):
    """A function that writes a tile of the product v u: `rows` x 8 `vectors` numbers.

    (v, u, m, inner, v_row, m_row): three addresses, the number of columns of v, and the distances in numbers between the
    rows of v and of m. A row of u is as wide as the tile.
    """

    @intrinsic
    def multiply(_, v, u, m, inner, v_row, m_row):
        def generate(context, builder, signature, got):
            v, u, m = (builder.inttoptr(address, NUMBER.as_pointer()) for address in got[:3])
            inner, v_row, m_row = got[3:]
            nothing = [ir.Constant(VECTOR, [0.0] * WIDE)] * (rows * vectors)
            loop = Loop(builder, inner, [(u, INDEX(WIDE * vectors)), (v, INDEX(1))], nothing)
            loop.end(outer_product(builder, *loop.at, v_row, vectors, loop.sums))
            for place, total in zip(_places(builder, m, rows, vectors, m_row), loop.results, strict=True):
                store(builder, total, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return multiply


def _places(builder, begin, rows, vectors, row_step):
    """Pointers to the vectors of a tile, row by row."""
    return [
        builder.gep(begin, [builder.add(builder.mul(INDEX(row), row_step), INDEX(v * WIDE))])
        for row in range(rows)
        for v in range(vectors)
    ]


# Twelve sums, their terms and one repeated number fill the 16 registers of AVX2.
_ADD_4X24, _ADD_6X16, _ADD_4X16, _ADD_6X8, _ADD_4X8 = (
    _adding(*size) for size in ((4, 3), (6, 2), (4, 2), (6, 1), (4, 1))
)
_MULTIPLY_4X24, _MULTIPLY_6X16, _MULTIPLY_6X8 = (_multiplying(*size) for size in ((4, 3), (6, 2), (6, 1)))


@njit(**NUMBA_OPTIONS)
def width_of_tile(inputs, begin):
    """How many inputs the tiles from `begin` on have; inputs in all are a multiple of 8."""
    return 24 if inputs % 24 == 0 else 16 if inputs - begin >= 16 else 8


@njit(**NUMBA_OPTIONS)
def height_of_tile(inputs, outputs, begin):
    """How many outputs the tiles from `begin` on have: 4, or with 16 inputs 6 if the rest can be divided into fours."""
    rest = outputs - begin
    return 6 if inputs % 24 and rest >= 6 and rest != 8 else 4


@njit(**NUMBA_OPTIONS)
def add_products(x, dy, dw, rows, pixels, x_row, dy_row, inputs, outputs, step, first, beyond):
    """Add a region's outer products to the gradient, tile by tile: the outputs from `first` to `beyond`.

    The words are those of `_adding`; step: the distance between two outputs in numbers.
    """
    from_input = 0
    while from_input < inputs:
        wide = width_of_tile(inputs, from_input)
        from_output = first
        while from_output < beyond:
            high = height_of_tile(inputs, beyond, from_output)
            at = x + 4 * from_input, dy + 4 * from_output, dw + 4 * (from_output * step + from_input)
            _add_tile(wide, high, *at, rows, pixels, x_row, dy_row, inputs, outputs, step)
            from_output += high
        from_input += wide


@njit(**NUMBA_OPTIONS)
def _add_tile(wide, high, x, dy, dw, rows, pixels, x_row, dy_row, inputs, outputs, step):
    if wide == 24:
        _ADD_4X24(x, dy, dw, rows, pixels, x_row, dy_row, inputs, outputs, step)
    elif wide == 16 and high == 6:
        _ADD_6X16(x, dy, dw, rows, pixels, x_row, dy_row, inputs, outputs, step)
    elif wide == 16:
        _ADD_4X16(x, dy, dw, rows, pixels, x_row, dy_row, inputs, outputs, step)
    elif high == 6:
        _ADD_6X8(x, dy, dw, rows, pixels, x_row, dy_row, inputs, outputs, step)
    else:
        _ADD_4X8(x, dy, dw, rows, pixels, x_row, dy_row, inputs, outputs, step)


_ADD_3X32, _ADD_3X24 = _adding(3, 4), _adding(3, 3)


@njit(**NUMBA_OPTIONS)
def add_few_taps(dy, x, dw, rows, pixels, dy_row, x_row, outputs, inputs, taps):
    """Add a region's outer products to the gradient of adjacent taps: (taps, outputs), three addresses.

    taps: a multiple of 3; outputs: a multiple of 24 or 32.
    """
    wide = 24 if outputs % 32 else 32
    for tap in range(0, taps, 3):
        for output in range(0, outputs, wide):
            at = dy + 4 * output, x + 4 * tap, dw + 4 * (tap * outputs + output)
            if wide == 24:
                _ADD_3X24(*at, rows, pixels, dy_row, x_row, outputs, inputs, outputs)
            else:
                _ADD_3X32(*at, rows, pixels, dy_row, x_row, outputs, inputs, outputs)


ROWS = 12
"""A multiple of the heights of all tiles of a product."""


@njit(**NUMBA_OPTIONS)
def multiply(v, u, m, rows, inner, outputs, panel):
    """m = v u: v (rows, inner), u (outputs / panel, inner, panel), m (rows, outputs), all three addresses.

    panel: 24, 16 or 8. Numbers after the last row, up to a multiple of ROWS, are read and written, too.
    """
    for begin in range(0, outputs, panel):
        at, out = u + 4 * begin * inner, m + 4 * begin
        if panel == 24:
            for row in range(0, rows, 4):
                _MULTIPLY_4X24(v + 4 * row * inner, at, out + 4 * row * outputs, inner, inner, outputs)
        elif panel == 16:
            for row in range(0, rows, 6):
                _MULTIPLY_6X16(v + 4 * row * inner, at, out + 4 * row * outputs, inner, inner, outputs)
        else:
            for row in range(0, rows, 6):
                _MULTIPLY_6X8(v + 4 * row * inner, at, out + 4 * row * outputs, inner, inner, outputs)
