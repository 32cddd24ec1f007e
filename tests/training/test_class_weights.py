"""Class weights: scikit-learn's, by hand, and a network that finds the rare class more often with them."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from foveola.data.loader import Batches
from foveola.training.class_weights import balanced_weights, weighted_cross_entropy, weighted_measure
from foveola.training.config import FitSpec
from foveola.training.loop import fit


def test_the_weights_are_scikit_learns():
    labels = np.random.default_rng(0).choice(4, 200, p=[0.6, 0.3, 0.08, 0.02])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    assert balanced_weights(labels, 4) == pytest.approx(expected)
    assert balanced_weights(labels, 4)[labels].mean() == pytest.approx(1)


def test_a_class_without_images_has_no_weight():
    assert balanced_weights(np.array([0, 0, 2]), 4).tolist() == [0.75, 0, 1.5, 0]


def test_the_weighted_loss_by_hand():
    logits, labels = torch.zeros(3, 2), torch.tensor([0, 0, 1])
    logits[2] = torch.tensor([0.0, 1.0])
    weights = torch.tensor([0.75, 1.5])
    own = [np.log(2), np.log(2), np.log(1 + np.exp(-1))]
    expected = (0.75 * own[0] + 0.75 * own[1] + 1.5 * own[2]) / 3
    assert float(weighted_cross_entropy(logits, labels, weights)) == pytest.approx(expected)
    ones = torch.ones(2)
    for smoothing in (0.0, 0.2):
        plain = weighted_cross_entropy(logits, labels, None, smoothing)
        assert float(weighted_cross_entropy(logits, labels, ones, smoothing)) == pytest.approx(float(plain))


def test_the_weighted_measure_is_the_mean_over_classes():
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    labels = torch.tensor([0, 0, 0, 1])
    _, accuracy = weighted_measure(logits, labels, torch.from_numpy(balanced_weights(labels.numpy(), 2)).float())
    assert accuracy == pytest.approx(0.5)  # the mean of the recalls 1 and 0
    assert weighted_measure(logits, labels, None)[1] == 0.75


class Colours(nn.Module):
    """Logits from the mean colour of an image."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, images):
        return self.linear(images.float().mean((2, 3)) / 255)


@pytest.mark.parametrize("micro", [0, 8])
def test_without_a_difference_the_probabilities_are_the_shares_of_the_weights(micro):
    labels = (np.arange(160) % 8 == 0).astype(np.int64)
    pixels = np.random.default_rng(0).integers(0, 256, (160, 8, 8, 3)).astype(np.uint8)
    found = {}
    for weights in ("none", "balanced"):
        spec = FitSpec(epochs=20, batch_size=16, micro_batch_size=micro, lr_peak=0.05, class_weights=weights)
        train = Batches(pixels, labels, np.arange(160), 16, seed=0)
        torch.manual_seed(0)
        model = Colours()
        rows = list(fit(model, train, train, spec, device=torch.device("cpu"), dtype=torch.float32, seed=0))
        with torch.no_grad():
            found[weights] = float(model(torch.from_numpy(pixels).permute(0, 3, 1, 2)).softmax(1)[:, 1].mean())
    assert found["none"] == pytest.approx(1 / 8, abs=0.05)
    assert found["balanced"] == pytest.approx(1 / 2, abs=0.1)
    assert rows[-1].val_loss == pytest.approx(np.log(2), abs=0.05)
