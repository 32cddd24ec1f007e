"""Estimate the quality setting of a JPEG file from its quantisation table."""

from __future__ import annotations

from PIL import Image as pillow

_STANDARD_SUM = 3_689
"""Of the luminance table of the standard's example (ITU-T T.81, table K.1), which libjpeg takes at quality 50."""


def jpeg_quality(picture: pillow.Image) -> float:
    """The quality from 1 to 100 at which libjpeg has a luminance table of this mean; 0 for other formats.

    libjpeg scales the example table by 5000 / quality percent below 50, and by 200 - 2 * quality percent from there on.
    Other tables get the quality with the same mean. From the header; no pixel is decoded.
    """
    tables = getattr(picture, "quantization", None)
    if not tables:
        return 0.0
    percent = 100 * float(sum(tables[min(tables)])) / _STANDARD_SUM
    return round(max(1.0, 100 - percent / 2 if percent <= 100 else 5_000 / percent), 1)
