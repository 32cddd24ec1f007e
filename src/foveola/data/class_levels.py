"""Class folders of a folder tree: the folders at one level, or the deepest ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from foveola.data.dataset import Part, natural_key, normalise_name
from foveola.data.folder_names import Tree, depth, is_companion, is_passage, name_of, part_of

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
    """The classes at one level. places: what each folder that holds images directly stands for; names: in natural order."""

    level: Level
    places: Mapping[str, FolderSummary]
    names: tuple[str, ...]
    inner_parts: bool


def classes_at(tree: Tree, bases: Sequence[Base], level: Level) -> Classes:
    """The classes at a level, which counts from the data folder to the classes of the first base.

    Bases may lie at different depths ("Final_Training/Images", "test"): the level is the same number of steps below each.
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
    """Whether all class folders at a level hold nothing but folders of parts, as in "cats/train" and "cats/test"."""
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
