"""Finished runs without training: a run folder's files, written by the lab's own writers."""

import json
from dataclasses import replace

import numpy as np
import pytest

from foveola.data.dataset import Problem
from foveola.evaluation.calibration import Calibration
from foveola.evaluation.metrics import Evaluation, result_numbers
from foveola.models.summary import LayerRow, Summary
from foveola.recipes.recipe import recipe_from_tables
from foveola.runs.data_summary import DataSummary
from foveola.runs.files import write_evaluation, write_network
from foveola.runs.previews import WORST, DataPreview, KeptImages, NetworkPreview, rows_of_grid
from foveola.runs.run import Run
from foveola.training.history import EpochLog


def logits_for(labels, predicted, classes):
    """Logits whose largest is `predicted`, float32 (n, K); the true class comes second."""
    logits = np.random.default_rng(7).normal(0, 0.2, (len(labels), classes)).astype(np.float32)
    rows = np.arange(len(labels))
    logits[rows, labels] = 2
    logits[rows, predicted] = 4
    return logits


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """A finished run: of `names` with `each` test images per class, every `wrong_every`-th of them wrong (0: none).

    problems: (file, reason) pairs; ids: names of the first test pictures; epochs; size: of the prepared pictures.
    """

    def make(
        names=("cat", "dog", "owl"),
        each=8,
        wrong_every=4,
        epochs=3,
        size=(24, 32),
        problems=(),
        ids=(),
        title="A title",
        remarks=(),
    ):
        k, n = len(names), len(names) * each
        labels = np.repeat(np.arange(k), each)
        wrong = (np.arange(n) % wrong_every == 1) if wrong_every else np.zeros(n, bool)
        predicted = np.where(wrong, (labels + 1) % k, labels)
        all_ids = (*ids, *(f"test/{i:04d}.jpg" for i in range(len(ids), n)))
        evaluation = Evaluation(logits_for(labels, predicted, k), labels, all_ids, tuple(names), "test")
        folder = tmp_path_factory.mktemp("run")
        card = _card(names, each, size, problems, remarks)
        (folder / "data.json").write_text(card.to_json(), "utf-8")
        _write_recipe(folder, title, size, epochs)
        _write_history(folder, epochs)
        write_evaluation(folder / "predictions.npz", evaluation)
        rows = np.unique(np.concatenate([rows_of_grid(n), evaluation.worst(WORST)]))
        _pictures(rows, size, k, ids).save(folder / "images.npz")
        rows = (LayerRow("conv", "Conv2d", (56, 56, 32), 896), LayerRow("norm", "BatchNorm2d", (56, 56, 32), 128))
        Calibration(evaluation.logits, evaluation.labels, "val", 1.0).save(folder / "calibration.npz")
        DataPreview().save(folder / "data_preview.npz")
        NetworkPreview(reason="there is no network").save(folder / "network_preview.npz")
        write_network(folder / "network.json", Summary((*rows, LayerRow("output", "Linear", (k,), 99)), 1123, 1059))
        environment = {"foveola": "0.1.0", "device": "cpu", "cores": 2, "started": "2026-11-30T08:00:00+00:00"}
        (folder / "environment.json").write_text(json.dumps(environment), "utf-8")
        return Run(folder, _result(evaluation, epochs))

    return make


def _card(names, each, size, problems, remarks):
    k = len(names)
    used = k * each * 5
    return DataSummary(
        name="pets",
        fingerprint="ab" * 32,
        class_names=tuple(names),
        counts={"train": (each * 3,) * k, "val": (each,) * k, "test": (each,) * k},
        size=f"{size[0]}x{size[1]}",
        resize="pad",
        sizes=((60, 80, used - 3), (10, 20, 2), (400, 300, 1)),
        formats={"JPEG": used - 1, "PNG": 1},
        notes={"transparency replaced by white": 2},
        remarks=tuple(remarks),
        split_rule="20 % test, 10 % of the rest val; stratified by class, seed 5, copies in the same set",
        problems=tuple(Problem(file, reason) for file, reason in problems),
        files_found=used + len(problems) + 7,
        files_used=used,
        files_ignored=7,
    )


def _pictures(rows, size, classes, ids):
    rng = np.random.default_rng(3)
    samples = []
    for label in range(classes):
        for i in range(2):
            image = rng.integers(0, 256, (80, 40 + 20 * i, 3), np.uint8)
            samples.append((label, ids[0] if ids else f"train/{label}-{i}.jpg", image))
    return KeptImages(tuple(samples), rows, rng.integers(0, 256, (len(rows), *size, 3), np.uint8))


def _write_recipe(folder, title, size, epochs):
    recipe = recipe_from_tables({"data": {"source": "pets", "size": f"{size[0]}x{size[1]}"}, "fit": {"epochs": epochs}})
    (folder / "recipe.toml").write_text(replace(recipe, title=title).to_toml(), "utf-8")


def _write_history(folder, epochs):
    rows = [EpochLog(e, e * 10, 2 / e, 1 - 0.8 / e, 2.2 / e, 1 - 0.9 / e, 0.01, 1.5) for e in range(1, epochs + 1)]
    (folder / "history.jsonl").write_text("".join(json.dumps(row._asdict()) + "\n" for row in rows), "utf-8")


def _result(evaluation, epochs):
    numbers = result_numbers(evaluation)
    return {
        "data": "pets",
        "model": "fast",
        "seed": 5,
        "best_epoch": epochs,
        "epochs": epochs,
        "seconds": 61.2,
        "threads": [1],
        "peak_memory_mb": None,
        **numbers,
    }
