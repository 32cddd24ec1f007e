"""Learning curves against coordinates worked out by hand."""

import re

import pytest

from foveola.report.curves import CurveLine, curves, epoch_ticks
from foveola.report.svg import ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 0.6, [0, 0.2, 0.4, 0.6]),
        (0, 9.1, [0, 2, 4, 6, 8, 10]),
        (0, 0.013, [0, 0.005, 0.01, 0.015]),
        (0, 20000, [0, 5000, 10000, 15000, 20000]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low, high, expected):
    assert ticks(low, high) == expected


def test_a_range_of_nothing_has_ticks():
    assert ticks(3, 3) == [3]


@pytest.mark.parametrize(
    ("epochs", "expected"), [(1, [1]), (2, [1, 2]), (8, [1, 2, 3, 4, 5, 6, 7, 8]), (12, [1, 2, 4, 6, 8, 10, 12])]
)
def test_epoch_ticks_are_whole_and_inside(epochs, expected):
    assert epoch_ticks(epochs) == expected


def test_a_curve_runs_from_the_first_epoch_at_the_left_to_the_last_at_the_right():
    svg = curves("Loss", [CurveLine("val", [2.0, 1.0, 0.0])], best=3)
    # x: 48, 208, 368 for epochs 1..3; y: 30 for the top tick, 208 for 0
    assert 'd="M48 30L208 119L368 208"' in svg


def test_accuracy_curves_always_reach_from_0_to_100_percent():
    svg = curves("Accuracy", [CurveLine("val", [0.5, 0.5])], best=1, as_percent=True)
    assert 'd="M48 119L368 119"' in svg
    assert ">0 %<" in svg and ">100 %<" in svg


def test_the_kept_epoch_is_marked_by_a_line_a_dot_and_words():
    svg = curves("Loss", [CurveLine("val", [2.0, 1.0, 2.0])], best=2)
    assert '<line class="kept" x1="208" x2="208"' in svg
    assert '<circle class="dot val" cx="208" cy="119" r="4"/>' in svg
    assert ">epoch 2, kept<" in svg


def test_a_single_epoch_lies_in_the_middle_as_a_dot():
    svg = curves("Loss", [CurveLine("val", [1.0])], best=1)
    assert '<circle class="dot val" cx="208" cy="30" r="4"/>' in svg


def test_intervals_are_a_field_around_their_curve():
    line = CurveLine("val", [0.5, 0.5, 1.0], [(0.25, 0.75), (0.5, 0.5), (0.5, 1.0)])
    svg = curves("Accuracy", [CurveLine("train", [0.5, 0.6, 0.7]), line], best=3, as_percent=True)
    # along the upper ends to the right, along the lower ones back; y: 30 is 100 %, 208 is 0 %
    assert '<polygon class="band val" points="48,74.5 208,119 368,30 368,119 208,119 48,163.5"/>' in svg
    assert svg.count("<polygon") == 1


def test_names_at_the_curves_ends_do_not_touch():
    svg = curves("Loss", [CurveLine("train", [1.0, 0.51]), CurveLine("val", [1.0, 0.49])], best=1)
    # both ends lie around y = 119; the names are 15 apart, the upper curve's name above
    found = dict(re.findall(r'<text class="name (\w+)" x="377" y="([\d.]+)"', svg))
    assert found == {"train": "111.5", "val": "126.5"}


def test_a_curve_is_broken_where_a_value_is_not_finite():
    svg = curves("Loss", [CurveLine("val", [2.0, float("inf"), 1.0, 0.0, float("nan")])], best=4)
    assert 'd="M48 30M208 119L288 208"' in svg
    assert "inf" not in svg and "nan" not in svg.lower()
