"""HTML page of `foveola check`: each finding with its images and files.

Like the report of a run it is one file without scripts or network requests; texts from the data are cleaned and escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foveola import __version__
from foveola.array_cache import MemmapReader
from foveola.checks.finding import SEVERITIES, Finding
from foveola.checks.image_quality import without_padding
from foveola.checks.shortcut_evidence import Examples, Table, evidence_of
from foveola.data.dataset import PARTS, Dataset
from foveola.data.prepare import Prepared
from foveola.report.formatting import Thumbnail, date, environment, shell, thumbnail, without_home
from foveola.report.svg import count_bar
from foveola.text import count
from foveola.types import Image

THUMBNAIL_PX = 128

GROUPS, MEMBERS, SINGLES = 24, 6, 36
"""Shown unfolded: groups of a finding, images of a group, images of a finding without groups."""

FOLDED_BYTES = 4_000_000
"""Limit on the size of all folded thumbnails, so that the page opens quickly for any data set."""

LISTED = 5_000
"""Names listed for one finding; `--fix` and `--json` contain all."""

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
            source=without_home(source),
            data=shell(without_home(source)) if source else "DATA",
            made=date(moment),
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

    def thumbnail_of(i: int) -> Thumbnail:
        if i not in made:
            image: Image = cut(i, reader.read(np.array([i]))[0])
            made[i] = thumbnail(image, THUMBNAIL_PX)
        return made[i]

    def show(name: str, caption: str) -> Shown:
        i = row.get(name)
        if i is None:
            return Shown(name, "", caption, None)
        return Shown(name, dataset.class_names[dataset.labels[i]], caption, thumbnail_of(i))

    return show


@dataclass(frozen=True)
class Shown:
    """One image on the page: id, class, caption, and its thumbnail if the image could be read."""

    id: str
    label: str
    caption: str
    image: Thumbnail | None


class Group(NamedTuple):
    """Images that belong together, and the number of files of the group that are not shown."""

    images: tuple[Shown, ...]
    more: int


Show = Callable[[str, str], Shown]
"""(id, caption) to an image on the page; the caption may be empty."""


@dataclass(frozen=True)
class DrawnGroup:
    """The images that the page shows for one finding.

    groups, folded: images that belong together, unfolded and folded; repeated: the number of groups that an earlier
    finding shows, and `of`, that finding's number (from 0); listed: names of groups that are not shown; singles and
    single_folded: images of a finding without groups.
    """

    groups: tuple[Group, ...] = ()
    folded: tuple[Group, ...] = ()
    repeated: int = 0
    of: int = -1
    listed: tuple[tuple[str, ...], ...] = ()
    singles: tuple[Shown, ...] = ()
    single_folded: tuple[Shown, ...] = ()


@dataclass
class Drawing:
    """Choose the images of a page's findings one after the other, and remember which groups are already shown."""

    show: Show
    left: int = FOLDED_BYTES
    _drawn: list[tuple[frozenset[str], int]] = field(default_factory=list)
    _where: dict[str, list[int]] = field(default_factory=dict)

    def draw(self, number: int, finding: Finding) -> DrawnGroup:
        """Choose the images of finding `number`."""
        if finding.kind == "damaged":
            return DrawnGroup()
        words = dict(zip(finding.ids, finding.captions, strict=True)) if finding.captions else {}
        if not finding.groups:
            singles = self._images(finding.ids[:SINGLES], words)
            return DrawnGroup(singles=singles, single_folded=self._fitting(finding.ids[SINGLES:], words))
        fresh, places = [], []
        for group in finding.groups:
            place = self._place(group)
            if place is None:
                fresh.append(group)
            else:
                places.append(place)
        opened = tuple(self._group(group, words) for group in fresh[:GROUPS])
        folded = self._folded(fresh[GROUPS:], words)
        drawn = GROUPS + len(folded)
        for group in fresh[:drawn]:
            self._remember(group[:MEMBERS], number)
        of = max(set(places), key=places.count) if places else -1
        return DrawnGroup(opened, folded, len(places), of, tuple(fresh[drawn:]))

    def _group(self, ids: Sequence[str], words: dict[str, str]) -> Group:
        return Group(self._images(ids[:MEMBERS], words), max(0, len(ids) - MEMBERS))

    def _images(self, ids: Iterable[str], words: dict[str, str]) -> tuple[Shown, ...]:
        return tuple(self.show(one, words.get(one, "")) for one in ids)

    def _folded(self, groups: Sequence[tuple[str, ...]], words: dict[str, str]) -> tuple[Group, ...]:
        """The next groups whose thumbnails fit within the limit."""
        out: list[Group] = []
        for group in groups:
            if self.left <= 0:
                break
            out.append(self._group(group, words))
            self._spend(out[-1].images)
        return tuple(out)

    def _fitting(self, ids: Sequence[str], words: dict[str, str]) -> tuple[Shown, ...]:
        out: list[Shown] = []
        for one in ids:
            if self.left <= 0:
                break
            out.append(self.show(one, words.get(one, "")))
            self._spend(out[-1:])
        return tuple(out)

    def _spend(self, images: Iterable[Shown]) -> None:
        self.left -= sum(len(image.image.uri) for image in images if image.image)

    def _remember(self, ids: Sequence[str], number: int) -> None:
        for one in ids:
            self._where.setdefault(one, []).append(len(self._drawn))
        self._drawn.append((frozenset(ids), number))

    def _place(self, group: Sequence[str]) -> int | None:
        """The number of the finding that already shows these files as one group, or None."""
        wanted = set(group[:MEMBERS])
        for k in self._where.get(group[0], ()):
            ids, number = self._drawn[k]
            if wanted <= ids:
                return number
        return None
