"""Decide whether one image is a near-duplicate of another: align the two, then correlate their fine details.

Two images of sky look alike, and so do two hands in front of one wall, because their coarse structure is the same. A copy
also shares the fine details. So the second image is moved, scaled and sheared until it fits the first (ECC: G. Evangelidis
and E. Psarakis, "Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization", IEEE PAMI 30(10), 2008, in
OpenCV's implementation). Then the correlation of the details decides: of each image minus a blurred version of itself.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Grey: TypeAlias = NDArray[np.float32]

SIDE = 64
"""Side at which two images are laid over each other, in pixels; less where they are smaller."""

AGREEMENT = 0.95
"""Correlation of the details from which two images are copies.

Of 300 images each of flowers and signs against themselves, saved as JPEG of quality 50, at 0.6 of the size, mirrored,
turned, with a twentieth cut off, 95 % lie above 0.985; with a tenth cut off above 0.975; of cifar10 above 0.93. Among all
pairs of 2,062 hand signs, mostly the same poses before the same wall, none reaches it. The pairs found in
flowers (but two of 33) and a random 40 of cifar10 were looked at and are copies; between 0.88 and 0.93 the first
likenesses are among them. Of cifar10's pairs none lies under two labels, though nothing here looks at labels.
"""

TEXTURE = 4.0
"""Deviation of the details, in grey levels 0..255, below which an image is too smooth to be told from another."""

OVERLAP, SCALE, SHEAR = 0.6, 1.5, 0.1
"""Limits of a slight crop: the least common share of the image, the largest ratio of the sides, and the largest turn or
shear (0.1: 6 degrees). With more freedom one silhouette can be bent into another."""

_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)


def is_copy(a: Grey, b: Grey) -> bool:
    """Whether grey images a and b, float32 (s, s), 0..255, show the same but for a small crop, tones and noise."""
    a, b = (np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), np.float32) for image in (a, b))
    details_a, details_b = _details(a), _details(b)
    if min(details_a.std(), details_b.std()) < TEXTURE:
        return False
    try:
        # None is "no mask", which the stubs of this overload forget.
        found = cv2.findTransformECC(a, b, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, _STEPS, None, 1)  # type: ignore[call-overload]
    except cv2.error:  # the iteration found no way to lay them over each other
        return False
    move = np.asarray(found[1], np.float32)
    if not _is_slight(move):
        return False
    common = cv2.erode(_moved(np.ones_like(b), move), np.ones((3, 3), np.uint8)) > 0.99
    if common.mean() < OVERLAP:
        return False
    return agreement(details_a[common], _moved(details_b, move)[common]) >= AGREEMENT


def agreement(a: Grey, b: Grey) -> float:
    """Pearson's correlation of the values, float32 (n,); 0 where one of them varies by less than TEXTURE."""
    a, b = a - a.mean(), b - b.mean()
    spread = float(a.std()), float(b.std())
    if min(spread) < TEXTURE:
        return 0.0
    return float((a * b).mean()) / (spread[0] * spread[1])


def _details(image: Grey) -> Grey:
    return np.asarray(image - cv2.GaussianBlur(image, (0, 0), image.shape[0] / 16), np.float32)


def _moved(image: Grey, move: Grey) -> Grey:
    height, width = image.shape
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, move, (width, height), flags=how), np.float32)


def _is_slight(move: Grey) -> bool:
    scales = np.abs(np.log(np.maximum(move[[0, 1], [0, 1]], 1e-3)))
    return bool(scales.max() <= np.log(SCALE) and np.abs(move[[0, 1], [1, 0]]).max() <= SHEAR)
