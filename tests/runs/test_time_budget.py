"""A budget of time: what it becomes, when it is refused, and a run that ends in time."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

import foveola as fv
from foveola.errors import UsageError
from foveola.recipes.recipe import recipe_from_tables
from foveola.runs import time_budget as budgets
from foveola.runs import time_budget as deadlines
from foveola.runs.time_budget import Deadline, StepCosts, _forecast, require_free
from foveola.text import parse_time, show_time
from foveola.training.config import FitSpec
from foveola.types import no_tick
from foveola.workflows.prepare_run import RunTimer, read_request

RECIPE = recipe_from_tables({"model": {"name": "fast"}, "data": {"size": "32x32"}, "fit": {"epochs": 1}})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("90s", 90), ("1h30m", 5400), ("1H 0.5M".replace(" ", ""), 3630), (42, 42), (0.5, 0.5)],
)
def test_a_length_of_time_is_read(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5x", "m5", "-3m", "0s", "1.2.3m", "5m5m", "1e99", "nan"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(UsageError) as refused:
        parse_time(text)
    assert str(refused.value) == f"budget '{text}' is not a time: write, for example, 90s, 5m or 1h30m"


@pytest.mark.parametrize("text", ["10", "2.5", "0"])
def test_a_text_without_a_unit_is_refused(text):
    with pytest.raises(UsageError) as refused:
        parse_time(text)
    assert str(refused.value) == (
        f"budget '{text}' has no unit: write {text}s for seconds, {text}m for minutes or {text}h for hours"
    )


@pytest.mark.parametrize("seconds", [1, 59, 60, 61, 3599, 3600, 3661, 86_399])
def test_a_shown_time_reads_back_as_itself(seconds):
    assert parse_time(show_time(seconds)) == seconds


def test_a_budget_and_a_number_of_epochs_contradict_each_other():
    with pytest.raises(UsageError) as refused:
        require_free({"fit": {"epochs": 3}})
    assert str(refused.value) == "--budget and fit.epochs = 3 both set how long to train: give one of them"
    require_free({"fit": {"epochs": "auto"}})


def test_the_forecast_fills_the_budget_up_to_its_margin():
    # 96 s of 100 less 10 spent less 6 around: 80 for epochs; at 30 + 2 per pass three epochs, 74 s of them steps.
    found = _forecast(RECIPE, StepCosts(train=30, val=2, rest=6), 900, 100, 10)
    assert found.recipe.fit.epochs == 3
    assert found.passes == pytest.approx(74 / 30)
    assert found.recipe.fit.epoch_images == round(900 * 74 / 30 / 3)
    assert found.seconds == pytest.approx(96)


def test_the_deadline_counts_what_follows_the_epochs_and_not_what_comes_before():
    found = _forecast(RECIPE, StepCosts(train=30, val=2, rest=6, steps={1.0: 0.5}, before=4), 900, 100, 10)
    plan = budgets.deadline(found, 100, 7.0, 900)
    assert (plan.end, plan.slack, plan.val, plan.rest) == (pytest.approx(103), 2, 2, 2)
    assert (plan.steps, plan.spec) == ({1.0: 0.5}, found.recipe.fit)


def test_an_epoch_is_expected_to_take_what_its_steps_were_timed_at():
    # 300 pictures are two steps of 150, whatever the size of a whole batch; a pass of two steps of 15 s is one of 30 s.
    found = _forecast(RECIPE, StepCosts(train=30, val=2, rest=6, steps={0.5: 15, 0.75: 15, 1.0: 15}), 300, 100, 10)
    plan = budgets.deadline(found, 100, 7.0, 300)
    assert found.recipe.fit.batch_size == 250
    assert plan._trained(1, 300) == pytest.approx(30)


def test_one_epoch_may_use_the_margin_up():
    found = _forecast(RECIPE, StepCosts(train=82, val=1, rest=6), 900, 100, 10)
    assert (found.recipe.fit.epochs, found.recipe.fit.epoch_images, found.passes) == (1, 900, 1.0)
    assert found.seconds == pytest.approx(99)
    assert budgets.deadline(found, 100, 7.0, 900).end == pytest.approx(106)


def test_where_val_costs_more_than_train_it_is_measured_less_often():
    # 51 s for epochs, 10 per pass and 15 for val: three times val would leave 6 s, twice leaves 21.
    found = _forecast(RECIPE, StepCosts(train=10, val=15, rest=35), 900, 100, 10)
    assert (found.recipe.fit.epochs, found.passes) == (2, pytest.approx(2.1))


def test_very_many_passes_become_a_hundred_longer_epochs():
    found = _forecast(RECIPE, StepCosts(train=0.01, val=0.01, rest=0), 50, 100, 0)
    assert found.recipe.fit.epochs == 100
    assert found.recipe.fit.epoch_images == round(50 * (96 - 1) / 0.01 / 100)


def test_transfer_keeps_to_its_head_when_no_epoch_fits():
    recipe = recipe_from_tables({"model": {"name": "transfer"}, "data": {"size": "64x64"}, "fit": {"epochs": 1}})
    found = _forecast(recipe, StepCosts(train=200, val=1, rest=20, has_head=True), 900, 100, 10)
    assert (found.recipe.fit.epochs, found.seconds) == (0, 30)
    assert found.sentence(100).startswith(
        "budget 1m40s: transfer, last layer only (no epoch of fine-tuning fits); expected: 30s in total"
    )


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return fv.from_arrays(rng.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8), np.arange(60) % 2, ("a", "b"))


def costs(monkeypatch, per_pass):
    """Plant what the measuring finds: seconds per pass for each network; whose answers were timed, as it goes."""
    answered = []

    def steps(session, least_seconds=0.0):
        return dict.fromkeys((0.5, 0.75, 1.0), per_pass[session.recipe.model.name] / len(session.train))

    def measure(session, steps):
        answered.append(session.recipe.model.name)
        return StepCosts(per_pass[session.recipe.model.name], val=0.001, rest=1, steps=steps)

    monkeypatch.setattr(budgets, "time_steps", steps)
    monkeypatch.setattr(budgets, "measure_costs", measure)
    return answered


@pytest.mark.parametrize(
    ("per_pass", "chosen", "answered"),
    [
        ({"fast": 50, "fast_m": 1, "fast_l": 1}, "fast", 1),  # not even looked at: fast itself fits 18 times only
        ({"fast": 10, "fast_m": 200, "fast_l": 1}, "fast", 1),  # by its steps alone it passes too seldom
        ({"fast": 10, "fast_m": 60, "fast_l": 1}, "fast_m", 2),
        ({"fast": 1, "fast_m": 10, "fast_l": 100}, "fast_l", 3),
    ],
)
def test_the_largest_network_that_passes_often_enough_is_taken(
    monkeypatch, noise, tmp_path, per_pass, chosen, answered
):
    timed = costs(monkeypatch, per_pass)
    clock = RunTimer(time.monotonic(), budget="1000s")
    how = {"settings": {}, "seed": 0, "recipe": None, "out": tmp_path / "run", "runs": tmp_path, "tick": no_tick}
    trainer = read_request(noise, **how, clock=clock).plan(no_tick, clock, {"model.name": "fast"})
    assert trainer.recipe.model.name == chosen
    assert timed == ["fast", "fast_m", "fast_l"][:answered]
    assert trainer.remarks[0].startswith(f"budget 16m40s: {chosen}, ")


def test_the_chosen_network_is_timed_again_for_a_fiftieth_of_the_budget(monkeypatch, noise, tmp_path, recorder):
    # Slower by a fifth then: 959 s are twelve passes of 80 s but for a second, in place of fourteen of 66.7.
    class Enough(Exception):
        pass

    def stop(plan):
        raise Enough(plan.recipe.fit.epochs, plan.remarks[0])

    costs(monkeypatch, {"fast": 66.7})
    timed = []

    def steps(session, least_seconds=0.0):
        timed.append(least_seconds)
        return dict.fromkeys((0.5, 0.75, 1.0), 80.0 / len(session.train))

    monkeypatch.setattr(budgets, "time_steps", steps)
    monkeypatch.setattr(budgets.time, "monotonic", lambda: 0.0)
    with pytest.raises(Enough) as seen:
        fv.train(noise, model="fast", budget="1000s", out=tmp_path / "run", progress=recorder(plan=stop))
    assert timed == [0.0, 20.0]
    assert seen.value.args[0] == 12
    said = "budget 16m40s: fast, 12.0 passes over the training set in 12 epochs; expected: 16m in total"
    assert seen.value.args[1].startswith(said)


def test_a_budget_too_small_for_one_epoch_is_refused_before_a_folder_is_made(monkeypatch, noise, tmp_path):
    costs(monkeypatch, {"fast": 50})
    monkeypatch.setattr("foveola.workflows.race.installed", lambda: ())
    monkeypatch.setattr(budgets.time, "monotonic", lambda: 0.0)
    with pytest.raises(UsageError) as refused:
        fv.train(noise, budget=20, out=tmp_path / "run")
    assert str(refused.value) == (
        "a budget of 20s is too small: one epoch of fast on 44 images takes 51s here, and reading, measuring and the "
        "report take 1s: give --budget 55s or more"
    )
    assert not (tmp_path / "run").exists()


def test_a_run_within_a_budget_repeats_from_its_recipe_alone(monkeypatch, noise, tmp_path):
    # Two to three passes on any machine: what is planned depends on the planted costs, nothing on how fast this one is.
    # And as it is faster than those by far, the epochs behind the first are three times as long as planned.
    costs(monkeypatch, {"fast": 400})
    first = fv.train(noise, model="fast", budget="1000s", settings={"model.width1": 8}, out=tmp_path / "run")
    planned, *later = first.recipe.fit.epoch_images
    assert later == [3 * planned] * 2
    again = fv.train(noise, recipe=first.path / "recipe.toml", out=tmp_path / "again")
    assert again.recipe == first.recipe
    assert first.result["budget_seconds"] == 1000
    assert first.result["predicted_seconds"] > 0
    assert again.result["budget_seconds"] is None
    assert [row._replace(seconds=0, val_seconds=0) for row in again.history] == [
        row._replace(seconds=0, val_seconds=0) for row in first.history
    ]


def test_an_epoch_of_a_list_may_be_as_long_as_one_of_a_number():
    tables = RECIPE.tables()
    long = recipe_from_tables({**tables, "fit": {**tables["fit"], "epochs": 2, "epoch_images": [3_000_000, 1]}})
    assert long.fit.epoch_images == [3_000_000, 1]


def test_lengths_that_are_not_one_an_epoch_are_refused_before_a_folder_is_made(noise, tmp_path):
    with pytest.raises(UsageError) as refused:
        fv.train(noise, epochs=5, settings={"fit.epoch_images": [10, 20, 30]}, out=tmp_path / "run")
    assert str(refused.value) == (
        "fit.epoch_images has 3 numbers and fit.epochs is 5: give one number "
        "for all epochs, or a list with one for each epoch"
    )
    assert not (tmp_path / "run").exists()


SPEC = FitSpec(epochs=20, batch_size=10)

PLANNED = 100
"""Images per epoch; in batches of 10 that take a second, 10 seconds, and one for val."""


@pytest.fixture
def trained(monkeypatch):
    """Train 20 epochs where the machine takes `speed(epoch)` times the seconds that were planned; 5 s follow them.

    late: seconds that what came before the first epoch took more than planned. Gives the epochs' lengths, and by how many
    seconds the end is late.
    """

    def run(speed, spec=SPEC, steps=None, planned=PLANNED, late=0.0):
        steps, now = steps or {1.0: 1.0}, [0.0]
        monkeypatch.setattr(deadlines, "time", SimpleNamespace(monotonic=lambda: now[0]))
        plan = Deadline(0.0, 0.0, steps, step_images=10, val=1.0, rest=5.0, spec=spec)
        cost = [plan._trained(epoch, planned) for epoch in range(1, 21)]
        plan.end = sum(cost) + 20 + 5
        plan.slack = 0.02 * plan.end
        now[0] = late
        lengths = []
        for epoch in range(1, 21):
            lengths.append(plan.images(epoch, planned))
            now[0] += speed(epoch) * (cost[epoch - 1] * lengths[-1] / planned + 1.0)
        return lengths, now[0] + speed(20) * 5 - plan.end

    return run


def test_on_a_machine_as_fast_as_planned_nothing_changes(trained):
    assert trained(lambda epoch: 1.0) == ([PLANNED] * 20, pytest.approx(0))


def test_a_hundredth_more_is_let_be(trained):
    assert trained(lambda epoch: 1.01)[0] == [PLANNED] * 20


@pytest.mark.parametrize("speed", [0.6, 1.5])
def test_a_machine_of_another_speed_ends_as_planned(trained, speed):
    lengths, late = trained(lambda epoch: speed)
    assert lengths[0] == PLANNED and len(set(lengths[1:])) <= 2
    assert abs(late) <= 0.02 * 225


@pytest.mark.parametrize("speed", [0.6, 1.5])
def test_a_machine_that_changes_half_way_ends_as_planned(trained, speed):
    lengths, late = trained(lambda epoch: speed if epoch > 10 else 1.0)
    assert lengths[:11] == [PLANNED] * 11
    assert abs(late) <= 0.02 * 225


@pytest.mark.parametrize("late", [-60, 90])
def test_what_came_before_the_first_epoch_counts(trained, late):
    lengths, off = trained(lambda epoch: 1.0, late=late)
    assert lengths[0] == lengths[1] == round(PLANNED * (200 - late) / 200)
    assert abs(off) <= 0.02 * 225


def test_epochs_of_larger_pictures_are_expected_to_take_longer(trained):
    spec = FitSpec(epochs=20, batch_size=10, start_scale=0.5, whole_from=0.7)
    lengths, late = trained(lambda epoch: 1.0, spec, {0.5: 0.25, 0.75: 0.6, 1.0: 1.0})
    assert (lengths, late) == ([PLANNED] * 20, pytest.approx(0))


def test_no_epoch_becomes_shorter_than_a_third_or_longer_than_thrice_what_was_planned(trained):
    assert trained(lambda epoch: 30.0)[0] == [100] + [33] * 19
    assert trained(lambda epoch: 0.01)[0] == [100] + [300] * 19


def test_no_epoch_becomes_shorter_than_a_batch(trained):
    assert trained(lambda epoch: 30.0, planned=12)[0] == [12] + [10] * 19
    assert trained(lambda epoch: 30.0, planned=8)[0] == [8] * 20


def test_a_clock_that_stands_still_divides_nothing_by_nought(trained):
    assert trained(lambda epoch: 0.0)[0] == [100] + [300] * 19
