"""The memory of the process: freed memory is kept, counted in pages that the system provides; its peak can start again."""

import subprocess
import sys

import numpy as np
import pytest

from foveola.compute.device import peak_memory_mb, reset_peak_memory

PROGRAM = """
import resource, sys
import torch
from foveola.compute.device import tune_malloc

if sys.argv[1] == "kept":
    assert tune_malloc()
else:
    import ctypes
    ctypes.CDLL(None).mallopt(-3, 128 * 1024)  # glibc's own start, which it would move as it learns

def use():
    for _ in range(2):
        torch.ones(4 * 2**20, dtype=torch.uint8)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be asked to keep freed memory")
def test_blocks_of_4_mb_are_used_again_without_new_pages():
    def pages(word):
        done = subprocess.run([sys.executable, "-c", PROGRAM, word], capture_output=True, text=True, check=True)
        return int(done.stdout)

    # 100 blocks of 1,024 pages of 4 KB; kept, a few blocks may still be laid out anew: 0 and 6 were seen.
    assert pages("given back") > 5 * pages("kept") + 50_000


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_peak_that_was_reset_is_that_of_what_follows():
    held = np.ones(40_000_000)  # 320 MB, written to; it is mapped, so the system gets it back at once
    before = peak_memory_mb()
    del held
    assert reset_peak_memory()
    assert peak_memory_mb() < before - 300
