"""Images with details of their own, and what happens to images on their way through the world."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def changed():
    """The ways a copy differs from its original: name -> function of an image."""

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
