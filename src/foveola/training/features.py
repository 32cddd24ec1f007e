"""Features of a data set from a frozen pre-trained network, cached on the disk, and linear heads that are fitted on them.

A run's head is chosen by val, calibrated on images that it was not fitted on, then fitted on all images but test. The search
for label errors uses out-of-fold probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveola.array_cache import cache_place, cached_entry, create_array
from foveola.checks.label_errors import FOLDS, has_too_few_images
from foveola.compute.device import choose_device, choose_precision
from foveola.data.grouping import conflicting_labels, merge_groups
from foveola.data.loader import Batches
from foveola.data.prepare import Prepared
from foveola.data.split import Split
from foveola.errors import DataError, UsageError
from foveola.evaluation.calibration import Calibration, assign_folds
from foveola.evaluation.forward_pass import model_outputs
from foveola.models.build import FeatureNetwork, SideBySide, adapt, build, feature_sets
from foveola.models.feature_sets import FeatureSet
from foveola.training.class_weights import balanced_weights
from foveola.training.history import ProbeLog
from foveola.training.linear_probe import STRENGTHS, Features, cross_fit, fit_linear_probe
from foveola.types import Indices, Labels, Tick, no_tick

VERSION = 3
"""Raise it with every change that changes features, so that cached ones are computed again."""

BATCH = 32

VIEWS = ("plain", "mirrored")

Floats: TypeAlias = NDArray[np.float32]


def has_features(model: nn.Module) -> bool:
    """Whether a network offers features, and a linear head that can be fitted on them."""
    return isinstance(model, FeatureNetwork) and isinstance(model.head, nn.Linear)


def freeze_all_but_head(model: nn.Module, name: str) -> None:
    """Freeze all layers except the last; the layer table then shows it. name: the network's, for the error.

    Raises UsageError for a network without features.
    """
    if not has_features(model):
        raise UsageError(
            f"fit.epochs = 0 trains only the last layer of a pre-trained network, and {name} is not one: "
            "give 1 or more epochs"
        )
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter_name.startswith("head."))


def cached_features(
    prepared: Prepared, model: nn.Module, device: torch.device, dtype: torch.dtype, *, tick: Tick = no_tick
) -> tuple[Floats, Floats]:
    """Features of all prepared images as they are and mirrored, each float32 (n, F), mapped from the disk.

    They are cached under a key of the images' key, the weights, the precision, the device, torch's version and VERSION. A
    damaged copy is computed again. Networks side by side have separate entries, so that `transfer` and
    `transfer_pair` share one; their features are joined in memory. Raises ResourceError when the disk is full.
    """
    assert isinstance(model, FeatureNetwork) and model.features_ready, (
        "adapt must load the weights before features are computed"
    )
    assert isinstance(model.head, nn.Linear), "features have as many columns as a linear head has inputs"
    sources, n = _sources(model), len(prepared.pixels)
    found = []
    for number, source in enumerate(sources):
        shape = (n, len(source.places))
        entry = cached_entry(
            _place(prepared, source, device, dtype),
            2 * int(np.prod(shape)) * 4 + 4096,
            lambda folder, shape=shape, source=source, begun=number: _make(  # type: ignore[misc]
                folder, shape, prepared, model, source, device, dtype, _part_of(tick, begun, len(sources))
            ),
            usable=lambda entry, shape=shape: all(entry.arrays[name].shape == shape for name in VIEWS),  # type: ignore[misc]
        )
        found.append((entry.arrays["plain"], entry.arrays["mirrored"]))
    if len(sources) == 1:
        return found[0]
    plain, mirrored = (np.empty((n, model.head.in_features), np.float32) for _ in VIEWS)
    for source, (theirs, theirs_mirrored) in zip(sources, found, strict=True):
        plain[:, source.places], mirrored[:, source.places] = theirs, theirs_mirrored
    return plain, mirrored


def are_features_cached(prepared: Prepared, model: nn.Module, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether features are cached; `cached_features` may still find them damaged."""
    return all((_place(prepared, one, device, dtype) / "facts.json").is_file() for one in _sources(model))


class _Source(NamedTuple):
    """A network that gives features: its key, what computes them, and their columns among all features."""

    key: str
    read: Callable[[Tensor], Tensor]
    places: NDArray[np.int64]


def _sources(model: nn.Module) -> list[_Source]:
    """The networks side by side in a network, or the network itself."""
    assert isinstance(model, FeatureNetwork) and isinstance(model.head, nn.Linear), "only such networks have features"
    if isinstance(model, SideBySide):
        of = zip(model.trunk_keys, model.trunks, model.places, strict=True)
        return [_Source(key, trunk.features, places) for key, trunk, places in of]
    return [_Source(model.features_key, model.features, np.arange(model.head.in_features))]


def _part_of(tick: Tick, number: int, parts: int) -> Tick:
    """A tick for the `number`-th (from 0) of a stage's equal parts."""
    return lambda stage, done, total: tick(stage, (number * total + done) // parts, total)


def _place(prepared: Prepared, source: _Source, device: torch.device, dtype: torch.dtype) -> Path:
    what = (prepared.key, source.key, str(dtype), device.type, torch.__version__, str(VERSION))
    return cache_place("features", *what)


def _make(
    folder: Path,
    shape: tuple[int, int],
    prepared: Prepared,
    model: nn.Module,
    source: _Source,
    device: torch.device,
    dtype: torch.dtype,
    tick: Tick,
) -> dict[str, Any]:
    """Compute the features into the folder, in float32 arrays of this shape."""
    n = len(prepared.pixels)
    batches = Batches(prepared.pixels, prepared.dataset.labels, np.arange(n), BATCH)
    for number, name in enumerate(VIEWS):
        out = np.load(create_array(folder, name, shape, np.float32), mmap_mode="r+")
        done = 0
        for some in model_outputs(model, source.read, batches.in_order(), device, dtype, mirrored=name == "mirrored"):
            out[done : done + len(some)] = some
            done += len(some)
            tick("Computing features", (done + n * number) // 2, n)  # each image, and mirrored
        out.flush()
    return {}


@dataclass(frozen=True)
class LinearProbe:
    """A linear head on cached features. `kept`: the features of all prepared images as they are and mirrored, each (n, F)
    float32.

    learns_mirrored: whether the head is fitted on both; answers_mirrored: whether it predicts from their mean; sets: the sets
    of features that are tried, () for all features at once; balanced: whether all classes count the
    same, else all images.
    """

    head: nn.Linear
    prepared: Prepared
    split: Split
    kept: tuple[Floats, Floats]
    learns_mirrored: bool
    answers_mirrored: bool
    sets: tuple[FeatureSet, ...] = ()
    balanced: bool = False

    def rows(self) -> Iterator[ProbeLog]:
        """Fit on train with one set of features and one penalty after another, each measured on val."""
        train, val = self._learned(self.split.train), self._answered(self.split.val)
        yield from fit_linear_probe(self.head, train, val, sets=self.sets)

    def cross_fit(self, like: ProbeLog, seed: int) -> Calibration:
        """Predictions for train and val, each by a head like the final one that was fitted on nine tenths without this image.

        like: the head that val chose, whose features and penalty are used.

        A small val part says little about confidence, and the final head is fitted on val, too.
        """
        dataset, rows = self.prepared.dataset, self._all_but_test()
        content = self.prepared.content[rows]
        rows = rows[~conflicting_labels(dataset.labels[rows], content)]  # as in test
        units = self.prepared.content[rows]
        if dataset.groups is not None:
            units = merge_groups(units, dataset.groups[rows])
        if self.split.together is not None:  # as test, which has no copies of training images
            joined = merge_groups(units, self.split.together[rows])
            labels = dataset.labels[rows]
            # If all images of a class are one unit, no fold could both learn and test the class.
            if all(len(np.unique(joined[labels == k])) > 1 for k in np.unique(labels)):
                units = joined
        answered = self._answered(rows)
        folds = assign_folds(units, answered.labels, seed)
        learned, classes, (used,) = self._learned(rows), len(dataset.class_names), self._sets_of(like) or (None,)
        found = cross_fit(learned, folds, answered, like.strength, classes, used=used)
        return Calibration.of(found, answered.labels, "cross-fit")

    def answers(self, rows: Indices) -> NDArray[np.float32]:
        """The current head's logits, float32 (n, K): the network's within 1e-4, without running it again."""
        values = torch.from_numpy(self._answered(rows).values)
        with torch.inference_mode():
            logits: NDArray[np.float32] = self.head(values.to(self.head.weight.device)).cpu().numpy()
        return logits

    def refit(self, like: ProbeLog) -> None:
        """Fit once more with the features and the penalty that val chose, on train and val together: val has done its part.

        A tenth more images to learn from helps in a small data set.
        """
        both = self._learned(self._all_but_test())
        for _ in fit_linear_probe(self.head, both, both, [like.strength], sets=self._sets_of(like)):
            pass

    def _sets_of(self, row: ProbeLog) -> tuple[FeatureSet, ...]:
        return tuple(one for one in self.sets if one.name == row.features)

    def _all_but_test(self) -> Indices:
        return np.sort(np.concatenate([self.split.train, self.split.val]))

    def _answered(self, rows: Indices) -> Features:
        """What predictions use: the rows' features, or the mean of the features of images and mirror images."""
        plain, mirrored = self.kept
        values = (plain[rows] + mirrored[rows]) * np.float32(0.5) if self.answers_mirrored else plain[rows]
        return self._weighted(values, self.prepared.dataset.labels[rows])

    def _learned(self, rows: Indices) -> Features:
        """What a head is fitted on: the rows' features, and those of their mirror images if `learns_mirrored`."""
        parts = self.kept if self.learns_mirrored else self.kept[:1]
        labels = np.tile(self.prepared.dataset.labels[rows], len(parts))
        return self._weighted(np.concatenate([part[rows] for part in parts]), labels)

    def _weighted(self, values: Floats, labels: Labels) -> Features:
        if not self.balanced:
            return Features(values, labels)
        dataset = self.prepared.dataset
        weights = balanced_weights(dataset.labels[self._all_but_test()], len(dataset.class_names))
        return Features(values, labels, weights[labels])


def out_of_fold_probabilities(prepared: Prepared, units: Indices, *, tick: Tick = no_tick) -> NDArray[np.float32]:
    """Out-of-sample probabilities of all prepared images: float32 (n, K).

    Five times, a linear head on `transfer`'s features is fitted on four fifths of the images and predicts the last fifth.
    Images of one unit (int64 (n,), such as copies) are in one fold. The set of features and the penalty are those with the
    lowest loss on the first fold: two choices made from a fifth of the images, for the probabilities of all. Raises DataError
    if a class has too few units (`has_too_few_images`).
    """
    from sklearn.model_selection import StratifiedGroupKFold

    dataset = prepared.dataset
    labels, classes = dataset.labels, len(dataset.class_names)
    if reason := has_too_few_images(dataset, units):
        raise DataError(f"foveola can't search for wrong labels: {reason}; add images, or use --no-suspects")
    device = choose_device("auto")
    dtype = choose_precision("auto", device)
    model = build("transfer", prepared.size, classes, {}, seed=0)
    adapt(model, torch.zeros((1, 3, *prepared.size), dtype=torch.uint8))  # ImageNet's weights
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    values, _ = cached_features(prepared, model, device, dtype, tick=tick)
    head = nn.Linear(values.shape[1], classes)
    chances = np.zeros((len(labels), classes), np.float32)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels, units)
    sets, strengths = feature_sets(model), list(STRENGTHS)
    for number, (train, held) in enumerate(folds):
        parts = Features(values[train], labels[train]), Features(values[held], labels[held])
        if not number:
            best = min(fit_linear_probe(head, *parts, sets=sets), key=lambda row: row.val_loss)
            sets, strengths = tuple(one for one in sets if one.name == best.features), [best.strength]
        for _ in fit_linear_probe(head, *parts, strengths, sets=sets):
            pass
        with torch.no_grad():
            chances[held] = head(torch.from_numpy(np.ascontiguousarray(values[held]))).softmax(1).numpy()
        tick("Searching for wrong labels", number + 1, FOLDS)
    return chances
