"""HTML page of `foveola check`: each finding with its images and files.

Like the report of a run it is one file without scripts or network requests; texts from the data are cleaned and escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foveola import __version__
from foveola.checks.finding import SEVERITIES, Finding
from foveola.checks.image_quality import without_padding
from foveola.checks.shortcut_evidence import Examples, Table, evidence_of
from foveola.data.dataset import PARTS, Dataset
from foveola.data.memmap_reader import MemmapReader
from foveola.data.prepare import Prepared
from foveola.errors import count
from foveola.report import words
from foveola.report.check_groups import LISTED, Drawing, DrawnGroup, Show, Shown
from foveola.report.figures import count_bar
from foveola.report.pages import environment
from foveola.report.thumbnails import Thumbnail, thumbnail
from foveola.types import Image

THUMBNAIL_PX = 128

TITLES = {
    "damaged": "Files that can’t be used",
    "exact_duplicate": "Exact duplicates",
    "near_duplicate": "Near-duplicates",
    "label_conflict": "One image, two labels",
    "split_leak": "Duplicates across train and test",
    "twin": "Derived files",
    "shortcut": "Shortcuts",
    "imbalance": "Class sizes",
    "quality": "Unusual images",
    "format": "File formats",
    "suspect_label": "Possible label errors",
}

SIGNS = {"error": "✕", "warning": "!", "note": "i"}
"""A severity has a sign and a word, so that it does not depend on colour."""


@dataclass(frozen=True)
class ExampleRow:
    """Example images of one class, each with the value of a property as its caption."""

    name: str
    images: tuple[Shown, ...]


@dataclass(frozen=True)
class FindingSection:
    """One finding on the page: anchor, title, sign, images, tables and examples as evidence, file names."""

    anchor: str
    title: str
    sign: str
    finding: Finding
    drawn: DrawnGroup
    tables: tuple[Table, ...]
    examples: tuple[ExampleRow, ...]
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ClassRow:
    """Number of images of one class, in total and by part (() if the data has no parts), and the same as a bar."""

    name: str
    total: int
    parts: tuple[int, ...]
    bar: Markup


def render(
    name: str,
    files: tuple[int, int, int],
    findings: Sequence[Finding],
    remarks: Sequence[str],
    prepared: Prepared,
    *,
    colours: NDArray[np.float32] | None = None,
    source: str = "",
    moment: str = "",
) -> str:
    """Render the page as HTML text.

    files: numbers of found, used and ignored files; colours: mean red, green and blue of the images, float32 (n, 3);
    source: the path of the data as given, "" for data from Python; moment: time of the check in ISO format, "" to hide it.
    """
    show = _shower(prepared)
    drawing = Drawing(show)
    titles = _titles(findings)
    means = np.zeros((len(prepared.dataset), 3), np.float32) if colours is None else colours
    evidence = [evidence_of(finding, prepared, means) for finding in findings]
    parts = tuple(
        FindingSection(
            anchor=f"{finding.kind}-{number + 1}",
            title=titles[number],
            sign=SIGNS[finding.severity],
            finding=finding,
            drawn=drawing.draw(number, finding),
            tables=shown.tables,
            examples=tuple(_examples(one, show) for one in shown.examples),
            lines=_lines(finding),
        )
        for number, (finding, shown) in enumerate(zip(findings, evidence, strict=True))
    )
    sums = [(one, SIGNS[one], sum(finding.severity == one for finding in findings)) for one in SEVERITIES]
    return (
        environment()
        .get_template("check.html.j2")
        .render(
            name=name,
            files=files,
            source=words.place(source),
            data=words.shell(words.place(source)) if source else "DATA",
            made=words.date(moment),
            version=__version__,
            dataset=prepared.dataset,
            has_parts=prepared.dataset.parts is not None,
            classes=_classes(prepared.dataset),
            parts=parts,
            sums=[(severity, sign, count(n, severity)) for severity, sign, n in sums if n],
            remarks=remarks,
            fixable=any(finding.leave_out for finding in findings),
            listed=LISTED,
        )
    )


def _titles(findings: Sequence[Finding]) -> list[str]:
    """A unique title for each finding."""
    titles = [TITLES[one.kind] + (f": {one.topic}" if one.topic else "") for one in findings]
    seen: Counter[str] = Counter()
    out = []
    for title in titles:
        seen[title] += 1
        out.append(title if seen[title] == 1 else f"{title} ({seen[title]})")
    return out


def _lines(finding: Finding) -> tuple[tuple[str, str], ...]:
    captions = finding.captions or ("",) * len(finding.ids)
    return tuple(zip(finding.ids, captions, strict=True))[:LISTED]


def _examples(one: Examples, show: Show) -> ExampleRow:
    return ExampleRow(one.name, tuple(show(name, said) for name, said in one.files))


def _classes(dataset: Dataset) -> tuple[ClassRow, ...]:
    counts = dataset.counts()
    longest = int(counts.max())
    out = []
    for label, name in enumerate(dataset.class_names):
        total = int(counts[label])
        if dataset.parts is None:
            out.append(ClassRow(name, total, (), count_bar([("train", total)], longest)))
            continue
        of_class = dataset.parts[dataset.labels == label]
        by_part = tuple(int((of_class == number).sum()) for number in range(len(PARTS)))
        out.append(ClassRow(name, total, by_part, count_bar(list(zip(PARTS, by_part, strict=True)), longest)))
    return tuple(out)


def _shower(prepared: Prepared) -> Show:
    """A function (id, caption) that returns an image for the page; each thumbnail is made once."""
    dataset, cut, reader = prepared.dataset, without_padding(prepared), MemmapReader(prepared.pixels)
    row = {name: i for i, name in enumerate(dataset.ids)}
    made: dict[int, Thumbnail] = {}

    def picture(i: int) -> Thumbnail:
        if i not in made:
            image: Image = cut(i, reader.read(np.array([i]))[0])
            made[i] = thumbnail(image, THUMBNAIL_PX)
        return made[i]

    def show(name: str, caption: str) -> Shown:
        i = row.get(name)
        if i is None:
            return Shown(name, "", caption, None)
        return Shown(name, dataset.class_names[dataset.labels[i]], caption, picture(i))

    return show
