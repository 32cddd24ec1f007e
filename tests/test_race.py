"""`train` without a network's name: candidates are compared on the validation images, and the best one becomes the run."""

import json

import numpy as np
import pytest

import foveola as fv
from foveola.recipes.candidates import Candidate
from foveola.runs.progress import Progress
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
    assert lines[-1].startswith("corners, 16x16: skipped: it would take ")
    assert lines[-1].endswith(", and the time limit leaves 0s")


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
    assert page.count('<td class="long">chosen</td>') == 1
    fv.report(run.path)
    assert run.report.read_text("utf-8") == page
