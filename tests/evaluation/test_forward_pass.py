"""The evaluation pass: how many images go through the network at a time."""

import numpy as np
import torch
from torch import nn

from foveola.evaluation import forward_pass
from foveola.evaluation.forward_pass import model_outputs

CPU = torch.device("cpu")


class Seen(nn.Module):
    """Gives each image's first byte, and keeps how many came at a time."""

    def __init__(self):
        super().__init__()
        self.counts = []

    def forward(self, images):
        self.counts.append(len(images))
        return images[:, :1, 0, 0].float()


def outputs(side, n):
    model = Seen()
    images = torch.zeros(n, 3, side, side, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(n)
    return model, list(model_outputs(model, model, [(images, torch.zeros(n))], CPU, torch.float32))


def test_a_cpu_computes_large_images_by_fours_and_gives_them_as_one_batch():
    model, given = outputs(256, 9)
    assert model.counts == [4, 4, 1]
    assert np.array_equal(given[0][:, 0], np.arange(9)) and len(given) == 1


def test_images_larger_than_one_forward_pass_come_one_by_one(monkeypatch):
    monkeypatch.setattr(forward_pass, "PIXELS_AT_ONCE", 100)
    model, given = outputs(16, 3)
    assert model.counts == [1, 1, 1]
    assert given[0].shape == (3, 1)


def test_small_pictures_stay_one_batch():
    assert outputs(32, 200)[0].counts == [200]
