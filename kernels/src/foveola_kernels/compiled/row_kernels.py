"""Rows of pixels before and after a convolution, with work that would otherwise be a separate pass over the whole map.

Before: ReLU and batch norm of a map, or the backward pass of a gradient through them. After: the sums that a batch norm needs
are added up while the row is still in the nearest cache. Arguments: a tuple of addresses of float32 numbers, the number of
pixels in the row (at least one), and the number of vectors of 8 channels in each pixel.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from foveola_kernels.compiled.simd import INDEX, NUMBER, VECTOR, WIDE, Loop, load, multiply_add, store


def _relu(builder, x):
    """0 where x is below 0; NaN stays NaN, as in `dtypes.relu`."""
    nothing = ir.Constant(VECTOR, [0.0] * WIDE)
    return builder.select(builder.fcmp_ordered("<", x, nothing), nothing, x)


def _finish(builder, patch, bias, out):
    finished = builder.fadd(load(builder, patch), load(builder, bias))
    store(builder, finished, out)
    return finished


def _norm(builder, source, target, scale, offset):
    x = _relu(builder, load(builder, source))
    store(builder, multiply_add(builder, x, load(builder, scale), load(builder, offset)), target)


def _add_squares(builder, patch, out, bias, about, sums, squares):
    finished = _finish(builder, patch, bias, out)
    x = builder.fsub(_relu(builder, finished), load(builder, about))
    store(builder, builder.fadd(load(builder, sums), x), sums)
    store(builder, multiply_add(builder, x, x, load(builder, squares)), squares)


def _add_products(builder, patch, out, z, bias, about, sums, products):
    g = _finish(builder, patch, bias, out)
    x = builder.fsub(_relu(builder, load(builder, z)), load(builder, about))
    store(builder, builder.fadd(load(builder, sums), g), sums)
    store(builder, multiply_add(builder, g, x, load(builder, products)), products)


def _back(builder, z, dy, out, slope, tilt, level):
    x, nothing = load(builder, z), ir.Constant(VECTOR, [0.0] * WIDE)
    rest = multiply_add(builder, load(builder, tilt), x, load(builder, level))
    g = multiply_add(builder, load(builder, slope), load(builder, dy), rest)
    store(builder, builder.select(builder.fcmp_ordered("<=", x, nothing), nothing, g), out)


def _row(body, maps, channels):
    """A function that runs `body` over the vectors of a row; the first `maps` pointers move with the pixels."""

    @intrinsic
    def row(_, addresses, pixels, vectors):
        def generate(context, builder, signature, got):
            fields = [builder.extract_value(got[0], k) for k in range(maps + channels)]
            begin = [builder.inttoptr(address, NUMBER.as_pointer()) for address in fields]
            pixel = Loop(builder, got[1], [(at, builder.mul(got[2], INDEX(WIDE))) for at in begin[:maps]])
            vector = Loop(builder, got[2], [(at, INDEX(WIDE)) for at in [*pixel.at, *begin[maps:]]])
            body(builder, *vector.at)
            vector.end()
            pixel.end()
            return context.get_dummy_value()

        return types.void(types.UniTuple(types.int64, maps + channels), types.int64, types.int64), generate

    return row


normed = _row(_norm, 2, 2)
"""(source, target, scale, offset): target = relu(source) * scale + offset, rounded once."""

finished = _row(lambda builder, patch, out, bias: _finish(builder, patch, bias, out), 2, 1)
"""(patch, out, bias): out = patch + bias."""

finished_with_squares = _row(_add_squares, 2, 4)
"""(patch, out, bias, about, sums, squares): the same, and relu(out) - about and its square are added up."""

finished_with_products = _row(_add_products, 3, 4)
"""(patch, out, z, bias, about, sums, products): the same, and out and its products with relu(z) - about are added up."""

backed = _row(_back, 3, 3)
"""(z, dy, out, slope, tilt, level): out = slope * dy + tilt * z + level where z > 0, else 0 (`batchnorm_backward`)."""
