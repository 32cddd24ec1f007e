"""Tiles of a matrix product in registers: the innermost loops of `weights`, made as instructions and not as Python.

A compiler that is given the loops keeps the sums in memory; here they are vectors from the first pixel to the last.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from foveola.models.loops.numbers import HOW

WIDE = 8
"""Numbers of a vector; on a processor without such vectors the compiler takes several instructions for one."""

_INDEX, _NUMBER = ir.IntType(64), ir.FloatType()
_VECTOR = ir.VectorType(_NUMBER, WIDE)


def _tile(outputs, vectors):
    """What adds the outer products of a picture's pixels to a tile of the gradient, of `outputs` x 8 `vectors` numbers.

    (x, dy, dw, rows, pixels, x_row, dy_row, x_pixel, dy_pixel, dw_output): three addresses, the size of the region, at least
    1x1, and how many numbers lie between two rows, two pixels, two outputs.
    """

    @intrinsic
    def add(_, x, dy, dw, rows, pixels, x_row, dy_row, x_pixel, dy_pixel, dw_output):
        def generate(context, builder, signature, got):
            x, dy, dw = (builder.inttoptr(address, _NUMBER.as_pointer()) for address in got[:3])
            rows, pixels, x_row, dy_row, x_pixel, dy_pixel, dw_output = got[3:]
            places = [
                builder.gep(dw, [builder.add(builder.mul(_INDEX(output), dw_output), _INDEX(v * WIDE))])
                for output in range(outputs)
                for v in range(vectors)
            ]
            sums = [_load(builder, place) for place in places]
            row = _Loop(builder, rows, [(x, x_row), (dy, dy_row)], sums)
            pixel = _Loop(builder, pixels, [(row.at[0], x_pixel), (row.at[1], dy_pixel)], row.sums)
            pixel.end(_outer_product(builder, *pixel.at, outputs, vectors, pixel.sums))
            row.end(pixel.results)
            for place, total in zip(places, row.results, strict=True):
                _store(builder, total, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), generate

    return add


class _Loop:
    """A loop in the code that is being made: it runs `count` times, at least once.

    at: pointers that begin somewhere and move on by a step; sums: vectors that go from one turn to the next. What is built
    between making it and `end` is its body.
    """

    def __init__(self, builder, count, moving, sums):
        self._builder, self._count = builder, count
        before, self._begin = builder.block, builder.append_basic_block("turn")
        builder.branch(self._begin)
        builder.position_at_end(self._begin)
        self._all = []
        for value in [_INDEX(0), *(pointer for pointer, _ in moving), *sums]:
            variable = builder.phi(value.type)
            variable.add_incoming(value, before)
            self._all.append(variable)
        self._turn, self.at, self.sums = self._all[0], self._all[1 : 1 + len(moving)], self._all[1 + len(moving) :]
        self._steps = [step for _, step in moving]
        self.results = []

    def end(self, sums):
        """Close the body; `sums` is what it has made of the sums."""
        builder = self._builder
        turn = builder.add(self._turn, _INDEX(1))
        moved = [builder.gep(pointer, [step]) for pointer, step in zip(self.at, self._steps, strict=True)]
        for variable, value in zip(self._all, [turn, *moved, *sums], strict=True):
            variable.add_incoming(value, builder.block)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", turn, self._count), self._begin, after)
        builder.position_at_end(after)
        self.results = list(sums)


def _outer_product(builder, x, dy, outputs, vectors, sums):
    """The sums with x dy' added, for one pixel: x points to 8 `vectors` numbers, dy to `outputs`."""
    function = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    multiply_add = cgutils.get_or_insert_function(builder.module, function, f"llvm.fma.v{WIDE}f32")
    inputs = [_load(builder, builder.gep(x, [_INDEX(v * WIDE)])) for v in range(vectors)]
    nothing, lanes = ir.Constant(_VECTOR, ir.Undefined), ir.VectorType(ir.IntType(32), WIDE)
    out = []
    for output in range(outputs):
        number = builder.load(builder.gep(dy, [_INDEX(output)]))
        first = builder.insert_element(nothing, number, ir.IntType(32)(0))
        gradient = builder.shuffle_vector(first, nothing, ir.Constant(lanes, [0] * WIDE))
        out += [builder.call(multiply_add, [inputs[v], gradient, sums[output * vectors + v]]) for v in range(vectors)]
    return out


def _load(builder, pointer):
    vector = builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()))
    vector.align = 4
    return vector


def _store(builder, vector, pointer):
    builder.store(vector, builder.bitcast(pointer, _VECTOR.as_pointer())).align = 4


# Twelve sums, what goes into them and a gradient fill the 16 registers of AVX2.
_ADD_4X24, _ADD_6X16, _ADD_4X16, _ADD_6X8, _ADD_4X8 = (
    _tile(*size) for size in ((4, 3), (6, 2), (4, 2), (6, 1), (4, 1))
)


@njit(**HOW)
def width_of_tile(inputs, begin):
    """How many inputs the tiles from `begin` on have; inputs in all are a multiple of 8."""
    return 24 if inputs % 24 == 0 else 16 if inputs - begin >= 16 else 8


@njit(**HOW)
def height_of_tile(inputs, outputs, begin):
    """How many outputs the tiles from `begin` on have: 4 or, beside 16 inputs, 6 as long as fours remain."""
    rest = outputs - begin
    return 6 if inputs % 24 and rest >= 6 and rest != 8 else 4


@njit(**HOW)
def add_tile(wide, high, x, dy, dw, rows, pixels, x_row, dy_row, inputs, outputs, step):
    """Add a region's outer products to a tile of `high` x `wide` numbers; the other words are those of `_tile`."""
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
