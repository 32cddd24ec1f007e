"""Work shared out among the threads of torch's own pool.

torch computes on the threads of the GNU OpenMP library that it brings. They wait for the next call awake, so a second pool
beside them (numba's own) has no core to itself: `vgg6` took 28 ms a step with it and 24 with this. GOMP_parallel is what a
compiler makes of "#pragma omp parallel": https://gcc.gnu.org/onlinedocs/libgomp/Implementing-PARALLEL-construct.html

A task is a C function of one argument, the address of its words: int64, the first a counter from which threads take the
numbers of chunks, the others addresses and sizes. It allocates what it needs and raises nothing.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from foveola.models.loops.numbers import HOW

CHUNKS = 32
"""Pieces of work a task: enough for as many threads, few enough that adding up their sums costs nothing. Always as many,
whatever the number of threads, so that this number changes no bit of a sum."""


@functools.cache
def library() -> ctypes.CDLL:
    """torch's own OpenMP library. Raises ImportError where torch has brought another one than GNU's, or none."""
    root = Path(torch.__file__).parent
    found = [*root.glob("lib/libgomp*.so*"), *root.parent.glob("torch.libs/libgomp*.so*")]
    if len(found) != 1:
        raise ImportError("this build of torch brings no GNU OpenMP library of its own")
    return ctypes.CDLL(str(found[0]))


@functools.cache
def pool() -> Any:
    """Its GOMP_parallel(function, data, threads, flags); with 0 threads it takes as many as torch has been told to."""
    parallel = library().GOMP_parallel
    parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    parallel.restype = None
    return parallel


class Task:
    """A function of a task's words that is compiled on the first call and then run on all of torch's threads."""

    def __init__(self, function: Callable[[Any], None]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @functools.cached_property
    def _address(self) -> int:
        compiled: Any = numba.cfunc(types.void(types.CPointer(types.int64)), **HOW)(self._function)
        return int(compiled.address)

    def __call__(self, *words: int) -> None:
        """Run it on these words; returns when all chunks are done."""
        memory = np.array((0, *words), np.int64)
        pool()(self._address, memory.ctypes.data, 0, 0)


@intrinsic
def _fetch_add(_, address):
    def generate(context, builder, signature, got):
        return builder.atomic_rmw("add", got[0], ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(types.CPointer(types.int64)), generate


@intrinsic
def _uint8_at(_, address):
    pointer = types.CPointer(types.uint8)
    return pointer(types.int64), lambda context, builder, sign, got: builder.inttoptr(
        got[0], ir.IntType(8).as_pointer()
    )


@intrinsic
def _uint16_at(_, address):
    pointer = types.CPointer(types.uint16)
    return pointer(types.int64), lambda context, builder, sign, got: builder.inttoptr(
        got[0], ir.IntType(16).as_pointer()
    )


@intrinsic
def _float32_at(_, address):
    pointer = types.CPointer(types.float32)
    return pointer(types.int64), lambda context, builder, sign, got: builder.inttoptr(
        got[0], ir.FloatType().as_pointer()
    )


@njit(**HOW)
def next_chunk(words):
    """The number of a chunk that no other thread has taken; CHUNKS or more when none is left."""
    return _fetch_add(words)


@njit(**HOW)
def uint8s(address, n):
    """The n bytes at an address, as an array."""
    return carray(_uint8_at(address), (n,), np.uint8)


@njit(**HOW)
def uint16s(address, n):
    """The n numbers of 16 bits at an address, as an array."""
    return carray(_uint16_at(address), (n,), np.uint16)


@njit(**HOW)
def float32s(address, n):
    """The n numbers of 32 bits at an address, as an array."""
    return carray(_float32_at(address), (n,), np.float32)
