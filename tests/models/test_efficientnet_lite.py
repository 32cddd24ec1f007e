"""EfficientNet-Lite: logits, features and stages are those of the package `efficientnet-lite-pytorch`.

It is another implementation, with its batch norms.

The reference fixes its padding for 224x224 images when it is made; image_size=None makes it work the padding out for
each image, as TensorFlow does, so other sizes can be compared.
"""

import io

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from foveola.models.efficientnet_lite import TOP, EfficientNetLite, convert, lite_weights, stages_of
from foveola.models.layers import Normalise
from foveola.models.pretrained_weights import LITE0, LITE2


class WithItsHead(nn.Module):
    """A network with ImageNet's head on the means of its top."""

    def __init__(self, trunk, weights):
        super().__init__()
        self.trunk = trunk.eval()
        self.trunk.load_state_dict({k: v for k, v in weights.items() if not k.startswith("head.")}, strict=False)
        self.head = nn.Linear(TOP, 1000)
        self.head.load_state_dict({part: weights[f"head.{part}"] for part in ("weight", "bias")})

    def forward(self, images):
        return self.head(self.trunk.features(images)[:, :TOP])


def reference_of(name, weights=None):
    model = EfficientNet.from_name(name, image_size=None).eval()
    if weights is not None:
        model.load_state_dict(torch.load(io.BytesIO(weights.read()), weights_only=True))
    return model


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(tmp_path_factory.mktemp("weights")))
        return WithItsHead(EfficientNetLite(), lite_weights())


@pytest.fixture(scope="module")
def reference():
    return reference_of("efficientnet-lite0", LITE0)


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


def test_the_logits_of_lite2_are_the_references():
    images = scene(97, 131)
    ours = WithItsHead(EfficientNetLite(LITE2.width, LITE2.depth), lite_weights(LITE2))
    with torch.inference_mode():
        expected = reference_of("efficientnet-lite2", LITE2)((images.float() - 127) / 128)
        torch.testing.assert_close(ours(images), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "width", "depth"), [("lite1", 1.0, 1.1), ("lite3", 1.2, 1.4)])
def test_other_widths_and_depths_are_the_references_with_random_weights(name, width, depth):
    theirs = reference_of(f"efficientnet-{name}")
    for layer in theirs.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    ours = WithItsHead(EfficientNetLite(width, depth), convert(theirs.state_dict(), stages_of(width, depth)))
    images = scene(64, 48)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs((images.float() - 127) / 128), rtol=0, atol=1e-4)


def test_channels_last_pictures_give_the_same_logits_and_stay_channels_last(ours):
    images = scene(64, 48)
    model = EfficientNetLite().eval()
    model.load_state_dict(ours.trunk.state_dict())
    model = model.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        last = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(model.features(last), ours.trunk.features(images), rtol=0, atol=1e-4)
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
    model = EfficientNetLite().eval()
    shapes = {}
    for name in model.stages:
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: shapes.update({name: out.shape}))
    with torch.inference_mode():
        model.features(noise(1, 224, 224))
    assert {name: tuple(shape[1:]) for name, shape in shapes.items()} == {
        "stem": (32, 112, 112),
        "stage1": (16, 112, 112),
        "stage2": (24, 56, 56),
        "stage3": (40, 28, 28),
        "stage4": (80, 14, 14),
        "stage5": (112, 14, 14),
        "stage6": (192, 7, 7),
        "stage7": (320, 7, 7),
        "top": (1280, 7, 7),
    }
    assert tuple(shapes) == model.stages


def test_the_features_are_means_of_the_references_maps_block_after_block(ours, reference):
    images, maps = scene(97, 131), {}
    for name, number in (("stage3", 4), ("stage5", 10), ("stage7", 15)):  # the last of each stage's blocks
        reference._blocks[number].register_forward_hook(lambda _, __, out, name=name: maps.update({name: out}))
    with torch.inference_mode():
        maps["top"] = reference.extract_features((images.float() - 127) / 128)
        found = ours.trunk.features(images)
    blocks = dict(zip((one.name for one in ours.trunk.blocks), found.split([1280, 320, 112, 40], dim=1), strict=True))
    assert list(blocks) == ["top", "stage7", "stage5", "stage3"]
    for name, values in blocks.items():
        torch.testing.assert_close(values, maps[name].mean(dim=(2, 3)), rtol=0, atol=1e-4)


def test_under_bfloat16_the_features_stay_float32_and_close(ours):
    images = scene(224, 224)
    with torch.inference_mode():
        exact = ours.trunk.features(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = ours.trunk.features(images)
    assert rough.dtype == torch.float32 and rough.shape == (1, 1752)
    # bfloat16 keeps 8 bits, and the error grows through 49 convolutions.
    assert 0 < (rough - exact).norm() / exact.norm() < 0.15


def test_every_parameter_learns():
    model = EfficientNetLite()
    model.load_state_dict(
        {name: torch.full_like(value, 0.01) for name, value in model.named_parameters()}, strict=False
    )
    model.features(noise(2, 64, 64)).square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_the_normalisation_is_fixed_and_ignores_the_pictures(ours):
    layer = Normalise("half")
    layer.adapt(noise(4, 8, 8))
    assert layer(torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 3, 1, 1)).flatten().tolist() == [
        -127 / 128,
        0.0,
        1.0,
    ]
    assert torch.equal(layer.mean, ours.trunk.normalise.mean) and torch.equal(
        layer.deviation, ours.trunk.normalise.deviation
    )
