"""Classify folder names: a part (train, val, test), annotations, storage, or a class.

Names are compared word by word: "Final_Training", "seg_train", "TrainSet" and "test1" hold the words training, train,
train and test. A word inside another one ("trainer", "contest") does not count.

The folders of a data set as a tree: which hold images, how many, and how deep. Only names are looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from foveola.data.dataset import Part, natural_key, normalise_name

_PART_OF_WORD: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("eval", "evaluation", "evaluate"), "test"),
}
_EVALUATION = frozenset(("eval", "evaluation", "evaluate"))
_UNLABELLED = frozenset(("pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "submission"))
_PASSAGE = frozenset((
    "image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "photo", "photos", "data", "dataset",
    "datasets", "jpg", "jpeg", "jpegs", "png", "pngs", "file", "files",
))  # fmt: skip
_COMPANION = frozenset((
    "annotation", "annotations", "annot", "annots", "mask", "masks", "label", "labels", "gt", "groundtruth", "ground",
    "truth", "segmentation", "segmentations", "bbox", "bboxes", "boxes", "trimap", "trimaps",
))  # fmt: skip
_CERTAIN_COMPANION = frozenset(
    ("annotation", "annotations", "annot", "annots", "gt", "groundtruth", "truth", "trimaps")
)
_NAMELESS = frozenset(("unknown", "all", "none", "no", "dummy", "class", "classes", "label", "labels", "unlabel"))
_STAGE = frozenset((
    "raw", "processed", "preprocessed", "original", "originals", "augmented", "query", "gallery", "input", "inputs",
    "output", "outputs", "source", "target", "targets",
))  # fmt: skip
_SERIES = re.compile(
    r"(cv|fold|split|session|sess|part|partition|subset|batch|chunk|shard|round|run|set|day|week|month|year|cam|camera"
    r"|view|seq|sequence|video|clip|take)s?([ _.-]*\d+|[ _.-]+[ivx]+)",
    re.IGNORECASE,
)
_DATE = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}")
_GLUED = re.compile(r"(dataset|set|data|images|imgs|split)$")


def words(name: str) -> list[str]:
    """The words of a folder's name, in lower case; "set", "data" and the like count for themselves.

    >>> words("Final_Training"), words("TrainSet"), words("test1"), words("VALSET")
    (['final', 'training'], ['train', 'set'], ['test', '1'], ['val', 'set'])
    """
    found = []
    for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name):
        lower = word.lower()
        glued = _GLUED.search(lower)
        if glued and lower[: glued.start()] in _PART_OF_WORD:
            found += [lower[: glued.start()], glued[0]]
        else:
            found.append(lower)
    return found


def part_of(name: str) -> Part | None:
    """The set (train, val or test) that a folder's name means, or None. Masks and labels of a set are not one.

    >>> part_of("Final_Training"), part_of("validation_set"), part_of("test1"), part_of("trainer"), part_of("train_masks")
    ('train', 'val', 'test', None, None)
    """
    found = words(name)
    if not _COMPANION.isdisjoint(found):
        return None
    parts = {_PART_OF_WORD[word] for word in found if word in _PART_OF_WORD}
    if parts == {"train", "val"}:  # "train_val": what is left when test is taken away
        return "train"
    return parts.pop() if len(parts) == 1 else None


def is_evaluation(name: str) -> bool:
    """Whether a name says "evaluation": the test set, or val where another folder is called test."""
    return not _EVALUATION.isdisjoint(words(name))


def is_unlabelled(name: str) -> bool:
    """Whether a name says that the images have no labels, as in "seg_pred" and "unlabeled"."""
    return not _UNLABELLED.isdisjoint(words(name))


def is_passage(name: str) -> bool:
    """Whether a name only says that images are inside: "Images", "data", "JPEGImages"."""
    found = words(name)
    return bool(found) and _PASSAGE.issuperset(found)


def is_companion(name: str) -> bool:
    """Whether a name means files that belong to other images: "masks", "ground_truth", "train_labels".

    >>> is_companion("ground_truth"), is_companion("train_masks"), is_companion("with_mask")
    (True, True, False)
    """
    found = [word for word in words(name) if word not in _PASSAGE and word not in _PART_OF_WORD]
    return bool(found) and _COMPANION.issuperset(found)


def is_storage(name: str) -> bool:
    """Whether a name only tells one batch of images from the next: "fold_0", "Session2", "2024", "2024-05-01", "Images"."""
    return bool(_SERIES.fullmatch(name) or _DATE.fullmatch(name)) or is_passage(name)


def is_nameless(name: str) -> bool:
    """Whether the name of the only folder in a part says nothing of a class: "unknown", "all_images", "batch1", "test".

    >>> [name for name in ("unknown", "all_images", "batch1", "test", "cats", "0", "all_cats") if is_nameless(name)]
    ['unknown', 'all_images', 'batch1', 'test']
    """
    found = [word for word in words(name) if word not in _PASSAGE]
    return (
        is_storage(name) or is_unlabelled(name) or bool(part_of(name)) or (bool(found) and _NAMELESS.issuperset(found))
    )


def is_no_class(name: str) -> bool:
    """Whether a folder with this name is almost certainly not a class: "images", "ground_truth", "seg_pred"."""
    certain = is_companion(name) and not _CERTAIN_COMPANION.isdisjoint(words(name))
    return certain or is_passage(name) or is_unlabelled(name)


def is_ambiguous(name: str) -> bool:
    """Whether a name is more often that of a part, a fold or a stage of work than that of a class.

    >>> [name for name in ("train", "fold_3", "2024", "query", "masks", "cats", "with_mask", "3") if is_ambiguous(name)]
    ['train', 'fold_3', '2024', 'query', 'masks']
    """
    stage = len(words(name)) == 1 and words(name)[0] in _STAGE
    return stage or bool(part_of(name)) or is_storage(name) or is_companion(name) or is_no_class(name)


STRAYS = 20
"""A folder of folders may directly hold up to one image in this number of images."""


class Tree:
    """The folders that hold images, by their paths; "" is the data folder itself.

    own: number of images directly in a folder; total: number in it and below; notes: folders that hold side files
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
        """All folders below a folder, in order, without the folder itself."""
        waiting = list(reversed(self.kids(folder)))
        while waiting:
            here = waiting.pop()
            yield here
            waiting += reversed(self.kids(here))

    def below(self, folder: str) -> list[str]:
        """The folder itself and all below it that hold images directly."""
        return [here for here in (folder, *self.inside(folder)) if self.own[here]]


def parent(path: str) -> str:
    """The folder that contains a file or folder.

    >>> parent("a/b/c"), parent("a")
    ('a/b', '')
    """
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """The last piece of a path, by its letters: a class may be written with other code points in another part."""
    return normalise_name(path.rpartition("/")[2])


def depth(path: str) -> int:
    """The level of a folder: 0 for the data folder itself, 1 for the folders in it."""
    return path.count("/") + 1 if path else 0


def _above(folder: str) -> list[str]:
    """A folder and all above it, without the data folder itself."""
    pieces = folder.split("/") if folder else []
    return ["/".join(pieces[:k]) for k in range(1, len(pieces) + 1)]


Level: TypeAlias = int | Literal["leaf"]
"""The level of the class folders, 1 for the folders directly in the data folder; "leaf": the deepest folders."""


class Base(NamedTuple):
    """A folder that holds class folders, and the part that its images belong to (None: no part of the data's own)."""

    folder: str
    part: Part | None


class FolderSummary(NamedTuple):
    """What a folder's images are: class and part."""

    label: str
    part: Part | None


@dataclass(frozen=True)
class Classes:
    """The classes at one level. places: class and set of each folder with images; names: in natural order."""

    level: Level
    places: Mapping[str, FolderSummary]
    names: tuple[str, ...]
    inner_parts: bool


def classes_at(tree: Tree, bases: Sequence[Base], level: Level) -> Classes:
    """The classes at a level, which counts from the data folder to the classes of the first base.

    Bases may have different depths ("Final_Training/Images", "test"): the level is the same number of steps below each.
    """
    inner = level != "leaf" and all(base.part is None for base in bases) and holds_parts(tree, bases, level)
    steps = 0 if level == "leaf" else level - depth(bases[0].folder)
    found: dict[str, tuple[tuple[str, ...], Part | None]] = {}
    for base in bases:
        start = len(base.folder) + 1 if base.folder else 0
        for folder in tree.below(base.folder):
            pieces = tuple(normalise_name(folder[start:]).split("/")) if folder[start:] else ()
            key = _deepest(pieces) if level == "leaf" else pieces[:steps] if len(pieces) >= steps else ()
            if key:
                part = part_of(pieces[steps]) if inner and len(pieces) > steps else base.part
                found[folder] = key, part
    if level == "leaf":
        name = _shortest({key for key, _ in found.values()})
        places = {folder: FolderSummary(name[key], part) for folder, (key, part) in found.items()}
    else:
        places = {folder: FolderSummary(key[-1], part) for folder, (key, part) in found.items()}
    names = sorted({place.label for place in places.values()}, key=natural_key)
    return Classes(level, places, tuple(names), inner)


def plausible(tree: Tree, bases: Sequence[Base]) -> list[Classes]:
    """Every way to choose the level that gives two classes or more and has nearly all images in them, coarse first."""
    found: list[Classes] = []
    deepest = max(depth(folder) for folder in tree.own)
    levels: list[Level] = [*range(depth(bases[0].folder) + 1, deepest + 1), "leaf"]
    for level in levels:
        classes = classes_at(tree, bases, level)
        inside = sum(tree.own[folder] for folder in classes.places)
        known = any(set(classes.names) == set(one.names) for one in found)
        if len(classes.names) > 1 and not known and inside * 20 >= 19 * sum(tree.total[base.folder] for base in bases):
            found.append(classes)
    return found


def holds_parts(tree: Tree, bases: Sequence[Base], level: int) -> bool:
    """Whether all class folders at a level contain only train, val or test folders, as in "cats/train" and "cats/test"."""
    folders = [kid for base in bases for kid in folders_at(tree, base, level - depth(bases[0].folder))]
    names = {name_of(kid) for folder in folders for kid in tree.kids(folder)}
    if len(folders) < 2 or any(tree.own[folder] or not tree.kids(folder) for folder in folders):
        return False
    parts = {part_of(name) for name in names if not is_companion(name)}
    return "train" in parts and None not in parts and len(parts) > 1


def folders_at(tree: Tree, base: Base, steps: int) -> list[str]:
    """The folders `steps` levels below a base that hold images, directly or deeper."""
    found = [base.folder]
    for _ in range(steps):
        found = [kid for folder in found for kid in tree.kids(folder)]
    return found


def _deepest(pieces: tuple[str, ...]) -> tuple[str, ...]:
    """A path without the folders at its end that only say that images are inside."""
    while pieces and is_passage(pieces[-1]):
        pieces = pieces[:-1]
    return pieces


def _shortest(keys: set[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """A name for each path of folders: its last piece where no other path ends with it, else the whole path."""
    times = Counter(key[-1] for key in keys)
    return {key: key[-1] if times[key[-1]] == 1 else "/".join(key) for key in keys}
