"""What a head is calibrated on: answers of heads that have not seen the picture, nor a copy of it."""

from types import SimpleNamespace

import numpy as np
from torch import nn

from foveola.data.split import Split
from foveola.training.features import LinearProbe


def held_out_accuracy(together):
    """Sixty pictures without any sense, two of each, each pair under a label drawn for it; features are their pixels."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.standard_normal((60, 200)), 2, axis=0).astype(np.float32)
    labels = np.repeat(rng.permutation(np.arange(60) % 2), 2)
    dataset = SimpleNamespace(labels=labels, groups=None, class_names=("a", "b"))
    prepared = SimpleNamespace(content=np.arange(120), dataset=dataset)
    split = Split(
        np.arange(100), np.arange(100, 120), np.zeros(0, np.int64), 0, "", together=together and together(labels)
    )
    head = LinearProbe(nn.Linear(200, 2), prepared, split, (features, features), False, False)
    found = head.cross_fit(1e-4, seed=0)
    return float((found.logits.argmax(axis=1) == found.labels).mean())


def test_copies_that_the_split_kept_together_are_held_out_together():
    assert held_out_accuracy(lambda labels: np.repeat(np.arange(60), 2)) < 0.7


def test_copies_that_nobody_knows_of_flatter_it():
    assert held_out_accuracy(None) > 0.85


def test_a_class_that_hangs_together_as_a_whole_is_held_out_in_parts():
    assert held_out_accuracy(lambda labels: labels) == held_out_accuracy(None)
