"""The embedding of images in two dimensions."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from foveola.errors import UsageError
from foveola.explanations.embedding import in_two_dimensions, last_features
from foveola.models.build import build
from foveola.types import Size


def test_last_features_go_into_the_last_dense_layer():
    model = build("vgg6", Size(32, 32), 10, seed=0).eval()
    images = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), np.uint8)
    features = last_features(model, images)
    assert features.shape == (70, 128)
    with torch.no_grad():
        logits = model(torch.tensor(images, dtype=torch.float32).permute(0, 3, 1, 2))
        np.testing.assert_allclose(model.output(torch.tensor(features)).numpy(), logits.numpy(), atol=1e-4)


def test_principal_components_are_scikit_learns():
    features = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    np.testing.assert_allclose(
        np.abs(in_two_dimensions(features, "pca")), np.abs(PCA(2).fit_transform(features)), atol=1e-4
    )


def test_tsne_keeps_neighbours_together():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(k * 20, 1, (20, 8)) for k in range(3)]).astype(np.float32)
    flat = in_two_dimensions(features, "tsne")
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=2) + 1e9 * np.eye(60)
    assert (distance.argmin(axis=1) // 20 == np.arange(60) // 20).all()
    np.testing.assert_array_equal(flat, in_two_dimensions(features, "tsne"))


def test_too_few_pictures():
    with pytest.raises(UsageError) as error:
        in_two_dimensions(np.zeros((3, 5), np.float32), "pca")
    assert str(error.value) == "an embedding needs at least 4 images, but 3 were given"
