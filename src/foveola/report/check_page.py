"""The page of `foveola check`: each finding with its files, side by side where they belong together.

As the report of a run: one file, no JavaScript, no request; every text that comes from the data is cleaned and escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from foveola.data.mapped import RowReader
from foveola.data.prepare import Prepared
from foveola.errors import count
from foveola.findings.finding import SEVERITIES, Finding
from foveola.findings.looks import picture_of
from foveola.report.pages import environment
from foveola.report.thumbnails import Thumbnail, thumbnail
from foveola.types import Image

MARK = b'<meta name="generator" content="foveola check">'
"""How a page is known for one that may be replaced."""

GROUPS, MEMBERS, SINGLES, IDS = 24, 6, 36, 300
"""What is shown of one finding: groups, pictures of a group, pictures without groups, names. The command's --json has all."""

THUMBNAIL_PX = 128

TITLES = {
    "damaged": "Files that can’t be used",
    "exact_duplicate": "The same picture twice",
    "near_duplicate": "Nearly the same picture",
    "label_conflict": "One picture, two labels",
    "split_leak": "Copies across the parts",
    "twin": "Files made of one another",
    "shortcut": "Shortcuts",
    "imbalance": "Unequal classes",
    "quality": "Odd pictures",
    "format": "Formats",
    "suspect_label": "Labels that look wrong",
}


@dataclass(frozen=True)
class Shown:
    """One picture on the page: id, class, a word on it, and its thumbnail if it could be read."""

    id: str
    label: str
    caption: str
    picture: Thumbnail | None


@dataclass(frozen=True)
class Part:
    """One finding on the page: its anchor, title, what is shown of its groups or its pictures, and the other names."""

    anchor: str
    title: str
    finding: Finding
    groups: tuple[tuple[Shown, ...], ...]
    singles: tuple[Shown, ...]
    lines: tuple[tuple[str, str], ...]


def render(
    name: str, files: tuple[int, int, int], findings: Sequence[Finding], remarks: Sequence[str], prepared: Prepared
) -> str:
    """The page: HTML text. files: found, used and ignored."""
    show = _shower(prepared)
    parts = tuple(_part(number, finding, show) for number, finding in enumerate(findings, start=1))
    sums = [(one, sum(finding.severity == one for finding in findings)) for one in SEVERITIES]
    said = [count(n, one) for one, n in sums if n]
    template = environment().get_template("check.html.j2")
    dataset = prepared.dataset
    return template.render(name=name, files=files, dataset=dataset, parts=parts, said=said, remarks=remarks, ids=IDS)


def _part(number: int, finding: Finding, show: Callable[[str, str], Shown]) -> Part:
    words = dict(zip(finding.ids, finding.captions, strict=True)) if finding.captions else {}

    def shown(ids: Iterable[str]) -> tuple[Shown, ...]:
        return tuple(show(one, words.get(one, "")) for one in ids)

    pictured = finding.kind != "damaged"
    return Part(
        anchor=f"{finding.kind}-{number}",
        title=TITLES[finding.kind],
        finding=finding,
        groups=tuple(shown(group[:MEMBERS]) for group in finding.groups[:GROUPS]),
        singles=shown(finding.ids[:SINGLES]) if pictured and not finding.groups else (),
        lines=tuple((one, words.get(one, "")) for one in finding.ids[:IDS]),
    )


def _shower(prepared: Prepared) -> Callable[[str, str], Shown]:
    """A function (id, word) that gives a picture for the page; each thumbnail is made once."""
    dataset, cut, reader = prepared.dataset, picture_of(prepared), RowReader(prepared.pixels)
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
