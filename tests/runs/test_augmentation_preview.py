"""The images before and after augmentation that a run keeps for its report."""

from types import SimpleNamespace

import numpy as np

from foveola.data.loader import Batches
from foveola.runs.augmentation_preview import AugmentationPreview, augmentation_preview

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)
DATASET = SimpleNamespace(ids=[f"{k}.png" for k in range(40)])
ROWS = np.arange(10, 30)


def batches(**how):
    return Batches(PIXELS, np.zeros(40, np.int64), ROWS, 5, seed=3, **how)


def test_eight_training_images_are_kept_as_they_are_and_as_the_first_epoch_shows_them():
    preview = augmentation_preview(batches(augment="photo", flip=True), DATASET)
    assert len(preview.names) == 8 and set(preview.names) <= {DATASET.ids[row] for row in ROWS}
    shown = {
        image.permute(1, 2, 0).numpy().tobytes()
        for images, _ in batches(augment="photo", flip=True).epoch(1)
        for image in images
    }
    for name, plain, seen in zip(preview.names, preview.plain, preview.seen, strict=True):
        assert np.array_equal(plain, PIXELS[DATASET.ids.index(name)])
        assert seen.tobytes() in shown


def test_without_augmentation_nothing_is_kept():
    assert augmentation_preview(batches(augment="none"), DATASET).names == ()


def test_few_training_images_are_all_kept_once():
    few = Batches(PIXELS, np.zeros(40, np.int64), np.array([4, 9, 7]), 5, flip=True)
    assert augmentation_preview(few, DATASET).names == ("4.png", "9.png", "7.png")


def test_it_survives_its_file(tmp_path):
    names = ("a\udce9.png", "b.png")  # the first is not valid UTF-8
    preview = AugmentationPreview(names, PIXELS[:2], PIXELS[2:4])
    preview.save(tmp_path / "augmentation_preview.npz")
    back = AugmentationPreview.load(tmp_path / "augmentation_preview.npz")
    assert back.names == names
    assert np.array_equal(back.plain, preview.plain) and np.array_equal(back.seen, preview.seen)
