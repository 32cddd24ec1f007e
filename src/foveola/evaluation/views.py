"""Test-time augmentation: the versions of an image whose predictions are averaged."""

from __future__ import annotations

from typing import NamedTuple


class Views(NamedTuple):
    """Test-time augmentation: the versions of an image whose predictions are averaged; by default only the image itself.

    flips: include the mirror image, for twice the time. shift_px: include the image moved by this many pixels up and left,
    and down and right, with edges mirrored, for three times the time. The original has half of the weight and the two moved
    images the other half (K. Jordan, arXiv:2404.00498, "multi-crop evaluation", and its code).
    """

    flips: bool = False
    shift_px: int = 0


ALONE = Views()
"""Only the image itself."""
