"""Depthwise convolutions and the ReLU6 on both sides of them, on maps that are looked at and not learned from.

y = relu6(convolution(relu6(x + bias)) + bias), row by row. A row that comes in is clamped, padded and laid out by eights of
channels, once, in a ring of as many rows as the kernel has, which a core's own cache holds. Eight channels of a row then lie
side by side, so that a pixel's neighbours are at distances known to the compiler, and the sums of four pixels stay in
registers.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from foveola.models.loops.numbers import HOW
from foveola.models.loops.strips import clear
from foveola.models.loops.vectors import INDEX, NUMBER, VECTOR, WIDE, Loop, load, multiply_add, store

TOGETHER = 4
"""So many pixels that come out side by side have their sums in registers."""

LINE = 16
"""The ring's rows lie a line of the cache further apart than they are long: else they fall on the same lines of it."""


def _writing(kernel, stride, together):
    """What writes pixels that lie side by side, `merged_groups` at a time, eight channels of them.

    (rows, at, taps, bias, y, count, channels): the address of the addresses of `kernel` rows of the ring, how many numbers
    into each the first pixel begins, taps (kernel * kernel, 8), bias (8), y (count * together, channels); count at least 1.
    """

    @intrinsic
    def write(_, rows, at, taps, bias, y, count, channels):
        def generate(context, builder, signature, got):
            rows, taps, bias, y = (_pointer(builder, got[k]) for k in (0, 2, 3, 4))
            at, count, channels = got[1], got[5], got[6]
            factors = [[_at(builder, taps, kernel * row + tap) for tap in range(kernel)] for row in range(kernel)]
            lines = [(_line(builder, rows, row, at), INDEX(together * stride * WIDE)) for row in range(kernel)]
            loop = Loop(builder, count, [*lines, (y, builder.mul(INDEX(together), channels))])
            *lines, y = loop.at
            sums = [load(builder, bias)] * together
            for line, row in zip(lines, factors, strict=True):
                for place in range((together - 1) * stride + kernel):
                    pixel = _at(builder, line, place)
                    for one in range(together):
                        if 0 <= place - one * stride < kernel:
                            sums[one] = multiply_add(builder, pixel, row[place - one * stride], sums[one])
            for one, total in enumerate(sums):
                store(builder, _relu6(builder, total), builder.gep(y, [builder.mul(INDEX(one), channels)]))
            loop.end()
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), generate

    return write


def _laying(clamps):
    """What lays out eight channels of a row of pixels (count, channels) as a line (count, 8); relu6(x + bias) if it clamps.

    (x, bias, line, count, channels): three addresses; count at least 1.
    """

    @intrinsic
    def lay(_, x, bias, line, count, channels):
        def generate(context, builder, signature, got):
            x, bias, line = (_pointer(builder, address) for address in got[:3])
            offset = load(builder, bias) if clamps else None
            loop = Loop(builder, got[3], [(x, got[4]), (line, INDEX(WIDE))])
            some = load(builder, loop.at[0])
            store(builder, _relu6(builder, builder.fadd(some, offset)) if clamps else some, loop.at[1])
            loop.end()
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return lay


def _pointer(builder, address):
    return builder.inttoptr(address, NUMBER.as_pointer())


def _line(builder, rows, row, at):
    """A pointer to where the first pixel begins in a row of the ring."""
    address = builder.load(builder.gep(builder.bitcast(rows, INDEX.as_pointer()), [INDEX(row)]))
    return builder.gep(_pointer(builder, address), [at])


def _at(builder, begin, place):
    return load(builder, builder.gep(begin, [INDEX(place * WIDE)]))


def _relu6(builder, vector):
    # In this form what is not a number stays so, as in torch.
    for limit, beyond in ((0.0, "<"), (6.0, ">")):
        bound = ir.Constant(VECTOR, [limit] * WIDE)
        vector = builder.select(builder.fcmp_ordered(beyond, vector, bound), bound, vector)
    return vector


_CLAMP, _COPY = _laying(True), _laying(False)
_WRITE_3_1, _WRITE_3_2, _WRITE_5_1, _WRITE_5_2 = (_writing(*how, TOGETHER) for how in ((3, 1), (3, 2), (5, 1), (5, 2)))


@njit(**HOW)
def write_row(rows, at, taps, bias, y, count, channels, kernel, stride):
    """Eight channels of a row that comes out; the words are those of `_writing`."""
    if kernel == 3 and stride == 1:
        _WRITE_3_1(rows, at, taps, bias, y, count, channels)
    elif kernel == 3:
        _WRITE_3_2(rows, at, taps, bias, y, count, channels)
    elif stride == 1:
        _WRITE_5_1(rows, at, taps, bias, y, count, channels)
    else:
        _WRITE_5_2(rows, at, taps, bias, y, count, channels)


@njit(**HOW)
def fill_row(line, x, bias, width, channels, left, long):
    """A row of pixels (width, channels) goes into the ring as relu6(x + bias), padded with zeros to `long`; addresses.

    Without a bias, address 0, it goes there as it is.
    """
    end = min(long, left + width)
    for c in range(0, channels, WIDE):
        to = line + 4 * c * long
        clear(to, 0, left * WIDE)
        if bias:
            _CLAMP(x + 4 * c, bias + 4 * c, to + 4 * left * WIDE, end - left, channels)
        else:
            _COPY(x + 4 * c, bias, to + 4 * left * WIDE, end - left, channels)
        clear(to, end * WIDE, long * WIDE)
