"""What the tests of our own convolutions share."""

import pytest

from foveola.models import convolve


@pytest.fixture
def avx2_only(monkeypatch):
    """Our convolutions are taken, as on a processor with AVX2 and without AVX-512, whatever this one is."""
    monkeypatch.setattr(convolve, "_pays", lambda: True)
