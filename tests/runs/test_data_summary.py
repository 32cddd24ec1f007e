"""The numbers of a data set that a run keeps."""

import numpy as np

from foveola.runs.data_summary import _frequent


def test_sizes_come_with_their_counts_the_most_frequent_first():
    sizes = np.array([[30, 20], [5, 30_000], [30, 20], [30_000, 5], [8, 8], [8, 8], [30, 20]], np.int32)
    assert _frequent(sizes) == ((30, 20, 3), (8, 8, 2), (5, 30_000, 1), (30_000, 5, 1))
