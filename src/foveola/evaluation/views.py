"""Which versions of an image a network predicts on, and averages over."""

from __future__ import annotations

from typing import NamedTuple


class Views(NamedTuple):
    """Which versions of a picture are answered and averaged; the picture alone by default.

    flips: its mirror image too, for twice the time. shift_px: also the picture moved by so many pixels up and left, and
    down and right, edges mirrored, for three times the time: half the weight for the picture in its place, half for the
    two others (K. Jordan, arXiv:2404.00498, "multi-crop evaluation", and its code).
    """

    flips: bool = False
    shift_px: int = 0


ALONE = Views()
"""The picture alone."""
