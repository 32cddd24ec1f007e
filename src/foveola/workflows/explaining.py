"""`explain`: heat maps, feature maps, kernels and embeddings of a run's network, as figures."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from foveola.compute.threads import adapting
from foveola.errors import ImageProblem, UsageError, unknown
from foveola.jupyter import shown_in_notebooks
from foveola.keywords import checks_keywords
from foveola.types import Tell, Tick, no_tick
from foveola.workflows import explanation_figures as figures
from foveola.workflows.answers import warn
from foveola.workflows.datasets import open_as, printable, require_there

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.evaluation.inputs import Input, OneInput
    from foveola.figures.style import Plot
    from foveola.runs.predictor import Network
    from foveola.types import Image

OF_DATA = ("max_activating", "embedding")
"""Methods that look at a data set instead of one image."""

_NO_HEATMAPS = (*OF_DATA, "feature_maps", "kernels", "one_pixel")
"""All other methods, also those that a user registers, draw a heat map for a class."""


@dataclass(frozen=True)
class Explained:
    """The files that `explain` wrote, the explained class and its probability ("" and 0 without a class)."""

    written: tuple[Path, ...]
    label: str = ""
    probability: float = 0.0


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
    tell: Tell = warn,
    tick: Tick = no_tick,
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

    "embedding" shows which predictions on the run's test set are correct, so it counts as a use of the test set; `tell` gets
    a note if the use could not be recorded, and the numbers that replace names without a font. ("max_activating" shows
    test images without predictions, so it does not count.)

    Raises UsageError for an invalid run, method, stage, class or `out`, and for an option that the method does not
    have, ImageProblem for an image that can't be read.

        fv.explain("run", "cat.jpg", "why.png", "gradcam")
    """
    from foveola.runs.folders import find_run

    out, to_folder, one = Path(out), method == "feature_maps" and not stage, None
    # What can be refused without torch is refused before it is imported.
    run = find_run(run)
    _require_free(out, to_folder, overwrite)
    if method in OF_DATA:
        require_there(image)
    elif method != "kernels":
        one = _one_image(image)
    from foveola.explanations.registry import EXPLANATIONS
    from foveola.runs.run import open_run

    EXPLANATIONS.require(method)
    _require_taken(
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
    opened = open_run(run)
    label = None if label is None else _class_called(label, opened.class_names)
    from foveola.runs.predictor import load_network

    network, write = load_network(opened.path), partial(_write, out=out, overwrite=overwrite, tell=tell)
    if method == "kernels":
        return write(figures.kernels(network, stage))
    if method in OF_DATA:
        dataset = open_as(image, settings, tick, known=network.class_names)  # type: ignore[arg-type] # no image: see above
        return write(figures.of_data(opened, network, dataset, method, stage, how, tell, tick))
    assert one is not None, "only methods that look at data or kernels have none"
    image = _see(network, one)
    if to_folder:
        return _all_stages(network, image, out, overwrite)
    if method == "feature_maps":
        return write(figures.one_stage(network, image, stage))
    if method == "one_pixel":
        return write(figures.one_pixel(network, image, stage, place))
    return _heatmap(network, image, method, stage, label, write)


def _class_called(label: str, class_names: Sequence[str]) -> str:
    """Find a class by name, whatever its Unicode form. Raises UsageError for an unknown class."""
    from foveola.data.dataset import normalise_name

    found = [name for name in class_names if normalise_name(name) == normalise_name(label)]
    if not found:
        raise UsageError(unknown("class", label, class_names))
    return label if label in found else found[0]


def _takers(option: str) -> list[str]:
    """Return the methods that have an option of `foveola explain`."""
    from foveola.explanations.registry import EXPLANATIONS

    heat = [name for name in sorted(EXPLANATIONS) if name not in _NO_HEATMAPS]
    if option == "stage":
        at_stages = [name for name in heat if "stage" in inspect.signature(EXPLANATIONS[name]).parameters]
        return sorted(["feature_maps", "kernels", "max_activating", "one_pixel", *at_stages])
    takers = {"class": heat, "place": ["one_pixel"], "how": ["embedding"]}
    return takers.get(option, sorted(OF_DATA))  # the others say how to read a data set


def _require_taken(method: str, given: Mapping[str, bool]) -> None:
    """Raise UsageError for an option that this method does not have."""
    for option in [name for name, is_given in given.items() if is_given]:
        if method not in (allowed := _takers(option)):
            raise UsageError(f"{method} has no option --{option}: leave it out, or use it with {', '.join(allowed)}")


def _require_free(out: Path, to_folder: bool, overwrite: bool) -> None:
    """Refuse an output that is not a figure, exists, or can't be written. Raises UsageError or ResourceError."""
    from foveola.storage import require_new, require_new_folder

    if to_folder:
        require_new_folder(out, overwrite=overwrite)
        return
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"the name of a figure must end in .png, .svg or .pdf; got '{out.name}'")
    require_new(out, overwrite=overwrite)


def _write(figure: Plot, *, out: Path, overwrite: bool, tell: Tell) -> Explained:
    figure.write(out, overwrite=overwrite)
    if figure.note:
        tell(figure.note)
    return Explained((out,))


def _one_image(image: OneInput | Dataset) -> Input:
    """Return the one image that a method takes. Raises UsageError for none or several."""
    from foveola.evaluation.inputs import gather

    if isinstance(image, str | os.PathLike) and Path(image).is_dir():
        raise UsageError(f"{os.fspath(image)} is a folder, and this method takes one image: name a file")
    found = gather(image)  # type: ignore[arg-type] # it refuses a Dataset, too
    if len(found) > 1:
        raise UsageError(f"{len(found):,} images were given, and this method takes one: give one of them")
    return found[0]


def _see(network: Network, one: Input) -> Image:
    from foveola.imaging import decode as images

    with images.suppress_pillow_warnings():
        try:
            return network.chain(one.prepared(network.size, network.resize))
        except ImageProblem as problem:
            raise ImageProblem(f"{one.name} can't be read: {problem}") from None


def _heatmap(
    network: Network, image: Image, method: str, stage: str, label: str | None, write: Callable[[Plot], Explained]
) -> Explained:
    from foveola.explanations.registry import EXPLANATIONS
    from foveola.figures.explanations import heatmaps
    from foveola.runs.predictor import probabilities

    chances = probabilities(network, image[None])[0]  # averaged over the network's views, as `predict` answers
    target = int(chances.argmax()) if label is None else network.class_names.index(label)
    at = {"stage": stage} if stage else {}
    found = replace(EXPLANATIONS[method](network.model, image, target, **at), probability=float(chances[target]))
    written = write(heatmaps(image, [found], [printable(name) for name in network.class_names])).written
    return Explained(written, network.class_names[target], found.probability)


def _all_stages(network: Network, image: Image, out: Path, overwrite: bool) -> Explained:
    from foveola.explanations.stages import feature_maps
    from foveola.figures import explanations as plots
    from foveola.storage import new_folder

    found = feature_maps(network.model, image)
    new_folder(out, overwrite=overwrite)
    written = []
    for number, one in enumerate(found, start=1):
        path = out / f"{number:02d}-{one.stage}.png"
        plots.feature_maps(one).write(path, overwrite=overwrite)
        written.append(path)
    return Explained(tuple(written))
