"""Tune malloc so that the process keeps freed memory and reuses it in the next training step.

By default glibc returns large freed blocks to the system. A step of `vgg6` takes and frees the same few megabytes over
and over; each time the system handed out 6,500 empty pages of 4 KB, a tenth of the step (docs/why/speed.md).
"""

from __future__ import annotations

import ctypes
import functools
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""Names of mallopt's parameters: https://man7.org/linux/man-pages/man3/mallopt.3.html"""

_KEPT = 512 * 2**20
"""Free bytes at the end of the heap that the process keeps; glibc returns the rest to the system."""

_AHEAD = 64 * 2**20
"""Bytes by which the heap grows at a time."""

_OF_ITS_OWN = 32 * 2**20
"""Blocks from this size on are mapped, and unmapped when freed: more is not to be had from glibc."""


@functools.cache
def tune_malloc() -> bool:
    """Ask the C library, once a process, to keep what is freed; whether it does. Only glibc is asked."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_M_MMAP_THRESHOLD, _OF_ITS_OWN), (_M_TRIM_THRESHOLD, _KEPT), (_M_TOP_PAD, _AHEAD))
    done = [mallopt(name, value) for name, value in wanted]
    return all(done)
