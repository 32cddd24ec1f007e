"""What a run keeps for its report: means, images from file to network, kernels, feature maps, heat maps."""

import numpy as np
import pytest
import torch
from torch import nn

from foveola.data.folder import open_folder
from foveola.data.prepare import apply_filters, prepare
from foveola.data.split import SplitSpec, split
from foveola.evaluation.metrics import Evaluation
from foveola.filters.chain import Chain
from foveola.imaging.decode import encode
from foveola.imaging.resize import resize
from foveola.models.build import build
from foveola.runs.previews import (
    CHANNELS,
    EACH,
    MAP_PX,
    DataPreview,
    NetworkPreview,
    _even,
    make_network_preview,
    make_preview,
)
from foveola.types import Size


@pytest.fixture
def material(two_classes):
    """Prepared images through a chain, their split, and the data set."""
    dataset = open_folder(two_classes(10))
    prepared = apply_filters(prepare(dataset, Size(16, 16)), Chain.parse("invert"))
    return prepared, split(prepared.dataset, prepared.content, SplitSpec(), seed=0)


def test_means_are_those_of_the_training_images(material):
    prepared, parts = material
    preview = make_preview(prepared, parts)
    for label in range(2):
        rows = parts.train[prepared.dataset.labels[parts.train] == label]
        np.testing.assert_array_equal(preview.means[label], np.rint(prepared.pixels[rows].mean(axis=0)))
        assert preview.counted[label] == len(rows)


def test_a_image_is_shown_as_its_file_has_it_at_size_and_after_the_chain(material):
    prepared, parts = material
    preview = make_preview(prepared, parts)
    dataset = prepared.dataset
    assert len(preview.names) == 2  # one of each class
    for k, name in enumerate(preview.names):
        row = dataset.ids.index(name)
        assert row in parts.train
        np.testing.assert_array_equal(preview.raw[k], dataset.read(row))
        np.testing.assert_array_equal(preview.sized[k], resize(dataset.read(row), Size(16, 16), "pad"))
        np.testing.assert_array_equal(preview.seen[k], 255 - preview.sized[k])


def test_of_large_classes_some_images_are_enough():
    rows = _even(np.arange(10 * EACH), EACH)
    assert (len(rows), rows[0], rows[-1]) == (EACH, 0, 10 * EACH - 1)


def test_it_is_read_back_as_it_was_written(material, tmp_path):
    preview = make_preview(*material)
    preview.save(tmp_path / "data_preview.npz")
    found = DataPreview.load(tmp_path / "data_preview.npz")
    assert found.names == preview.names
    for name in ("means", "counted"):
        np.testing.assert_array_equal(getattr(found, name), getattr(preview, name))
    for name in ("raw", "sized", "seen"):
        for one, other in zip(getattr(found, name), getattr(preview, name), strict=True):
            np.testing.assert_array_equal(one, other)


def test_names_that_are_no_text_are_kept_as_they_are(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    DataPreview(names=("h\udce4nde/1\n.jpg",), raw=(image,), sized=(image,), seen=(image,)).save(
        tmp_path / "data_preview.npz"
    )
    assert DataPreview.load(tmp_path / "data_preview.npz").names == ("h\udce4nde/1\n.jpg",)


def test_a_large_photo_is_shown_at_size_as_the_network_gets_it(tmp_path):
    rng = np.random.default_rng(4)
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for k in range(10):
            noise = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
            (tmp_path / "photos" / label / f"{k}.jpg").write_bytes(encode(noise, "JPEG"))
    prepared = prepare(open_folder(tmp_path / "photos"), Size(32, 32))  # decoded at 1/4
    preview = make_preview(prepared, split(prepared.dataset, prepared.content, SplitSpec(), seed=0))
    for sized, seen in zip(preview.sized, preview.seen, strict=True):
        np.testing.assert_array_equal(sized, seen)


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
