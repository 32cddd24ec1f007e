"""What the tests of the kernels share. Elsewhere than on Linux there is nothing to test: the kernels run on Linux only."""

import os
import platform

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: as in the tests of foveola

import pytest

collect_ignore_glob = [] if platform.system() == "Linux" else ["*.py"]


@pytest.fixture
def avx2_only(monkeypatch):
    """The convolutions are used, as on a processor with AVX2 and without AVX-512, whatever this one is."""
    from foveola_kernels import convolution

    monkeypatch.setattr(convolution, "is_avx2_only", lambda: True)
