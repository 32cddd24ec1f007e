"""What `look` says of images, against NumPy in double precision."""

import cv2
import numpy as np
import pytest

from foveola.checks.image_quality import image_stats
from foveola.data.arrays import from_arrays
from foveola.data.prepare import prepare
from foveola.types import Size


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (40, 24, 32, 3), dtype=np.uint8)


@pytest.fixture
def looks(pictures):
    return image_stats(prepare(from_arrays(pictures, np.arange(40) % 2), Size(32, 32)))


def greys(pictures):
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in pictures]).astype(np.float64)


def test_colours_are_means_of_the_picture_without_its_padding(pictures, looks):
    np.testing.assert_allclose(looks.colours, pictures.mean(axis=(1, 2)), rtol=1e-6)


def test_contrast_is_the_deviation_of_the_grey(pictures, looks):
    np.testing.assert_allclose(looks.contrast, greys(pictures).std(axis=(1, 2)), rtol=1e-6)


def test_sharpness_is_the_deviation_of_the_laplacian(pictures, looks):
    edged = np.pad(greys(pictures), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    middle = edged[:, 1:-1, 1:-1]
    laplacian = edged[:, :-2, 1:-1] + edged[:, 2:, 1:-1] + edged[:, 1:-1, :-2] + edged[:, 1:-1, 2:] - 4 * middle
    np.testing.assert_allclose(looks.sharpness, laplacian.std(axis=(1, 2)), rtol=1e-6)
