"""transfer: the published trunk with a head that starts at zero, and the last stages free to learn.

The trunk is compared with the package `efficientnet-lite-pytorch`: another implementation, with its batch norms.

The reference fixes its padding for 224x224 images when it is made; image_size=None makes it work the padding out for
each image, as TensorFlow does, so other sizes can be compared.
"""

import io

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from foveola.errors import ResourceError, UsageError
from foveola.models import pretrained_weights as pretrained
from foveola.models.build import adapt, build
from foveola.models.layers import Normalise
from foveola.models.pretrained_weights import published_weights
from foveola.models.registry import require_model
from foveola.models.transfer import FEATURES, EfficientNetLite0, lite0_weights
from foveola.types import Size


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(tmp_path_factory.mktemp("weights")))
        weights = lite0_weights()
    model = EfficientNetLite0(1000).eval()
    model.load_state_dict(weights, strict=False)
    return model


@pytest.fixture(scope="module")
def reference():
    model = EfficientNet.from_name("efficientnet-lite0", image_size=None).eval()
    model.load_state_dict(torch.load(io.BytesIO(published_weights()), weights_only=True))
    return model


def noise(n, height, width):
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=torch.manual_seed(1))


def scene(height, width):
    """Like a photo: a sky that darkens upwards, a textured meadow, a bright disc; uint8 (1, 3, height, width)."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    sky = np.stack([120 + 90 * y, 150 + 80 * y, 255 - 20 * y])
    grain = np.random.default_rng(2).normal(0, 18, (height, width))
    meadow = np.stack([70 + 40 * np.sin(40 * x * y) + grain, 120 + 50 * x + grain, 30 + 20 * y + grain])
    picture = np.where(y > 0.6, meadow, sky)
    picture = np.where((y - 0.45) ** 2 + (x - 0.4) ** 2 < 0.04, np.array([250, 240, 90]).reshape(3, 1, 1), picture)
    return torch.from_numpy(picture.clip(0, 255).astype(np.uint8))[None]


@pytest.mark.parametrize(
    "images",
    [noise(2, 224, 224), scene(224, 224), scene(97, 131), noise(1, 32, 45), noise(1, 1, 1)],
    ids=["noise", "scene", "odd-scene", "small-noise", "one-pixel"],
)
def test_the_logits_are_the_references(ours, reference, images):
    with torch.inference_mode():
        expected = reference((images.float() - 127) / 128)
        torch.testing.assert_close(ours(images), expected, rtol=0, atol=1e-4)


def test_channels_last_pictures_give_the_same_logits_and_stay_channels_last(ours):
    images = scene(64, 48)
    model = EfficientNetLite0(1000).eval()
    model.load_state_dict(ours.state_dict())
    model = model.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        last = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(model(last), ours(images), rtol=0, atol=1e-4)
        assert model.stem(model.normalise(last)).is_contiguous(memory_format=torch.channels_last)


def test_float_pictures_of_0_to_255_give_what_bytes_give(ours):
    with torch.inference_mode():
        assert torch.equal(ours(scene(64, 48).float()), ours(scene(64, 48)))


def test_there_are_as_many_parameters_as_the_reference_has_without_its_batch_norms_scales(ours, reference):
    norms = [layer for layer in reference.modules() if isinstance(layer, nn.BatchNorm2d)]
    theirs = sum(value.numel() for value in reference.parameters())
    # A batch norm learns a scale and a shift for each channel; ours keeps only the shift, as the convolution's bias.
    folded = theirs - sum(layer.num_features for layer in norms)
    assert (theirs, sum(value.numel() for value in ours.parameters())) == (4_652_008, folded)
    assert folded == 4_631_000
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in ours.modules())


def test_the_stages_are_feature_maps_of_the_papers_sizes():
    model = EfficientNetLite0(2).eval()
    shapes = {}
    for name in model.stages:
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: shapes.update({name: out.shape}))
    with torch.inference_mode():
        model(noise(1, 224, 224))
    assert {name: tuple(shape[1:]) for name, shape in shapes.items()} == {
        "stem": (32, 112, 112),
        "stage1": (16, 112, 112),
        "stage2": (24, 56, 56),
        "stage3": (40, 28, 28),
        "stage4": (80, 14, 14),
        "stage5": (112, 14, 14),
        "stage6": (192, 7, 7),
        "stage7": (320, 7, 7),
        "top": (FEATURES, 7, 7),
    }
    assert tuple(shapes) == model.stages


def test_the_features_are_the_means_of_the_references_last_map(ours, reference):
    images = scene(97, 131)
    with torch.inference_mode():
        expected = reference.extract_features((images.float() - 127) / 128).mean(dim=(2, 3))
        torch.testing.assert_close(ours.features(images), expected, rtol=0, atol=1e-4)


def test_under_bfloat16_the_features_stay_float32_and_close(ours):
    images = scene(224, 224)
    with torch.inference_mode():
        exact = ours.features(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = ours.features(images)
    assert rough.dtype == torch.float32 and rough.shape == (1, FEATURES)
    # bfloat16 keeps 8 bits, and the error grows through 49 convolutions.
    assert 0 < (rough - exact).norm() / exact.norm() < 0.15


def test_every_parameter_learns():
    model = EfficientNetLite0(3)
    model.load_state_dict(
        {name: torch.full_like(value, 0.01) for name, value in model.named_parameters()}, strict=False
    )
    model(noise(2, 64, 64)).square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_the_normalisation_is_fixed_and_ignores_the_pictures(ours):
    layer = Normalise("half")
    layer.adapt(noise(4, 8, 8))
    assert layer(torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 3, 1, 1)).flatten().tolist() == [
        -127 / 128,
        0.0,
        1.0,
    ]
    assert torch.equal(layer.mean, ours.normalise.mean) and torch.equal(layer.deviation, ours.normalise.deviation)


def learning(model):
    return {name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_the_trunk_is_the_published_one_and_the_head_says_nothing_yet():
    model = build("transfer", Size(64, 64), 3)
    images = torch.zeros((2, 3, 64, 64), dtype=torch.uint8)
    adapt(model, images)
    weights = lite0_weights()
    assert torch.equal(model.stage5[0].project.weight, weights["stage5.0.project.weight"])
    assert torch.equal(model.eval()(images), torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("stages", "expected"), [(0, {"head"}), (1, {"top", "head"}), (3, {"stage6", "stage7", "top", "head"})]
)
def test_so_many_of_the_last_stages_learn(stages, expected):
    assert learning(build("transfer", Size(64, 64), 2, {"finetune_stages": stages})) == expected


def test_all_nine_stages_may_learn():
    assert all(p.requires_grad for p in build("transfer", Size(64, 64), 2, {"finetune_stages": 9}).parameters())


def test_a_size_too_small_is_refused():
    with pytest.raises(UsageError) as caught:
        build("transfer", Size(31, 64), 2)
    assert str(caught.value) == "model transfer needs images of at least 32x32; got 64x31: choose a larger --size"


def test_without_the_package_transfer_is_refused_and_others_are_not(monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    require_model("fast")
    with pytest.raises(ResourceError, match=r"^transfer starts from ImageNet weights in the package"):
        require_model("transfer")
