"""How often a threshold of `train --folds` reaches its sensitivity on new images: simulated data sets with known truth.

    python -m benchmarks.ours.fold_thresholds --sets 200

The data sets and the networks are those of `fold_intervals`, with other numbers of images. The threshold is chosen by
foveola's own `choose_by_folds`. The truth is measured on 4,000 new images: the sensitivity and the specificity of the final
network with the threshold of the run, and those of the tested networks with the thresholds of their folds, on average over
the folds. The rates of the run estimate the second.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from benchmarks.ours.fold_intervals import NEW, Setting, divided, draw, fitted, logits, refit
from foveola.evaluation.cross_validation import FoldPredictions, join_folds
from foveola.evaluation.decisions import choose_by_folds
from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.threshold_choice import Goal

SETTINGS = (
    (Setting("100 images", 100), 0.8),
    (Setting("300 images", 300), 0.9),
    (Setting("300 images, 10 folds", 300, folds=10), 0.9),
    (Setting("120 groups of 3 images", 120, images=3, alike=0.5), 0.9),
    (Setting("120 images, 3 copies each", 120, images=3, alike=0.98), 0.9),
)


def one_set(setting: Setting, goal: Goal, seed: int) -> np.ndarray:
    """One row of numbers, float64 (7,): see `NAMES`."""
    x, y, unit = draw(setting, setting.units, np.random.default_rng([seed, 7]))
    new_x, new_y, _ = draw(setting, NEW // setting.images, np.random.default_rng([seed, 8]))
    dataset, made = divided(setting, y, unit, seed)
    head = nn.Linear(setting.features, setting.classes)
    predictions, heads, chosen = [], [], []
    for fold, split in enumerate(made.splits[0]):
        chosen.append(fitted(head, x, y, split.train, split.val))
        predictions.append(FoldPredictions(0, fold, split.test, logits(head, x[split.test])))
        heads.append(logits(head, new_x))
    refit(head, x, y, np.arange(len(y)), float(np.median(chosen)))
    evaluation, calibration = join_folds(dataset, predictions, made.units, made.whole.leaked)
    positive = dataset.class_names[1]
    threshold = choose_by_folds(evaluation, calibration, positive, goal)
    measured = threshold.measure(evaluation)

    def rates(new: np.ndarray, value: float, temperature: float) -> tuple[float, float]:
        ids = tuple(map(str, range(len(new))))
        found = Evaluation(new, new_y, ids, dataset.class_names, "test", temperature)
        on_new = replace(threshold, value=value).measure(found)
        return on_new.sensitivity.share, on_new.specificity.share

    final = rates(logits(head, new_x), threshold.value, calibration.temperature)
    assert evaluation.out_of_fold is not None
    of_folds = np.mean(
        [
            rates(new, value, float(evaluation.out_of_fold.temperatures[evaluation.out_of_fold.fold == fold][0]))
            for fold, (new, value) in enumerate(zip(heads, threshold.fold_values(evaluation), strict=True))
        ],
        axis=0,
    )
    covers = [
        rate.interval.low <= true <= rate.interval.high
        for rate, true in zip((measured.sensitivity, measured.specificity), of_folds, strict=True)
    ]
    return np.array([final[0] >= goal.rate, *final, measured.sensitivity.share, measured.specificity.share, *covers])


NAMES = (
    "goal reached",
    "true sensitivity",
    "true specificity",
    "stated sensitivity",
    "stated specificity",
    "its interval contains the sensitivity of the folds",
    "the specificity",
)


def main() -> None:
    """Print a row of the table for each setting, in percent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=200)
    sets = parser.parse_args().sets
    torch.set_num_threads(1)
    print("| data | data sets | goal |", " | ".join(NAMES), "|")
    print("|---" * (3 + len(NAMES)) + "|")
    for setting, rate in SETTINGS:
        found = np.mean([one_set(setting, Goal(min_sensitivity=rate), seed) for seed in range(sets)], axis=0)
        shares = " | ".join(f"{100 * share:.1f} %" for share in found)
        print(f"| {setting.name} | {sets} | {100 * rate:g} % | {shares} |", flush=True)


if __name__ == "__main__":
    main()
