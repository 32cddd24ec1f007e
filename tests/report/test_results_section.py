"""The report's section on confidence: coordinates by hand, sentences for every kind of run."""

import re
from dataclasses import replace

import numpy as np
import pytest

from foveola.evaluation.calibration import Calibration
from foveola.evaluation.conformal import Abstention
from foveola.evaluation.intervals import Proportion
from foveola.evaluation.reliability import Bin
from foveola.report.report_data import read_report_data
from foveola.report.results_section import with_interval
from foveola.report.run_page import render
from foveola.report.svg import abstention_bar, reliability_diagram
from foveola.runs.files import record_test_use, write_evaluation
from foveola.runs.run import Run
from foveola.types import Interval


def page_of(run):
    return render(read_report_data(run))


def text_of(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def calibrated(run, n=60, how="val"):
    labels = np.arange(n) % 3
    logits = (np.random.default_rng(1).normal(0, 1, (n, 3)) + 2 * np.eye(3)[labels]).astype(np.float32)
    Calibration.of(logits, labels, how).save(run.path / "calibration.npz")
    return run


def a_bin(confidence, accuracy):
    return Bin(confidence, confidence, confidence, accuracy, Interval(accuracy - 0.1, accuracy, 0.95), 10)


def test_a_dot_lies_where_confidence_and_accuracy_say():
    svg = reliability_diagram([a_bin(0.5, 0.25)], [])
    # axes from 0.2 to 1 over 300 units: x = 48 + 300 * 0.375, y = 14 + 300 * 0.9375
    assert '<circle class="dot" cx="160.5" cy="295.25" r="4.5"/>' in svg
    assert 'class="ring"' not in svg
    assert "probability 50.0 %, right 25.0 % of 10" in svg


def test_a_whisker_below_the_axes_ends_at_them():
    svg = reliability_diagram([Bin(0.9, 0.9, 0.9, 0.85, Interval(0.1, 1.0, 0.95), 10)], [])
    # axes from 0.8: 0.1 is drawn at 0.8, at y = 314
    assert '<line class="whisker" x1="198" x2="198" y1="314" y2="14"/>' in svg


def test_no_text_lies_in_the_plot_where_lines_run():
    svg = reliability_diagram([Bin(0.9, 0.9, 0.9, 0.85, Interval(0.1, 1.0, 0.95), 10)], [])
    places = re.findall(r'<text class="muted" x="([\d.]+)" y="([\d.]+)"', svg)
    # the plot is the square from (48, 14) to (348, 314)
    assert places and all(float(x) < 48 or float(y) > 314 for x, y in places)


def test_the_page_tells_where_the_axes_start_if_that_is_not_0(make_run):
    def text(right):  # two classes, each prediction made with 95 %
        one = make_run(names=("cat", "dog"), wrong_every=0)
        logits = np.where(np.eye(2)[one.evaluation.labels] == right, np.log(0.95 / 0.05), 0)
        write_evaluation(one.path / "predictions.npz", replace(one.evaluation, logits=logits.astype(np.float32)))
        return text_of(page_of(Run(one.path, one.result)))

    assert "both axes start at 80 %" in text(right=1)
    assert "axes start" not in text(right=0)  # all are wrong: the dot lies at 0


def test_a_temperature_that_makes_the_calibration_error_larger_is_said_to(make_run):
    said = "The temperature did not help on these test images:"
    run = make_run(wrong_every=0)  # all right: any temperature above 1 makes them less sure, which is worse
    labels = np.arange(60) % 3
    logits = np.eye(3, dtype=np.float32)[(labels + np.arange(60) // 30) % 3] * 4  # half of them surely wrong
    Calibration.of(logits, labels, "val").save(run.path / "calibration.npz")
    assert run.confidence.error.value > run.confidence.error_before.value
    assert said in text_of(page_of(run))
    assert said not in text_of(page_of(make_run()))


def test_the_bar_of_an_error_rate_is_right_then_wrong_then_not_answered():
    bar = abstention_bar(Abstention(0.1, Proportion(9, 10), Proportion(6, 10), Proportion(1, 10), Proportion(1, 6)))
    assert re.findall(r'class="(\w+)" x="([\d.]+)%" width="([\d.]+)%"', bar) == [
        ("right", "0", "50"),
        ("wrong", "50", "10"),
        ("none", "60", "40"),
    ]
    assert "5 right, 1 wrong, 4 don’t know" in bar


def test_a_share_of_nothing_is_a_dash():
    assert with_interval(Proportion(0, 0)) == "–"
    assert with_interval(Proportion(132, 160)) == "82.5 % (75.9 to 87.6)"


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (
            "val",
            "The temperature was fitted on the 60 validation images. These images also chose the epoch, which makes the "
            "temperature slightly too optimistic.",
        ),
        (
            "cross-fit",
            "it fitted the temperature on the predictions of ten last layers, each for the images it was not trained on (60 "
            "images).",
        ),
    ],
)
def test_it_is_said_on_what_the_temperature_was_fitted(make_run, how, sentence):
    assert sentence in text_of(page_of(calibrated(make_run(), how=how)))


def test_few_calibration_pictures_are_said_to_be_few(make_run):
    said = "are few, so a prior keeps the temperature near 1."
    assert f"60 images {said}" in text_of(page_of(calibrated(make_run())))
    assert said not in text_of(page_of(calibrated(make_run(), n=300)))


def test_the_table_of_error_rates_has_those_that_are_possible(make_run):
    text = text_of(page_of(calibrated(make_run(), n=10)))
    assert "--abstain 0.1" in text and "--abstain 0.05" not in text


def test_too_few_pictures_for_any_of_them_are_said_to_be(make_run):
    text = text_of(page_of(calibrated(make_run(), n=3)))
    assert "3 calibration images are too few. An error rate of 20 % needs at least 4, and 5 % needs 19." in text


def test_the_page_tells_from_the_second_opening_of_test_on(make_run):
    run = make_run()
    assert "images were used once, at the end" in text_of(page_of(run))
    record_test_use(run.path, "evaluate")
    text = text_of(page_of(run))
    assert "used once" not in text
    assert "The test set has now been used 2 times , 1 time of them after training." in text


def test_recall_has_its_interval_by_class(make_run):
    # 6 of 8 right: Wilson 40.9 to 92.9
    assert '<td class="num">75.0 %</td><td class="num">40.9 to 92.9</td>' in page_of(make_run())


@pytest.mark.parametrize("sure", [0.9, 0.999])
def test_fewer_predictions_at_a_larger_error_rate_are_explained(make_run, sure):
    """Of 100 calibration images 15 are predicted with 80 % and 85 with 99 %: a rate of 20 % rules out what has 90 %."""
    run = make_run(names=("cat", "dog"), wrong_every=0)
    right = np.eye(2)[run.evaluation.labels] == 1
    logits = np.where(right, np.log(sure / (1 - sure)), 0)
    write_evaluation(run.path / "predictions.npz", replace(run.evaluation, logits=logits.astype(np.float32)))
    labels, chances = np.zeros(100, np.int64), np.repeat([0.8, 0.99], [15, 85])
    held_out = np.stack([np.log(chances / (1 - chances)), np.zeros(100)], axis=1).astype(np.float32)
    Calibration.of(held_out, labels, "val").save(run.path / "calibration.npz")
    text = text_of(page_of(Run(run.path, run.result)))
    assert ("A larger allowed error can give fewer predictions" in text) == (sure == 0.9)
