"""Kept features: what the trunk gives, once a data set, never an old or damaged copy; and the probe's held-out answers."""

import errno
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from foveola import array_cache
from foveola.data.arrays import from_arrays
from foveola.data.prepare import prepare
from foveola.data.split import Split
from foveola.errors import ResourceError
from foveola.models.build import build
from foveola.training.features import LinearProbe, cached_features, has_features
from foveola.training.history import ProbeLog
from foveola.types import Size

CPU = torch.device("cpu")


class Means(nn.Module):
    """A trunk whose features can be worked out by hand: left half's and right half's mean of each channel."""

    features_key = "means"
    features_ready = True

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 2)
        self.calls = 0

    def features(self, images):
        self.calls += len(images)
        half = images.shape[3] // 2
        values = images.float()
        return torch.cat([values[..., :half].mean(dim=(2, 3)), values[..., half:].mean(dim=(2, 3))], dim=1)


@pytest.fixture
def prepared():
    pixels = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)
    return prepare(from_arrays(pixels, np.arange(70) % 2), Size(8, 8))


def keep(prepared, model, dtype=torch.float32, ticks=None):
    return cached_features(prepared, model, CPU, dtype, tick=lambda *t: (ticks if ticks is not None else []).append(t))


def test_a_network_with_random_weights_keeps_nothing_under_the_key_of_the_trained_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path))
    pictures = prepare(from_arrays(np.zeros((4, 32, 32, 3), np.uint8), np.arange(4) % 2), Size(32, 32))
    with pytest.raises(AssertionError, match="adapt must load the weights"):
        keep(pictures, build("transfer", Size(32, 32), 2))
    assert not (tmp_path / "features").exists()


def test_plain_and_mirrored_features_are_the_trunks(prepared):
    plain, mirrored = keep(prepared, Means())
    left, right = (prepared.pixels[:, :, k : k + 4].mean(axis=(1, 2)) for k in (0, 4))
    assert np.allclose(plain, np.concatenate([left, right], axis=1), atol=1e-3)
    assert np.allclose(mirrored, np.concatenate([right, left], axis=1), atol=1e-3)


def test_they_are_computed_once(prepared):
    model, ticks = Means(), []
    first = keep(prepared, model, ticks=ticks)
    assert (model.calls, ticks[-1]) == (140, ("Computing features", 70, 70))
    second = keep(prepared, model)
    assert model.calls == 140
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_version_of_torch_computes_them_anew(prepared, monkeypatch):
    model = Means()
    keep(prepared, model)
    monkeypatch.setattr(torch, "__version__", "9.9.9")
    keep(prepared, model)
    assert model.calls == 280


def test_a_disk_without_room_is_said_before_the_first_picture(prepared, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(array_cache, "preallocate", full)
    model = Means()
    with pytest.raises(ResourceError):
        keep(prepared, model)
    assert model.calls == 0


def test_another_precision_or_trunk_has_features_of_its_own(prepared):
    keep(prepared, Means())
    other = Means()
    other.features_key = "other"
    keep(prepared, other)
    same = Means()
    keep(prepared, same, dtype=torch.bfloat16)
    assert (other.calls, same.calls) == (140, 140)


def test_other_pictures_have_features_of_their_own(prepared):
    keep(prepared, Means())
    pixels = prepared.pixels.copy()
    pixels[3, 2, 2, 1] ^= 1
    model = Means()
    keep(prepare(from_arrays(pixels, np.arange(70) % 2), Size(8, 8)), model)
    assert model.calls == 140


def test_a_damaged_copy_is_made_again(prepared, cache):
    keep(prepared, Means())
    (path,) = (cache / "features").glob("*/plain.npy")
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    model = Means()
    keep(prepared, model)
    assert model.calls == 140


class Half(Means):
    """Of the features of `Means` those of one half."""

    def __init__(self, columns):
        super().__init__()
        self.columns = columns

    def features(self, images):
        return super().features(images)[:, self.columns]


class Halves(Means):
    """Two networks side by side; their features are those of `Means`, the even columns from one, the odd from the other."""

    def __init__(self):
        super().__init__()
        self.trunks = Half([0, 2, 4]), Half([1, 3, 5])
        self.trunk_keys, self.places = ("even", "odd"), (np.array([0, 2, 4]), np.array([1, 3, 5]))


def test_networks_side_by_side_share_their_features_with_others(prepared):
    model, ticks = Halves(), []
    found = keep(prepared, model, ticks=ticks)
    assert all(np.array_equal(a, b) for a, b in zip(found, keep(prepared, Means()), strict=True))
    assert [trunk.calls for trunk in model.trunks] == [140, 140]
    done = [tick[1] for tick in ticks]
    assert (done, done[-1]) == (sorted(done), 70)
    again = Halves()
    again.trunk_keys = ("even", "new")
    keep(prepared, again)
    assert [trunk.calls for trunk in again.trunks] == [0, 140]


def test_networks_with_features_are_told_from_those_without():
    assert has_features(build("transfer", Size(32, 32), 2))
    assert not has_features(build("fast", Size(32, 32), 2))


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
    found = head.cross_fit(ProbeLog(1, 1, 1e-4, 0, 0, 0, 0, 0), seed=0)
    return float((found.logits.argmax(axis=1) == found.labels).mean())


def test_copies_that_the_split_kept_together_are_held_out_together():
    assert held_out_accuracy(lambda labels: np.repeat(np.arange(60), 2)) < 0.7


def test_copies_that_nobody_knows_of_flatter_it():
    assert held_out_accuracy(None) > 0.85


def test_a_class_that_hangs_together_as_a_whole_is_held_out_in_parts():
    assert held_out_accuracy(lambda labels: labels) == held_out_accuracy(None)
