"""Figures against coordinates worked out by hand."""

import re

import numpy as np
import pytest

from foveola.report.svg import (
    accuracy_axis,
    baseline_label,
    compact_matrix,
    count_bar,
    probability_bar,
)


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
    svg = compact_matrix(np.array([[0.9, 0.1], [0.5, 0.5]]))
    # 90 % is level 5 of 5, 10 % is level 1, 50 % is level 3
    assert '<path class="hit level-5" d="M0 0h1v1h-1z"/>' in svg
    assert '<path class="miss level-1" d="M1 0h1v1h-1z"/>' in svg
    assert '<path class="miss level-3" d="M0 1h1v1h-1z"/>' in svg


def test_a_class_without_test_pictures_leaves_its_row_of_the_matrix_empty():
    assert "M0 1h" not in compact_matrix(np.array([[1.0, 0], [0, 0]]))


def test_texts_of_a_figure_are_escaped():
    svg = accuracy_axis(0.8, 0.7, 0.9, 0.1, baseline_label('<b>"x"\udcff'))
    assert "<b>" not in svg
    assert "&lt;b&gt;" in svg and "\\xff" in svg


def test_a_long_class_name_loses_its_middle_in_the_figure():
    assert baseline_label("a" * 20 + "b" * 20) == f"always “{'a' * 12}…{'b' * 11}”"
