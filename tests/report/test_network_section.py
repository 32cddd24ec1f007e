"""The report's section on what the network sees."""

import io
from base64 import b64decode
from dataclasses import replace

import numpy as np
import PIL.Image

from foveola.figures.mosaic import heat_over
from foveola.report.network_section import network_section, tile
from foveola.report.report_data import read_report_data
from foveola.report.run_page import render
from foveola.runs.previews import NetworkPreview


def page_of(run):
    return render(read_report_data(run))


def preview():
    rng = np.random.default_rng(0)
    return NetworkPreview(
        kernels=rng.integers(0, 256, (5, 3, 3, 3), np.uint8),
        stages=("conv1", "<b>conv2"),
        maps=(rng.integers(0, 256, (20, 8, 8), np.uint8), rng.integers(0, 256, (4, 2, 3), np.uint8)),
        row=2,
        rows=np.array([2, 1]),
        heat=rng.integers(0, 256, (2, 24, 32), np.uint8),
        images=rng.integers(0, 256, (3, 24, 32, 3), np.uint8),
        heat_stage="conv2",
        shapes=((20, 8, 8, 0), (4, 2, 3, 0)),
    )


def test_without_heat_a_image_is_grey_and_with_it_takes_its_colour():
    image = np.full((1, 2, 3), (30, 60, 90), np.uint8)
    out = heat_over(image, np.array([[0.0, 1.0]]))
    assert out[0, 0].tolist() == [60, 60, 60]
    assert out[0, 1].tolist() == np.rint(0.2 * 60 + 0.8 * np.array([213, 94, 0])).tolist()


def test_the_section_says_whose_maps_and_what_was_answered(make_run):
    run = make_run()
    section = network_section(preview(), run.evaluation)
    names = run.evaluation.class_names
    assert section.true == names[run.evaluation.labels[2]]
    assert [(one.name, one.text) for one in section.stages] == [
        ("conv1", "20 channels of 8 × 8"),
        ("<b>conv2", "4 channels of 3 × 2"),
    ]
    assert [one.right for one in section.heatmaps] == [True, False]  # row 1 is wrong in this run
    assert section.heatmaps[1].predicted == names[run.evaluation.predicted[1]]


def test_a_stage_is_described_as_it_is_in_the_network_not_as_it_is_drawn(make_run):
    shapes = ((128, 56, 56, 32), (4, 2, 3, 0))
    section = network_section(replace(preview(), shapes=shapes), make_run().evaluation)
    assert section.stages[0].text == (
        "128 channels of 56 × 56, the first 20 of them; 32 of 128 channels do not react to this image"
    )
    assert section.stages[1].text == "4 channels of 3 × 2"


def test_gaps_and_empty_places_of_a_mosaic_are_transparent():
    tiles = np.full((17, 2, 3), 200, np.uint8)  # a second row with one tile
    values, opaque = np.moveaxis(tile(tiles), 2, 0)
    assert opaque.shape == (2 * 2 + 1, 16 * 3 + 15)
    assert opaque.sum() // 255 == 17 * 2 * 3
    assert (values[opaque > 0] == 200).all()
    assert opaque[:2, :3].all() and not opaque[2].any() and not opaque[3:, 3:].any()


def test_the_page_shows_mosaics_without_a_background(make_run):
    section = network_section(preview(), make_run().evaluation)
    for shown in (section.kernels, section.stages[0].image):
        data = b64decode(shown.uri.removeprefix("data:image/png;base64,"))
        assert PIL.Image.open(io.BytesIO(data)).mode in ("LA", "RGBA")


def test_the_page_shows_kernels_maps_and_heat(make_run):
    run = make_run()
    preview().save(run.path / "network_preview.npz")
    page = page_of(run)
    assert "the learned kernels of the first convolution" in page
    assert page.count('alt="feature maps of stage') == 2
    assert page.count('alt="heat map of') == 2
    assert "<b>conv2" not in page  # a name is text, never markup


def test_the_page_of_a_run_without_says_why(make_run):
    assert "Nothing to show: there is no network." in page_of(make_run())
