"""What the kernels share: numbers of 16 and 32 bits, random draws, values and sums by channel."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload, register_jitable

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS

LANES = 512
"""The smallest number of elements of an inner loop: whole pixels, their channels in order."""


@intrinsic
def float_of_bits(_, bits):
    """The float32 of these 32 bits."""
    return types.float32(types.uint32), lambda context, builder, sign, got: builder.bitcast(got[0], ir.FloatType())


@intrinsic
def _bits_of_float(_, value):
    return types.uint32(types.float32), lambda context, builder, sign, got: builder.bitcast(got[0], ir.IntType(32))


def get(values, place):
    """values[place] as float32."""
    raise NotImplementedError


@overload(get)
def _get_compiled(values, place):
    if isinstance(values.dtype, types.Float):
        return lambda values, place: values[place]
    return lambda values, place: float_of_bits(np.uint32(values[place]) << np.uint32(16))


def put(values, place, value):
    """values[place] = value, rounded once."""
    raise NotImplementedError


@overload(put)
def _put_compiled(values, place, value):
    if isinstance(values.dtype, types.Float):

        def put(values, place, value):
            values[place] = value
    else:

        def put(values, place, value):
            bits = _bits_of_float(value)
            even = (bits >> np.uint32(16)) & np.uint32(1)
            values[place] = np.uint16((bits + np.uint32(0x7FFF) + even) >> np.uint32(16))

    return put


@njit(**NUMBA_OPTIONS)
def relu(x):
    # In this form NaN stays NaN, as in torch, so that a run that diverges is noticed.
    return np.float32(0) if x < np.float32(0) else x


@njit(**NUMBA_OPTIONS)
def draw(key, counter):
    """32 random bits for a place: "squares", B. Widynski, "Squares: A Fast Counter-Based RNG", 2020, arXiv:2004.06278.

    key: uint64, odd, drawn again for every call of a layer; counter: uint64, the place.
    """
    half = np.uint64(32)
    x = counter * key
    y = x
    z = y + key
    x = x * x + y
    x = (x >> half) | (x << half)
    x = x * x + z
    x = (x >> half) | (x << half)
    x = x * x + y
    x = (x >> half) | (x << half)
    return np.uint32((x * x + z) >> half)


@njit(**NUMBA_OPTIONS)
def repeated(values, lanes):
    """A value per channel, as often as it takes for `lanes` elements: float32."""
    out = np.empty(lanes, np.float32)
    for begin in range(0, lanes, len(values)):
        # A loop and no slice: numba would compile the text of the error for slices of different lengths, 4 seconds.
        for c in range(len(values)):
            out[begin + c] = values[c]
    return out


@njit(**NUMBA_OPTIONS)
def by_channel(sums, channels):
    """The sums of all chunks and lanes, side by side, added up for each channel: float64 (channels,)."""
    out = np.zeros(channels)
    for begin in range(0, len(sums), channels):
        some = sums[begin : begin + channels]
        for c in range(channels):
            out[c] += some[c]
    return out


@register_jitable(**NUMBA_OPTIONS)
def lanes_of(channels):
    """How many elements an inner loop takes: the least multiple of the channels that is LANES or more."""
    return channels * -(-LANES // channels)
