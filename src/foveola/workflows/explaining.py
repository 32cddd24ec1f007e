"""`explain`: heat maps, feature maps, kernels and embeddings of a run's network, as figures."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveola import figures
from foveola.compute.threads import adapting
from foveola.config import checks_keywords
from foveola.data.dataset import find_class
from foveola.data.prepare import Prepared, apply_filters, prepare
from foveola.errors import ImageProblem, UsageError
from foveola.evaluation.inputs import Input, OneInput, gather
from foveola.explanations import EXPLANATIONS
from foveola.jupyter import shown_in_notebooks
from foveola.runs.progress import Progress
from foveola.runs.run import open_run
from foveola.storage import new_folder, require_new, require_new_folder
from foveola.text import printable, unknown
from foveola.types import Image, Labels
from foveola.workflows.datasets import open_as, require_there
from foveola.workflows.evaluating import drop_excluded, held_out_rows, use_test_set

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.figures.style import Plot
    from foveola.runs.predictor import Predictor

OF_DATA = ("max_activating", "embedding")
"""Methods that look at a data set instead of one image."""

_NO_HEATMAPS = (*OF_DATA, "feature_maps", "kernels", "one_pixel")
"""All other methods, also those that a user registers, draw a heat map for a class."""

MOST_EMBEDDED = 2_000
"""Number of images of a data set that are used."""


@dataclass(frozen=True)
class Explained:
    """The result of `explain`.

    run, method: what was explained; written: the figures; label, probability: the explained class ("" and 0 without a
    class); notes: what a reader of the figures must know.
    """

    run: Path
    method: str
    written: tuple[Path, ...]
    label: str = ""
    probability: float = 0.0
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola explain --json` prints."""
        return {
            "run": str(self.run),
            "method": self.method,
            "written": [str(path) for path in self.written],
            "label": self.label,
            "probability": self.probability,
            "notes": list(self.notes),
        }


@checks_keywords()
@shown_in_notebooks
@adapting()
def explain(
    run: str | os.PathLike[str],
    image: OneInput | Dataset,
    out: str | os.PathLike[str],
    method: str = "gradcam",
    *,
    stage: str = "",
    label: str | None = None,
    place: tuple[int, int, int] | None = None,
    how: str | None = None,
    settings: Mapping[str, object] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Explained:
    """Draw what a run's network sees in an image; the figure goes to the new file `out` (.png, .svg or .pdf).

    method: one of `EXPLANATIONS`. "gradcam", "hirescam", "occlusion" and "integrated_gradients" lay a heat map over the
    image, for the class `label` (default: the predicted class). "feature_maps" draws every channel of a
    stage, and without `stage` every stage into the new folder `out`. "kernels" draws the learned kernels of a convolution,
    at most 16x16 of a deep one. "one_pixel" draws the arithmetic of one number of a convolution, at `place` (channel, row,
    column; default: the largest value). "max_activating" draws the patches that excite a stage's 12 strongest
    channels most, "embedding" the test set in two dimensions (`how`: "tsne", the default, or "pca"): for these
    two `image` is a folder of class folders or a data set's name, of which 2,000 images are used, evenly chosen; settings:
    how to read it, such as {"data.labels": "table.csv"}. For the others it is a file, a Pillow image, the bytes of an image
    file or an array uint8 (H, W, 3); "kernels" uses no image. overwrite: replace files that exist.

    "embedding" shows which predictions on the run's test set are correct, so it counts as a use of the test set.
    ("max_activating" shows test images without predictions, so it does not count.) A note says if the use could not be
    recorded, and which numbers replace names without a font.

    Raises UsageError for an invalid run, method, stage, class or `out`, and for an option that the method does not
    have, ImageProblem for an image that can't be read.

        fv.explain("run", "cat.jpg", "why.png", "gradcam")
    """
    progress, out, to_folder = progress or Progress(), Path(out), method == "feature_maps" and not stage
    # Everything that can be refused without torch is refused before it is imported.
    opened = open_run(run)
    _require_free(out, to_folder, overwrite)
    image_given = None
    if method in OF_DATA:
        require_there(image)
    elif method != "kernels":
        image_given = _one_image(image)
    EXPLANATIONS.require(method)
    _require_options(
        method,
        {
            "stage": stage != "",
            "class": label is not None,
            "place": place is not None,
            "how": how is not None,
            **{key.partition(".")[2].replace("_", "-"): value is not None for key, value in (settings or {}).items()},
        },
    )
    how = how or "tsne"
    if how not in ("tsne", "pca"):
        raise UsageError(unknown("layout", how, ("tsne", "pca")))
    label = None if label is None else find_class(label, opened.class_names)
    from foveola.runs.predictor import Predictor

    drawing = _Drawing(Predictor.open(opened), method, stage, out, overwrite, progress)
    if method == "kernels":
        return drawing.write(drawing.kernels())
    if method in OF_DATA:
        known = drawing.predictor.class_names
        dataset = open_as(image, settings, progress.tick, known=known)  # type: ignore[arg-type] # no image: see above
        return drawing.write(drawing.of_data(dataset, how))
    assert image_given is not None, "only methods that look at data or kernels have none"
    seen = _see(drawing.predictor, image_given)
    if to_folder:
        return drawing.all_stages(seen)
    if method == "feature_maps":
        return drawing.write(drawing.one_stage(seen))
    if method == "one_pixel":
        return drawing.write(drawing.one_pixel(seen, place))
    return drawing.heatmap(seen, label)


def _methods_with(option: str) -> list[str]:
    """Return the methods that have an option of `foveola explain`."""
    heat = [name for name in sorted(EXPLANATIONS) if name not in _NO_HEATMAPS]
    if option == "stage":
        at_stages = [name for name in heat if "stage" in inspect.signature(EXPLANATIONS[name]).parameters]
        return sorted(["feature_maps", "kernels", "max_activating", "one_pixel", *at_stages])
    takers = {"class": heat, "place": ["one_pixel"], "how": ["embedding"]}
    return takers.get(option, sorted(OF_DATA))  # the others say how to read a data set


def _require_options(method: str, given: Mapping[str, bool]) -> None:
    """Raise UsageError for an option that this method does not have."""
    for option in [name for name, is_given in given.items() if is_given]:
        if method not in (allowed := _methods_with(option)):
            raise UsageError(f"{method} has no option --{option}: leave it out, or use it with {', '.join(allowed)}")


def _require_free(out: Path, to_folder: bool, overwrite: bool) -> None:
    """Refuse an output that is not a figure, exists, or can't be written. Raises UsageError or ResourceError."""
    if to_folder:
        require_new_folder(out, overwrite=overwrite)
        return
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"the name of a figure must end in .png, .svg or .pdf; got '{out.name}'")
    require_new(out, overwrite=overwrite)


def _one_image(image: OneInput | Dataset) -> Input:
    """Return the one image that a method takes. Raises UsageError for none or several."""
    if isinstance(image, str | os.PathLike) and Path(image).is_dir():
        raise UsageError(f"{os.fspath(image)} is a folder, and this method takes one image: name a file")
    found = gather(image)  # type: ignore[arg-type] # it refuses a Dataset, too
    if len(found) > 1:
        raise UsageError(f"{len(found):,} images were given, and this method takes one: give one of them")
    return found[0]


def _see(predictor: Predictor, one: Input) -> Image:
    try:
        return predictor.see(one)
    except ImageProblem as problem:
        raise ImageProblem(f"{one.name} can't be read: {problem}") from None


@dataclass(frozen=True)
class _Drawing:
    """What every method needs: the network, the method and its stage ("": the default), and where the figure goes."""

    predictor: Predictor
    method: str
    stage: str
    out: Path
    overwrite: bool
    progress: Progress
    notes: list[str] = field(default_factory=list)

    def write(self, figure: Plot, label: str = "", probability: float = 0.0) -> Explained:
        """Write a figure to its file."""
        figure.write(self.out, overwrite=self.overwrite)
        if figure.note:
            self._note(figure.note)
        return self._explained((self.out,), label, probability)

    def _note(self, line: str) -> None:
        self.notes.append(line)
        self.progress.note(line)

    def _explained(self, written: tuple[Path, ...], label: str = "", probability: float = 0.0) -> Explained:
        assert self.predictor.run is not None, "`explain` opens a run"
        return Explained(self.predictor.run.path, self.method, written, label, probability, tuple(self.notes))

    def all_stages(self, image: Image) -> Explained:
        """One file for each stage, in a new folder."""
        found = EXPLANATIONS["feature_maps"](self.predictor.model, image)
        new_folder(self.out, overwrite=self.overwrite)
        written = []
        for number, one in enumerate(found, start=1):
            path = self.out / f"{number:02d}-{one.stage}.png"
            figures.feature_maps(one).write(path, overwrite=self.overwrite)
            written.append(path)
        return self._explained(tuple(written))

    def one_stage(self, image: Image) -> Plot:
        """Every channel of a stage."""
        return figures.feature_maps(EXPLANATIONS["feature_maps"](self.predictor.model, image, [self.stage])[0])

    def kernels(self) -> Plot:
        """The learned kernels of a convolution, of the first by default."""
        return figures.kernels(EXPLANATIONS["kernels"](self.predictor.model, self.stage))

    def one_pixel(self, image: Image, place: tuple[int, int, int] | None) -> Plot:
        """The arithmetic of one number of a convolution: the largest by default."""
        from foveola.explanations.stages import convolutions_of

        model = self.predictor.model
        layer = self.stage or next(iter(convolutions_of(model)), "")
        if place is None and layer in convolutions_of(model):
            maps = EXPLANATIONS["feature_maps"](model, image, [layer])[0].values
            channel, row, column = (int(k) for k in np.unravel_index(maps.argmax(), maps.shape))
            place = (channel, row, column)
        return figures.one_pixel(EXPLANATIONS["one_pixel"](model, image, layer, *(place or (0, 0, 0))), image)

    def heatmap(self, image: Image, label: str | None) -> Explained:
        """A heat map over the image, for a class: by default for the predicted one."""
        predictor = self.predictor
        chances = predictor.probabilities(image[None])[0]  # averaged over the network's views, as in `predict`
        (decided,) = predictor.decide(chances[None])
        target = int(decided) if label is None else predictor.class_names.index(label)
        at = {"stage": self.stage} if self.stage else {}
        found = EXPLANATIONS[self.method](predictor.model, image, target, **at)
        found = replace(found, probability=float(chances[target]))
        figure = figures.heatmaps(image, [found], [printable(name) for name in predictor.class_names])
        return self.write(figure, predictor.class_names[target], found.probability)

    def of_data(self, dataset: Dataset, how: str) -> Plot:
        """Draw maximally activating patches, or the test set in two dimensions (counted as a use of the test set)."""

        predictor, run, tick = self.predictor, self.predictor.run, self.progress.tick
        assert run is not None, "`explain` opens a run"
        prepared, labels = self._prepared(drop_excluded(run, dataset))
        rows = held_out_rows(run, prepared.dataset)
        if len(rows) > MOST_EMBEDDED:
            rows = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_EMBEDDED).round().astype(np.int64))]
        pixels = prepared.pixels[rows]
        if self.method == "max_activating":
            from foveola.explanations.stages import stages_of

            stage = self.stage or stages_of(predictor.model)[-1]
            return figures.patches(EXPLANATIONS["max_activating"](predictor.model, pixels, stage, tick=tick), stage)
        places = EXPLANATIONS["embedding"](predictor.model, pixels, how, tick=tick)
        predicted = predictor.logits(pixels).argmax(axis=1)
        if prepared.dataset.fingerprint == run.card.fingerprint and run.folds:
            self._note(
                "the network of this run was trained on all of these images, so its predictions for them are too good"
            )
        elif prepared.dataset.fingerprint == run.card.fingerprint:  # now, as a refusal has shown nothing
            use_test_set(run, "explain --method embedding", self._note)
        names = {"tsne": "t-SNE", "pca": "principal components"}
        class_names = [printable(name) for name in predictor.class_names]
        return figures.layout(places, labels[rows], predicted, class_names, pixels, names[how])

    def _prepared(self, dataset: Dataset) -> tuple[Prepared, Labels]:
        """The images as the network gets them, and their labels as its class numbers."""
        from foveola.runs.predictor import match_classes

        predictor, tick = self.predictor, self.progress.tick
        match_classes(dataset, predictor.class_names)  # refuse other classes before minutes of decoding
        prepared = prepare(dataset, predictor.size, predictor.resize, tick=tick)
        labels = match_classes(prepared.dataset, predictor.class_names)
        return apply_filters(prepared, predictor.chain, tick=tick), labels
