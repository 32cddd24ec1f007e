"""Divide work among the threads of torch's own pool.

torch computes on the threads of the GNU OpenMP library in its package, and so do the kernels. numba's own threads would need
another such library, which neither package contains. GOMP_parallel is what a compiler makes of "#pragma omp parallel":
https://gcc.gnu.org/onlinedocs/libgomp/Implementing-PARALLEL-construct.html

A task is a C function of one argument, the address of its words: int64 numbers, which are addresses and sizes. The type of
the argument is that of the feature maps, so a task is compiled only for the types that are used. It allocates what it needs
and raises no exceptions. Each thread computes its own chunks.
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

from foveola_kernels.compiled.compile_cache import NUMBA_OPTIONS, compile_cache

CHUNKS = 32
"""Pieces of work in a task: enough for this many threads, and few enough that adding up their sums costs nothing. The
number is fixed, so the number of threads changes no bit of a sum."""


@functools.cache
def library() -> ctypes.CDLL:
    """torch's own OpenMP library. Raises ImportError if torch's package contains none, or not GNU's."""
    root = Path(torch.__file__).parent
    found = [*root.glob("lib/libgomp*.so*"), *root.parent.glob("torch.libs/libgomp*.so*")]
    if len(found) != 1:
        raise ImportError("this build of torch includes no GNU OpenMP library")
    return ctypes.CDLL(str(found[0]))


@functools.cache
def pool() -> Any:
    """Its GOMP_parallel(function, data, threads, flags); 0 threads means the number that is set in torch."""
    parallel = library().GOMP_parallel
    parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    parallel.restype = None
    return parallel


def _external(name):
    """A function of the library without arguments that gives an int, for use in compiled code."""
    llvm.add_symbol(f"foveola_{name}", ctypes.cast(library()[name], ctypes.c_void_p).value)
    return types.ExternalFunction(f"foveola_{name}", types.int32())


_thread_number, _thread_count = _external("omp_get_thread_num"), _external("omp_get_num_threads")


NUMBERS = {16: types.uint16, 32: types.float32}
"""The type of a feature map's numbers, by their bits."""


class Task:
    """A function of a task's words that is compiled on the first call, and runs on all of torch's threads."""

    def __init__(self, function: Callable[[Any], None]) -> None:
        self._function = function
        self._compiled: dict[int, Any] = {}
        self.__doc__ = function.__doc__

    def compiled(self, bits: int) -> Any:
        """The C function for feature maps of such numbers; it must live as long as its address is in use."""
        if bits not in self._compiled:
            with compile_cache():
                self._compiled[bits] = numba.cfunc(types.void(types.CPointer(NUMBERS[bits])), **NUMBA_OPTIONS)(
                    self._function
                )
        return self._compiled[bits]

    def __call__(self, bits: int, *words: int) -> None:
        """Run it on these words, for feature maps whose numbers have 16 or 32 bits; returns when all chunks are done."""
        memory = np.array(words, np.int64)
        pool()(self.compiled(bits).address, memory.ctypes.data, 0, 0)


def _pointer_to(number, memory):
    """A function of an address, int64, that gives a pointer to numbers of this type."""

    @intrinsic
    def pointer(_, address):
        def generate(context, builder, signature, got):
            return builder.inttoptr(got[0], memory.as_pointer())

        return types.CPointer(number)(types.int64), generate

    return pointer


_uint8_at = _pointer_to(types.uint8, ir.IntType(8))
_float32_at = _pointer_to(types.float32, ir.FloatType())


@intrinsic
def _words_at(_, data):
    """The same pointer, to int64."""

    def generate(context, builder, signature, got):
        return builder.bitcast(got[0], ir.IntType(64).as_pointer())

    return types.CPointer(types.int64)(data), generate


@intrinsic
def _like(_, data, address):
    """A pointer to where the address says, of the type of `data`."""

    def generate(context, builder, signature, got):
        return builder.inttoptr(got[1], got[0].type)

    return data(data, types.int64), generate


@njit(**NUMBA_OPTIONS)
def own_part(pieces):
    """The numbers of this thread's pieces of work. They are adjacent, as when torch divides its own work."""
    thread, threads = _thread_number(), _thread_count()
    return range(pieces * thread // threads, pieces * (thread + 1) // threads)


@njit(**NUMBA_OPTIONS)
def own_thread():
    """The number of this thread, below the number of torch's threads."""
    return _thread_number()


@njit(**NUMBA_OPTIONS)
def own_chunks():
    """The numbers of this thread's chunks."""
    return own_part(CHUNKS)


@njit(**NUMBA_OPTIONS)
def uint8s(address, n):
    """The n bytes at an address, as an array."""
    return carray(_uint8_at(address), (n,), np.uint8)


@njit(**NUMBA_OPTIONS)
def float32s(address, n):
    """The n numbers of 32 bits at an address, as an array."""
    return carray(_float32_at(address), (n,), np.float32)


@njit(**NUMBA_OPTIONS)
def words_of(data, n):
    """The n words of a task."""
    return carray(_words_at(data), (n,), np.int64)


@njit(**NUMBA_OPTIONS)
def feature_map(data, address, n):
    """The n numbers of a feature map at an address, as an array: of the type that the task was compiled for."""
    return carray(_like(data, address), (n,))
