"""A run is a folder: written as it goes, opened again later, by whoever can read files.

    recipe.toml          what was done            history.jsonl        one line an epoch (head.jsonl: one a penalty)
    data.json            what the data is         weights.safetensors  the network (arrays only, nothing is pickled)
    network.json         its layers               predictions.npz      logits and labels of the test set
    environment.json     machine and versions     predictions.csv      the test set's predictions as a table
    calibration.npz      held-out logits          test_opened_again.jsonl  one line per use after training
    fingerprints.npz     digests and small grey   images.npz           samples and test images for the report
                         versions of the images   data_preview.npz     preprocessing steps and mean images for it
    folds.jsonl          a run with folds: one    folds/               their training logs
                         line per tested network
                                                  network_preview.npz  kernels, feature maps and heat maps for it
                                                  augmentation_preview.npz  training images before and after
                                                                       augmentation, if there was any
    report.html          the page                 result.json          the numbers; written last
    threshold.json       the threshold of one class, if one was chosen (while training or later)

A folder without result.json is an unfinished run.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import foveola  # the verbs, which a run offers as methods; they are imported on first use
from foveola.checks.fingerprints import NAME as FINGERPRINTS
from foveola.checks.fingerprints import SeenImages
from foveola.errors import DamagedRunError, UsageError
from foveola.evaluation.calibration import Calibration, CalibrationReport
from foveola.evaluation.decisions import Threshold, decision_numbers, read_threshold
from foveola.evaluation.headline import headline
from foveola.evaluation.inputs import Inputs, OneInput, Preprocessing
from foveola.evaluation.metrics import Evaluation
from foveola.evaluation.predictions import Predictions
from foveola.evaluation.roc import Roc, roc_curve
from foveola.filters.chain import FILTERS, Chain, names_in
from foveola.models.registry import MODELS
from foveola.models.summary import LayerRow, Summary
from foveola.recipes.recipe import Recipe, read_tables, recipe_from_tables
from foveola.runs.augmentation_preview import AugmentationPreview
from foveola.runs.data_summary import DataSummary
from foveola.runs.files import count_test_uses, read_evaluation, require_valid_predictions
from foveola.runs.folders import find_run, read_result
from foveola.runs.previews import DataPreview, KeptImages, NetworkPreview
from foveola.text import printable
from foveola.training.history import EpochLog, FoldLog, ProbeLog
from foveola.types import Size

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.runs.predictor import Classifier
    from foveola.workflows.evaluating import Measurement
    from foveola.workflows.explaining import Explained


@dataclass(frozen=True)
class Run:
    """A finished run; everything is read from its folder when it is asked for.

    result holds the numbers of result.json (see docs/reference/json.md), `seed` among them.
    """

    path: Path
    result: dict[str, Any]

    @property
    def seed(self) -> int:
        """The seed of split, weights, order and augmentation."""
        return int(self.result["seed"])

    @cached_property
    def recipe(self) -> Recipe:
        """The completed recipe. Raises UsageError where its network or a filter is a user's own and not registered."""
        tables = read_tables(self.path / "recipe.toml")
        model, data = tables.get("model", {}), tables.get("data", {})
        require_registered(self.path, model.get("name", "auto"), data.get("chain", ""))
        return recipe_from_tables(tables, where=str(self.path / "recipe.toml"))

    @cached_property
    def history(self) -> tuple[EpochLog, ...]:
        """One row an epoch; none when only a head was fitted."""
        with self._reading("history.jsonl"):
            return tuple(EpochLog(**row) for row in self._lines("history.jsonl"))

    @cached_property
    def head(self) -> tuple[ProbeLog, ...]:
        """One row a penalty that the head of a network with ready features was fitted with; else none."""
        with self._reading("head.jsonl") as path:
            return tuple(ProbeLog(**row) for row in self._lines("head.jsonl")) if path.exists() else ()

    def _lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / name).read_text("utf-8").splitlines()]

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        """The path of a file of the run. Any error while reading it becomes a one-sentence DamagedRunError."""
        try:
            yield self.path / name
        except PermissionError:
            raise UsageError(f"{self.path / name} can't be read (permission denied): make it readable") from None
        except UsageError:
            raise
        except Exception:  # the readers of zip, npy and JSON raise almost anything on damaged bytes
            raise DamagedRunError(self.path, name) from None

    def require_whole(self) -> None:
        """Read what a comparison is made of. Raises DamagedRunError, naming the first file that can't be read."""
        _ = (self.evaluation, self.history, self.head, self.environment, self.network)

    @cached_property
    def card(self) -> DataSummary:
        """What the data is."""
        with self._reading("data.json") as path:
            return DataSummary.from_json(path.read_text("utf-8"))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Machine, versions, device, precision."""
        with self._reading("environment.json") as path:
            return dict(json.loads(path.read_text("utf-8")))

    @property
    def plugins(self) -> tuple[str, ...]:
        """The files that registered networks and filters of the user's own, for `--plugin`."""
        return tuple(dict.fromkeys(self.environment.get("own_files", {}).values()))

    @cached_property
    def network(self) -> Summary:
        """The network's layers."""
        with self._reading("network.json") as path:
            raw = json.loads(path.read_text("utf-8"))
            rows = tuple(LayerRow(name, kind, tuple(shape), n) for name, kind, shape, n in raw["rows"])
            return Summary(rows, raw["parameters"], raw["trainable"])

    @cached_property
    def evaluation(self) -> Evaluation:
        """The predictions for the test set; in a run with folds the out-of-fold predictions for all images."""
        names, temperature = self.card.class_names, self.calibration.temperature
        with self._reading("predictions.npz") as path:
            return read_evaluation(path, names, temperature, set(self.card.leaked))

    @property
    def folds(self) -> tuple[FoldLog, ...]:
        """The tests of the networks of a run with folds; none for a run with one test set."""
        return tuple(FoldLog(**row) for row in self.result.get("folds") or ())

    @cached_property
    def calibration(self) -> Calibration:
        """The held-out predictions that temperature and abstention come from."""
        with self._reading("calibration.npz") as path:
            found = Calibration.load(path)
            require_valid_predictions(found.logits, found.labels, len(self.card.class_names))
            return found

    @cached_property
    def threshold(self) -> Threshold | None:
        """The threshold that `predict` decides by; None for the most probable class. `foveola.threshold` chooses one.

        Raises UsageError for a damaged file.
        """
        return read_threshold(self.path, self.card.class_names)

    def roc(self, positive: str) -> Roc:
        """The ROC and the precision-recall curve of a class against the rest on the test set.

        Raises UsageError for an unknown class, and for one without test images.

            run.roc("sick").auc, run.roc("sick").auc_interval
        """
        return roc_curve(self.evaluation, positive)

    @cached_property
    def seen_images(self) -> SeenImages:
        """The fingerprints of the run's images, to recognise them in other data."""
        with self._reading(FINGERPRINTS) as path:
            return SeenImages.load(path)

    @cached_property
    def images(self) -> KeptImages:
        """The images that the report shows."""
        with self._reading("images.npz") as path:
            return KeptImages.load(path)

    @cached_property
    def data_preview(self) -> DataPreview:
        """Example images, preprocessing steps and mean images for the report."""
        with self._reading("data_preview.npz") as path:
            return DataPreview.load(path)

    @cached_property
    def network_preview(self) -> NetworkPreview:
        """Kernels, feature maps and heat maps for the report."""
        with self._reading("network_preview.npz") as path:
            return NetworkPreview.load(path)

    @cached_property
    def augmentation_preview(self) -> AugmentationPreview:
        """Training images before and after augmentation, for the report; none if there was no augmentation."""
        with self._reading("augmentation_preview.npz") as path:
            return AugmentationPreview.load(path) if path.exists() else AugmentationPreview()

    @cached_property
    def confidence(self) -> CalibrationReport:
        """Confidence and accuracy on the test set."""
        return CalibrationReport(self.evaluation, self.calibration)

    @property
    def test_opened(self) -> int:
        """Number of uses of the test set: 1 after training."""
        return count_test_uses(self.path)

    @property
    def report(self) -> Path:
        """The report's path."""
        return self.path / "report.html"

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola train --json` prints."""
        return {**self.result, "decision": self.decision}

    @property
    def decision(self) -> dict[str, Any] | None:
        """The threshold and its rates on the test set, under the names of docs/reference/json.md; None without one."""
        return None if self.threshold is None else decision_numbers(self.threshold, self.evaluation)

    def predict(self, images: Inputs, *, abstain: float | None = None) -> Predictions:
        """Labels and probabilities of files, folders, Pillow images or arrays: see `foveola.predict`."""
        return foveola.predict(self, images, abstain=abstain)

    def evaluate(
        self, data: str | os.PathLike[str] | Dataset | None = None, *, settings: Mapping[str, object] | None = None
    ) -> Measurement:
        """Measure the run on its test set or on other data: see `foveola.evaluate`."""
        return foveola.evaluate(self, data, settings=settings)

    def explain(
        self, image: OneInput | Dataset, out: str | os.PathLike[str], method: str = "gradcam", **options: Any
    ) -> Explained:
        """Draw what the network sees in an image into the file `out`: see `foveola.explain`, also for the options."""
        return foveola.explain(self, image, out, method, **options)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.card.class_names

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of images; call it to prepare images for `model()`."""
        data = self.recipe.data
        return Preprocessing(Size.parse(data.size), data.resize, Chain.parse(data.chain))

    def model(self) -> Classifier:
        """The trained network: a `torch.nn.Module` in eval mode that predicts as `predict` does.

        It takes images as `preprocessing` makes them, uint8 or float32 (n, 3, H, W), and gives logits float32 (n, K).

            model = run.model()
            probabilities = model(run.preprocessing("cat.jpg")).softmax(dim=1)
        """
        return foveola.Predictor.open(self).classifier()

    def __dir__(self) -> list[str]:
        """List the attributes for users, without those that only the report uses."""
        return sorted(_FOR_USERS)

    def __fspath__(self) -> str:
        """The run's folder: a `Run` can stand wherever a path is asked for."""
        return str(self.path)

    def __repr__(self) -> str:
        return f"Run('{self.path}', {self.headline})"

    @property
    def headline(self) -> str:
        """The main number in one line, with its interval and the baseline."""
        return headline(self.result)

    def _repr_html_(self) -> str:
        """Show accuracy, learning curves, confusion matrix and the path of the report in a notebook."""
        figures = [foveola.figures.curves(self)] if self.history else []
        figures.append(foveola.figures.confusion(self.evaluation))
        shown = (base64.b64encode(figure.as_bytes("png")).decode() for figure in figures)
        images = "".join(
            f'<img style="max-width: min(100%, 640px)" src="data:image/png;base64,{data}"><br>' for data in shown
        )
        path = html.escape(printable(str(self.report)))
        return f"<p><b>foveola run</b>: {html.escape(self.headline)}</p>{images}<p>report: <code>{path}</code></p>"


def require_registered(run: Path, model: str, chain: str) -> None:
    """Raise UsageError if a run uses a custom network or filter that is not registered.

    model: the network's name; chain: the filters, as recipes write them. Raises UsageError, which names the file that
    registered it when the run was made.
    """
    missing = [("filter", name) for name in names_in(chain) if name not in FILTERS]
    if model not in MODELS and model != "auto" and ":" not in model:
        missing.insert(0, ("network", model))
    if not missing:
        return
    kind, name = missing[0]
    try:
        file = json.loads((run / "environment.json").read_text("utf-8"))["own_files"][name]
    except (OSError, ValueError, KeyError, TypeError):
        file = ""
    where = f", registered by {file}" if file else ""
    raise UsageError(
        f"the run {run} uses the {kind} '{name}', which is not part of foveola{where}: add --plugin "
        f"{file or 'FILE.py'} to the command, or run that file first in Python"
    )


_FOR_USERS = (
    "class_names", "confidence", "decision", "environment", "evaluate", "evaluation", "explain", "folds", "headline",
    "history", "model", "path", "predict", "preprocessing", "recipe", "report", "result", "roc", "seed", "test_opened",
    "threshold", "to_json",
)  # fmt: skip


def open_run(run: str | os.PathLike[str]) -> Run:
    """Open a finished run: by its folder, a folder that holds exactly one run, a unique part of its name, or "latest".

    foveola searches names below the folder `runs`. A `Run` is read again from the disk.

    Raises UsageError if no finished run or more than one matches.

        run = fv.open_run("latest")
    """
    path = find_run(run)
    return Run(path, read_result(path))
