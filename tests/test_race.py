"""`train` without a network's name: candidates are compared on the validation images, and the best one becomes the run."""

import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest

import foveola as fv
from foveola.recipes.candidates import Candidate
from foveola.runs.progress import Progress
from foveola.runs.time_budget import epochs_within
from foveola.types import Size
from foveola.workflows.prepare_run import RunTimer, read_request
from foveola.workflows.race import Race, open_candidates

CORNERS, BLIND = Candidate("corners", Size(16, 16)), Candidate("blind", Size(16, 16))


@pytest.fixture(autouse=True)
def networks():
    """Two networks for the race: one sees the brightness of the whole image, one sees nothing."""
    from torch import nn

    @fv.MODELS.register("corners", fit={"epochs": 8, "lr_peak": 0.05, "batch_size": 16})
    def corners(*, size, classes):
        return nn.Sequential(nn.AvgPool2d(tuple(size)), nn.Flatten(), nn.Linear(3, classes))

    @fv.MODELS.register("blind", fit={"epochs": 1})
    def blind(*, size, classes):
        return nn.Sequential(nn.AvgPool2d(tuple(size)), nn.Flatten(), nn.Dropout(1 - 1e-9), nn.Linear(3, classes))

    yield
    fv.MODELS.unregister("corners")
    fv.MODELS.unregister("blind")


@pytest.fixture
def shades():
    """80 images of 16x16, half of them dark."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    pixels = rng.integers(0, 60, (80, 16, 16, 3)) + 150 * labels[:, None, None, None]
    return fv.from_arrays(pixels.astype(np.uint8), labels, class_names=["dark", "light"])


@pytest.fixture
def race(shades, tmp_path, recorder):
    """Make a race of candidates; `lines` collects what it tells."""

    def make(*options, limit_seconds=600.0, lines=None, settings=None, data=shades):
        clock, scratch = RunTimer(0.0), tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        given = {"data": data, "settings": settings or {}, "seed": 0, "recipe": None, "out": tmp_path / "run"}
        request = read_request(**given, runs=tmp_path, tick=Progress().tick, clock=clock)
        return Race(request, options, clock, recorder(lines), scratch, limit_seconds)

    return make


def test_the_candidate_with_the_lowest_loss_wins(race):
    winner = race(BLIND, CORNERS).run()
    assert winner.recipe.model.name == "corners"
    assert [(one.model, one.outcome) for one in winner.candidates] == [("blind", "compared"), ("corners", "chosen")]
    assert winner.candidates[1].loss < winner.candidates[0].loss


def test_of_two_candidates_with_equal_accuracy_the_one_with_the_lower_loss_wins(race):
    larger = Candidate("corners", Size(17, 17))
    found = race(CORNERS, larger).run().candidates
    assert found[0].accuracy == found[1].accuracy == 1.0
    assert (found[0].outcome == "chosen") == (found[0].loss <= found[1].loss)


def test_a_candidate_that_would_take_too_long_is_skipped(race):
    lines = []
    winner = race(BLIND, CORNERS, limit_seconds=0.0, lines=lines).run()
    assert winner.recipe.model.name == "blind"
    assert winner.candidates[1].outcome == "skipped"
    assert winner.remarks == (
        "chose blind, images of 16x16: the only candidate that could be trained within the time limit",
    )
    assert lines[-1].startswith("corners, 16x16: skipped: it would take ")
    assert lines[-1].endswith(", and the time limit leaves 0s")


def test_candidates_after_the_first_may_get_a_smaller_share_of_the_time(race):
    compared = race(BLIND, CORNERS)
    compared.later_share = 0.0
    assert [one.outcome for one in compared.run().candidates] == ["chosen", "skipped"]


def test_a_candidate_that_cant_be_trained_is_skipped_with_the_reason(race):
    found = race(CORNERS, Candidate("fast", Size(8, 8))).run().candidates
    assert found[1].reason == "model fast needs images of at least 10x10; got 8x8: choose a larger --size"
    assert (found[1].accuracy, found[1].outcome) == (None, "skipped")


def test_the_winner_is_the_run_that_its_own_settings_give(race, shades, tmp_path):
    trainer = race(BLIND, CORNERS).run()
    alone = fv.train(shades, model="corners", size="16x16", out=tmp_path / "alone")
    trainer.claim_folder()
    trainer.begin()
    trainer.take_logs()
    trainer.finish()
    for name in ("weights.safetensors", "recipe.toml", "predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (alone.path / name).read_bytes()


@pytest.mark.parametrize("given", [{"model.name": "fast"}, {"fit.epochs": 2}])
def test_who_names_a_network_or_epochs_gets_no_race(race, given):
    assert open_candidates(race(settings=given).request) == ()


def test_a_size_of_the_user_is_that_of_all_candidates(race):
    found = open_candidates(race(settings={"data.size": "40x40"}).request)
    assert {str(one.size) for one in found} == {"40x40"}


def test_test_images_have_no_influence(race, shades):
    pixels, labels = shades.source.pixels, shades.labels

    def numbers(test_labels):
        parts = {"val": (pixels[48:64], labels[48:64]), "test": (pixels[64:], test_labels)}
        data = fv.from_arrays(pixels[:48], labels[:48], class_names=["dark", "light"], **parts)
        return [(one.accuracy, one.loss) for one in race(BLIND, CORNERS, data=data).run().candidates]

    assert numbers(labels[64:]) == numbers(1 - labels[64:])


def test_the_run_lists_its_candidates_in_result_and_report(shades, tmp_path):
    run = fv.train(shades, settings={"data.size": "32x32"}, out=tmp_path / "run")
    rows = json.loads((run.path / "result.json").read_text())["candidates"]
    assert [row["outcome"] for row in rows].count("chosen") == 1
    chosen = next(row for row in rows if row["outcome"] == "chosen")
    assert chosen["model"] == run.result["model"]
    page = run.report.read_text("utf-8")
    assert page.count("<td><strong>chosen</strong></td>") == 1
    fv.report(run.path)
    assert run.report.read_text("utf-8") == page


@pytest.fixture
def faint():
    """A pre-trained network that sees what tells the classes apart only faintly, until its one weight is trained."""
    import torch
    from torch import nn

    from foveola.models.layers import Normalise

    class Faint(nn.Module):
        features_key, features_ready = "faint", True

        def __init__(self, classes, weight):
            super().__init__()
            self.normalise = Normalise("half")
            self.weight, self.head = nn.Parameter(torch.tensor(weight)), nn.Linear(2, classes)

        def features(self, images):
            means = self.normalise(images).mean(dim=(2, 3))
            return torch.stack([means[:, 1] + self.weight * means[:, 0], means[:, 2]], dim=1)

        def forward(self, images):
            return self.head(self.features(images))

    tuned = {"epochs": 20, "lr_peak": 0.1, "augment": "none", "patience": 0}

    @fv.MODELS.register("faint", fit={"epochs": 0, "batch_size": 32}, finetune=tuned, pretrained_on="nothing")
    def make(*, size, classes, weight: float = 0.1):
        return Faint(classes, weight)

    yield Candidate("faint", Size(16, 16))
    fv.MODELS.unregister("faint")


@pytest.fixture
def tinted():
    """Images of 8x8 whose red decides the class, between noise in green: 200 for training, 100 each for val and test."""
    rng = np.random.default_rng(0)

    def part(n):
        labels = np.arange(n) % 2
        means = rng.uniform(40, 200, (n, 1, 1, 3))
        means[..., 0] = (90 + 60 * labels + rng.uniform(-5, 5, n))[:, None, None]
        return (means + rng.integers(0, 4, (n, 8, 8, 3))).astype(np.uint8), labels

    return fv.from_arrays(*part(200), class_names=["dark", "red"], val=part(100), test=part(100))


def test_fine_tuning_of_the_best_candidate_wins_if_it_helps_on_val(race, faint, tinted):
    winner = race(faint, data=tinted, settings={"data.size": "8x8"}).run()
    assert [(one.title, one.outcome) for one in winner.candidates] == [
        ("faint", "compared"),
        ("faint, fine-tuned", "chosen"),
    ]
    assert winner.recipe.fit.finetune
    assert winner.candidates[1].accuracy > winner.candidates[0].accuracy + 0.1
    assert winner.remarks[0] == "chose faint, fine-tuned, images of 16x16: the best of 2 candidates on held-out images"


def test_fine_tuning_that_does_not_help_on_val_is_listed_with_the_reason(race, faint, tinted):
    winner = race(faint, data=tinted, settings={"fit.lr_peak": 1e-9}).run()
    assert not winner.recipe.fit.finetune
    assert winner.candidates[1].reason == "no epoch was better than the last layer alone on the 100 validation images"


def test_fine_tuning_needs_enough_validation_images(race, faint):
    assert race(faint).run().candidates == ()


def test_fine_tuning_takes_no_more_epochs_than_the_time_leaves(race, faint, tinted):
    request = race(faint, data=tinted).request
    trainer = request.plan(Progress().tick, RunTimer(0.0), replace(faint, finetune=True).settings)
    assert epochs_within(trainer, 1e9)[0] == 20
    none, least = epochs_within(trainer, 0.0, 3)
    assert (none, least > 0) == (0, True)


def test_fine_tuning_that_would_get_too_few_epochs_is_skipped(race, faint, tinted):
    lines = []
    winner = race(faint, data=tinted, limit_seconds=0.0, lines=lines).run()
    assert [one.outcome for one in winner.candidates] == ["chosen", "skipped"]
    assert lines[-1].startswith("faint, fine-tuned, 16x16: skipped: 3 epochs would take ")


def test_class_weights_are_tried_where_classes_are_unequal_and_said_to_help_or_not(race, shades):
    rare = np.r_[0:12:2, 1:80:2]  # 6 dark images and 40 light ones
    data = fv.from_arrays(shades.source.pixels[rare], shades.labels[rare], class_names=["dark", "light"])
    winner = race(CORNERS, data=data).run()
    plain, weighted = winner.candidates
    assert (plain.title, plain.outcome, weighted.title, weighted.outcome) == (
        "corners",
        "chosen",
        "corners, with class weights",
        "compared",
    )
    assert winner.recipe.fit.class_weights == "none"
    assert winner.remarks[0] == "chose corners, images of 16x16: the only candidate"
    assert winner.remarks[-1] == (
        f"with class weights the balanced accuracy on held-out images is {100 * weighted.balanced_accuracy:.1f} % instead of "
        f"{100 * plain.balanced_accuracy:.1f} %, and the accuracy {100 * weighted.accuracy:.1f} % instead of "
        f"{100 * plain.accuracy:.1f} %: to use them, add --class-weights balanced"
    )


def test_class_weights_are_not_tried_if_the_user_decided(race, shades):
    rare = np.r_[0:12:2, 1:80:2]
    data = fv.from_arrays(shades.source.pixels[rare], shades.labels[rare], class_names=["dark", "light"])
    assert race(CORNERS, data=data, settings={"fit.class_weights": "balanced"}).run().candidates == ()


def test_with_a_budget_the_network_that_can_use_all_the_time_comes_last(race, monkeypatch):
    monkeypatch.setattr("foveola.workflows.race.installed", lambda: ("transfer",))
    request = race(settings={"data.size": "32x32"}).request
    assert [one.model for one in open_candidates(request, budget=True)] == ["transfer", "fast"]


def test_a_network_that_is_trained_by_epochs_fills_the_budget(race):
    compared = race(CORNERS)
    compared.clock.started, compared.clock.budget = time.monotonic(), 8.0
    winner = compared.run()
    assert winner.recipe.fit.epochs > 8  # its own number of epochs takes a fraction of a second


def test_a_budget_that_is_too_small_for_every_candidate_is_refused(race):
    compared = race(CORNERS)
    compared.clock.started, compared.clock.budget = time.monotonic(), 0.01
    with pytest.raises(fv.UsageError, match="a budget of 0s is too small: "):
        compared.run()


def test_a_budget_that_is_too_small_for_the_only_pretrained_network_is_refused(race, faint, tinted):
    compared = race(faint, data=tinted, limit_seconds=0.01)
    compared.clock.started, compared.clock.budget = time.monotonic(), 0.01
    with pytest.raises(fv.UsageError) as refused:
        compared.run()
    text = re.sub(r"\d+s in all: give --budget \d+s", "TIME in all: give --budget TIME", str(refused.value))
    assert text == (
        "a budget of 0s is too small: faint on 400 images would take about TIME in all: give --budget TIME or more"
    )
