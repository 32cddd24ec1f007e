"""Figures against coordinates worked out by hand."""

import re

import numpy as np
import pytest

from foveola.report.figures import (
    Line,
    accuracy_axis,
    baseline_label,
    compact_matrix,
    count_bar,
    curves,
    epoch_ticks,
    probability_bar,
    ticks,
)


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
    svg = curves("Loss", [Line("val", [2.0, 1.0, 0.0])], best=3)
    # x: 48, 208, 368 for epochs 1..3; y: 30 for the top tick, 208 for 0
    assert 'd="M48 30L208 119L368 208"' in svg


def test_accuracy_curves_always_reach_from_0_to_100_percent():
    svg = curves("Accuracy", [Line("val", [0.5, 0.5])], best=1, as_percent=True)
    assert 'd="M48 119L368 119"' in svg
    assert ">0 %<" in svg and ">100 %<" in svg


def test_the_kept_epoch_is_marked_by_a_line_a_dot_and_words():
    svg = curves("Loss", [Line("val", [2.0, 1.0, 2.0])], best=2)
    assert '<line class="kept" x1="208" x2="208"' in svg
    assert '<circle class="dot val" cx="208" cy="119" r="4"/>' in svg
    assert ">epoch 2, kept<" in svg


def test_a_single_epoch_lies_in_the_middle_as_a_dot():
    svg = curves("Loss", [Line("val", [1.0])], best=1)
    assert '<circle class="dot val" cx="208" cy="30" r="4"/>' in svg


def test_intervals_are_a_field_around_their_curve():
    line = Line("val", [0.5, 0.5, 1.0], [(0.25, 0.75), (0.5, 0.5), (0.5, 1.0)])
    svg = curves("Accuracy", [Line("train", [0.5, 0.6, 0.7]), line], best=3, as_percent=True)
    # along the upper ends to the right, along the lower ones back; y: 30 is 100 %, 208 is 0 %
    assert '<polygon class="band val" points="48,74.5 208,119 368,30 368,119 208,119 48,163.5"/>' in svg
    assert svg.count("<polygon") == 1


def test_names_at_the_curves_ends_do_not_touch():
    svg = curves("Loss", [Line("train", [1.0, 0.51]), Line("val", [1.0, 0.49])], best=1)
    # both ends lie around y = 119; the names are 15 apart, the upper curve's name above
    found = dict(re.findall(r'<text class="name (\w+)" x="377" y="([\d.]+)"', svg))
    assert found == {"train": "111.5", "val": "126.5"}


def test_a_curve_is_broken_where_a_value_is_not_finite():
    svg = curves("Loss", [Line("val", [2.0, float("inf"), 1.0, 0.0, float("nan")])], best=4)
    assert 'd="M48 30M208 119L288 208"' in svg
    assert "inf" not in svg and "nan" not in svg.lower()


def test_the_accuracy_axis_puts_shares_at_their_percents():
    svg = accuracy_axis(0.81, 0.77, 0.845, 0.1, "always “4”")
    assert '<rect class="interval" x="77%" width="7.5%"' in svg
    assert '<circle class="point" cx="81%"' in svg
    assert '<line class="baseline" x1="10%" x2="10%"' in svg


def test_the_accuracy_axis_says_its_numbers():
    svg = accuracy_axis(0.81, 0.77, 0.845, 0.1, "always “4”")
    assert 'aria-label="Accuracy 81.0 %, 95 % interval 77.0 to 84.5 %; always “4”: 10.0 %"' in svg


@pytest.mark.parametrize(
    ("accuracy", "hung"),
    [
        (0.05, 'text-anchor="start" x="2%"'),
        (0.5, 'text-anchor="middle" x="50%"'),
        (0.97, 'text-anchor="end" x="99%"'),
    ],
)
def test_the_accuracy_label_stays_inside_the_axis(accuracy, hung):
    assert hung in accuracy_axis(accuracy, 0.02, 0.99, 0.1, "always “4”")


def test_a_probability_bar_is_as_long_as_its_share_and_named_by_kind():
    assert '<rect class="wrong" width="12.35%" height="6" rx="1"/>' in probability_bar(0.12346, "wrong")


def test_a_count_bar_lays_the_parts_end_to_end():
    svg = count_bar([("train", 6), ("val", 1), ("test", 1)], 16)
    found = re.findall(r'<rect class="(\w+)" x="([\d.]+)%" width="([\d.]+)%"', svg)
    assert found == [("train", "0", "37.5"), ("val", "37.5", "6.25"), ("test", "43.75", "6.25")]


def test_the_compact_matrix_shades_cells_by_their_share_of_the_row():
    svg = compact_matrix(np.array([[9, 1], [5, 5]]))
    # 90 % is level 5 of 5, 10 % is level 1, 50 % is level 3
    assert '<path class="hit level-5" d="M0 0h1v1h-1z"/>' in svg
    assert '<path class="miss level-1" d="M1 0h1v1h-1z"/>' in svg
    assert '<path class="miss level-3" d="M0 1h1v1h-1z"/>' in svg


def test_a_class_without_test_pictures_leaves_its_row_of_the_matrix_empty():
    assert "M0 1h" not in compact_matrix(np.array([[3, 0], [0, 0]]))


def test_texts_of_a_figure_are_escaped():
    svg = accuracy_axis(0.8, 0.7, 0.9, 0.1, baseline_label('<b>"x"\udcff'))
    assert "<b>" not in svg
    assert "&lt;b&gt;" in svg and "\\xff" in svg


def test_a_long_class_name_is_cut_in_the_figure():
    assert baseline_label("a" * 30) == f"always “{'a' * 23}…”"
