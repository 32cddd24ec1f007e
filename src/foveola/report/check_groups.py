"""Choose which images the page of `foveola check` shows: each group once, up to a limit on the page's size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from foveola.checks.finding import Finding
from foveola.report.thumbnails import Thumbnail

GROUPS, MEMBERS, SINGLES = 24, 6, 36
"""Shown unfolded: groups of a finding, images of a group, images of a finding without groups."""

FOLDED_BYTES = 4_000_000
"""Limit on the size of all folded thumbnails, so that the page opens quickly for any data set."""

LISTED = 5_000
"""Names listed for one finding; `--fix` and `--json` contain all."""


@dataclass(frozen=True)
class Shown:
    """One image on the page: id, class, caption, and its thumbnail if the image could be read."""

    id: str
    label: str
    caption: str
    picture: Thumbnail | None


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
        self.left -= sum(len(image.picture.uri) for image in images if image.picture)

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
