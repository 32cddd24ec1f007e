"""Figures of a network's inside for `explain`: feature maps, kernels, the arithmetic of one output value, embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foveola.types import Tell, Tick
from foveola.workflows.answers import drop_excluded, held_out_rows, use_test_part
from foveola.workflows.datasets import printable

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.data.prepare import Prepared
    from foveola.figures.style import Plot
    from foveola.runs.predictor import Network
    from foveola.runs.run import Run
    from foveola.types import Image

MOST_EMBEDDED = 2_000
"""Number of images of a data set that are used."""


def one_stage(network: Network, image: Image, stage: str) -> Plot:
    """Every channel of a stage."""
    from foveola.explanations.stages import feature_maps
    from foveola.figures import explanations as plots

    return plots.feature_maps(feature_maps(network.model, image, [stage])[0])


def kernels(network: Network, layer: str) -> Plot:
    """The learned kernels of a convolution, of the first by default."""
    from foveola.explanations.kernels import kernels
    from foveola.figures import explanations as plots

    return plots.kernels(kernels(network.model, layer))


def one_pixel(network: Network, image: Image, layer: str, place: tuple[int, int, int] | None) -> Plot:
    """The arithmetic of one number of a convolution: the largest by default."""
    import numpy as np

    from foveola.explanations.convolution_arithmetic import one_pixel
    from foveola.explanations.stages import convolutions_of, feature_maps
    from foveola.figures import explanations as plots

    layer = layer or next(iter(convolutions_of(network.model)), "")
    if place is None and layer in convolutions_of(network.model):
        maps = feature_maps(network.model, image, [layer])[0].values
        channel, row, column = (int(k) for k in np.unravel_index(maps.argmax(), maps.shape))
        place = (channel, row, column)
    return plots.one_pixel(one_pixel(network.model, image, layer, *(place or (0, 0, 0))), image)


def of_data(
    run: Run, network: Network, dataset: Dataset, method: str, stage: str, how: str, tell: Tell, tick: Tick
) -> Plot:
    """Draw maximally activating patches, or the test set in two dimensions (counted as a use of the test set)."""
    import numpy as np

    from foveola.figures import explanations as plots

    prepared, labels = _prepared(run, network, dataset, tick)
    rows = held_out_rows(run, prepared.dataset)
    if len(rows) > MOST_EMBEDDED:
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_EMBEDDED).round().astype(np.int64))]
    pixels = prepared.pixels[rows]
    if method == "max_activating":
        from foveola.explanations.kernels import max_activating
        from foveola.explanations.stages import stages_of

        stage = stage or stages_of(network.model)[-1]
        return plots.patches(max_activating(network.model, pixels, stage, tick=tick), stage)
    from foveola.explanations.embedding import embedding
    from foveola.runs.predictor import logits

    places = embedding(network.model, pixels, how, tick=tick)  # type: ignore[arg-type]
    answers = logits(network, pixels).argmax(axis=1)
    if prepared.dataset.fingerprint == run.card.fingerprint:  # not before: a refusal has shown nothing
        use_test_part(run, "explain --method embedding", tell)
    names = {"tsne": "t-SNE", "pca": "principal components"}
    class_names = [printable(name) for name in network.class_names]
    return plots.layout(places, labels[rows], answers, class_names, pixels, names[how])


def _prepared(run: Run, network: Network, dataset: Dataset, tick: Tick) -> tuple[Prepared, Any]:
    from foveola.data.prepare import apply_filters, prepare
    from foveola.runs.predictor import match_classes

    dataset = drop_excluded(run, dataset)
    match_classes(dataset, network.class_names)
    prepared = apply_filters(prepare(dataset, network.size, network.resize, tick=tick), network.chain, tick=tick)
    return prepared, match_classes(prepared.dataset, network.class_names)
