"""The benchmarks' machinery: numbers by hand, the order of the runs, and that an interrupted benchmark goes on."""

import copy
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is no part of the package

from benchmarks import machine, page, plots
from benchmarks import measure as bench
from benchmarks.contestants import Contestant, Suite, numbers_of, read_events, read_run
from benchmarks.environments import Environment, key_of, last_line
from benchmarks.ours import vgg6
from benchmarks.ours.keras_steps import take_weights
from benchmarks.ours.split_arrays import split_arrays
from benchmarks.summary import spread, straight_line, total_of

from foveola.errors import UsageError
from foveola.models.course import alexnet_mini
from foveola.types import Size, no_tick
from foveola.workflows.prepare_run import RunTimer, read_request

COUNTS = """
import json, pathlib, sys
log = pathlib.Path(sys.argv[1])
log.write_text(log.read_text() + sys.argv[2] if log.exists() else sys.argv[2])
if sys.argv[2] == sys.argv[3]:
    sys.exit("it broke")
print("a library's own line")
print(json.dumps({"event": "start", "versions": {"thing": "1.0"}}))
print(json.dumps({"event": "end", "seconds": 2.0 + int(sys.argv[2])}))
"""


@pytest.fixture
def suite(tmp_path):
    """Two contestants of two runs each, which note their runs in a file; run `breaks` of both fails."""

    def make(breaks="", flag=""):
        program = tmp_path / "program.py"
        program.write_text(COUNTS)
        places = (("program", program), ("log", tmp_path / "log"))
        words = ("{program}", "{log}", "{seed}", breaks or "none", *flag.split())
        both = tuple(Contestant(name, words, places, repeats=2) for name in ("a", "b"))
        return Suite("trial", "Which?", both, (("seconds", "seconds", "seconds"),))

    return make


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Every contestant runs with this Python."""
    monkeypatch.setattr(bench, "environment", lambda peer: Environment(Path(sys.executable)))


def test_median_and_spread_of_an_odd_and_an_even_number_by_hand():
    assert spread([5.0, 1.0, 2.0]) == (3, 2.0, 1.0, 5.0)
    assert spread([4, 1, 2, 10]) == (4, 3.0, 1, 10)


def test_training_seconds_leave_out_measuring_val_and_older_runs_have_it_in_them(tmp_path):
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / "history.jsonl").write_text(
        '{"epoch": 1, "seconds": 9, "val_seconds": 2}\n{"epoch": 2, "seconds": 8}\n'
    )
    (tmp_path / "recipe.toml").write_text("")
    said = dict.fromkeys(("test_accuracy", "seconds", "seconds_before_first_step", "epochs", "n_train", "n_test"), 1)
    *_, end = read_run(json.dumps({"model": "fast", **said}), tmp_path)
    assert end["seconds"] == 15


@pytest.mark.parametrize(("given", "shown"), [("[30, 20]", 50), ("25", 50), ("0", 80)])
def test_a_rate_is_of_the_pictures_that_were_shown(tmp_path, given, shown):
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / "history.jsonl").write_text('{"epoch": 1, "seconds": 4}\n{"epoch": 2, "seconds": 6}\n')
    (tmp_path / "recipe.toml").write_text(f"[fit]\nepoch_images = {given}\n")
    said = {"test_accuracy": 1, "seconds": 1, "seconds_before_first_step": 1, "epochs": 2, "n_train": 40, "n_test": 1}
    events = read_run(json.dumps({"model": "fast", **said}), tmp_path)
    run = {"events": events, "command": "", "wall_seconds": 1.0, "peak_memory_mb": 1.0}
    assert numbers_of(run, Contestant("a", ()))["pictures_per_second"] == shown / 10


def test_a_head_alone_has_no_seconds_of_training(tmp_path):
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / "recipe.toml").write_text("")
    said = {"test_accuracy": 1, "seconds": 1, "seconds_before_first_step": 1, "epochs": 0, "n_train": 40, "n_test": 1}
    run = {"events": read_run(json.dumps({"model": "transfer", **said}), tmp_path), "command": "", "wall_seconds": 1.0}
    assert "seconds" not in numbers_of({**run, "peak_memory_mb": 1.0}, Contestant("a", ()))


def test_a_straight_line_through_points_on_it_is_that_line():
    line = straight_line([1, 10, 1000], [5, 23, 2003])
    assert line == pytest.approx((3, 2, 0))


def test_a_straight_line_by_hand_where_no_line_goes_through():
    # y = (1, 2, 1), weights (1, 1/4, 1): x and y mean of the symmetric points are 1 and 10/9, the slope is 0.
    line = straight_line([0, 1, 2], [1, 2, 1])
    assert line == pytest.approx((10 / 9, 0, (2 - 10 / 9) / 2))


def test_an_estimate_counts_the_first_epoch_once():
    assert total_of([20.0, 30.0], 14) == 20 + 13 * 10
    assert total_of([20.0, 30.0, 46.0], 3) == 46


def test_an_estimate_from_one_epoch_is_refused():
    with pytest.raises(ValueError, match="at least two full epochs"):
        total_of([20.0], 14)


def test_runs_are_interleaved_and_those_with_fewer_repeats_drop_out():
    some = [Contestant("a", (), repeats=3), Contestant("b", (), repeats=1), Contestant("c", (), repeats=2)]
    assert [(c.name, n) for c, n in bench.interleaved(some)] == [
        ("a", 0),
        ("b", 0),
        ("c", 0),
        ("a", 1),
        ("c", 1),
        ("a", 2),
    ]


def test_a_suite_is_measured_and_summed_up(suite, tmp_path):
    bench.measure(suite(), tmp_path / "trial.json", 1)
    found = json.loads((tmp_path / "trial.json").read_text())
    assert found["summary"]["a"]["seconds"] == {"n": 2, "median": 2.5, "low": 2.0, "high": 3.0}
    assert [(run["contestant"], run["repeat"]) for run in found["runs"]] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert (tmp_path / "log").read_text() == "0011"


def test_an_interrupted_benchmark_keeps_what_it_has_and_goes_on(suite, tmp_path):
    path = tmp_path / "trial.json"
    bench.measure(suite(), path, 1)
    half = json.loads(path.read_text())
    half["runs"] = half["runs"][:3]
    path.write_text(json.dumps(half))
    bench.measure(suite(), path, 1)
    found = json.loads(path.read_text())
    assert found["runs"][:3] == half["runs"]
    assert (tmp_path / "log").read_text() == "00111"


def test_again_leaves_those_as_they_are_who_were_not_asked(suite, tmp_path):
    bench.measure(suite(), tmp_path / "trial.json", 1)
    before = json.loads((tmp_path / "trial.json").read_text())
    bench.measure(suite(), tmp_path / "trial.json", 1, again=True, only="a")
    after = json.loads((tmp_path / "trial.json").read_text())
    of_b = [[run for run in found["runs"] if run["contestant"] == "b"] for found in (before, after)]
    assert of_b[0] == of_b[1]
    assert (tmp_path / "log").read_text() == "0011" + "01"


def test_again_repeats_every_run(suite, tmp_path):
    for again in (False, True):
        bench.measure(suite(), tmp_path / "trial.json", 1, again=again)
    assert (tmp_path / "log").read_text() == "00110011"


def test_a_changed_command_is_measured_again(suite, tmp_path):
    bench.measure(suite(), tmp_path / "trial.json", 1)
    results = bench.measure(suite(flag="--more"), tmp_path / "trial.json", 1)
    assert [run["command"].endswith("--more") for run in results.runs] == [True] * 4


def test_a_failed_run_is_kept_with_its_reason_and_left_out_of_the_summary(suite, tmp_path):
    bench.measure(suite(breaks="1"), tmp_path / "trial.json", 1)
    found = json.loads((tmp_path / "trial.json").read_text())
    assert [run["error"] for run in found["runs"]] == [None, None, "exit code 1: it broke", "exit code 1: it broke"]
    assert found["summary"]["a"]["seconds"]["n"] == 1


def test_a_peer_that_is_not_there_is_recorded_and_not_run(suite, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "environment", lambda peer: Environment(Path(sys.executable), "no such wheel"))
    bench.measure(suite(), tmp_path / "trial.json", 1)
    found = json.loads((tmp_path / "trial.json").read_text())
    assert found["absent"] == {"a": "no such wheel", "b": "no such wheel"}
    assert found["runs"] == []


@pytest.mark.parametrize(("name", "there"), [("processor", "Z80"), ("bfloat16", "perhaps"), ("cores", 4711)])
def test_results_of_another_machine_are_not_continued(suite, tmp_path, name, there):
    path = tmp_path / "trial.json"
    bench.measure(suite(), path, 1)
    found = json.loads(path.read_text())
    here, found["machine"][name] = found["machine"][name], there
    path.write_text(json.dumps(found))
    with pytest.raises(UsageError) as refused:
        bench.measure(suite(), path, 1)
    assert str(refused.value) == (
        f"trial.json was measured with {name} = {there} and here it is {here}: "
        "use --results FOLDER for this machine's own results, or --again to measure everything again"
    )


def test_only_makes_no_environment_of_others_and_keeps_why_they_are_not_there(suite, tmp_path, monkeypatch):
    path = tmp_path / "trial.json"
    both = suite().contestants
    trial = Suite("trial", "Which?", (both[0], dataclasses.replace(both[1], peer="other")), suite().columns)
    missing = {"": "", "other": "no such wheel"}
    monkeypatch.setattr(bench, "environment", lambda peer: Environment(Path(sys.executable), missing[peer]))
    bench.measure(trial, path, 1, only="b")
    asked = []
    monkeypatch.setattr(bench, "environment", lambda peer: asked.append(peer) or Environment(Path(sys.executable)))
    bench.measure(trial, path, 1, only="a")
    found = json.loads(path.read_text())
    assert asked == [""]
    assert found["absent"] == {"b": "no such wheel"}
    assert [run["contestant"] for run in found["runs"]] == ["a", "a"]


def test_the_shown_command_has_no_path_of_the_machine(tmp_path):
    words = ("-m", "foveola", "train", "{data}", "--seed", "{seed}", "--out", "{out}")
    contestant = Contestant("a", words, (("data", tmp_path),))
    assert contestant.shown == "foveola train DATA --seed SEED --out RUN"
    run = contestant.command(Path("py"), seed=3, out=Path("r"), threads=2)
    assert run == ["py", "-m", "foveola", "train", str(tmp_path), "--seed", "3", "--out", "r"]


@pytest.mark.parametrize(("chooses", "told"), [(False, "1"), (True, "none")])
def test_who_chooses_its_threads_is_not_told_their_number(chooses, told, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    code = "import json, os; print(json.dumps(dict(event='end', said=os.environ.get('OMP_NUM_THREADS', 'none'))))"
    contestant = Contestant("a", ("-c", code), chooses_threads=chooses)
    record = bench.run(contestant, 0, Environment(Path(sys.executable)), threads=1)
    assert record["events"] == [{"event": "end", "said": told}]


def test_other_processes_are_busy_while_a_contestant_runs_and_gone_afterwards():
    with machine.busy(2) as others:
        assert [other.poll() for other in others] == [None, None]
    assert [other.poll() is None for other in others] == [False, False]


def test_lines_that_are_no_events_are_passed_over():
    assert read_events('Epoch 1/2\n{"a": 1}\n{"event": "end"}\n[1]\n', Path()) == [{"event": "end"}]


def test_pictures_a_second_count_every_epoch():
    end = {"event": "end", "seconds": 4.0, "n_train": 100, "epochs": 2}
    run = {"events": [end], "wall_seconds": 5.0, "peak_memory_mb": 7.0}
    assert numbers_of(run, Contestant("a", ()))["pictures_per_second"] == 50


def test_an_environment_is_known_by_its_requirements():
    assert key_of(b"torch==1\n") == key_of(b"torch==1\n") != key_of(b"torch==2\n")


def test_a_reason_has_no_path_and_no_address():
    assert last_line("ERROR: not at https://host.example/simple/x nor /srv/wheels/x.whl") == (
        "ERROR: not at (address) nor (path)"
    )


def test_a_logarithmic_axis_places_powers_evenly():
    axis = plots.Axis("x", 1, 1000, log=True)
    assert [axis.share(v) for v in (1, 10, 100, 1000)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_the_page_writes_medians_with_their_spread(suite, tmp_path):
    bench.measure(suite(), tmp_path / "scale.json", 1)
    page.write(tmp_path, tmp_path / "out")
    text = (tmp_path / "out" / "results.md").read_text("utf-8")
    assert "| a | 2 | 2.50 (2.00 to 3.00) |" in text
    assert "| a | `python PROGRAM LOG SEED none` | thing 1.0 |" in text
    assert str(tmp_path) not in text


def test_the_page_shows_another_machines_results_behind_all_others(suite, tmp_path):
    for path in ("scale.json", "an-old-one/cifar.json"):
        bench.measure(suite(), tmp_path / path, 1)
    page.write(tmp_path, tmp_path / "out")
    text = (tmp_path / "out" / "results.md").read_text("utf-8")
    own, other = text.split("## On another machine: an old one\n")
    assert own.count("| a | 2 | 2.50 (2.00 to 3.00) |") == other.count("| a | 2 | 2.50 (2.00 to 3.00) |") == 1
    assert "### Which?" in other


def test_another_machines_figures_stand_beside_its_own_tables(tmp_path):
    sizes = {10: 4.0, 20: 5.0}
    result = {
        "question": "Straight?",
        "columns": [["all, s", "whole_seconds", "seconds"]],
        "machine": machine.describe() | {"threads": 2},
        "contestants": [
            {"name": f"n = {n}", "command": "", "repeats": 1, "note": "", "curve": "foveola", "x": n} for n in sizes
        ],
        "absent": {},
        "summary": {
            f"n = {n}": {"whole_seconds": {"n": 1, "median": s, "low": s, "high": s}} for n, s in sizes.items()
        },
        "runs": [
            {"contestant": f"n = {n}", "began": "2026-01-01", "load_before": None, "commit": "", "error": None}
            for n in sizes
        ],
    }
    for folder in (tmp_path, tmp_path / "an-old-one"):
        folder.mkdir(exist_ok=True)
        (folder / "scale.json").write_text(json.dumps(result))
    written = page.write(tmp_path, tmp_path / "out")
    own, other = (tmp_path / "out" / "results.md").read_text("utf-8").split("## On another machine: an old one\n")
    assert "![seconds](images/results-seconds.svg)" in own
    assert "![seconds](images/results-seconds-an-old-one.svg)" in other
    assert [path.name for path in written[1:]] == ["results-seconds.svg", "results-seconds-an-old-one.svg"]


def test_the_page_ends_with_the_measurements_that_no_suite_repeats(suite, tmp_path):
    bench.measure(suite(), tmp_path / "scale.json", 1)
    (tmp_path / "single.md").write_text("## Once\n\n| a | b |\n")
    page.write(tmp_path, tmp_path / "out")
    text = (tmp_path / "out" / "results.md").read_text("utf-8")
    assert text.index("## Which?") < text.index("## Once")
    assert text.endswith("\n## Once\n\n| a | b |\n")


def test_the_page_leaves_out_who_never_ran(suite, tmp_path):
    bench.measure(suite(), tmp_path / "scale.json", 1, only="b")
    page.write(tmp_path, tmp_path / "out")
    text = (tmp_path / "out" / "results.md").read_text("utf-8")
    assert text.count("\n| b | ") == 2
    assert "\n| a | " not in text


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session of vgg6 on the digits before its first step; its running statistics are those it was made with."""
    monkeypatch.setattr(vgg6, "SETTLING", 50)
    settings = {"model.name": "vgg6", "data.size": "8x8", "fit.flip": False, "fit.epochs": 1}
    how = {
        "seed": 0,
        "recipe": None,
        "out": tmp_path / "run",
        "runs": tmp_path,
        "tick": no_tick,
        "clock": RunTimer(0.0),
    }
    session = read_request("digits", settings=settings, **how).plan(no_tick, how["clock"])
    session.ready()
    return session


def test_settled_statistics_are_those_of_the_training_pictures(session):
    images = torch.cat([some for some, _ in session.batches(session.split.train).in_order()])
    network = copy.deepcopy(session.model)
    vgg6._settle(session, network)
    with torch.no_grad():
        given = network.relu1(network.conv1(network.normalise(images)))
    left = 0.99**50  # of what they began with: mean 0, variance 1
    mean, variance = given.mean(dim=(0, 2, 3)), given.var(dim=(0, 2, 3))
    assert network.norm1.running_mean == pytest.approx((1 - left) * mean, rel=0.03)
    assert network.norm1.running_var == pytest.approx((1 - left) * variance + left, rel=0.03)


def test_measuring_the_last_weights_leaves_the_network_and_torchs_random_state_alone(session):
    before, state = copy.deepcopy(session.model.state_dict()), torch.get_rng_state()
    vgg6.last_weights(session)
    assert all(torch.equal(value, before[name]) for name, value in session.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_parts_of_a_run_as_arrays_are_those_that_it_trains_on(session):
    arrays = split_arrays(session)
    for part in ("train", "val", "test"):
        rows = getattr(session.split, part)
        theirs = [
            (image.tobytes(), label) for image, label in zip(arrays[f"x_{part}"], arrays[f"y_{part}"], strict=True)
        ]
        ours = [(session.prepared.pixels[row].tobytes(), session.prepared.dataset.labels[row]) for row in rows]
        assert sorted(theirs) == sorted(ours)


def test_weights_of_keras_give_what_its_formulas_give():
    """Keras has kernels (height, width, inputs, outputs), and flattens rows, columns, channels."""
    model = alexnet_mini(size=Size(32, 32), classes=2, pixels="raw").eval()
    random = np.random.default_rng(0)
    weights = []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            shape = (*layer.kernel_size, layer.in_channels, layer.out_channels)
            weights += [random.normal(size=shape).astype(np.float32), random.normal(size=shape[-1]).astype(np.float32)]
        elif isinstance(layer, torch.nn.Linear):
            shape = (layer.in_features, layer.out_features)
            weights += [random.normal(size=shape).astype(np.float32), random.normal(size=shape[-1]).astype(np.float32)]
        elif isinstance(layer, torch.nn.BatchNorm2d):
            weights += [random.uniform(1, 2, layer.num_features).astype(np.float32) for _ in range(4)]
    take_weights(model, weights)

    impulse = torch.zeros(1, 3, 32, 32)
    impulse[0, 1, 16, 16] = 1  # "same" padding of 11 by 4 has three rows before: output row 4 sees rows 13 to 23
    with torch.no_grad():
        seen = model.conv1(impulse)[0, :, 4, 4].numpy()
        maps = torch.rand(1, 32, 2, 2)
        dense = model.dense1(model.flatten(maps))[0].numpy()
    assert seen == pytest.approx(weights[0][3, 3, 1] + weights[1], abs=1e-5)
    flat = maps[0].permute(1, 2, 0).flatten().numpy()  # rows, columns, channels
    first_dense = next(k for k, weight in enumerate(weights) if weight.ndim == 2)
    assert dense == pytest.approx(flat @ weights[first_dense] + weights[first_dense + 1], abs=1e-4)
