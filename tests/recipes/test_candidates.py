"""The candidates of `train` for images of some size and number."""

from foveola.recipes.candidates import CandidateResult, candidates
from foveola.types import Size

BOTH = ("transfer", "transfer_pair")


def found(side, images, pretrained=("transfer",), **options):
    return [str(one) for one in candidates([side], [side], images, pretrained, **options)]


def test_few_small_images_are_enlarged_for_the_pretrained_network_or_train_a_small_one():
    assert found(32, 300) == ["transfer, images of 160x160", "fast, images of 32x32"]


def test_the_network_that_is_trained_from_scratch_comes_first_from_1000_images_on():
    assert found(100, 999, BOTH)[:2] == ["transfer, images of 160x160", "fast, images of 96x96"]
    assert found(100, 1_000, BOTH)[:2] == ["fast, images of 96x96", "transfer, images of 160x160"]


def test_many_small_images_have_nothing_to_compare():
    assert found(32, 60_000) == []


def test_photos_go_to_the_pretrained_networks():
    assert found(1200, 400) == ["transfer, images of 256x256"]
    assert found(1200, 400, BOTH) == ["transfer, images of 256x256", "transfer_pair, images of 256x256"]


def test_without_weights_there_is_nothing_to_compare():
    assert found(32, 300, ()) == ["fast, images of 32x32"]
    assert found(1200, 400, ()) == []


def test_the_users_size_is_that_of_all_candidates():
    assert found(32, 300, size=Size(40, 40)) == ["transfer, images of 40x40", "fast, images of 40x40"]


def test_the_lower_loss_is_better_whatever_the_accuracy():
    sure = CandidateResult("fast", "32x32", 0.7, 0.9, 20, 1.0, "compared")
    unsure = CandidateResult("transfer", "160x160", 0.6, 0.8, 240, 1.0, "compared")
    assert unsure.is_better(sure)
    assert not sure.is_better(unsure)


def result(model, loss):
    return CandidateResult(model, "160x160", 0.6, loss, 80, 1.0, "compared")


def test_of_two_losses_that_are_almost_equal_the_pair_of_networks_wins():
    assert result("transfer_pair", 0.913).is_better(result("transfer", 0.905))
    assert not result("transfer", 0.905).is_better(result("transfer_pair", 0.913))


def test_a_clearly_lower_loss_beats_the_pair_of_networks():
    assert result("transfer", 0.88).is_better(result("transfer_pair", 0.913))
    assert not result("transfer_pair", 0.913).is_better(result("transfer", 0.88))
