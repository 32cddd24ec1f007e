"""A trained network for use: weights and all they need from one file, files and folders in, labels and probabilities out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from foveola.checks.fingerprints import Fingerprints, SeenImages, fingerprint, joined
from foveola.compute.threads import Pace
from foveola.data.dataset import Dataset, normalise_name, printable
from foveola.errors import ImageProblem, UsageError, count, unknown
from foveola.evaluation.calibration import require_rate
from foveola.evaluation.conformal import label_sets
from foveola.evaluation.inputs import Input, Inputs, gather
from foveola.evaluation.metrics import softmax
from foveola.evaluation.predict import averaged_over_views, predict
from foveola.evaluation.predictions import Prediction, Predictions, labels_by_folder
from foveola.evaluation.views import ALONE, Views
from foveola.filters.chain import UNCHANGED, Chain
from foveola.imaging import decode as images
from foveola.imaging.resize import Resize
from foveola.models.build import build
from foveola.recipes.recipe import Recipe
from foveola.runs.run import Run, open_run, require_registered
from foveola.storage import write_atomic
from foveola.types import Image, Images, Size, Tick, no_tick


@dataclass(frozen=True)
class Network:
    """A trained network with what it must never be parted from.

    That is class names, size, resize rule, the views it averages, the chain that images go through after resizing, and the
    temperature that its logits are divided by.
    """

    model: nn.Module
    class_names: tuple[str, ...]
    size: Size
    resize: Resize
    views: Views = ALONE
    chain: Chain = UNCHANGED
    temperature: float = 1.0

    def see(self, data: bytes) -> Image:
        """What the network sees of an image file's bytes: uint8 (H, W, 3). Raises ImageProblem with the reason."""
        return self.chain(images.decode_and_resize(data, self.size, self.resize).image)


class Classifier(nn.Module):
    """A trained network as `predict` uses it, in eval mode: images in, calibrated logits out.

    forward: uint8 or float32 (n, 3, H, W), RGB, values 0..255, prepared as `Preprocessing` does it, to float32 (n, K).
    Their softmax are the probabilities that `predict` gives: the logits of the views are averaged and divided by the
    temperature. `network` is the trained network alone, with layers of the names that `foveola explain` takes; class_names:
    K names in the order of the logits.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.model
        self.class_names = network.class_names
        self.views, self.temperature = network.views, network.temperature
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return averaged_over_views(self.network, self.views)(images) / self.temperature


def save_network(
    path: Path, model: nn.Module, recipe: Recipe, class_names: Sequence[str], temperature: float = 1.0
) -> None:
    """Write weights.safetensors: the tensors, and in its metadata all else that a `Network` holds.

    The metadata is one entry of JSON: safetensors writes several in a random order, and then the same network would
    be another file every time.
    """
    travelling = {
        "format": 1,
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
    metadata = {"foveola": json.dumps(travelling)}
    # Copies: a layer under two names is one memory, which the format refuses.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    write_atomic(path, save(tensors, metadata))


def load_network(run: str | os.PathLike[str]) -> Network:
    """The network of a run. Raises UsageError when this is no finished run or its weights are damaged."""
    run = open_run(run).path
    path = run / "weights.safetensors"
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads(file.metadata()["foveola"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        size = Size.parse(meta["size"])
        names = tuple(meta["class_names"])
        temperature = float(meta.get("temperature", 1.0))  # 1 in runs from before there was one
        if not 0 < temperature < float("inf"):
            raise ValueError(temperature)
        require_registered(run, meta["model"], meta.get("chain", ""))
        model = build(meta["model"], size, len(names), meta["options"])
        model.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError):
        raise UsageError(f"the weights of the run {run} can't be read: the file is damaged; train again") from None
    if any(not bool(torch.isfinite(value).all()) for value in tensors.values() if value.is_floating_point()):
        raise UsageError(f"the weights of the run {run} are not finite numbers: train again")
    model = model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    views = Views(meta.get("average_flips") is True, meta.get("average_shift_px", 0))
    return Network(model, names, size, meta["resize"], views, Chain.parse(meta.get("chain", "")), temperature)


def predict_images(
    run: str | os.PathLike[str],
    given: Inputs | list[Input],
    *,
    abstain: float | None = None,
    recognise: bool | None = False,
    tick: Tick = no_tick,
) -> Predictions:
    """Predict all images of what was given (see `inputs.gather`), in its order; what can't be read carries its reason.

    abstain: an error rate, 0..1; images drawn as the run's were then get a wrong answer at most so often, and "don't
    know" where the network can't tell (see `learning.conformal`). recognise: whether to look for copies of training images;
    None: where the images lie in folders with the names of classes.

    Raises UsageError for what can't be predicted, when there is nothing to predict, and for an error rate that can't be.
    """
    asked = gather(given)
    limit = None if abstain is None else abstention_limit(open_run(run), abstain)
    network = load_network(run)
    if recognise is None:
        recognise = labels_by_folder([one.name for one in asked], network.class_names) is not None
    known = open_run(run).seen_images if recognise else None
    prints: list[Fingerprints] | None = None if known is None else []
    out: list[Prediction] = []
    with Pace() as pace:
        for start in range(0, len(asked), 64):
            out.extend(_predict_some(network, asked[start : start + 64], limit, prints, known, pace))
            tick("Predicting", len(out), len(asked))
    if known is not None and prints:
        copies = iter(known.among(joined(prints), tick=tick).of_training)
        out = [one if one.problem else replace(one, copy_of=next(copies)) for one in out]
    return Predictions(out, network.class_names)


def abstention_limit(run: Run, error: float) -> float:
    """The score up to which a class belongs to an image's set: see `Calibration.limit`, which raises UsageError.

    So does this, for a run from before calibration was kept.
    """
    require_rate(error)
    if run.calibration is None:
        raise UsageError(
            f"the run {run.path} has no calibration images, so foveola can't limit its error rate: train again, or leave "
            "abstain out"
        )
    return run.calibration.limit(error)


def _predict_some(
    network: Network,
    asked: Sequence[Input],
    limit: float | None,
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
                    prepared = one.read(network.size, network.resize)
                    pixels.append(network.chain(prepared.image))
                    if known is not None and prints is not None:
                        prints.append(fingerprint(*prepared, network.resize, known.prints.side))
                problems.append(one.problem)
            except ImageProblem as error:
                problems.append(str(error))
    names, none = network.class_names, np.zeros(len(network.class_names))
    answers = iter(probabilities(network, np.stack(pixels), pace) if pixels else ())
    for one, problem in zip(asked, problems, strict=True):
        if problem:
            yield Prediction(one.name, "", none, problem, class_names=names)
        else:
            yield _answer(one.name, next(answers), names, limit)


def _answer(name: str, chances: NDArray[np.float64], names: tuple[str, ...], limit: float | None) -> Prediction:
    if limit is None:
        return Prediction(name, names[int(chances.argmax())], chances, class_names=names)
    inside = label_sets(chances, limit)
    found = tuple(names[k] for k in np.argsort(-chances, kind="stable") if inside[k])
    return Prediction(name, found[0] if len(found) == 1 else "", chances, label_set=found, class_names=names)


def probabilities(network: Network, pixels: Images, pace: Pace | None = None) -> NDArray[np.float64]:
    """Calibrated probabilities float64 (n, K) for prepared images uint8 (n, H, W, 3); pace: as for `logits`."""
    return softmax(logits(network, pixels, pace=pace), network.temperature)


def logits(network: Network, pixels: Images, batch_size: int = 256, *, pace: Pace | None = None) -> NDArray[np.float32]:
    """Logits float32 (n, K) for prepared images uint8 (n, H, W, 3).

    pace: what measures the work and adapts the number of threads, where this call is a part of a longer one.
    """
    batches = (
        (torch.from_numpy(np.ascontiguousarray(pixels[k : k + batch_size])).permute(0, 3, 1, 2), torch.empty(0))
        for k in range(0, len(pixels), batch_size)
    )
    return predict(network.model, batches, torch.device("cpu"), views=network.views, pace=pace)


def match_classes(dataset: Dataset, class_names: Sequence[str]) -> NDArray[np.int64]:
    """The data set's labels as numbers of `class_names`, matched by name: int64 (n,). Raises UsageError for strangers."""
    number = {normalise_name(name): k for k, name in enumerate(class_names)}
    held = [dataset.class_names[k] for k in np.unique(dataset.labels)]  # a folder without images asks for nothing
    strangers = [name for name in held if normalise_name(name) not in number]
    if strangers:
        more = f" and {count(len(strangers) - 1, 'more class', 'more classes')}" if len(strangers) > 1 else ""
        raise UsageError(
            f"{printable(dataset.name)} has class '{printable(strangers[0])}'{more} that the run was not trained on: "
            f"{unknown('class', strangers[0], class_names)}"
        )
    return np.array([number.get(normalise_name(name), -1) for name in dataset.class_names], np.int64)[dataset.labels]
