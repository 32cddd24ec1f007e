"""transfer: the published trunk with a head that starts at zero, and the last stages free to learn."""

import pytest
import torch

from foveola.errors import ResourceError, UsageError
from foveola.models import pretrained_weights as pretrained
from foveola.models.build import adapt, build
from foveola.models.pretrained_weights import lite0_weights
from foveola.models.registry import require_model
from foveola.types import Size


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
    with pytest.raises(ResourceError, match=r"^transfer starts from ImageNet weights that the package"):
        require_model("transfer")
