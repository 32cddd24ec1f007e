"""What the sections collect, against values worked out by hand."""

from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest

from foveola.data.dataset import Problem, count_causes
from foveola.evaluation.metrics import Evaluation
from foveola.imaging.decode import decode
from foveola.report.data_section import data_section, sizes_of
from foveola.report.formatting import thumbnail
from foveola.report.results_section import class_lines, confusion_cells, frequent_confusions, predictions_section
from foveola.runs.previews import DataPreview


def evaluation_of(labels, predicted, names):
    logits = np.eye(len(names), dtype=np.float32)[predicted] * 3
    ids = tuple(f"{i}.png" for i in range(len(labels)))
    return Evaluation(logits, np.array(labels), ids, names, "test")


def test_the_median_size_counts_images_not_sizes():
    sizes = sizes_of(((100, 200, 90), (10, 10, 5), (3000, 4000, 5)))
    assert (sizes.smallest, sizes.median, sizes.largest) == ("10 × 10", "200 × 100", "4,000 × 3,000")


def test_the_most_frequent_size_has_its_count():
    sizes = sizes_of(((8, 9, 7), (1, 2, 3)))
    assert (sizes.most_frequent, sizes.most_frequent_count, sizes.different) == ("9 × 8", 7, 2)


def test_problems_are_grouped_by_cause_the_most_frequent_first():
    problems = [Problem("a", "empty file"), *(Problem(n, f"cut short ({n})", cause="cut short") for n in "bc")]
    assert count_causes(problems) == (("cut short", 2), ("empty file", 1))


def test_the_bars_of_the_classes_share_one_scale(make_run):
    run = make_run()
    section = data_section(run.card, run.images, run.data_preview)
    assert [line.total for line in section.classes] == [40, 40, 40]
    # 24 of 40 in train
    assert '<rect class="train" x="0%" width="60%"' in section.classes[0].bar


def test_files_of_many_sizes_have_histograms_on_one_scale(make_run):
    run = make_run()
    height, width = data_section(run.card, run.images, DataPreview()).histograms
    # heights 60 (117 of 120 files), 10 and 400, widths 80, 20 and 300; 30 bins of 400 / 30 px
    assert "Height of the images; the fullest bin is 53 to 67 px: 117 images" in height
    assert "Width of the images; the fullest bin is 80 to 93 px: 117 images" in width
    assert [one.count("<rect") for one in (height, width)] == [3, 3]
    assert all("400 px" in one for one in (height, width))


def test_files_of_one_size_need_no_histogram(make_run):
    run = make_run()
    assert data_section(replace(run.card, sizes=((8, 9, 7),)), run.images, DataPreview()).histograms == ()


def test_each_colour_is_shown_alone_in_a_tint_that_the_eye_sees(make_run):
    run = make_run()
    image = np.random.default_rng(0).integers(1, 256, (12, 16, 3), np.uint8)
    image[0, 0] = 255
    (way,) = data_section(
        run.card, run.images, DataPreview(names=("a",), raw=(image,), sized=(image,), seen=(image,))
    ).preprocessed
    for k, shown in enumerate(way.colours):
        pixels = decode(b64decode(shown.uri.partition(",")[2])).image
        np.testing.assert_array_equal(pixels[..., k], image[..., k])  # the channel's own values, from black
        assert (pixels.argmax(axis=2) == k).all()
        # what is largest is bright: a pure blue has a relative luminance of 0.07
        assert (pixels[0, 0] / 255) ** 2.2 @ (0.2126, 0.7152, 0.0722) > 0.3


def test_samples_keep_their_proportions(make_run):
    run = make_run()
    shown = [thumb for _, thumb in data_section(run.card, run.images, run.data_preview).samples[0].images]
    assert [(thumb.height_px, thumb.width_px) for thumb in shown] == [(80, 40), (80, 60)]


def test_samples_of_many_classes_are_smaller(make_run):
    rng = np.random.default_rng(0)
    run = make_run(names=[str(i) for i in range(21)], each=2)
    wide = rng.integers(0, 256, (120, 160, 3), np.uint8)
    images = type(run.images)(((0, "a", wide),), run.images.rows, run.images.prepared)
    (_, thumb), *_ = data_section(run.card, images, DataPreview()).samples[0].images
    assert (thumb.height_px, thumb.width_px) == (72, 96)


@pytest.mark.parametrize(
    ("size", "shown"), [((8, 8), (96, 96)), ((28, 20), (84, 60)), ((32, 32), (96, 96)), ((60, 63), (120, 126))]
)
def test_small_images_are_enlarged_by_a_whole_factor(size, shown):
    found = thumbnail(np.zeros((*size, 3), np.uint8))
    assert ((found.height_px, found.width_px), found.pixelated) == (shown, True)


def test_small_images_keep_every_pixel():
    from base64 import b64decode

    image = np.random.default_rng(1).integers(0, 256, (12, 9, 3), np.uint8)
    data = b64decode(thumbnail(image).uri.removeprefix("data:image/png;base64,"))
    assert np.array_equal(decode(data).image, image)


def test_larger_images_become_jpegs_of_at_most_160_pixels():
    found = thumbnail(np.zeros((200, 320, 3), np.uint8))
    assert found.uri.startswith("data:image/jpeg;base64,")
    assert (found.height_px, found.width_px, found.pixelated) == (100, 160, False)


def test_a_quotient_of_nothing_is_a_dash():
    # c is never predicted and has no test image; b is never predicted
    lines = class_lines(evaluation_of([0, 0, 1], [0, 0, 0], ("a", "b", "c")))
    assert [(x.precision, x.recall, x.f1) for x in lines] == [
        ("66.7 %", "100.0 %", "0.800"),
        ("–", "0.0 %", "0.000"),
        ("–", "–", "–"),
    ]


def test_confusion_cells_hold_counts_shares_and_words():
    cells = confusion_cells(evaluation_of([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], ("a", "b")))
    assert [[cell.count for cell in row] for row in cells] == [[3, 1], [0, 1]]
    assert (cells[0][1].share, cells[0][1].kind) == (0.25, "miss")
    assert cells[0][1].text == "true a, predicted b: 1 of 4 (25.0 %)"


def test_frequent_confusions_leave_out_right_answers_and_zeros():
    found = frequent_confusions(evaluation_of([0, 0, 0, 1, 1, 2], [0, 1, 1, 0, 1, 2], ("a", "b", "c")))
    assert [(c.true, c.predicted, c.count, c.share) for c in found] == [
        ("a", "b", 2, "66.7 %"),
        ("b", "a", 1, "50.0 %"),
    ]


def test_the_predicted_bar_of_a_wrong_answer_is_red_and_the_true_class_has_a_sign(make_run):
    run = make_run()
    wrong = next(a for a in predictions_section(run.evaluation, run.images).grid if not a.right)
    assert [(bar.name, bar.kind, bar.sign) for bar in wrong.bars[:2]] == [
        (wrong.predicted, "wrong", "✗ predicted"),
        (wrong.true, "other", "◂ true"),
    ]


def test_the_predicted_bar_of_a_right_answer_is_blue(make_run):
    run = make_run(wrong_every=0)
    first = predictions_section(run.evaluation, run.images).strip[0]
    assert (first.bars[0].name, first.bars[0].kind, first.bars[0].sign) == ("cat", "right", "✓ true")


def test_the_grid_has_25_images_and_the_strip_8(make_run):
    run = make_run(each=20)
    section = predictions_section(run.evaluation, run.images)
    assert (len(section.grid), len(section.strip)) == (25, 8)


def test_the_strip_is_spread_over_the_grid(make_run):
    run = make_run(each=20)
    section = predictions_section(run.evaluation, run.images)
    assert (section.strip[0], section.strip[-1]) == (section.grid[0], section.grid[-1])


def test_answers_show_the_image_of_their_own_row(make_run):
    run = make_run()
    row = int(run.evaluation.worst(1)[0])
    assert predictions_section(run.evaluation, run.images).worst[0].image == thumbnail(run.images.of(row))
