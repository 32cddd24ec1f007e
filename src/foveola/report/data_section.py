"""Report section on the data: class counts, sample images, image sizes, preprocessing steps, findings, unusable files."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup

from foveola.data.dataset import PARTS, count_causes
from foveola.evaluation.metrics import Evaluation
from foveola.report.formatting import Thumbnail, shape, thumbnail
from foveola.report.svg import count_bar, histogram
from foveola.runs.data_summary import DataSummary, FindingLine
from foveola.runs.previews import DataPreview, KeptImages
from foveola.text import percent
from foveola.types import Image

PROBLEMS_SHOWN = 200

STEP_PX = 112
"""Longer side of the images in the table "From file to network"."""

SAMPLED_CLASSES, MANY_CLASSES, SMALLER_PX = 100, 20, 96
"""Images take most of the page's bytes: above 20 classes samples are shrunk to 96 px, and at most 100 classes have any."""

TINTS = np.array([(1.0, 0.42, 0.36), (0.36, 1.0, 0.42), (0.5, 0.7, 1.0)])
"""Colours for the largest value of red, green and blue: light tints, because pure blue preview nearly black."""


@dataclass(frozen=True)
class ClassCounts:
    """Number of images of one class: in train, val and test, in total, and the same as a bar."""

    name: str
    counts: tuple[int, ...]
    total: int
    bar: Markup


@dataclass(frozen=True)
class ClassSamples:
    """A few training images of one class, each with its id."""

    name: str
    total: int
    images: tuple[tuple[str, Thumbnail], ...]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the originals, width × height: by number of pixels the smallest, median and largest; the most frequent."""

    smallest: str
    median: str
    largest: str
    most_frequent: str
    most_frequent_count: int
    different: int


@dataclass(frozen=True)
class PreprocessedImage:
    """One image in each preprocessing step: original, resized, filtered, and its three colour channels."""

    name: str
    raw: Thumbnail
    sized: Thumbnail
    seen: Thumbnail
    colours: tuple[Thumbnail, ...]


@dataclass(frozen=True)
class DataSection:
    """Values of the section that are not in the data summary; reasons: (reason, files), the most frequent first."""

    classes: tuple[ClassCounts, ...]
    totals: tuple[int, ...]
    samples: tuple[ClassSamples, ...]
    sizes: Sizes | None
    histograms: tuple[Markup, ...]
    preprocessed: tuple[PreprocessedImage, ...]
    means: tuple[tuple[str, Thumbnail], ...]
    split_rule: str
    reasons: tuple[tuple[str, int], ...]
    problems_shown: int = PROBLEMS_SHOWN


def data_section(card: DataSummary, images: KeptImages, preview: DataPreview) -> DataSection:
    """Collect the section's values."""
    return DataSection(
        classes=_class_counts(card),
        totals=tuple(sum(card.counts[part]) for part in PARTS),
        samples=_samples(card, images),
        sizes=sizes_of(card.sizes) if card.sizes else None,
        histograms=_histograms(card) if len(card.sizes) > 1 else (),
        preprocessed=tuple(
            PreprocessedImage(
                name, thumbnail(raw, STEP_PX), thumbnail(sized, STEP_PX), thumbnail(seen, STEP_PX), _colours(seen)
            )
            for name, raw, sized, seen in zip(preview.names, preview.raw, preview.sized, preview.seen, strict=True)
        ),
        means=tuple((name, thumbnail(mean)) for name, mean in zip(card.class_names, preview.means, strict=False)),
        split_rule=card.split_rule,
        reasons=count_causes(card.problems),
    )


def sizes_of(sizes: tuple[tuple[int, int, int], ...]) -> Sizes:
    """Summarise image sizes as text, from (height, width, number of images), the most frequent first."""
    by_pixels = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    half, seen, median = sum(n for *_, n in sizes) / 2, 0, by_pixels[-1]
    for size in by_pixels:
        seen += size[2]
        if seen >= half:
            median = size
            break
    smallest, middle, largest, frequent = (
        shape((size[1], size[0])) for size in (by_pixels[0], median, by_pixels[-1], sizes[0])
    )
    return Sizes(smallest, middle, largest, frequent, sizes[0][2], len(sizes))


def _histograms(card: DataSummary) -> tuple[Markup, ...]:
    """Histograms of the heights and widths of the original images, on one scale."""
    sides = np.array(card.sizes)
    top = int(sides[:, :2].max())
    return tuple(histogram(name, sides[:, k], sides[:, 2], top) for k, name in enumerate(("Height", "Width")))


def _colours(image: Image) -> tuple[Thumbnail, ...]:
    """Thumbnails of the red, green and blue channel, each from black to its tint."""
    return tuple(
        thumbnail(np.rint(image[..., k, None] * tint).astype(np.uint8), STEP_PX) for k, tint in enumerate(TINTS)
    )


def _class_counts(card: DataSummary) -> tuple[ClassCounts, ...]:
    by_class = list(zip(*(card.counts[part] for part in PARTS), strict=True))
    longest = max(sum(counts) for counts in by_class)
    return tuple(
        ClassCounts(name, counts, sum(counts), count_bar(list(zip(PARTS, counts, strict=True)), longest))
        for name, counts in zip(card.class_names, by_class, strict=True)
    )


def _samples(card: DataSummary, images: KeptImages) -> tuple[ClassSamples, ...]:
    longest = SMALLER_PX if len(card.class_names) > MANY_CLASSES else 160
    out = []
    for label, group in groupby(images.samples, key=lambda sample: sample[0]):
        if label < SAMPLED_CLASSES:
            shown = tuple((name, thumbnail(image, longest)) for _, name, image in group)
            out.append(ClassSamples(card.class_names[label], sum(card.counts[part][label] for part in PARTS), shown))
    return tuple(out)


@dataclass(frozen=True)
class CheckedWithoutFindings:
    """The accuracy on the test images without a duplicate or derived file in train or val, with its 95 % interval."""

    leaked: int
    n: int
    accuracy: str
    low: str
    high: str
    all: str


@dataclass(frozen=True)
class NaiveSplit:
    """The highest accuracy that a random split could have reported, and the accuracy of this split."""

    claimed: str
    all: str


@dataclass(frozen=True)
class FindingsSection:
    """Values of the section; excluded: the number of files that an exclude list left out."""

    lines: tuple[FindingLine, ...]
    clean: CheckedWithoutFindings | None
    naive: NaiveSplit | None
    excluded: int


def findings_section(card: DataSummary, evaluation: Evaluation) -> FindingsSection:
    """Collect the section's values."""
    excluded = sum(problem.kind == "excluded" for problem in card.problems)
    return FindingsSection(card.findings, clean(card.leaked, evaluation), naive(card.naive_share, evaluation), excluded)


def clean(leaked: tuple[str, ...], evaluation: Evaluation) -> CheckedWithoutFindings | None:
    """The accuracy without the leaked test images; None if none or all of them leaked."""
    known = set(leaked)
    kept = np.array([name not in known for name in evaluation.ids], bool)
    if kept.all() or not kept.any():
        return None
    rest = evaluation.take(np.flatnonzero(kept))
    low, high, _ = rest.interval
    return CheckedWithoutFindings(
        evaluation.images - rest.images,
        rest.images,
        percent(rest.accuracy),
        percent(low),
        percent(high),
        percent(evaluation.accuracy),
    )


def naive(share: float, evaluation: Evaluation) -> NaiveSplit | None:
    """Upper bound of the accuracy after a random split: 100 % on images with a duplicate in train or val, as here on others.

    None if it would be the same. A network can still misclassify an image although it was trained on a duplicate of it.
    """
    claimed = evaluation.accuracy * (1 - share) + share
    if percent(claimed) == percent(evaluation.accuracy):
        return None
    return NaiveSplit(percent(claimed), percent(evaluation.accuracy))
