"""The transforms of Winograd's convolution of 3x3 taps for 4x4 pixels at once, first as formulas, then as instructions.

Six pixels in a row and three taps give four pixels of output. Two polynomials are multiplied through their values at six
points, 0, +-1/sqrt(2), +-sqrt(2) and infinity: six multiplications instead of twelve, and in two dimensions 36 instead of
144. Source: S. Winograd, "Arithmetic Complexity of Computations", SIAM 1980; for networks A. Lavin and S. Gray, "Fast
Algorithms for Convolutional Neural Networks", 2015, arXiv:1509.09308. Their points are 0, +-1, +-2. The points used here
halve the error in float32, with the same number of operations (docs/why/speed.md).
"""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from foveola_kernels.compiled.simd import INDEX, NUMBER, WIDE, Loop, Value, load, store

NEAR, FAR = 0.5**0.5, 2**0.5


def of_pixels(d):
    """Six pixels in a row, six values: the matrix B' of the sources."""
    even, odd = d[4] - 2 * d[2], NEAR * (d[3] - 2 * d[1])
    flat, steep = d[4] - 0.5 * d[2], FAR * (d[3] - 0.5 * d[1])
    return [d[0] - 2.5 * d[2] + d[4], even + odd, even - odd, flat + steep, flat - steep, d[1] - 2.5 * d[3] + d[5]]


def of_taps(g):
    """Three taps, six values: G."""
    even, odd = -2 / 3 * (g[0] + 0.5 * g[2]), -2 / 3 * (NEAR * g[1])
    flat, steep = 1 / 6 * (g[0] + 2 * g[2]), 1 / 6 * (FAR * g[1])
    return [g[0], even + odd, even - odd, flat + steep, flat - steep, g[2]]


def to_pixels(m):
    """Six products, four pixels of output: A'."""
    s, d = m[1] + m[2], NEAR * (m[1] - m[2])
    t, e = m[3] + m[4], FAR * (m[3] - m[4])
    return [m[0] + s + t, d + e, 0.5 * s + 2 * t, 0.5 * d + 2 * e + m[5]]


def of_gradients(y):
    """Four pixels' gradients, six values: A."""
    even, odd = y[0] + 0.5 * y[2], NEAR * (y[1] + 0.5 * y[3])
    flat, steep = y[0] + 2 * y[2], FAR * (y[1] + 2 * y[3])
    return [y[0], even + odd, even - odd, flat + steep, flat - steep, y[3]]


def to_taps(m):
    """Six values, three taps' gradients: G'."""
    s, d = m[1] + m[2], m[1] - m[2]
    t, e = m[3] + m[4], m[3] - m[4]
    return [m[0] - 2 / 3 * s + 1 / 6 * t, FAR / 6 * e - NEAR * 2 / 3 * d, 1 / 3 * (t - s) + m[5]]


def _square(formula, before, after):
    """A function that applies a formula to the columns and rows of a square of vectors.

    (source, target, source_row, source_column, target_row, target_column, vectors): two addresses, the distances between rows
    and between columns of each, in numbers, and the number of squares of 8 channels, at least one.
    """

    @intrinsic
    def transform(_, source, target, source_row, source_column, target_row, target_column, vectors):
        def generate(context, builder, signature, got):
            steps = {0: got[2:4], 1: got[4:6]}
            begin = [builder.inttoptr(address, NUMBER.as_pointer()) for address in got[:2]]
            loop = Loop(builder, got[6], [(pointer, INDEX(WIDE)) for pointer in begin])

            def place(which, row, column):
                parts = [builder.mul(INDEX(n), step) for n, step in zip((row, column), steps[which], strict=True)]
                return builder.gep(loop.at[which], [builder.add(*parts)])

            def value(row, column):
                return Value(builder, load(builder, place(0, row, column)))

            columns = [formula([value(row, column) for row in range(before)]) for column in range(before)]
            for row in range(after):
                for column, out in enumerate(formula([values[row] for values in columns])):
                    store(builder, out.vector, place(1, row, column))
            loop.end()
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), generate

    return transform


transform_pixels, transform_taps, transform_gradients = (
    _square(*which) for which in ((of_pixels, 6, 6), (of_taps, 3, 6), (of_gradients, 4, 6))
)
back_to_pixels, back_to_taps = (_square(*which) for which in ((to_pixels, 6, 4), (to_taps, 6, 3)))
