"""How often the 95 % interval of `train --folds` contains the true accuracy: simulated data sets with known truth.

    python -m benchmarks.ours.fold_intervals --sets 400

Each data set has two or three classes of features from normal distributions. It is divided, cross-validated and evaluated by
foveola's own functions, with the last layer of `transfer` as the network: `fold_splits`, `fit_linear_probe` (penalty chosen
on val, then fitted again on train and val) and `join_folds`. The truth is measured on 4,000 new units of the same
distribution, for each network. Three accuracies are asked for: that of the tested networks of this data set, that of such
networks on average over all data sets, and that of the network that was trained on all images.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from foveola.data.dataset import Arrays, Dataset
from foveola.data.folds import Folds, fold_splits
from foveola.data.split import SplitSpec
from foveola.evaluation.cross_validation import FoldPredictions, join_folds
from foveola.evaluation.intervals import wilson
from foveola.training.linear_probe import Features, fit_linear_probe

STRENGTHS = (3.2, 0.32, 0.032, 0.0032)
NEW = 4_000


@dataclass(frozen=True)
class Setting:
    """A kind of data set: units (photos or groups), images of each unit, and how alike the images of a unit are.

    apart: the distance of the class means, in standard deviations of an image; alike: the share of the variance that the
    images of a unit have in common, 0 for independent images.
    """

    name: str
    units: int
    images: int = 1
    alike: float = 0.0
    apart: float = 2.0
    classes: int = 2
    features: int = 20
    folds: int = 5
    repeats: int = 1


SETTINGS = (
    Setting("40 images", 40),
    Setting("100 images", 100),
    Setting("100 images, 5 repeats", 100, repeats=5),
    Setting("100 images, 10 folds", 100, folds=10),
    Setting("100 images, 97 % right", 100, apart=4.2),
    Setting("100 images, 200 features", 100, features=200, apart=3.0),
    Setting("400 images", 400),
    Setting("40 groups of 5 images", 40, images=5, alike=0.5),
    Setting("20 groups of 10 images", 20, images=10, alike=0.5),
    Setting("50 images, 3 copies each", 50, images=3, alike=0.98),
)


def draw(setting: Setting, units: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features float32 (n, F), labels and units, both int64 (n,), of new units; classes in equal numbers."""
    label = np.arange(units) % setting.classes
    means = np.zeros((setting.classes, setting.features))
    means[np.arange(setting.classes), np.arange(setting.classes)] = setting.apart / np.sqrt(2)
    common = rng.normal(0, np.sqrt(setting.alike), (units, setting.features))
    unit = np.repeat(np.arange(units), setting.images)
    own = rng.normal(0, np.sqrt(1 - setting.alike), (len(unit), setting.features))
    return (means[label[unit]] + common[unit] + own).astype(np.float32), label[unit], unit


def fitted(head: nn.Linear, x: np.ndarray, y: np.ndarray, train: np.ndarray, val: np.ndarray) -> float:
    """Fit the head as `transfer` does; return the penalty that val chose."""
    rows = list(fit_linear_probe(head, Features(x[train], y[train]), Features(x[val], y[val]), STRENGTHS))
    best = min(rows, key=lambda row: row.val_loss).strength
    refit(head, x, y, np.concatenate([train, val]), best)
    return best


def refit(head: nn.Linear, x: np.ndarray, y: np.ndarray, rows: np.ndarray, strength: float) -> None:
    """Fit the head with one penalty."""
    both = Features(x[rows], y[rows])
    for _ in fit_linear_probe(head, both, both, [strength]):
        pass


def logits(head: nn.Linear, x: np.ndarray) -> np.ndarray:
    """The head's logits, float32 (n, K)."""
    with torch.inference_mode():
        return head(torch.from_numpy(x)).numpy()


def divided(setting: Setting, y: np.ndarray, unit: np.ndarray, seed: int) -> tuple[Dataset, Folds]:
    """The data set of these labels and units, without pixels, and its folds."""
    names, ids = tuple(f"c{k}" for k in range(setting.classes)), tuple(map(str, range(len(y))))
    source = Arrays(np.zeros((len(y), 1, 1, 3), np.uint8))
    dataset = Dataset("simulated", names, ids, y, source, "", None, unit if setting.images > 1 else None)
    spec = SplitSpec(folds=setting.folds, repeats=setting.repeats)
    return dataset, fold_splits(dataset, np.arange(len(y)), spec, seed)


def one_set(setting: Setting, seed: int) -> tuple[tuple[float, float], tuple[float, float], float, float]:
    """The interval, Wilson's interval of all images, the true accuracy of the tested networks and of the final one."""
    rng = np.random.default_rng([seed, 7])
    x, y, unit = draw(setting, setting.units, rng)
    new_x, new_y, _ = draw(setting, NEW // setting.images, np.random.default_rng([seed, 8]))
    dataset, made = divided(setting, y, unit, seed)
    head = nn.Linear(setting.features, setting.classes)
    predictions, truths, chosen = [], [], []
    for repeat, several in enumerate(made.splits):
        for fold, split in enumerate(several):
            chosen.append(fitted(head, x, y, split.train, split.val))
            predictions.append(FoldPredictions(repeat, fold, split.test, logits(head, x[split.test])))
            truths.append(float((logits(head, new_x).argmax(axis=1) == new_y).mean()))
    refit(head, x, y, np.arange(len(y)), float(np.median(chosen)))
    final = float((logits(head, new_x).argmax(axis=1) == new_y).mean())
    found, _ = join_folds(dataset, predictions, made.units, made.whole.leaked)
    low, high, _ = found.interval
    plain = wilson(found.accuracy * len(y), len(y))
    return (low, high), (plain.low, plain.high), float(np.mean(truths)), final


def main() -> None:
    """Print a row of the table for each setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=400)
    sets = parser.parse_args().sets
    torch.set_num_threads(1)
    print("| data | true accuracy | half-width | tested networks | such networks | final network | Wilson's alone |")
    print("|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        found = [one_set(setting, seed) for seed in range(sets)]
        ours, plain = (np.array([one[k] for one in found]) for k in (0, 1))
        tested, final = (np.array([one[k] for one in found]) for k in (2, 3))
        mean = tested.mean()

        def covers(intervals: np.ndarray, truth: np.ndarray | float) -> str:
            return f"{100 * ((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).mean():.1f} %"

        half = 100 * (ours[:, 1] - ours[:, 0]).mean() / 2
        print(
            f"| {setting.name} | {100 * mean:.1f} % | {half:.1f} | {covers(ours, tested)} | {covers(ours, mean)} | "
            f"{covers(ours, final)} | {covers(plain, mean)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
