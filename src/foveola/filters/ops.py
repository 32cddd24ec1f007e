"""The 20 image filters: linear kernels, edges, edge-preserving smoothing, brightness and colour, and resolution.

A filter takes uint8 (H, W, 3), RGB, or a stack of such images, and returns the same. Each is a documented call of OpenCV.
Linear filters compute the correlation of each colour with the kernel: OpenCV does not flip the kernel.

Results are rounded and clipped to 0..255 as OpenCV does for uint8: half to even, but half up in a Gaussian blur, which it
computes in whole numbers, and in a mean of areas of exactly 2x2. Beyond the border the image is mirrored without repeating
its last row (OpenCV's BORDER_REFLECT_101) unless the filter says otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Concatenate, ParamSpec, TypeAlias

import cv2
import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from foveola.errors import UsageError
from foveola.imaging.file_formats import MAX_PIXELS, MAX_SIDE_PX
from foveola.types import Image, Images

P = ParamSpec("P")

Mat: TypeAlias = NDArray[Any]
"""What OpenCV's type hints say it gives. For uint8 it gives uint8: the tests look at every filter."""


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "it must be odd, so that the kernel has a centre")
    return value


KernelSize = Annotated[int, Ge(1), Le(31), AfterValidator(_odd)]
"""Side of a kernel in pixels."""

DerivativeSize = Annotated[int, Ge(1), Le(7), AfterValidator(_odd)]
"""Side of a derivative's kernel in pixels: OpenCV has 1, 3, 5 and 7."""

Sigma = Annotated[float, Ge(0), Le(1000)]
"""Standard deviation of a bell curve, in pixels or grey levels; 0 where the filter has a rule for it."""


def on_stacks(one: Callable[Concatenate[Image, P], Mat]) -> Callable[Concatenate[Images, P], Images]:
    """Make a filter of one image work on stacks of images: uint8 (H, W, 3) or (..., H, W, 3).

    Raises UsageError for anything else.
    """

    @functools.wraps(one)
    def many(images: Images, /, *args: P.args, **options: P.kwargs) -> Images:
        require_pictures(images)
        if images.ndim == 3:
            return one(images, *args, **options)
        flat = images.reshape(-1, *images.shape[-3:])
        if not len(flat):
            return images.copy()
        done = np.stack([one(image, *args, **options) for image in flat])
        return done.reshape(*images.shape[:-3], *done.shape[1:])

    return many


def require_pictures(images: Any) -> None:
    """Raise UsageError unless these are images: uint8 (..., H, W, 3)."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim < 3 or images.shape[-1] != 3:
        raise UsageError(
            f"a filter takes images as uint8 (height, width, 3) or a stack of them: this is {describe_value(images)}"
        )
    if 0 in images.shape[-3:]:
        raise UsageError(f"a filter needs an image of at least one pixel; got {describe_value(images)}")


def describe_value(value: Any) -> str:
    """An array's dtype and shape for a sentence, or another value's type."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def require_room(image: Image, size: int, what: str) -> None:
    """Raise UsageError when a kernel of this side is larger than the image."""
    height, width = image.shape[:2]
    if size > min(height, width):
        raise UsageError(f"{what} has a kernel of {size}x{size}: this image of {width}x{height} is too small for it")


SHARPEN = ((0, -1, 0), (-1, 5, -1), (0, -1, 0))
"""Identity plus the negative Laplacian: what differs from its neighbours differs more. Sums to 1."""

EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
"""Light from the lower right: a slope towards it is lit, its back is dark. Sums to 1."""

_SHARPEN, _EMBOSS = np.array(SHARPEN, np.float32), np.array(EMBOSS, np.float32)


def _square(values: list[list[float]]) -> list[list[float]]:
    side = len(values)
    if side not in (3, 5, 7) or any(len(row) != side for row in values):
        rows = "x".join(sorted({str(len(row)) for row in values})) or "0"
        raise PydanticCustomError(
            "square", f"it must have 3x3, 5x5 or 7x7 numbers; it has {side} rows of {rows}".replace("{", "(")
        )
    return values


Number = Annotated[float, Ge(-1e6), Le(1e6)]

Kernel = Annotated[list[list[Number]], AfterValidator(_square)]
"""A kernel's numbers, row by row."""


@on_stacks
def kernel(image: Image, *, values: Kernel) -> Mat:
    """Your own kernel of 3x3 to 7x7 numbers: `cv2.filter2D(image, -1, values)`."""
    require_room(image, len(values), "kernel")
    return cv2.filter2D(image, -1, np.array(values, np.float32))


@on_stacks
def sharpen(image: Image) -> Mat:
    """Sharpen: `cv2.filter2D` with 0 -1 0 / -1 5 -1 / 0 -1 0."""
    require_room(image, 3, "sharpen")
    return cv2.filter2D(image, -1, _SHARPEN)


@on_stacks
def emboss(image: Image) -> Mat:
    """Emboss, a relief lit from one corner: `cv2.filter2D` with -2 -1 0 / -1 1 1 / 0 1 2."""
    require_room(image, 3, "emboss")
    return cv2.filter2D(image, -1, _EMBOSS)


@on_stacks
def blur(image: Image, *, size: KernelSize = 3, sigma: Sigma = 0.0) -> Mat:
    """Gaussian blur: `cv2.GaussianBlur(image, (size, size), sigma)`; with sigma 0, OpenCV derives it from the size.

    That is OpenCV's own table up to size 9 (of size 3 it is 1/4 1/2 1/4), above it sigma = 0.15 size + 0.35. Halves are
    rounded up.
    """
    require_room(image, size, f"blur(size={size})")
    return cv2.GaussianBlur(image, (size, size), sigma)


@on_stacks
def box(image: Image, *, size: KernelSize = 3) -> Mat:
    """Box blur, the mean of the neighbours: `cv2.blur(image, (size, size))`."""
    require_room(image, size, f"box(size={size})")
    return cv2.blur(image, (size, size))


@on_stacks
def unsharp(
    image: Image, *, size: KernelSize = 5, sigma: Sigma = 0.0, amount: Annotated[float, Ge(0), Le(20)] = 1.0
) -> Mat:
    """Unsharp mask, the image plus `amount` times its difference from its Gaussian blur: `cv2.addWeighted`."""
    require_room(image, size, f"unsharp(size={size})")
    return cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (size, size), sigma), -amount, 0)


Threshold = Annotated[float, Ge(0), Le(10_000)]
"""A length of the gradient, as a 3x3 Sobel kernel measures it: up to 1,020 along an axis."""


@on_stacks
def sobel(image: Image, *, size: DerivativeSize = 3) -> Mat:
    """Gradient magnitude in each colour by Sobel's kernels: `cv2.magnitude` of `cv2.Sobel` in x and in y."""
    require_room(image, max(3, size), f"sobel(size={size})")
    return _length(cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=size), cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=size))


@on_stacks
def scharr(image: Image) -> Mat:
    """Gradient magnitude in each colour by Scharr's kernels, more isotropic than Sobel's: `cv2.Scharr`."""
    require_room(image, 3, "scharr")
    return _length(cv2.Scharr(image, cv2.CV_32F, 1, 0), cv2.Scharr(image, cv2.CV_32F, 0, 1))


@on_stacks
def laplacian(image: Image, *, size: DerivativeSize = 1) -> Mat:
    """Laplacian, the absolute second derivative in each colour: `cv2.convertScaleAbs(cv2.Laplacian(...))`."""
    require_room(image, max(3, size), f"laplacian(size={size})")
    return cv2.convertScaleAbs(cv2.Laplacian(image, cv2.CV_32F, ksize=size))


def require_order(low: float, high: float) -> None:
    """Raise UsageError unless Canny's thresholds are in their order."""
    if low > high:
        raise UsageError(f"canny(low={low:g}, high={high:g}): low must not be above high: swap them")


@on_stacks
def canny(image: Image, *, low: Threshold = 50.0, high: Threshold = 150.0) -> Mat:
    """Canny edges, 255 on 0 (J. Canny, 1986): those above `high`, and those above `low` that touch them; `cv2.Canny`.

    The border pixel is repeated outwards.
    """
    require_order(low, high)
    require_room(image, 3, "canny")
    return np.repeat(cv2.Canny(image, low, high)[..., None], 3, axis=2)


def _length(across: np.ndarray, down: np.ndarray) -> Mat:
    return cv2.convertScaleAbs(cv2.magnitude(across, down))


@on_stacks
def median(image: Image, *, size: KernelSize = 3) -> Mat:
    """Median of the neighbours, in each colour: `cv2.medianBlur`; the border pixel is repeated outwards."""
    require_room(image, size, f"median(size={size})")
    return cv2.medianBlur(image, size)


@on_stacks
def bilateral(image: Image, *, size: KernelSize = 5, sigma_color: Sigma = 50.0, sigma_space: Sigma = 50.0) -> Mat:
    """Bilateral filter, a blur that keeps edges (Tomasi and Manduchi, 1998): `cv2.bilateralFilter`."""
    require_room(image, size, f"bilateral(size={size})")
    return cv2.bilateralFilter(image, size, sigma_color, sigma_space)


@on_stacks
def denoise(image: Image, *, strength: Annotated[float, Gt(0), Le(100)] = 3.0) -> Mat:
    """Non-local means (Buades, Coll and Morel, 2005): `cv2.fastNlMeansDenoisingColored`, 7 px patches within 21 px."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.cvtColor(cv2.fastNlMeansDenoisingColored(bgr, None, strength, strength, 7, 21), cv2.COLOR_BGR2RGB)


@on_stacks
def grayscale(image: Image) -> Mat:
    """Greyscale, 0.299 R + 0.587 G + 0.114 B in all three channels: `cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)`."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


@on_stacks
def invert(image: Image) -> Mat:
    """The negative, 255 - v: `cv2.bitwise_not`."""
    return cv2.bitwise_not(image)


@on_stacks
def gamma(image: Image, *, value: Annotated[float, Gt(0), Le(10)] = 0.5) -> Mat:
    """Gamma correction, 255 (v / 255)^value: below 1 the image becomes brighter, above 1 darker; `cv2.LUT`."""
    return cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** value).astype(np.uint8))


@on_stacks
def equalize(
    image: Image, *, limit: Annotated[float, Gt(0), Le(100)] = 2.0, tiles: Annotated[int, Ge(1), Le(64)] = 8
) -> Mat:
    """Adaptive histogram equalisation (CLAHE, K. Zuiderveld, 1994) of the lightness of L*a*b*: `cv2.createCLAHE`."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(limit, (tiles, tiles)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


Factor = Annotated[int, Ge(1), Le(64)]

Side = Annotated[int, Ge(1), Le(4096)]
"""Of an image, in pixels."""


@on_stacks
def resize_down_up(image: Image, *, factor: Factor = 4) -> Mat:
    """Pixelate: `cv2.resize` to 1/factor by the mean of each area, and back by repeating pixels.

    Means of exactly 2x2 pixels are rounded half up, others half to even.
    """
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, round(width / factor)), max(1, round(height / factor))), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


@on_stacks
def scale(image: Image, *, width: Side, height: Side) -> Mat:
    """Resize to width x height pixels, each the mean of its area: `cv2.resize(..., interpolation=cv2.INTER_AREA)`.

    Means of exactly 2x2 pixels are rounded half up, others half to even. A side that grows is filled in between neighbours,
    after the other has shrunk: in one call OpenCV would leave out pixels of that.
    """
    rows, columns = image.shape[:2]
    less = min(width, columns), min(height, rows)
    shrunk = cv2.resize(image, less, interpolation=cv2.INTER_AREA)
    return shrunk if less == (width, height) else cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_AREA)


@on_stacks
def upscale(image: Image, *, factor: Annotated[int, Ge(1), Le(8)] = 2) -> Mat:
    """Enlarge `factor` times in each direction (Lanczos, 8x8 neighbours): `cv2.resize`; it resizes.

    The border pixel is repeated outwards. Raises UsageError for more than 120 million pixels or a side of more than 30,000.
    """
    height, width = factor * image.shape[0], factor * image.shape[1]
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE_PX:  # what could not be read again is not made
        raise UsageError(
            f"upscale(factor={factor}) would make this image {width}x{height}, but at most {MAX_PIXELS:,} pixels and "
            f"sides of {MAX_SIDE_PX:,} are allowed; use a smaller factor"
        )
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LANCZOS4)
