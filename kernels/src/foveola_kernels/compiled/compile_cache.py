"""How numba compiles the kernels, and where it keeps them: next to these files, in a folder named after their content.

numba looks for changes only in the file that a function is in, not in those that it calls. If the folder can't be written to,
numba uses the user's own cache folder. If there is none either, numba raises RuntimeError.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba

# Kernels call one another or are run by a Task. Without an entry point for Python, compiling takes an eighth less time.
_NO_ENTRY_POINT = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

NUMBA_OPTIONS = {
    "fastmath": {"contract"},
    "error_model": "numpy",
    "boundscheck": False,
    "cache": True,
    **_NO_ENTRY_POINT,
}


def _content() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()[:16]


FOLDER = Path(__file__).parent / "__pycache__" / _content()


@contextlib.contextmanager
def compile_cache() -> Iterator[None]:
    """Keep in FOLDER what numba is asked to compile within this block, or in NUMBA_CACHE_DIR if that is set."""
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = before or str(FOLDER)
    try:
        yield
    finally:
        config.CACHE_DIR = before
