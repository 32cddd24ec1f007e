"""Running statistics of batch norm: which ones don't fit the weights, and what they become."""

import numpy as np
import pytest
import torch
from torch import nn

from foveola.data.loader import Batches
from foveola.models.build import adapt, build
from foveola.training.config import FitSpec
from foveola.training.history import EpochLog
from foveola.training.loop import fit, images_needed, recompute_statistics, stale_norms
from foveola.types import Size

CPU = torch.device("cpu")
ENOUGH_STEPS = 10_000


class Bright(nn.Module):
    """Images times a factor, dropped out, and normed: all that a batch norm can be wrong about."""

    def __init__(self, momentum=0.01):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm2d(3, momentum=momentum)

    def forward(self, images):
        return self.norm(self.drop(images.float() * self.factor)).mean(dim=(2, 3))


@pytest.fixture
def images():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (300, 3, 8, 8), np.uint8))


def settled(model, images, first=False):
    model.train()
    recompute_statistics([model.norm], model, images, CPU, torch.float32, first=first)
    return model.norm


def test_many_images_give_the_statistics_of_the_weights_as_they_are_and_without_dropout(images):
    model = Bright()
    with torch.no_grad():
        model.factor.fill_(2.0)
    norm, values = settled(model, images), 2.0 * images.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(norm.running_mean.double(), values.mean(dim=1), rtol=1e-4, atol=0)
    torch.testing.assert_close(norm.running_var.double(), values.var(dim=1), rtol=2e-3, atol=0)


def test_few_images_go_half_into_the_old_statistics(images):
    model = Bright()
    model.norm.running_mean.fill_(1000.0)
    expected = (1000.0 + images[:20].double().mean(dim=(0, 2, 3))) / 2
    torch.testing.assert_close(settled(model, images[:20]).running_mean.double(), expected, rtol=1e-5, atol=0)


def test_the_first_time_few_images_replace_what_a_norm_began_with(images):
    expected = images[:20].double().mean(dim=(0, 2, 3))
    found = settled(Bright(), images[:20], first=True).running_mean
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_settling_changes_nothing_else(images):
    model = Bright()
    before = {name: value.clone() for name, value in model.state_dict().items() if not name.startswith("norm.running")}
    model.norm.num_batches_tracked.fill_(7)
    norm = settled(model, images)
    assert norm.momentum == 0.01
    assert int(norm.num_batches_tracked) == 7
    assert model.training and norm.training and model.drop.training
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if "num_batches" not in name)


@pytest.mark.parametrize(
    ("momentum", "batch_size", "steps", "expected"),
    [
        (0.01, 64, ENOUGH_STEPS, True),  # the course's networks: an average over 6,400 images
        (0.4, 125, 100, False),  # `fast`: over 312
        (0.1, 64, 100, False),  # torch's default: over 640
        (0.1, 64, 20, True),  # an eighth of it is what it began with
        (0.1, 128, 100, True),
    ],
)
def test_averages_over_many_images_or_with_a_start_that_is_remembered_are_stale(momentum, batch_size, steps, expected):
    assert bool(stale_norms(Bright(momentum).train(), batch_size, steps)) is expected


def test_norms_that_do_not_learn_or_keep_no_moving_average_are_left_alone():
    frozen, own, without = Bright().train(), Bright(momentum=None).train(), Bright().train()
    frozen.norm.eval()
    without.norm = nn.BatchNorm2d(3, track_running_stats=False)
    assert [stale_norms(model, 64, 10) for model in (frozen, own, without)] == [[], [], []]


@pytest.mark.parametrize(
    ("shown", "pixels", "expected"), [(50_000, 1024, 1250), (288, 224 * 224, 16), (10**6, 1024, 25_000)]
)
def test_a_fortieth_of_the_epochs_images_are_needed_and_at_least_16(shown, pixels, expected):
    assert images_needed(shown, pixels) == expected


def test_no_more_pixels_are_needed_than_memory_should_hold():
    assert images_needed(10**6, 1024 * 1024) == 64


@pytest.fixture(scope="module")
def stripes():
    """200 images of 16x16: class 0 has horizontal stripes, class 1 vertical ones, both with noise."""
    rng, labels = np.random.default_rng(0), np.arange(200) % 2
    pixels = rng.integers(0, 120, (200, 16, 16, 3))
    pixels[labels == 0, ::4] += 120
    pixels[labels == 1, :, ::4] += 120
    return pixels.astype(np.uint8), labels.astype(np.int64)


def test_a_network_with_a_long_moving_average_has_a_sensible_loss_from_the_first_epoch(stripes):
    """Ten steps of the course's network: nine tenths of its moving average are what it began with, and the loss was 0.54."""
    pixels, labels = stripes
    train, val = Batches(pixels, labels, np.arange(160), 16), Batches(pixels, labels, np.arange(160, 200), 16)
    model = build("vgg6", Size(16, 16), 2, {}, seed=0)
    adapt(model, train.sample(160))
    spec = FitSpec(epochs=1, batch_size=16, lr_peak=1e-3)
    rows = list(fit(model, train, val, spec, device=CPU, dtype=torch.float32, seed=0))
    assert isinstance(rows[-1], EpochLog)
    assert rows[-1].val_loss < 0.05


def test_drawn_images_are_different_ones_of_the_rows_and_the_same_for_a_key():
    pixels = np.arange(100, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    batches = Batches(pixels, np.zeros(100, np.int64), np.arange(50, 100), 10)
    first, again, other = (batches.drawn(20, key).flatten(1)[:, 0].tolist() for key in ((1, 2), (1, 2), (1, 3)))
    assert first == again != other
    assert len(set(first)) == 20 and min(first) >= 50
    assert len(batches.drawn(500, (0,))) == 50
