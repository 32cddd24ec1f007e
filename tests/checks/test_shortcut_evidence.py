"""The images that the page of `foveola check` shows next to a shortcut have the property that is named."""

import numpy as np
import pytest

from foveola.checks.shortcut_evidence import Property, examples
from foveola.data.arrays import Arrays
from foveola.data.dataset import Dataset


@pytest.fixture
def dataset():
    """Ten images each of the classes a and b, named by their row."""
    names = tuple(str(row) for row in range(20))
    labels = np.repeat([0, 1], 10)
    return Dataset("d", ("a", "b"), names, labels, Arrays(np.zeros((20, 1, 1, 3), np.uint8)), "f")


def test_examples_have_the_most_frequent_value_of_their_class(dataset):
    formats = [
        "PNG",
        *["JPEG"] * 8,
        "PNG",
        "JPEG",
        *["PNG"] * 8,
        "JPEG",
    ]  # the first and last of each class are exceptions
    shown = examples(dataset, [Property("Format", formats)], lambda row: formats[row])
    assert [(one.name, {said for _, said in one.files}) for one in shown] == [("a", {"JPEG"}), ("b", {"PNG"})]
    assert [name for name, _ in shown[0].files] == ["1", "4", "8"]  # evenly chosen among rows 1 to 8


def test_examples_have_an_amount_from_the_middle_half_of_their_class(dataset):
    sides = np.array([*range(10), *range(100, 110)], np.float64)
    shown = examples(dataset, [Property("Height", sides)], str)
    assert [said for one in shown for _, said in one.files] == ["3", "4", "6", "13", "14", "16"]


def test_examples_are_those_that_are_usual_in_the_most_properties(dataset):
    formats = [*["JPEG"] * 6, *["PNG"] * 14]
    modes = [*["RGB"] * 3, *["L"] * 17]  # of class a, rows 3 to 5 are JPEG and L, each the most frequent
    shown = examples(dataset, [Property("Format", formats), Property("Colour mode", modes)], str)
    assert [said for _, said in shown[0].files] == ["3", "4", "5"]


def test_no_property_has_no_examples(dataset):
    assert examples(dataset, [], str) == ()
