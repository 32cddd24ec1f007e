"""The folders of a data set as a tree: which hold images, how many, and how deep. Only names are looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from foveola.data.dataset import letters, natural_key

STRAYS = 20
"""Up to one image in so many may lie directly in a folder that is there to hold folders."""


class Tree:
    """The folders that hold images, by their paths; "" is the data folder itself.

    own: how many images lie directly in a folder; total: how many lie in it and below; notes: folders that hold side files
    alone; empty: other folders without an image, such as a class that is still to be filled, or whose files are refused.
    """

    def __init__(
        self,
        ids: Iterable[str],
        folders: Iterable[str] = (),
        sides: Iterable[str] = (),
        problems: Iterable[str] = (),
    ) -> None:
        self.own = Counter(map(parent, ids))
        self._add_up()
        noted = {above for name in sides for above in _above(parent(name))}
        noted -= {above for name in problems for above in _above(parent(name))}
        self.notes = frozenset(folder for folder in noted if folder not in self.total)
        self.empty = frozenset(f for f in folders if f not in self.total and f not in noted)

    def _add_up(self) -> None:
        self.total = Counter[str]()
        for folder, n in self.own.items():
            for above in ("", *_above(folder)):
                self.total[above] += n
        self._kids: dict[str, list[str]] = {}
        for folder in self.total:
            if folder:
                self._kids.setdefault(parent(folder), []).append(folder)
        for kids in self._kids.values():
            kids.sort(key=natural_key)

    def without(self, folders: Collection[str]) -> Tree:
        """The tree without some folders and all below them."""
        left = Tree(())
        left.own = Counter({name: n for name, n in self.own.items() if not any(a in folders for a in _above(name))})
        left.empty = frozenset(name for name in self.empty if not any(a in folders for a in _above(name)))
        left.notes = self.notes
        left._add_up()
        return left

    def kids(self, folder: str) -> list[str]:
        """The folders directly in a folder that hold images, in natural order."""
        return self._kids.get(folder, [])

    def is_branch(self, folder: str) -> bool:
        """Whether a folder is there to hold folders: a few images among them may have strayed there."""
        n, own, total = len(self.kids(folder)), self.own[folder], self.total[folder]
        return (n > 1 and own * 2 <= total) or (n == 1 and own * STRAYS <= total)

    def chain(self, folder: str) -> list[str]:
        """A folder, the only folder in it, the only one in that...; the last one branches, or holds the images' folders."""
        found = [folder]
        while len(kids := self.kids(found[-1])) == 1 and self.is_branch(found[-1]) and self.is_branch(kids[0]):
            found.append(kids[0])
        return found

    def inside(self, folder: str) -> Iterator[str]:
        """All folders below one, in order, without itself."""
        waiting = list(reversed(self.kids(folder)))
        while waiting:
            here = waiting.pop()
            yield here
            waiting += reversed(self.kids(here))

    def below(self, folder: str) -> list[str]:
        """The folder itself and all below it that hold images directly."""
        return [here for here in (folder, *self.inside(folder)) if self.own[here]]


def parent(path: str) -> str:
    """The folder that a file or folder lies in.

    >>> parent("a/b/c"), parent("a")
    ('a/b', '')
    """
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """The last piece of a path, by its letters: a class may be written with other code points in another part."""
    return letters(path.rpartition("/")[2])


def depth(path: str) -> int:
    """The level that a folder lies at: 0 for the data folder itself, 1 for the folders in it."""
    return path.count("/") + 1 if path else 0


def _above(folder: str) -> list[str]:
    """A folder and all above it, without the data folder itself."""
    pieces = folder.split("/") if folder else []
    return ["/".join(pieces[:k]) for k in range(1, len(pieces) + 1)]
