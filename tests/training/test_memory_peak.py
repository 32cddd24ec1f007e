"""The memory's peak begins anew where the system can."""

import sys

import numpy as np
import pytest

from foveola.training.timing import forget_peak, peak_memory_mb


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_forgotten_peak_is_that_of_what_follows():
    held = np.ones(40_000_000)  # 320 MB, written to, and given back to the system at once: it is mapped by itself
    before = peak_memory_mb()
    del held
    assert forget_peak()
    assert peak_memory_mb() < before - 300
