"""Train one run: a recipe and a seed on prepared images become a run folder."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foveola.checks.finding import Finding
from foveola.checks.fingerprints import NAME as FINGERPRINTS
from foveola.checks.fingerprints import save_seen_images as keep_seen
from foveola.compute.device import choose_device, choose_precision
from foveola.data.loader import Batches
from foveola.data.prepare import Prepared, describe
from foveola.data.split import Split
from foveola.errors import UsageError
from foveola.evaluation.calibration import ENOUGH, Calibration, sample_rows
from foveola.evaluation.forward_pass import predict
from foveola.evaluation.inputs import ALONE, Views
from foveola.evaluation.metrics import Evaluation
from foveola.models.build import adapt, build, feature_sets, licence_notes, summary
from foveola.models.summary import Summary
from foveola.recipes.candidates import CandidateResult
from foveola.recipes.recipe import Recipe
from foveola.runs.augmentation_preview import augmentation_preview
from foveola.runs.data_summary import DataSummary, summarise_data
from foveola.runs.environment import environment_of, origin_of, own_code, own_files, parts_of, versions_of, weights_of
from foveola.runs.files import write_network
from foveola.runs.previews import make_previews
from foveola.runs.progress import Plan
from foveola.runs.trained import Trained, write_trained
from foveola.storage import claim_folder, disk_errors_as_resource_error, new_folder, require_room, write_atomic
from foveola.text import count
from foveola.training.features import LinearProbe, cached_features, freeze_all_but_head, has_features
from foveola.training.history import EpochLog, FoldLog, ProbeLog, Row, is_better
from foveola.training.loop import fit, min_input_size
from foveola.types import Indices, Tick, no_tick

if TYPE_CHECKING:
    from foveola.runs.time_budget import Deadline

_SEEN_BEFORE_THE_FIRST_STEP, _SEEN_PIXELS = 2_000, 2**27
"""The network is initialised from at most this many images, fewer if large: 2,000 of 1024x1024 take 25 GB as float32."""

_BESIDE_WEIGHTS_BYTES = 5_000_000
"""Space of a run folder without the weights: the report and its images."""


@dataclass
class Trainer:
    """Train a run: iterate `rows`, then call `finish`. numbered: foveola chose the folder's name, and adds a number if
    the folder exists; candidates: the networks that were compared before this one was chosen; logs: where `rows` writes,
    None for the run's folder.

    The weights that are best on val are kept: see `is_better`. With a deadline, the length of each epoch is chosen when it
    begins, and the recipe records the lengths at the end.
    """

    prepared: Prepared
    split: Split
    recipe: Recipe
    seed: int
    folder: Path
    tick: Tick = no_tick
    remarks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    deadline: Deadline | None = None
    numbered: bool = False
    fingerprints: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    candidates: tuple[CandidateResult, ...] = ()
    logs: Path | None = None

    def __post_init__(self) -> None:
        fit_spec = self.recipe.fit
        self.device = choose_device(fit_spec.device)
        self.dtype = choose_precision(fit_spec.precision, self.device)
        self.views = self.recipe.views
        given = fit_spec.epoch_images
        if isinstance(given, list) and len(given) != fit_spec.epochs:
            raise UsageError(
                f"fit.epoch_images has {count(len(given), 'number')} and fit.epochs is {fit_spec.epochs}: give one number "
                "for all epochs, or a list with one for each epoch"
            )
        self._lengths: list[int] = []
        self.train = self.batches(
            self.split.train,
            flip=fit_spec.flip,
            translate_px=fit_spec.translate_px,
            cutout_px=fit_spec.cutout_px,
            epoch_images=0 if isinstance(given, list) else given,
            seed=self.seed,
            augment=fit_spec.augment,
        )
        self.best: EpochLog | ProbeLog | None = None
        self._rows: list[EpochLog | ProbeLog] = []
        self._best_state: dict[str, torch.Tensor] = {}
        self._calibration: Calibration | None = None
        self._head: LinearProbe | None = None

    @cached_property
    def model(self) -> nn.Module:
        """The network with its first weights, built when it is first needed: a comparison plans without networks.

        Raises UsageError for options that the network does not have, and for images that are too small for it.
        """
        name, classes = self.recipe.model.name, len(self.prepared.dataset.class_names)
        model = build(name, self.prepared.size, classes, self.recipe.model.starting, seed=self.seed)
        min_input_size(model, self.recipe.fit)
        if not self.recipe.fit.epochs:
            freeze_all_but_head(model, name)
        return model

    @property
    def tested(self) -> tuple[FoldLog, ...]:
        """The networks that have been tested on the folds of a cross-validation; none with one test set."""
        return ()

    def rows(self) -> Iterator[Row]:
        """Train, and yield a row for each step and epoch; history.jsonl gets a line after each epoch.

        If the network has pre-trained features, its last layer is fitted first (head.jsonl, one line for each penalty). The
        epochs, if there are any, continue from the best last layer. Fine-tuning that did not help is undone.
        """
        model, fit = self.ready(), self.recipe.fit
        head = self._ready_head(model) if has_features(model) else None
        if head is not None:
            yield from self._kept(head.rows(), "head.jsonl")
            model.load_state_dict(self._best_state)
        epochs = self._epochs(model) if fit.epochs else iter(())
        yield from self._kept(epochs, "history.jsonl")
        if head is not None and isinstance(self.best, ProbeLog) and (fit.finetune or not fit.epochs):
            model.load_state_dict(self._best_state)
            self._conclude(head)

    def _ready_head(self, model: nn.Module) -> LinearProbe:
        kept = cached_features(self.prepared, model, self.device, self.dtype, tick=self.tick)
        head = model.head
        assert isinstance(head, nn.Linear), "features come with a linear head"
        mirrored = self.recipe.fit.flip, self._val_views.flips
        balanced = self.recipe.fit.class_weights == "balanced"
        return LinearProbe(head, self.prepared, self.split, kept, *mirrored, feature_sets(model), balanced)

    @property
    def _val_views(self) -> Views:
        """The views of val, for epochs as for the head that they have to beat: those of predictions in fine-tuning."""
        fit = self.recipe.fit
        return Views(self.views.flips) if fit.finetune or not fit.epochs else ALONE

    def _conclude(self, head: LinearProbe) -> None:
        """Only the last layer is trained: calibrate it on val if that is large, then fit it again on train and val."""
        assert isinstance(self.best, ProbeLog)
        self._head = head
        # kept features are of images in their place only, so that answers averaged over shifts are given again
        if len(self.split.val) >= ENOUGH or self.views.shift_px:
            self._calibration = self._on_val(self.device)
        head.refit(self.best)
        self._best_state = copy.deepcopy(self.model.state_dict())

    def _on_val(self, device: torch.device) -> Calibration:
        """Calibration from predictions for val, in float32 and all views, as for test and new images."""
        rows = sample_rows(self.split.val, self.seed)
        return Calibration.of(self._answers(rows, device), self.prepared.dataset.labels[rows], "val")

    def _answers(self, rows: Indices, device: torch.device) -> NDArray[np.float32]:
        """Logits of the current network, float32 (n, K), from cached features if only the last layer was trained.

        Features in bfloat16, of another device or of other views differ from those of new images, so they are not used.
        """
        exact = self.dtype == torch.float32 and self.device.type == "cpu"
        if self._head is not None and exact and not self.views.shift_px:
            return self._head.answers(rows)
        return predict(self.model, self.batches(rows).in_order(), device, views=self.views)

    def _epochs(self, model: nn.Module) -> Iterator[Row]:
        val = self.batches(self.split.val) if len(self.split.val) else None
        spec = self.recipe.fit
        how: dict[str, Any] = {"device": self.device, "dtype": self.dtype, "seed": self.seed, "views": self._val_views}
        for row in fit(model, self.train, val, spec, **how, images_in=self._images_in):
            yield row
            if isinstance(row, EpochLog) and self._had_enough(row):
                return

    def _images_in(self, epoch: int) -> int:
        """The number of images in this epoch."""
        given = self.recipe.fit.epoch_images
        planned = given[epoch - 1] if isinstance(given, list) else self.train.epoch_size
        self._lengths.append(self.deadline.images(epoch, planned) if self.deadline else planned)
        return self._lengths[-1]

    def _say_lengths(self) -> None:
        """Record the lengths of the epochs in the recipe, so that the recipe alone repeats the run."""
        epochs = self.recipe.fit.epochs
        if self.deadline and isinstance(epochs, int) and set(self._lengths) - {self.train.epoch_size}:
            lengths = self._lengths + [self.train.epoch_size] * (epochs - len(self._lengths))
            self.recipe = replace(self.recipe, fit=replace(self.recipe.fit, epoch_images=lengths))
            write_atomic(self.folder / "recipe.toml", self.recipe.to_toml())

    def _kept(self, rows: Iterator[Row], name: str) -> Iterator[Row]:
        path = (self.logs or self.folder) / name
        with disk_errors_as_resource_error(path, 4096), path.open("w") as file:
            for row in rows:
                if isinstance(row, EpochLog | ProbeLog):
                    file.write(json.dumps(row._asdict()) + "\n")
                    file.flush()
                    self._rows.append(row)
                    self._keep(row)
                yield row

    def held_out(self) -> Calibration:
        """Predictions for images that the best weights were not fitted on, with their temperature. Call it after `rows`.

        Of a network without epochs and with few val images they come from cross-fitting over train and val.
        """
        self.take_best()
        if self._calibration is None and self._head is not None:
            assert isinstance(self.best, ProbeLog)
            self._calibration = self._head.cross_fit(self.best, self.seed)
        self._calibration = self._calibration or self._on_val(torch.device("cpu"))
        return self._calibration

    def take_best(self) -> None:
        """Load the weights that are best on val, and move the network to the processor."""
        self.model.load_state_dict(self._best_state)
        self.model.to("cpu")

    def finish(self) -> Trained:
        """Take the best weights, calibrate, measure on the test set once, and write all files except report and result."""
        self._say_lengths()
        calibration = self.held_out()
        return self.write(self._on_test(calibration.temperature), calibration, self.split)

    def write(self, evaluation: Evaluation, calibration: Calibration, split: Split) -> Trained:
        """Write the network and its results. split: its test rows are those of the evaluation, in one repeat."""
        changed = augmentation_preview(self.train, self.prepared.dataset) if self.recipe.fit.epochs else None
        previews = make_previews(self.model, evaluation.once, self.prepared, split, changed)
        return write_trained(self.folder, self.model, self.recipe, self._rows, evaluation, calibration, previews)

    def test_logits(self) -> NDArray[np.float32]:
        """The network's logits for the test images, float32 (n, K); call `take_best` first."""
        return self._answers(self.split.test, torch.device("cpu"))

    def _on_test(self, temperature: float) -> Evaluation:
        dataset, test = self.prepared.dataset, self.split.test
        answers = self.test_logits()
        ids, trained_on = tuple(dataset.ids[i] for i in test), np.isin(test, self.split.leaked)
        return Evaluation(answers, dataset.labels[test], ids, dataset.class_names, "test", temperature, trained_on)

    @property
    def plan(self) -> Plan:
        """What is about to be trained."""
        dataset, split = self.prepared.dataset, self.split
        unequal = [
            one.message
            for one in self.findings
            if one.kind == "imbalance"
            and one.severity == "warning"
            and one.topic != "missing in test"  # the split's notes
        ]
        return Plan(
            data=f"{dataset.name}: {describe(self.prepared)}",
            recipe=self.recipe,
            seed=self.seed,
            parts={"train": len(split.train), "val": len(split.val), "test": len(split.test)},
            parameters=self.network.parameters,
            device=str(self.device),
            precision=str(self.dtype).removeprefix("torch."),
            folder=self.folder,
            remarks=(*self.remarks, *licence_notes(self.model), *dataset.notes, *split.notes, *unequal),
            ready_features=has_features(self.model),
        )

    def claim_folder(self) -> None:
        """Make the run's folder. Raises UsageError, or ResourceError if the disk has too little room for the run."""
        weights = sum(one.numel() * one.element_size() for one in self.model.state_dict().values())
        require_room(self.folder, weights + _BESIDE_WEIGHTS_BYTES)
        self.folder = claim_folder(self.folder) if self.numbered else new_folder(self.folder)

    def begin(self) -> None:
        """Write what is known before the first step: recipe, data, network, environment."""
        write_atomic(self.folder / "recipe.toml", self.recipe.to_toml())
        write_atomic(self.folder / "data.json", self.data_summary.to_json())
        if self.fingerprints:
            keep_seen(self.folder / FINGERPRINTS, self.fingerprints, self.prepared.dataset.ids, self.split)
        write_network(self.folder / "network.json", self.network)
        write_atomic(self.folder / "environment.json", json.dumps(self.environment, indent=1))

    def take_logs(self) -> None:
        """Copy the logs of a training that went before into the run's folder."""
        assert self.logs is not None, "there are logs in another folder"
        for path in self.logs.iterdir():
            write_atomic(self.folder / path.name, path.read_bytes())

    @cached_property
    def data_summary(self) -> DataSummary:
        """The numbers of the data, its split and its findings."""
        return summarise_data(self.prepared, self.split, self.findings)

    @cached_property
    def network(self) -> Summary:
        """The network's table of layers."""
        return summary(self.model, self.prepared.size)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """The entries of environment.json."""
        machine, weights = environment_of(self.device, self.dtype), weights_of(self.model)
        return {**machine, **weights, **self._own, **own_files(parts_of(self.recipe)), **origin_of()}

    def ready(self) -> nn.Module:
        """The network on its device, initialised from training images where it needs them."""
        pixels = self.prepared.size.height_px * self.prepared.size.width_px
        adapt(self.model, self.train.sample(min(_SEEN_BEFORE_THE_FIRST_STEP, max(1, _SEEN_PIXELS // pixels))))
        return self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def batches(self, rows: Indices, **how: Any) -> Batches:
        """Batches of some of the prepared images, as they are unless `how` says otherwise."""
        return Batches(self.prepared.pixels, self.prepared.dataset.labels, rows, self.recipe.fit.batch_size, **how)

    def _keep(self, row: EpochLog | ProbeLog) -> None:
        if self.best is None or is_better(row, self.best, finetune=self.recipe.fit.finetune):
            self.best = row
            self._best_state = copy.deepcopy(self.model.state_dict())

    def _had_enough(self, row: EpochLog) -> bool:
        patience = self.recipe.fit.patience
        best = self.best.epoch if isinstance(self.best, EpochLog) else 0
        return bool(patience and row.val_scale == 1 and row.epoch - best >= patience)

    @property
    def versions(self) -> dict[str, Any]:
        """What influences the numbers of a run besides recipe, data and seed, under the names of environment.json."""
        return {**versions_of(self.device, self.dtype), **self._own}

    @property
    def _own(self) -> dict[str, Any]:
        return {**own_code(parts_of(self.recipe)), **self.prepared.dataset.grouping}
