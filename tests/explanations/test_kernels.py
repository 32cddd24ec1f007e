"""Learned kernels, the patches that excite a channel, what a place sees, and pictures laid out in two dimensions."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from foveola.errors import UsageError
from foveola.explanations.embedding import in_two_dimensions, last_features
from foveola.explanations.kernels import kernels, max_activating, receptive_field
from foveola.models.build import build
from foveola.types import Size


def test_the_first_convolutions_kernels_as_pictures():
    model = nn.Sequential(nn.Conv2d(3, 2, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0, -2.0, 0.0], [1.0, 0.5, -1.0]])[..., None, None])
    found = kernels(model)
    assert found.layer == "0"
    assert found.images.tolist() == [[[[255, 0, 128]]], [[[191, 159, 64]]]]  # 127.5 + 127.5 w / 2, halves to even


def test_kernels_over_more_than_three_channels_are_no_pictures():
    found = kernels(build("vgg6", Size(32, 32), 10), "conv2")
    assert found.values.shape == (32, 32, 3, 3)
    assert found.images is None


def test_an_unknown_layer():
    with pytest.raises(UsageError) as error:
        kernels(build("vgg6", Size(32, 32), 10), "relu1")
    assert str(error.value) == "unknown convolution 'relu1'; known: conv1, conv2, conv3, conv4, conv5, conv6"


@pytest.mark.parametrize(
    ("layers", "place", "field"),
    [
        ([nn.Conv2d(3, 4, 3, padding=1)], (5, 7), (4, 6, 7, 9)),
        ([nn.Conv2d(3, 4, 3, padding=1)], (0, 0), (0, 0, 2, 2)),
        ([nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)], (8, 8), (6, 6, 11, 11)),
        ([nn.Conv2d(3, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)], (3, 3), (4, 4, 10, 10)),
    ],
)
def test_a_place_sees_what_arithmetic_says(layers, place, field):
    torch.manual_seed(0)
    model = nn.Sequential(*layers)
    assert receptive_field(model, str(len(layers) - 1), (16, 16), *place) == field


def test_the_patch_that_excites_a_channel_most_is_found():
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[0, 0, 1, 1] = 1  # red
        model[0].weight[1, 2] = 1  # blue, summed over 3x3
    images = np.random.default_rng(0).integers(0, 50, (70, 16, 16, 3), np.uint8)
    images[66, 3, 4, 0], images[12, 9, 9, 0], images[5, 10:13, 2:5, 2] = 255, 200, 255
    found = max_activating(model, images, each=2)
    red, blue = found[0], found[1]
    assert [(p.row, p.value) for p in red] == [(66, 255), (12, 200)]
    assert (blue[0].row, blue[0].top, blue[0].left, blue[0].value) == (5, 10, 2, 9 * 255)
    np.testing.assert_array_equal(blue[0].image, images[5, 10:13, 2:5])


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
