"""Which network is kept."""

import pytest

from foveola.training.history import EpochLog, ProbeLog, is_better


def epoch(accuracy, loss):
    return EpochLog(1, 1, 0.0, 0.0, loss, accuracy, 0.1, 1.0)


def head(accuracy, loss):
    return ProbeLog(1, 1, 1.0, 0.0, 0.0, loss, accuracy, 1.0)


@pytest.mark.parametrize(
    ("row", "than", "expected"),
    [
        (epoch(0.9, 1.0), epoch(0.8, 0.1), True),
        (epoch(0.9, 0.3), epoch(0.9, 0.4), True),
        (epoch(0.9, 0.4), epoch(0.9, 0.4), False),
        (head(0.8, 0.3), head(0.9, 0.4), True),
        (head(0.9, 0.4), head(0.8, 0.3), False),
        (epoch(0.9, 0.5), head(0.8, 0.3), True),
        (epoch(0.8, 0.3), head(0.8, 0.4), True),
        (epoch(0.7, 0.1), head(0.8, 0.4), False),
    ],
)
def test_epochs_by_accuracy_then_loss_and_heads_by_loss(row, than, expected):
    assert is_better(row, than) is expected


def test_an_epoch_measured_on_whole_images_is_better_than_any_on_smaller_ones():
    small, whole = epoch(0.99, 0.1)._replace(val_scale=0.5), epoch(0.6, 1.0)
    assert is_better(whole, small)
    assert not is_better(small, whole)


def test_epochs_measured_on_images_of_one_size_are_compared_by_accuracy():
    assert is_better(epoch(0.9, 0.1)._replace(val_scale=0.5), epoch(0.8, 0.1)._replace(val_scale=0.5))


@pytest.mark.parametrize(
    ("row", "expected"), [(epoch(0.9, 0.5), False), (epoch(0.9, 0.3), True), (epoch(0.7, 0.3), False)]
)
def test_a_fine_tuned_network_replaces_the_last_layer_alone_only_with_a_lower_loss_too(row, expected):
    assert is_better(row, head(0.8, 0.4), finetune=True) is expected
