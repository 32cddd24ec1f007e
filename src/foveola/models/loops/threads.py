"""Work shared out among the threads of torch's own pool.

torch computes on the threads of the GNU OpenMP library that it brings, and so do the loops: numba's own threads would need
another such library, which neither package brings. GOMP_parallel is what a compiler makes of "#pragma omp parallel":
https://gcc.gnu.org/onlinedocs/libgomp/Implementing-PARALLEL-construct.html

A task is a C function of one argument, the address of its words: int64, addresses and sizes. It allocates what it needs and
raises nothing. Each thread does the chunks that are its own.
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
from llvmlite import binding as llvm
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from foveola.models.loops.keeping import kept
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


def _external(name):
    """A function of the library without arguments that gives an int, for use in compiled code."""
    llvm.add_symbol(f"foveola_{name}", ctypes.cast(library()[name], ctypes.c_void_p).value)
    return types.ExternalFunction(f"foveola_{name}", types.int32())


_thread_number, _thread_count = _external("omp_get_thread_num"), _external("omp_get_num_threads")


class Task:
    """A function of a task's words that is compiled on the first call and then run on all of torch's threads."""

    def __init__(self, function: Callable[[Any], None]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @functools.cached_property
    def compiled(self) -> Any:
        """The C function; it must live as long as its address is in use."""
        with kept():
            return numba.cfunc(types.void(types.CPointer(types.int64)), **HOW)(self._function)

    def __call__(self, *words: int) -> None:
        """Run it on these words; returns when all chunks are done."""
        memory = np.array(words, np.int64)
        pool()(self.compiled.address, memory.ctypes.data, 0, 0)


def _pointer_to(number, memory):
    """A function of an address, int64, that gives a pointer to numbers of this type."""

    @intrinsic
    def pointer(_, address):
        def generate(context, builder, signature, got):
            return builder.inttoptr(got[0], memory.as_pointer())

        return types.CPointer(number)(types.int64), generate

    return pointer


_uint8_at = _pointer_to(types.uint8, ir.IntType(8))
_uint16_at = _pointer_to(types.uint16, ir.IntType(16))
_float32_at = _pointer_to(types.float32, ir.FloatType())


@njit(**HOW)
def own_chunks():
    """The numbers of this thread's chunks, which lie side by side, as torch shares out its own work."""
    thread, threads = _thread_number(), _thread_count()
    return range(CHUNKS * thread // threads, CHUNKS * (thread + 1) // threads)


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
