"""What a run keeps of its data for the report: means, images from file to network, saving and loading."""

import numpy as np
import pytest

from foveola.data.folder import open_folder
from foveola.data.prepare import apply_filters, prepare
from foveola.data.split import SplitSpec, split
from foveola.filters.chain import Chain
from foveola.imaging.decode import encode
from foveola.imaging.resize import resize
from foveola.runs.data_preview import EACH, DataPreview, _even, make_preview
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
