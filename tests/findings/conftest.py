"""Pictures with details of their own, and what happens to pictures on their way through the world."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def scene():
    """A picture of its own for every number, textured in several sizes: uint8 (side, side, 3)."""

    def make(number, side=64):
        rng = np.random.default_rng([number, 77])
        image = np.full((side, side, 3), 128, np.float32)
        for cells, strength in ((4, 50), (10, 40), (24, 25)):
            coarse = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
            image += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        return np.clip(image, 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def changed():
    """The ways a copy differs from its original: name -> function of a picture."""

    def resaved(image):
        return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)

    def resized(image):
        return cv2.resize(image, (44, 44), interpolation=cv2.INTER_AREA)

    def brightened(image):
        return np.clip(image.astype(np.float32) * 1.15 + 10, 0, 255).astype(np.uint8)

    return {
        "resaved": resaved,
        "resized": resized,
        "cropped": lambda image: image[3:, : len(image) - 2],
        "mirrored": lambda image: image[:, ::-1],
        "turned": np.rot90,
        "upside down": lambda image: image[::-1],
        "brightened": brightened,
    }
