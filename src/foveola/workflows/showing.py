"""`show_data`: figures of a data set: class counts, sizes, samples, mean images and colours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveola.config import checks_keywords
from foveola.data.prepare import apply_filters, prepare
from foveola.errors import DataError, ImageProblem, UsageError
from foveola.filters.chain import Chain
from foveola.imaging import decode as images
from foveola.imaging.resize import shrink
from foveola.jupyter import shown_in_notebooks
from foveola.runs.progress import Progress
from foveola.storage import new_folder, require_new_folder
from foveola.text import printable
from foveola.types import Size, SizeLike, Tick
from foveola.workflows.datasets import Data, open_as, suggest_size

if TYPE_CHECKING:
    from foveola.data.dataset import Dataset
    from foveola.data.prepare import Prepared
    from foveola.figures.style import Plot
    from foveola.types import Image, Indices

MOST_RAW_PX = 600


@dataclass(frozen=True)
class DataFigures:
    """The result of `show_data`.

    written: the files; notes: how the folders are read, and the numbers that replace class names without a font.
    """

    written: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola show-data --json` prints."""
        return {"written": [str(path) for path in self.written], "notes": list(self.notes)}


@checks_keywords()
@shown_in_notebooks
def show_data(
    data: Data,
    out: str | os.PathLike[str],
    *,
    n: int = 6,
    size: SizeLike | None = None,
    chain: str = "",
    settings: Mapping[str, object] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DataFigures:
    """Draw figures of a data set into the new folder `out`.

    classes.png (images per class), sizes.png, raw.png and prepared.png (the first `n` of each class, as they are and at the
    size that a network sees), means.png (the mean image of each class), tones.png (how often each value occurs),
    channels.png (one image's red, green and blue), and with a chain before-after.png. data: as for `train`; size:
    "WIDTHxHEIGHT", default: the size that `train` chooses; settings: how to read the data ({"data.labels": "table.csv"});
    overwrite: write into a folder that holds files, and replace those of the same names.

    Raises UsageError, DataError or ResourceError.

        fv.show_data("photos", "figures", chain="sharpen")
    """
    tick = (progress or Progress()).tick
    if not 1 <= n <= 20:
        raise UsageError(f"the number of images per class must be from 1 to 20; got {n}")
    out, parsed = Path(out), Chain.parse(chain)
    shape = Size.of(size) if size else None
    require_new_folder(out, overwrite=overwrite)  # now, not after minutes of decoding
    dataset = open_as(data, settings, tick)
    prepared = prepare(dataset, shape or suggest_size(dataset), tick=tick)
    figures = _figures(prepared, _first_of_each(prepared.dataset, n), parsed, tick)
    new_folder(out, overwrite=overwrite)
    for name, figure in figures.items():
        figure.write(out / f"{name}.png", overwrite=overwrite)
    notes = dict.fromkeys((*prepared.dataset.notes, *(figure.note for figure in figures.values() if figure.note)))
    return DataFigures(tuple(out / f"{name}.png" for name in figures), tuple(notes))


def _figures(prepared: Prepared, rows: list[Indices], chain: Chain, tick: Tick) -> dict[str, Plot]:
    """The figures by the names of their files; `rows` are the images of each class that are shown."""
    from foveola.figures import data as plots

    dataset, pixels = prepared.dataset, prepared.pixels
    names = [printable(name) for name in dataset.class_names]
    everyone = [row for some in rows for row in some]
    drawn = rows[: plots.MOST_CLASSES]
    raw, raw_sizes = [_raw(dataset, some) for some in drawn], [prepared.sizes[some] for some in drawn]
    ready = [[pixels[row] for row in some] for some in drawn]
    figures: dict[str, Plot] = {
        "classes": plots.class_counts(dataset.counts(), names),
        "sizes": plots.sizes(prepared.sizes[:, 0], prepared.sizes[:, 1]),
        "raw": plots.samples(raw, names, "as they are", raw_sizes),
        "prepared": plots.samples(ready, names, f"prepared at {prepared.size}"),
        "means": plots.class_means(pixels, dataset.labels, names),
        "tones": plots.tones(pixels),
        "channels": plots.channels(pixels[everyone[0]]),
    }
    if chain.steps:
        after = apply_filters(prepared, chain, tick=tick).pixels
        some = everyone[:: max(1, len(everyone) // 5)][:5]
        pairs = [pixels[row] for row in some], [after[row] for row in some]
        figures["before-after"] = plots.before_after(*pairs, str(chain))
    return figures


def _first_of_each(dataset: Dataset, n: int) -> list[Indices]:
    import numpy as np

    return [np.flatnonzero(dataset.labels == label)[:n] for label in range(len(dataset.class_names))]


def _raw(dataset: Dataset, rows: Indices) -> list[Image]:
    found = []
    with images.suppress_pillow_warnings():
        for row in rows.tolist():
            try:
                found.append(shrink(dataset.read(row), MOST_RAW_PX))
            except ImageProblem as problem:  # it could be read a moment ago
                raise DataError(f"{dataset.ids[row]} changed while foveola read it: {problem}") from None
    return found
