"""The command line: what each command prints, where, and what it ends with; through a real process where that matters."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foveola import cli
from foveola.cli.output import print_line
from foveola.cli.runs import prediction_row
from foveola.errors import ResourceError
from foveola.filters.chain import FILTERS
from foveola.runs.trainer import Trainer

ARGS = ["--model", "fast", "--epochs", "2", "--no-flip", "--set", "model.width1=8", "--set", "model.width2=8"]


def foveola(*args, **environment):
    command = [sys.executable, "-m", "foveola", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the entry point in this process: gives exit code, stdout and stderr."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["foveola", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run that `foveola train --json` made in a process of its own, with what it printed."""
    from foveola.imaging.decode import encode

    base = tmp_path_factory.mktemp("cli")
    for k, name in enumerate(("dark", "light")):
        (base / "shades" / name).mkdir(parents=True)
        for i in range(20):
            image = np.random.default_rng(100 * k + i).integers(150 * k, 150 * k + 60, (16, 16, 3)).astype(np.uint8)
            (base / "shades" / name / f"{i}.png").write_bytes(encode(image))
    (base / "shades" / "dark" / "note.jpg").write_text("these are dark")
    done = foveola("train", base / "shades", *ARGS, "--out", base / "run", "--json", FOVEOLA_CACHE=str(base / "cache"))
    assert done.returncode == 0, done.stderr
    return base, done


def test_train_json_prints_one_object_and_keeps_progress_on_stderr(finished):
    base, done = finished
    result = json.loads(done.stdout)
    assert result["run"] == str(base / "run")
    assert "epoch   1: train loss" in done.stderr
    assert "Decoding images: 41 of 41" in done.stderr


def test_train_json_has_the_documented_shape(finished):
    result = json.loads(finished[1].stdout)
    kinds = {
        "run": str,
        "report": str,
        "model": str,
        **dict.fromkeys(("n_train", "n_val", "n_test", "files_found", "files_used", "files_ignored"), int),
        **dict.fromkeys(("test_accuracy", "test_accuracy_low", "test_accuracy_high", "majority_accuracy"), float),
        "problems": list,
        "seconds": float,
    }
    assert {key: type(result[key]) for key in kinds} == kinds
    assert result["problems"] == [{"file": "dark/note.jpg", "reason": "not an image: looks like text"}]
    assert result["files_found"] == result["files_used"] + result["files_ignored"] + len(result["problems"])


def test_the_json_shape_is_the_one_the_docs_give(finished):
    documented = (Path(__file__).parents[1] / "docs" / "reference" / "json.md").read_text("utf-8")
    missing = [key for key in json.loads(finished[1].stdout) if f"`{key}`" not in documented]
    assert missing == []


def test_evaluate_prints_the_number_with_its_interval(finished, call):
    code, out, _ = call("evaluate", finished[0] / "run")
    result = json.loads(finished[1].stdout)
    assert code == 0
    assert out.startswith(f"test accuracy {100 * result['test_accuracy']:.1f} % (95 % interval ")
    assert out.splitlines()[3].startswith("'light' against the rest: area under the ROC curve ")
    assert [line.split()[0] for line in out.splitlines()[4:7]] == ["class", "dark", "light"]
    assert out.splitlines()[2].startswith("probabilities calibrated on 4 images, temperature ")
    assert "You have now looked at the test set " in out.splitlines()[7]


def test_evaluate_json_agrees_with_train_json(finished, call):
    _, out, _ = call("evaluate", finished[0] / "run", "--json")
    result, again = json.loads(finished[1].stdout), json.loads(out)
    for key in ("test_accuracy", "test_accuracy_low", "test_accuracy_high", "majority_accuracy", "n_test", "test_loss"):
        assert again[key] == result[key]


def test_predict_names_each_file_once_and_writes_the_csv(finished, call, tmp_path):
    base, _ = finished
    code, out, _ = call("predict", base / "run", base / "shades" / "light", "--csv", tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert code == 0
    assert lines[0] == "file,label,probability,dark,light,problem,copy_of"
    assert len(lines) == 21
    assert out.splitlines()[21].startswith("with the folder names as true classes: test accuracy ")
    assert " of these 20 images, or on near-duplicates of them; without them: " in out.splitlines()[22]
    assert out.splitlines()[-1] == f"wrote {tmp_path / 'out.csv'}"
    assert all(line.split(",")[1] in ("dark", "light") for line in lines[1:])


def test_predict_json_gives_probabilities_that_sum_to_one(finished, call):
    base, _ = finished
    _, out, _ = call("predict", base / "run", base / "shades" / "light" / "3.png", "--json")
    (answer,) = json.loads(out)["predictions"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["probability"] == answer["probabilities"][answer["label"]]


def test_predict_abstain_refuses_in_one_sentence(finished, call):
    base, _ = finished
    code, _, err = call("predict", base / "run", base / "shades", "--abstain", "1.5")
    assert (code, err) == (
        2,
        "foveola: abstain must be an error rate above 0 and below 1, not 1.5: for example 0.05 for at most one wrong "
        "prediction in 20 images\n",
    )
    code, _, err = call("predict", base / "run", base / "shades", "--abstain", "0.05")
    assert (code, err) == (
        2,
        "foveola: abstain 0.05 needs at least 19 calibration images, but the run has 4: give 0.2 or more, or train with "
        "more validation images (split.val_fraction)\n",
    )


def test_predict_abstain_says_what_is_stated_and_what_was_measured(finished, call, tmp_path):
    base, _ = finished
    where = (base / "run", base / "shades" / "light", "--abstain", "0.2")
    code, out, _ = call("predict", *where, "--csv", tmp_path / "out.csv")
    assert code == 0
    assert (
        ". Expect at most 20 % wrong predictions on images like the training data. On the test set, "
        in out.splitlines()[21]
    )
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "file,label,probability,dark,light,problem,label_set,copy_of"
    found = json.loads(call("predict", *where, "--json")[1])
    assert found["abstain"] == json.loads((base / "run" / "result.json").read_text())["abstain"][0]
    for answer, line in zip(found["predictions"], lines[1:], strict=True):
        assert answer["label"] == (answer["label_set"][0] if len(answer["label_set"]) == 1 else "")
        assert line.split(",")[1] == answer["label"] and line.split(",")[-2] == "|".join(answer["label_set"])


def test_predict_prints_don_t_know_with_the_classes_that_are_left():
    from foveola.evaluation.predictions import Prediction

    both = Prediction("a.png", "", np.array([0.5, 0.5]), label_set=("dark", "light"))
    none = Prediction("b.png", "", np.array([0.5, 0.5]), label_set=())
    one = Prediction("c.png", "dark", np.array([0.9, 0.1]), label_set=("dark",))
    assert [prediction_row(answer) for answer in (both, none, one)] == [
        ("a.png", "don't know (dark or light)", ""),
        ("b.png", "don't know (like none of the classes)", ""),
        ("c.png", "dark", "90.0 %"),
    ]


def test_the_screen_tells_val_accuracies_with_their_interval(finished):
    # 4 val pictures: Wilson 51.0 to 100 % when all are right
    lines = [line for line in finished[1].stderr.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    assert all("; val loss " in line and " to " in line.rsplit("accuracy", 1)[1] for line in lines)


def test_predict_ends_with_3_when_no_file_is_a_picture(finished, call):
    base, _ = finished
    code, out, _ = call("predict", base / "run", base / "shades" / "dark" / "note.jpg")
    assert code == 3
    assert "(not an image: looks like text)" in out


def test_predict_ends_with_3_when_a_file_that_was_named_is_no_picture(finished, call):
    base, _ = finished
    code, out, _ = call(
        "predict", base / "run", base / "shades" / "light" / "3.png", base / "shades" / "dark" / "note.jpg"
    )
    assert code == 3
    assert "light" in out and "(not an image: looks like text)" in out
    assert call("predict", base / "run", base / "shades" / "dark")[0] == 0  # there it was not named


def test_train_says_what_was_kept_and_what_to_do_next(finished, capsys):
    from foveola.cli.output import print_run
    from foveola.runs.run import open_run

    run = open_run(finished[0] / "run")
    print_run(run, False, False)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"kept    the weights of epoch [12] of 2, the best on val", lines[-5])
    assert lines[-2:] == [
        f"next    foveola predict {run.path} photo.jpg",
        f"        foveola report {run.path} --open",
    ]


def test_open_shows_the_report_in_the_browser(finished, call, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    code, _, err = call("report", finished[0] / "run", "--open")
    assert (code, err, opened) == (0, "", [(finished[0] / "run" / "report.html").as_uri()])
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    assert "no browser could be opened: open " in call("report", finished[0] / "run", "--open")[2]


def test_an_error_is_wrapped_at_words_on_a_terminal(call, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _, _, err = call("filter", tmp_path, tmp_path / "o", "--chain", "invert", "--steps", "--kernel-view")
    assert err == "foveola: --steps and --kernel-view draw\ndifferent figures: give only one of them\n"


@pytest.mark.parametrize(("terminal", "no_color", "red"), [(True, "", True), (True, "1", False), (False, "", False)])
def test_a_severity_has_a_colour_on_a_terminal_only(monkeypatch, capsys, terminal, no_color, red):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    print_line("error:   a finding", 9, severity="error")
    coloured = "\x1b[31m\x1b[1merror:\x1b[0m   a finding\n"
    assert capsys.readouterr().out == (coloured if red else "error:   a finding\n")


def test_an_interrupted_run_names_its_folder(call, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "finish", interrupted)
    code, _, err = call("demo", tmp_path, "--epochs", "1", "--out", tmp_path / "run")
    assert code == 130
    assert err.splitlines()[-1] == (
        f"foveola: interrupted. The unfinished run is in {tmp_path / 'run'} and can't be continued: delete that folder, then "
        "run the command again."
    )


def test_report_writes_the_same_page_again(finished, call):
    page = finished[0] / "run" / "report.html"
    before = page.read_bytes()
    page.unlink()
    code, out, _ = call("report", finished[0] / "run")
    assert (code, out) == (0, f"report  {page}\n")
    assert page.read_bytes() == before


def test_runs_lists_the_run_with_its_accuracy(finished, call):
    code, out, _ = call("runs", finished[0], "--json")
    (line,) = json.loads(out)["runs"]
    assert (code, line["status"], line["data"], line["model"]) == (0, "finished", "shades", "fast")
    assert line["accuracy"] == json.loads(finished[1].stdout)["test_accuracy"]


def test_runs_of_an_empty_place_says_what_makes_one(call, tmp_path):
    assert call("runs", tmp_path)[:2] == (0, f"there are no runs in {tmp_path}: foveola train creates one\n")


@pytest.mark.parametrize(
    ("args", "number"),
    [
        (["alexnet_mini", "--size", "224x224", "--classes", "2"], "635,170"),
        (["vgg6", "--size", "32x32", "--classes", "10"], "552,362"),
        (["vgg6", "--size", "32x32", "--classes", "10", "--set", "head_batchnorm=true"], "552,874"),
    ],
)
def test_show_prints_the_courses_parameters(call, args, number):
    code, out, _ = call("show", *args)
    assert code == 0
    assert f"parameters     {number}\n" in out


def test_show_json_sums_to_its_total(call):
    found = json.loads(call("show", "vgg6", "--json")[1])
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"] == 552_362


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("models", ["alexnet_mini", "fast", "fast_l", "fast_m", "transfer", "transfer_pair", "vgg6"]),
        ("datasets", ["cifar10", "digits"]),
    ],
)
def test_list_names_what_there_is(call, kind, names):
    code, out, _ = call("list", kind, "--json")
    assert (code, [entry["name"] for entry in json.loads(out)[kind]]) == (0, names)


def test_list_filters_shows_the_signature_and_a_line_for_each(call):
    code, out, _ = call("list", "filters")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 2 * len(FILTERS)
    assert [line.split("(")[0] for line in lines[::2]] == sorted(FILTERS)
    assert {"blur(size=3, sigma=0)", "canny(low=50, high=150)", "kernel(values=...)", "sharpen"} <= set(lines[::2])
    assert all(line.startswith("    ") and line.endswith(".") for line in lines[1::2])


def test_list_explanations_names_no_inner_part(call):
    code, out, _ = call("list", "explanations")
    assert code == 0
    assert "tick" not in out
    assert "    --how tsne or --how pca\n" in out
    assert "kernels: The learned kernels of a convolution.\n    --stage LAYER\n" in out
    assert "gradcam: A heat map by Grad-CAM: which regions of the image support the class.\n    --class NAME\n" in out
    assert "uint8" not in out and "float32" not in out


def test_filter_writes_a_picture(call, tmp_path):
    from foveola.imaging.decode import decode, encode

    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    (tmp_path / "in.png").write_bytes(encode(image))
    code, out, _ = call("filter", tmp_path / "in.png", tmp_path / "out.png", "--chain", "invert")
    assert (code, out) == (0, f"wrote {tmp_path / 'out.png'}\n")
    np.testing.assert_array_equal(decode((tmp_path / "out.png").read_bytes()).image, 255 - image)


def test_filter_of_a_folder_without_one_good_picture_ends_with_3(call, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("no picture")
    code, out, _ = call("filter", tmp_path / "in", tmp_path / "out", "--chain", "invert")
    assert code == 3
    assert out == (
        f"1 file of 1 could not be used:\n    a.jpg: not an image: looks like text\n0 images in {tmp_path / 'out'}\n"
    )


def test_filter_draws_one_figure_at_a_time(call, tmp_path):
    code, _, err = call("filter", tmp_path, tmp_path / "o", "--chain", "invert", "--steps", "--kernel-view")
    assert (code, err) == (2, "foveola: --steps and --kernel-view draw different figures: give only one of them\n")


def test_a_users_mistake_is_one_line_and_its_exit_code(call, tmp_path):
    code, out, err = call("train", tmp_path / "none", "--out", tmp_path / "run")
    assert (code, out) == (3, "")
    assert err == f"foveola: the folder {tmp_path / 'none'} does not exist: check the path\n"


def test_a_wrong_option_value_ends_with_2(call, tmp_path):
    code, _, err = call("train", tmp_path, "--precision", "float8")
    assert code == 2
    assert err.splitlines(keepends=True)[-1] == (
        "foveola: the settings, [fit]: precision = 'float8' can't be used: it must be 'auto', 'float32' or 'bfloat16'\n"
    )


@pytest.mark.parametrize("verb", ["train", "evaluate", "check", "show-data", "compare", "explain"])
def test_every_verb_that_opens_data_takes_the_options_that_say_how_to_read_it(call, verb):
    code, out, _ = call(verb, "--help")
    assert code == 0
    assert {"--labels", "--label-pattern", "--exclude"} <= set(out.split())


def test_a_table_labels_the_data_that_a_run_is_evaluated_on(finished, call, tmp_path, plant):
    base, _ = finished
    images = {f"{k}.png": path.read_bytes() for k, path in enumerate(sorted(base.glob("shades/*/*.png")))}
    plant(tmp_path / "flat", images)
    rows = [f"{k},{'dark' if k < 20 else 'light'}" for k in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,class", *rows]))
    code, out, err = call("evaluate", base / "run", tmp_path / "flat", "--labels", tmp_path / "labels.csv", "--json")
    assert code == 0, err
    assert json.loads(out)["n_test"] == 40


def test_an_unknown_flag_ends_with_2(call):
    code, _, err = call("train", "--epoch", "3")
    assert code == 2
    assert "No such option: --epoch" in err


def test_a_resource_problem_ends_with_4(call, monkeypatch, tmp_path):
    def full(*_, **__):
        raise ResourceError("the disk is full")

    monkeypatch.setattr("foveola.workflows.train", full)
    assert call("train", tmp_path) == (4, "", "foveola: the disk is full\n")


def test_an_interrupt_ends_with_130_and_says_what_is_left(call, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("foveola.workflows.train", interrupted)
    code, _, err = call("train", tmp_path)
    assert (code, err) == (130, "foveola: interrupted. No unfinished files were left.\n")


def test_demo_without_epochs_is_refused_before_anything_is_written(call, tmp_path):
    code, _, err = call("demo", tmp_path / "demo", "--epochs", "0")
    assert (code, err) == (2, "foveola: the demo needs 1 or more epochs; got 0\n")
    assert list(tmp_path.iterdir()) == []


def test_demo_trains_on_a_folder_that_it_wrote(tmp_path):
    done = foveola("demo", tmp_path / "demo", "--epochs", "1", "--json")
    result = json.loads(done.stdout)
    assert result["files_found"] == result["files_used"] == 1797
    assert len(list((tmp_path / "demo" / "digits").glob("*/*.png"))) == 1797
    assert Path(result["report"]).is_file()


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -m foveola list models | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


def test_version_in_metadata_is_the_packages_own():
    from importlib.metadata import version

    import foveola

    assert version("foveola") == foveola.__version__


def test_what_the_system_refuses_is_one_sentence(call):
    code, out, err = call("check", "/tmp/" + 300 * "x")
    assert (code, out) == (4, "")
    assert err == (
        f"foveola: the system refused access to /tmp/{300 * 'x'} (file name too long): check the path and its permissions\n"
    )


def test_a_name_that_begins_with_a_tilde_and_is_no_users_is_a_path(call):
    code, _, err = call("check", "~nobody-of-that-name/photos")
    assert code in (2, 3)
    assert "~nobody-of-that-name/photos" in err and "Traceback" not in err


@pytest.mark.parametrize("name", ["photo.jpg", "older.csv"])
def test_predictions_replace_nothing_unless_asked_to(name, call, finished, tmp_path):
    base, _ = finished
    (tmp_path / name).write_bytes(b"somebody's own")
    image = base / "shades" / "dark" / "0.png"
    code, out, err = call("predict", base / "run", image, "--csv", tmp_path / name)
    assert (code, out) == (2, "")
    assert err == f"foveola: {tmp_path / name} already exists: choose another name, or add --overwrite to replace it\n"
    assert (tmp_path / name).read_bytes() == b"somebody's own"
    assert call("predict", base / "run", image, "--csv", tmp_path / name, "--overwrite")[0] == 0
    assert (tmp_path / name).read_text().startswith("file,label,probability")


def test_predictions_can_not_replace_a_folder(call, finished, tmp_path):
    base, _ = finished
    code, _, err = call("predict", base / "run", base / "shades" / "dark" / "0.png", "--csv", tmp_path, "--overwrite")
    assert code == 2
    assert err == f"foveola: {tmp_path} is a folder: give the name of a file\n"


def test_letters_that_the_output_lacks_are_escaped_and_files_are_written(finished, tmp_path):
    base, _ = finished
    image = tmp_path / "猫.png"
    image.write_bytes((base / "shades" / "dark" / "0.png").read_bytes())
    done = foveola("predict", base / "run", image, "--csv", tmp_path / "x.csv", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/\\u732b.png  " in done.stdout
    assert f"{tmp_path}/猫.png," in (tmp_path / "x.csv").read_text("utf-8")


def test_predictions_are_written_though_nobody_reads_the_screen(finished, tmp_path):
    base, _ = finished
    command = [sys.executable, "-m", "foveola", "predict", str(base / "run"), str(base / "shades")]
    running = subprocess.Popen(
        [*command, "--csv", str(tmp_path / "x.csv")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    running.stdout.close()
    running.stderr.read()
    running.stderr.close()
    running.wait()
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1 + 41


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_at_once(call, finished, tmp_path):
    base, _ = finished
    os.mkfifo(tmp_path / "pipe.jpg")
    code, out, _ = call("predict", base / "run", tmp_path / "pipe.jpg")
    assert code == 3
    assert "(not an ordinary file (a pipe, socket or device))" in out
    said = f"foveola: {tmp_path / 'pipe.jpg'} can't be read: not an ordinary file (a pipe, socket or device)\n"
    for args in (("filter", tmp_path / "pipe.jpg", tmp_path / "o.png", "--chain", "sharpen"),
                 ("explain", base / "run", tmp_path / "pipe.jpg", tmp_path / "o.png")):  # fmt: skip
        assert call(*args) == (3, "", said)
    for option in ("--labels", "--exclude"):
        code, _, err = call("check", base / "shades", option, tmp_path / "pipe.jpg")
        assert code == 2 and "not an ordinary file" in err


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="no /dev/stdin here")
def test_an_image_from_standard_input_is_predicted(finished):
    base, _ = finished
    image = (base / "shades" / "light" / "0.png").read_bytes()
    command = [sys.executable, "-m", "foveola", "predict", str(base / "run"), "/dev/stdin", "--json"]
    done = subprocess.run(command, input=image, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"][0]["label"] == "light"


def test_check_prints_its_findings_though_the_page_can_not_be_written(finished, call, monkeypatch, tmp_path):
    base, _ = finished
    monkeypatch.chdir(tmp_path)

    def full(*_):
        raise ResourceError("disk full")

    monkeypatch.setattr("foveola.workflows.checking.write_numbered", full)
    code, out, err = call("check", base / "shades", "--no-suspects")
    assert code == 4 and err.endswith("foveola: disk full\n")
    assert out.startswith("shades: 40 images")
    code, out, _ = call("check", base / "shades", "--no-suspects", "--json")
    assert code == 4
    assert json.loads(out)["page"] is None and json.loads(out)["files_used"] == 40


def test_check_names_the_page_that_it_wrote(finished, call, monkeypatch, tmp_path):
    base, _ = finished
    monkeypatch.chdir(tmp_path)
    (tmp_path / "check.html").write_text("mine")
    code, out, _ = call("check", base / "shades", "--no-suspects", "--json")
    assert (code, json.loads(out)["page"]) == (0, "check-2.html")
    assert (tmp_path / "check.html").read_text() == "mine"
