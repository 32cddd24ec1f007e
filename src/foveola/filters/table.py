"""The filters that are known by name, one line each; users add their own with `FILTERS.register`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from foveola.filters.edges import canny, laplacian, require_order, scharr, sobel
from foveola.filters.kernels import blur, box, emboss, kernel, sharpen, unsharp
from foveola.filters.scaling import resize_down_up, scale, upscale
from foveola.filters.smoothing import bilateral, denoise, median
from foveola.filters.tones import equalize, gamma, grayscale, invert
from foveola.registry import Registry
from foveola.types import Images

Filter: TypeAlias = Callable[..., Images]
"""uint8 (..., H, W, 3) and keyword options in, uint8 of the same shape out; `scale` and `upscale` alone resize."""

FILTERS = Registry[Filter](
    "filter",
    {
        "bilateral": bilateral,
        "blur": blur,
        "box": box,
        "canny": canny,
        "denoise": denoise,
        "emboss": emboss,
        "equalize": equalize,
        "gamma": gamma,
        "grayscale": grayscale,
        "invert": invert,
        "kernel": kernel,
        "laplacian": laplacian,
        "median": median,
        "resize_down_up": resize_down_up,
        "scale": scale,
        "scharr": scharr,
        "sharpen": sharpen,
        "sobel": sobel,
        "unsharp": unsharp,
        "upscale": upscale,
    },
)

TOGETHER: Mapping[str, Callable[..., None]] = {"canny": require_order}
"""What a filter's options must be to each other, where each alone is right; called with all of them, before any picture."""
