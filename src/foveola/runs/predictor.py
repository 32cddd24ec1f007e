"""A trained network with everything that a prediction needs; and its file, weights.safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from foveola.checks.fingerprints import Fingerprints, SeenImages, fingerprint, joined
from foveola.compute.threads import Pace
from foveola.data.dataset import Dataset, normalise_name
from foveola.errors import ImageProblem, OtherFormatError, UsageError
from foveola.evaluation.calibration import require_rate
from foveola.evaluation.conformal import abstention_numbers, label_sets
from foveola.evaluation.decisions import Threshold
from foveola.evaluation.forward_pass import averaged_over_views, predict
from foveola.evaluation.inputs import ALONE, Input, Inputs, OneInput, Views, gather
from foveola.evaluation.metrics import softmax
from foveola.evaluation.predictions import Prediction, Predictions, labels_by_folder
from foveola.filters.chain import UNCHANGED, Chain
from foveola.imaging import decode as images
from foveola.imaging.resize import Resize
from foveola.models.build import build
from foveola.recipes.recipe import Recipe
from foveola.runs.run import Run, open_run, require_registered
from foveola.storage import write_atomic
from foveola.text import count, printable, unknown
from foveola.types import Image, Images, Size, Tick, no_tick

NETWORK_FORMAT = 1
"""The number of the layout of weights.safetensors. It changes with the layout."""

CHUNK = 64
"""Number of images that are in memory at a time."""


@dataclass(frozen=True)
class Predictor:
    """A trained network with its class names, preprocessing and calibration. Open it once, and predict many times.

    model: a `torch.nn.Module` that gives logits, in eval mode; class_names: K names; size, resize, chain: the preprocessing;
    views: the versions of an image whose logits are averaged; temperature: the divisor of the logits; run: the run that it
    comes from, which holds the calibration and the results on the test set.

        predictor = fv.Predictor.open("latest")
        predictor.predict(["new.jpg"])[0].label
    """

    model: nn.Module
    class_names: tuple[str, ...]
    size: Size
    resize: Resize
    views: Views = ALONE
    chain: Chain = UNCHANGED
    temperature: float = 1.0
    run: Run | None = None

    @classmethod
    def open(cls, run: str | os.PathLike[str]) -> Predictor:
        """Open a run's network. run: as for `open_run`. Raises UsageError for an unknown run and for damaged weights."""
        opened = run if isinstance(run, Run) else open_run(run)
        return replace(_read_network(opened.path), run=opened)

    def see(self, image: OneInput | Input) -> Image:
        """Return an image as the network gets it: uint8 (H, W, 3), resized and filtered.

        image: a file, the bytes of an image file, a Pillow image or an array uint8 (h, w, 3). Raises ImageProblem for an
        image that can't be read.
        """
        (one,) = gather([image])
        with images.suppress_pillow_warnings():
            return self.chain(one.prepared(self.size, self.resize))

    def logits(self, pixels: Images, batch_size: int = 256, *, pace: Pace | None = None) -> NDArray[np.float32]:
        """Logits float32 (n, K) of prepared images uint8 (n, H, W, 3), averaged over the views.

        pace: measures the work and adapts the number of threads, if this call is a part of a longer one.
        """
        batches = (
            (torch.from_numpy(np.ascontiguousarray(pixels[k : k + batch_size])).permute(0, 3, 1, 2), torch.empty(0))
            for k in range(0, len(pixels), batch_size)
        )
        return predict(self.model, batches, torch.device("cpu"), views=self.views, pace=pace)

    def probabilities(self, pixels: Images, *, pace: Pace | None = None) -> NDArray[np.float64]:
        """Calibrated probabilities float64 (n, K) of prepared images uint8 (n, H, W, 3); pace: as for `logits`."""
        return softmax(self.logits(pixels, pace=pace), self.temperature)

    def predict(
        self,
        images: Inputs | list[Input],
        *,
        abstain: float | None = None,
        recognise: bool | None = None,
        tick: Tick = no_tick,
    ) -> Predictions:
        """Predict labels and calibrated probabilities of images, in their order: see `foveola.predict`."""
        asked = gather(images)
        rule = self._rule(abstain)
        known = self._seen_images(asked, recognise)
        prints: list[Fingerprints] | None = None if known is None else []
        out: list[Prediction] = []
        with Pace() as pace:
            for start in range(0, len(asked), CHUNK):
                out.extend(self._predict_some(asked[start : start + CHUNK], rule, prints, known, pace))
                tick("Predicting", len(out), len(asked))
        if known is not None and prints:
            copies = iter(known.among(joined(prints), tick=tick).of_training)
            out = [one if one.problem else replace(one, copy_of=next(copies)) for one in out]
        path = "" if self.run is None else str(self.run.path)
        abstention = None if abstain is None else self._abstention(abstain)
        decision = None if self.run is None or rule.threshold is None else self.run.decision
        return Predictions(out, self.class_names, path, abstention, rule.threshold, decision)

    def classifier(self) -> Classifier:
        """The network as a `torch.nn.Module` that averages over the views and divides by the temperature."""
        return Classifier(self)

    def abstention_limit(self, error: float) -> float:
        """The score up to which a class belongs to an image's label set: see `Calibration.limit`.

        Raises UsageError for a rate out of range, for one that the calibration images can't guarantee, and for a network
        without calibration.
        """
        require_rate(error)
        if self.run is None:
            raise UsageError(
                "this network has no run, so foveola can't limit its error rate: use Predictor.open, or leave abstain out"
            )
        return self.run.calibration.limit(error)

    def _rule(self, abstain: float | None) -> _Rule:
        """How labels follow from probabilities: by label sets with abstaining, else by the run's threshold if it has one."""
        if abstain is not None:
            return _Rule(limit=self.abstention_limit(abstain))
        return _Rule(threshold=None if self.run is None else self.run.threshold)

    def decide(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """The predicted classes, int64 (n,), from probabilities float64 (n, K): by the run's threshold if it has one."""
        return self._rule(None).decide(probabilities, self.class_names)

    def _abstention(self, error: float) -> dict[str, object]:
        """The results of abstaining at this rate on the run's test set, under the names of result.json."""
        assert self.run is not None, "`abstention_limit` refuses a network without a run"
        calibration = self.run.calibration
        return abstention_numbers(calibration.abstention(self.run.evaluation, error), len(calibration))

    def _seen_images(self, asked: Sequence[Input], recognise: bool | None) -> SeenImages | None:
        """The run's images, if copies of them are searched for."""
        if recognise is None:
            recognise = labels_by_folder([one.name for one in asked], self.class_names) is not None
        return self.run.seen_images if recognise and self.run is not None else None

    def _predict_some(
        self,
        asked: Sequence[Input],
        rule: _Rule,
        prints: list[Fingerprints] | None,
        known: SeenImages | None,
        pace: Pace,
    ) -> Iterator[Prediction]:
        """The predictions for some images, in order; the fingerprints of those that can be read go into `prints`."""
        pixels: list[Image] = []
        problems: list[str] = []
        with images.suppress_pillow_warnings():
            for one in asked:
                try:
                    if not one.problem:
                        prepared = one.read(self.size, self.resize)
                        pixels.append(self.chain(prepared.image))
                        if known is not None and prints is not None:
                            prints.append(fingerprint(*prepared, self.resize, known.prints.side))
                    problems.append(one.problem)
                except ImageProblem as error:
                    problems.append(str(error))
        names, none = self.class_names, np.zeros(len(self.class_names))
        answers = iter(self.probabilities(np.stack(pixels), pace=pace) if pixels else ())
        for one, problem in zip(asked, problems, strict=True):
            if problem:
                yield Prediction(one.name, "", none, problem, class_names=names)
            else:
                yield rule.prediction(one.name, next(answers), names)


class _Rule(NamedTuple):
    """How a label follows from an image's probabilities.

    limit: with abstaining the score of `abstention_limit`; threshold: that of the run. Without both it is the most probable
    class.
    """

    limit: float | None = None
    threshold: Threshold | None = None

    def decide(self, probabilities: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.int64]:
        """The predicted classes, int64 (n,), without abstaining."""
        if self.threshold is not None:
            return self.threshold.decide(probabilities, names)
        return np.asarray(probabilities.argmax(axis=1), np.int64)

    def prediction(self, file: str, chances: NDArray[np.float64], names: tuple[str, ...]) -> Prediction:
        """The prediction from an image's probabilities float64 (K,)."""
        if self.limit is None:
            (k,) = self.decide(chances[None], names)
            return Prediction(file, names[k], chances, class_names=names)
        inside = label_sets(chances, self.limit)
        found = tuple(names[k] for k in np.argsort(-chances, kind="stable") if inside[k])
        label = found[0] if len(found) == 1 else ""
        return Prediction(file, label, chances, label_set=found, class_names=names)


class Classifier(nn.Module):
    """A trained network as `predict` uses it, in eval mode: images in, calibrated logits out.

    forward: uint8 or float32 (n, 3, H, W), RGB, values 0..255, prepared as `Preprocessing` does it, to float32 (n, K).
    Their softmax are the probabilities that `predict` gives: the logits of the views are averaged and divided by the
    temperature. `network` is the trained network alone, with layers of the names that `foveola explain` takes; class_names:
    K names in the order of the logits.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.network = predictor.model
        self.class_names = predictor.class_names
        self.views, self.temperature = predictor.views, predictor.temperature
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return averaged_over_views(self.network, self.views)(images) / self.temperature


def save_network(
    path: Path, model: nn.Module, recipe: Recipe, class_names: Sequence[str], temperature: float = 1.0
) -> None:
    """Write weights.safetensors: the tensors, and in its metadata everything else that a `Predictor` needs.

    The metadata is one entry of JSON: safetensors writes several entries in a random order, so the same network would
    become a different file every time.
    """
    about = {
        "format": NETWORK_FORMAT,
        "model": recipe.model.name,
        "options": dict(recipe.model.options),
        "class_names": list(class_names),
        "size": recipe.data.size,
        "resize": recipe.data.resize,
        "chain": recipe.data.chain,
        "average_flips": recipe.views.flips,
        "average_shift_px": recipe.views.shift_px,
        "temperature": temperature,
    }
    metadata = {"foveola": json.dumps(about)}
    # Copies: a layer with two names shares its memory, which the format refuses.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    write_atomic(path, save(tensors, metadata))


def _read_network(run: Path) -> Predictor:
    """Read weights.safetensors of a run. Raises UsageError if the file is damaged."""
    try:
        with safe_open(run / "weights.safetensors", "pt") as file:
            about = json.loads(file.metadata()["foveola"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        size, names = Size.parse(about["size"]), tuple(about["class_names"])
        if about["format"] != NETWORK_FORMAT:
            raise OtherFormatError(
                f"the weights of the run {run} have format {about['format']}, but this version of foveola reads format "
                f"{NETWORK_FORMAT} only: train again"
            )
        temperature = float(about["temperature"])
        if not 0 < temperature < float("inf"):
            raise ValueError(temperature)
        require_registered(run, about["model"], about["chain"])
        model = build(about["model"], size, len(names), about["options"])
        model.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError):
        raise UsageError(f"the weights of the run {run} can't be read: the file is damaged; train again") from None
    if any(not bool(torch.isfinite(value).all()) for value in tensors.values() if value.is_floating_point()):
        raise UsageError(f"the weights of the run {run} are not finite numbers: train again")
    model = model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    views = Views(about["average_flips"], about["average_shift_px"])
    return Predictor(model, names, size, about["resize"], views, Chain.parse(about["chain"]), temperature)


def match_classes(dataset: Dataset, class_names: Sequence[str]) -> NDArray[np.int64]:
    """The data set's labels as numbers of `class_names`, matched by name: int64 (n,). Raises UsageError for others."""
    number = {normalise_name(name): k for k, name in enumerate(class_names)}
    held = [dataset.class_names[k] for k in np.unique(dataset.labels)]  # classes without images are not matched
    strangers = [name for name in held if normalise_name(name) not in number]
    if strangers:
        more = f" and {count(len(strangers) - 1, 'more class', 'more classes')}" if len(strangers) > 1 else ""
        raise UsageError(
            f"{printable(dataset.name)} has class '{printable(strangers[0])}'{more} that the run was not trained on: "
            f"{unknown('class', strangers[0], class_names)}"
        )
    return np.array([number.get(normalise_name(name), -1) for name in dataset.class_names], np.int64)[dataset.labels]
