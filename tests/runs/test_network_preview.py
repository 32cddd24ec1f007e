"""What a run keeps of its network for the report: kernels, feature maps and heat maps."""

import numpy as np
import pytest
import torch
from torch import nn

from foveola.evaluation.metrics import Evaluation
from foveola.models.build import build
from foveola.runs.network_preview import NetworkPreview
from foveola.runs.network_views import CHANNELS, MAP_PX, make_network_preview
from foveola.types import Size

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 40, 36, 3), np.uint8)
TEST = np.array([3, 5, 7, 11, 13, 17])


def evaluation(logits, labels):
    ids = tuple(map(str, TEST))
    return Evaluation(np.array(logits, np.float32), np.array(labels), ids, ("a", "b"), "test")


# right: rows 0 (surest), 2, 4 (least sure); wrong: rows 1, 3 (surest), 5
FOUND = evaluation([[5, 0], [2, 0], [0, 3], [0, 4], [1, 0], [0, 1]], [0, 1, 1, 0, 0, 0])


@pytest.fixture(scope="module")
def preview():
    return make_network_preview(build("vgg6", Size(40, 36), 2, seed=0).eval(), FOUND, PIXELS, TEST)


def test_the_surest_right_and_the_surest_wrong_answers_are_shown(preview):
    assert preview.row == 0
    assert preview.rows.tolist() == [0, 2, 4, 3, 1, 5]
    np.testing.assert_array_equal(preview.images, PIXELS[[3, 3, 7, 13, 11, 5, 17]])


def test_maps_of_every_stage_fill_their_range(preview):
    assert preview.stages == ("norm1", "norm2", "norm3", "norm4", "norm5", "norm6")
    assert preview.maps[0].shape == (CHANNELS, MAP_PX, MAP_PX)
    assert preview.maps[4].shape == (CHANNELS, 10, 9)
    for maps in preview.maps:
        flat = maps.reshape(len(maps), -1)
        alive = flat.max(axis=1) > flat.min(axis=1)
        assert alive.any()
        assert (flat.min(axis=1) == 0).all()
        assert (flat.max(axis=1)[alive] == 255).all()


def test_shapes_are_those_of_the_network(preview):
    assert [shape[:3] for shape in preview.shapes] == [
        (32, 40, 36), (32, 40, 36), (64, 20, 18), (64, 20, 18), (128, 10, 9), (128, 10, 9),
    ]  # fmt: skip


def test_heat_maps_are_grad_cams_of_the_answers(preview):
    from foveola.explanations.heatmaps import gradcam

    assert (preview.heat.shape, preview.heat_stage) == ((6, 40, 36), "norm6")
    model = build("vgg6", Size(40, 36), 2, seed=0).eval()
    for k, row in enumerate(preview.rows):
        by_hand = gradcam(model, PIXELS[TEST[row]], int(FOUND.predicted[row])).heat
        np.testing.assert_allclose(preview.heat[k] / 255, by_hand, atol=0.003)


def test_what_is_saved_comes_back(preview, tmp_path):
    preview.save(tmp_path / "network_preview.npz")
    assert NetworkPreview.load(tmp_path / "network_preview.npz").shapes == preview.shapes
    back = NetworkPreview.load(tmp_path / "network_preview.npz")
    for name in ("kernels", "rows", "heat", "images"):
        np.testing.assert_array_equal(getattr(back, name), getattr(preview, name))
    for one, other in zip(back.maps, preview.maps, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (back.stages, back.row, back.heat_stage, back.reason) == (preview.stages, 0, "norm6", "")


def test_a_network_without_convolutions_has_a_reason_instead(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(40 * 36 * 3, 2))
    make_network_preview(model, FOUND, PIXELS, TEST).save(tmp_path / "network_preview.npz")
    back = NetworkPreview.load(tmp_path / "network_preview.npz")
    assert back.reason == "this network has no stages and no convolutions: there are no feature maps to show"
    assert back.stages == ()


class Closed(nn.Module):
    """A network through which no gradient goes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, images):
        with torch.no_grad():
            return self.conv(images).mean(dim=(2, 3))


def test_a_run_is_not_lost_because_its_network_lets_no_gradient_through():
    assert make_network_preview(Closed(), FOUND, PIXELS, TEST).reason


def test_a_run_is_not_lost_whatever_its_network_does():
    model = build("vgg6", Size(40, 36), 2, seed=0)
    model.stages = ("norm1", "nowhere.at.all")
    assert "nowhere" in make_network_preview(model, FOUND, PIXELS, TEST).reason


def test_all_answers_right():
    found = evaluation([[5, 0]] * 6, [0] * 6)
    assert len(make_network_preview(build("vgg6", Size(40, 36), 2, seed=0), found, PIXELS, TEST).rows) == 3


def test_all_answers_wrong():
    found = evaluation([[5, 0]] * 6, [1] * 6)
    assert len(make_network_preview(build("vgg6", Size(40, 36), 2, seed=0), found, PIXELS, TEST).rows) == 3
