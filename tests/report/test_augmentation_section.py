"""The strip of images before and after augmentation in the report of a run."""

import numpy as np
import pytest

from foveola.report.augmentation_section import augmentation_section
from foveola.report.report_data import read_report_data
from foveola.report.run_page import render
from foveola.runs.augmentation_preview import AugmentationPreview

IMAGES = np.zeros((3, 8, 8, 3), np.uint8)
PREVIEW = AugmentationPreview(("a.png", "b.png", "c.png"), IMAGES, IMAGES)
PLAIN = {"augment": "auto", "flip": False, "translate_px": 0, "cutout_px": 0}


@pytest.mark.parametrize(
    ("fit", "name", "changes"),
    [
        ({"flip": True}, "", "mirrored"),
        (
            {"translate_px": 1, "cutout_px": 8},
            "",
            "shifted by up to 1 pixel and covered in one place by a square of 8 pixels per side",
        ),
        (
            {"augment": "photo", "flip": True},
            "photo",
            "mirrored, cropped and scaled, rotated by up to 10 degrees and changed in brightness, contrast and colour",
        ),
        ({"augment": "flat"}, "flat", "rotated by quarter turns, scaled and changed in brightness"),
        ({"augment": "text"}, "text", "shifted and scaled, rotated by up to 7 degrees and changed in brightness"),
    ],
)
def test_the_section_says_what_training_changed(fit, name, changes):
    section = augmentation_section(PREVIEW, {**PLAIN, **fit})
    assert (section.name, section.changes) == (name, changes)
    assert [image.name for image in section.images] == ["a.png", "b.png", "c.png"]


def test_a_run_without_changed_images_has_no_section(make_run):
    assert augmentation_section(AugmentationPreview(), PLAIN) is None
    assert "<h3>Augmentation</h3>" not in render(read_report_data(make_run()))


def test_the_page_shows_each_image_before_and_after(make_run):
    run = make_run()
    PREVIEW.save(run.path / "augmentation_preview.npz")
    page = render(read_report_data(run))
    assert "<h3>Augmentation</h3>" in page
    assert page.count("as the network saw it in training") == 3
    assert 'alt="b.png, as it is"' in page


def test_a_recipe_from_before_there_were_sets_is_shown():
    old = {key: value for key, value in PLAIN.items() if key != "augment"}
    assert augmentation_section(PREVIEW, {**old, "flip": True}).name == ""
