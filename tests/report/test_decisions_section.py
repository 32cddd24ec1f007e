"""The section on one class against the rest: its figures against coordinates worked out by hand, its texts and cases."""

import re
from dataclasses import replace

import numpy as np
import pytest

from foveola.evaluation.calibration import Calibration
from foveola.evaluation.decisions import Threshold
from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.roc import roc_of
from foveola.evaluation.threshold_choice import Goal
from foveola.report.decisions_section import Example, decisions_section, precision_figure, roc_figure
from foveola.report.report_data import read_report_data
from foveola.report.run_page import render

SCORES, IS_POSITIVE = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])


def evaluation_of(probabilities, labels, names):
    labels = np.asarray(labels, np.int64)
    logits = np.log(np.asarray(probabilities, np.float64)).astype(np.float32)
    return Evaluation(logits, labels, tuple(map(str, range(len(labels)))), names, "test")


def held_out(*counts):
    """Held-out predictions of these numbers of images of the classes."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return Calibration(np.zeros((len(labels), len(counts)), np.float32), labels, "val", 1.0)


def two(threshold=None):
    p = np.array([0.1, 0.4, 0.35, 0.8])
    evaluation = evaluation_of(np.stack([1 - p, p], axis=1), [0, 0, 1, 1], ("healthy", "sick"))
    return decisions_section(evaluation, threshold, held_out(30, 30))


def rule(value, goal=None, part="val", positive="sick"):
    return Threshold(positive, value, goal or Goal(min_sensitivity=0.9), part, 40, 60)


def path_of(figure):
    """The points of the curve as shares: the square begins at (48, 314) and is 300 px wide."""
    numbers = [tuple(map(float, one.split())) for one in re.search(r'class="line" d="M([^"]+)"', figure)[1].split("L")]
    return [(round((x - 48) / 300, 3), round((314 - y) / 300, 3)) for x, y in numbers]


def test_the_roc_curve_is_drawn_where_the_counts_are():
    # from the highest score: a hit, an alarm, a hit, an alarm
    assert path_of(roc_figure(roc_of(SCORES, IS_POSITIVE), None)) == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]


def test_the_precision_recall_curve_is_drawn_in_steps():
    assert path_of(precision_figure(roc_of(SCORES, IS_POSITIVE), None)) == [
        (0, 1), (0.5, 1), (0.5, 0.5), (0.5, 0.667), (1, 0.667), (1, 0.5),
    ]  # fmt: skip


def test_the_dot_is_at_the_rates_of_the_threshold():
    section = two(rule(0.37))
    assert [row.value.partition(" (")[0] for row in section.threshold.rates[:3]] == ["50.0 %", "50.0 %", "50.0 %"]
    assert '<circle class="dot" cx="198" cy="164" r="5"/>' in section.curves.roc
    assert '<circle class="dot" cx="198" cy="164" r="5"/>' in section.curves.precision


def test_without_a_predicted_image_there_is_no_precision_to_mark():
    section = two(rule(0.9))
    assert 'class="dot"' in section.curves.roc
    assert 'class="dot"' not in section.curves.precision
    assert section.threshold.rates[2].value == "–"


def test_a_figure_says_what_it_shows():
    assert 'aria-label="ROC curve of sick against the rest: area 0.750"' in two().curves.roc
    said = "ROC curve of sick against the rest: area 0.750; the threshold is at 50.0 % and 50.0 %"
    assert f'aria-label="{said}"' in two(rule(0.37)).curves.roc


def test_thousands_of_points_that_look_alike_are_drawn_once():
    rng = np.random.default_rng(0)
    roc = roc_of(rng.random(20_000), rng.random(20_000) < 0.5)
    assert len(roc_figure(roc, None)) < 40_000


def test_several_classes_have_a_table_of_areas_and_curves_only_with_a_threshold():
    rng = np.random.default_rng(0)
    found = evaluation_of(rng.dirichlet(np.ones(4), 30), np.arange(30) % 3, ("cat", "dog", "owl", "yak"))
    section = decisions_section(found, None, held_out(9, 9, 9, 9))
    assert section.curves is None
    assert [line.name for line in section.areas] == ["cat", "dog", "owl", "yak"]
    assert (section.areas[3].auc, section.areas[3].average_precision, section.areas[3].support) == ("–", "–", 0)
    assert decisions_section(found, rule(0.5, positive="dog"), held_out(9, 9, 9, 9)).curves.positive == "dog"


@pytest.mark.parametrize(
    ("goal", "part", "text"),
    [
        (Goal(min_sensitivity=0.9), "val", "so that the sensitivity on new images is at least <strong>90 %</strong>"),
        (Goal(min_specificity=0.9), "val", "60 held-out images of other classes"),
        (Goal(min_specificity=0.9), "cross-fit", "so the guarantee is approximate"),
        (Goal(cost_false_positive=1, cost_false_negative=5), "val",
         "100 held-out images, if a false positive costs 1 and a false negative 5"),
    ],
)  # fmt: skip
def test_the_page_says_what_the_threshold_was_chosen_for(make_run, goal, part, text):
    data = replace(read_report_data(make_run(("healthy", "sick"))), threshold=rule(0.25, goal, part))
    page = render(data)
    assert text in page
    assert "is at least <strong>25 %</strong>" in page
    assert "foveola threshold" not in page


def test_without_a_threshold_the_page_has_the_command_that_chooses_one(make_run):
    page = render(read_report_data(make_run(("healthy", "very <sick>"))))
    assert "--positive &#39;very &lt;sick&gt;&#39;" in page
    assert "very <sick>" not in page


@pytest.mark.parametrize(("images", "rate"), [(59, 0.95), (58, 0.9), (29, 0.9), (28, 0.8), (14, 0.8), (13, None)])
def test_the_page_suggests_a_sensitivity_that_the_held_out_images_can_guarantee(images, rate):
    evaluation = evaluation_of([[0.9, 0.1], [0.2, 0.8]], [0, 1], ("healthy", "sick"))
    assert decisions_section(evaluation, None, held_out(100, images)).example == Example("sick", rate)


def test_a_class_without_held_out_images_has_no_suggestion():
    evaluation = evaluation_of([[0.9, 0.1], [0.2, 0.8]], [0, 1], ("healthy", "sick"))
    assert decisions_section(evaluation, None, held_out(100, 0)).example is None
