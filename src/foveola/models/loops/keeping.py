"""Where compiled loops are kept: beside these files, in a folder named after the content of all of them.

numba looks for changes in the file that a function is in only, not in those that it calls. Where this folder can't be written
to, numba takes the user's own cache folder; where there is none either, it raises RuntimeError.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba

from foveola.storage import digest

_HERE = Path(__file__).parent
FOLDER = _HERE / "__pycache__" / digest(*(path.read_bytes() for path in sorted(_HERE.glob("*.py"))))[:16]


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """What numba is given to compile within this block is kept in FOLDER, or where NUMBA_CACHE_DIR says."""
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = before or str(FOLDER)
    try:
        yield
    finally:
        config.CACHE_DIR = before
