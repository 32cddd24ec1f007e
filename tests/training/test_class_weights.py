"""Class weights: scikit-learn's, by hand, and a network that finds the rare class more often with them."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from foveola.data.loader import Batches
from foveola.evaluation.metrics import softmax
from foveola.training.class_weights import balanced_weights, weighted_cross_entropy, weighted_measure
from foveola.training.config import FitSpec
from foveola.training.linear_probe import Features, cross_fit, fit_linear_probe
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


def unequal(n=200):
    """Overlapping clouds of three classes, the last one rare."""
    rng = np.random.default_rng(1)
    labels = rng.choice(3, n, p=[0.6, 0.32, 0.08])
    return Features((rng.normal(size=(n, 20)) + np.eye(3, 20)[labels]).astype(np.float32), labels)


@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_the_weighted_head_is_scikit_learns(strength):
    plain = unequal()
    train = plain._replace(weights=balanced_weights(plain.labels, 3)[plain.labels])
    head = nn.Linear(20, 3)
    (row,) = fit_linear_probe(head, train, train, [strength], tolerance=1e-12)
    values = train.values.astype(np.float64)
    deviation = values.std(axis=0)
    values = (values - values.mean(axis=0)) / deviation
    n = len(values)
    oracle = LogisticRegression(C=1 / (n * strength), class_weight="balanced", tol=1e-10, max_iter=10_000)
    oracle.fit(values, train.labels)
    np.testing.assert_allclose(head.weight.detach().numpy() * deviation, oracle.coef_, rtol=1e-3, atol=1e-5)
    chances = oracle.predict_proba(values)
    weights = train.weights / train.weights.sum()
    assert row.train_loss == pytest.approx(-(weights @ np.log(chances[np.arange(n), train.labels])), rel=1e-5)
    assert row.train_accuracy == pytest.approx(balanced_accuracy_score(train.labels, chances.argmax(axis=1)))


def test_cross_fitting_uses_the_weights():
    plain = unequal(120)
    weights = balanced_weights(plain.labels, 3)[plain.labels]
    folds = np.arange(120) % 4
    found = cross_fit(plain._replace(weights=weights), folds, plain, 0.1, 3, tolerance=1e-11)
    unweighted = cross_fit(plain, folds, plain, 0.1, 3, tolerance=1e-11)
    assert softmax(found)[:, 2].mean() > softmax(unweighted)[:, 2].mean() + 0.05
    twice = Features(np.concatenate([plain.values] * 2), np.concatenate([plain.labels] * 2), np.tile(weights, 2))
    doubled = cross_fit(twice, folds, plain, 0.1, 3, tolerance=1e-11)
    assert softmax(doubled) == pytest.approx(softmax(found), abs=1e-3)


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
