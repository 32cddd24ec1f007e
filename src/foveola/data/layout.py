"""Detect the layout of a data folder: which folders are classes, which are parts, and which are left out.

The decision uses the names and places of all folders; no file is opened. The result is a Reading with one sentence for the
user, or a Refusal that shows the plausible readings with the command for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from foveola.data.dataset import PARTS, Part, natural_key, normalise_name
from foveola.data.folder_names import (
    Base,
    Classes,
    FolderSummary,
    Level,
    Tree,
    classes_at,
    depth,
    folders_at,
    is_companion,
    is_evaluation,
    is_nameless,
    is_passage,
    is_unlabelled,
    name_of,
    parent,
    part_of,
)
from foveola.data.layout_errors import (
    Refusal,
    data_sets_side_by_side,
    deeper_classes,
    doubtful_classes,
    listed,
    no_class_folders,
    no_images,
)
from foveola.data.scan import FolderScan
from foveola.text import count, printable, unknown


@dataclass(frozen=True)
class Reading:
    """What each folder is. places: class and part of the folders that hold images; left_out: folders that are not used.

    class_names: in natural order, with classes whose folder is still empty; sentence: how the tree is read, for the user;
    "" if only class folders are directly in the data folder. unlabelled: the folders of parts that
    hold images without class folders; they are left out, unless a table has their labels.
    """

    places: Mapping[str, FolderSummary]
    class_names: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    sentence: str = ""
    unlabelled: Mapping[str, Part] = field(default_factory=dict)

    def is_left_out(self, folder: str) -> bool:
        """Whether a folder, or one above it, is left out."""
        while folder and folder not in self.left_out:
            folder = parent(folder)
        return bool(folder)


@dataclass
class _Roles:
    """What the folders of a tree are for. bases: the folders that hold the class folders; parts: the folders of the parts,
    also of one that is left out; left_out: folders that are not used, and why; tables: by folder of a part, the table that
    has its labels; tree: what is left of the whole tree."""

    whole: Tree
    bases: list[Base]
    parts: dict[str, Part] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def tree(self) -> Tree:
        return self.whole.without(self.left_out) if self.left_out else self.whole


def read_layout(
    listing: FolderScan,
    class_level: Level | None = None,
    *,
    for_training: bool = True,
    known: Collection[str] = (),
    tables: Mapping[str, str] | None = None,
) -> Reading | Refusal:
    """How a listed folder is read. class_level: where the classes are, as the user says; None: as the tree shows it.

    for_training: refuse a single class; else one is allowed, and images without class folders may have the name of the data
    folder as their class. known: the classes of a network: the first level whose folders all have such names is theirs.
    tables: for a part without class folders, by its folder, the table that has its labels: the sentence says so.

    >>> import numpy as np
    >>> files = [f"Final_{part}/Images/{k}/{i}.ppm" for part in ("Test", "Training") for k in "01" for i in "ab"]
    >>> read_layout(FolderScan(Path("signs"), tuple(files), np.zeros((8, 3), np.int64), (), (), 0)).sentence
    '2 classes at level 3; train and test from Final_Training and Final_Test'
    """
    root, ids = listing.root, listing.ids
    tree = Tree(ids, listing.folders, listing.sides, [problem.file for problem in listing.problems])
    if not tree.own and not tree.empty:
        return no_images(listing)
    roles = replace(_roles(tree), tables=tables or {})
    class_level = class_level or _level_of(roles, known)
    if class_level is not None:
        return _as_asked(root, tree, roles, class_level, 2 if for_training else 1)
    if not roles.bases:
        alone = None if for_training or roles.parts else _alone(root, tree, known)
        return alone or no_class_folders(root, tree, ids, [name_of(folder) for folder in roles.parts])
    left, bases = roles.tree, roles.bases
    classes = classes_at(left, bases, depth(bases[0].folder) + 1)
    return (
        (_one_class(root, left, bases) if for_training else None)
        or data_sets_side_by_side(root, left, classes, bases[0])
        or doubtful_classes(root, left, bases, ids)
        or (None if classes.inner_parts else deeper_classes(root, left, bases, ids))
        or _read(root, roles, classes)
    )


def _level_of(roles: _Roles, known: Collection[str]) -> Level | None:
    """The first level whose class folders all have the name of a known class; None where there is none."""
    names = {normalise_name(name) for name in known}
    bases = roles.bases or [Base("", None)]
    deepest = max((depth(folder) for folder in roles.tree.own), default=0)
    for level in range(depth(bases[0].folder) + 1, deepest + 1):
        found = classes_at(roles.tree, bases, level).names
        if found and all(normalise_name(name) in names for name in found):
            return level
    return None


def _alone(root: Path, tree: Tree, known: Collection[str]) -> Reading | None:
    """All images as one class that has the data folder's name; None where a network is measured that lacks this class."""
    name = root.absolute().name
    if not name or (known and normalise_name(name) not in {normalise_name(one) for one in known}):
        return None
    sentence = f"one class, '{printable(name)}', by the name of the folder"
    return Reading({folder: FolderSummary(name, None) for folder in tree.own}, (name,), sentence=sentence)


def companions(tree: Tree) -> list[str]:
    """Folders of masks and the like next to a folder that only says "images", anywhere: "Images" and "Annotation"."""
    found = []
    for folder in ("", *tree.inside("")):
        kids = tree.kids(folder)
        if 2 <= len(kids) <= 10:
            beside = [kid for kid in kids if is_companion(name_of(kid))]
            others = [kid for kid in kids if kid not in beside]
            found += beside if others and all(is_passage(name_of(kid)) for kid in others) else []
    return found


def part_folders(tree: Tree) -> dict[str, Part]:
    """The folders that hold the parts, by their paths, train first; {} if the data has no parts.

    There is a folder for train, and one for val, test or images without labels; other folders may be there, too.
    """
    kids = tree.kids(tree.chain("")[-1])
    parts = {kid: part for kid in kids if (part := part_of(name_of(kid))) and not is_unlabelled(name_of(kid))}
    aside = [kid for kid in kids if kid not in parts]
    if "train" not in parts.values() or (len(parts) == 1 and not all(map(_never_a_class, aside))):
        return {}
    said = {part for kid, part in parts.items() if not is_evaluation(name_of(kid))}
    for kid in [kid for kid in parts if is_evaluation(name_of(kid)) and "test" in said]:
        if "val" in said:
            del parts[kid]
        else:
            parts[kid] = "val"
    return dict(sorted(parts.items(), key=lambda item: PARTS.index(item[1])))


def _never_a_class(folder: str) -> bool:
    return is_unlabelled(name_of(folder)) or is_companion(name_of(folder))


def _roles(tree: Tree) -> _Roles:
    aside = dict.fromkeys(companions(tree), _COMPANION)
    rest = tree.without(aside) if aside else tree
    parts = part_folders(rest)
    roles = _roles_of_parts(rest, parts) if parts else _roles_of_classes(rest)
    return replace(roles, whole=tree, left_out={**aside, **roles.left_out})


def _roles_of_classes(tree: Tree) -> _Roles:
    kids = tree.kids(tree.chain("")[-1])
    others = [kid for kid in kids if not is_unlabelled(name_of(kid))]
    enough = len(others) > 1 or any(len(tree.kids(kid)) > 1 for kid in others)
    roles = _Roles(tree, [], {}, {kid: _UNLABELLED for kid in kids if kid not in others and enough})
    top = roles.tree.chain("")[-1]
    if not _is_flat(roles.tree, top):
        roles.bases.append(Base(top, None))
        roles.left_out.update({folder: _NOTES for folder in sorted(tree.notes) if parent(folder) == top})
    return roles


_UNLABELLED, _COMPANION, _OTHER, _NOTES = (
    "has no labels and is left out",
    "belongs to other images and is left out",
    "does not belong to the data and is left out",
    "contains no images and is left out",
)
_PLURAL = {
    _UNLABELLED: "have no labels and are left out",
    _COMPANION: "belong to other images and are left out",
    _OTHER: "do not belong to the data and are left out",
    _NOTES: "contain no images and are left out",
}


def _roles_of_parts(tree: Tree, parts: dict[str, Part]) -> _Roles:
    top = parent(next(iter(parts)))
    left_out = {}
    for kid in tree.kids(top):
        if kid not in parts:
            name = name_of(kid)
            left_out[kid] = _UNLABELLED if is_unlabelled(name) else _COMPANION if is_companion(name) else _OTHER
    trains = [tree.chain(folder)[-1] for folder, part in parts.items() if part == "train"]
    bases = [Base(folder, "train") for folder in trains if not _is_flat(tree, folder)]
    known = {name_of(kid) for base in bases for kid in tree.kids(base.folder)}
    for folder, part in parts.items():
        if part != "train" and bases:
            chain = tree.chain(folder)
            matching = [one for one in chain if known & {name_of(kid) for kid in tree.kids(one)}]
            if not matching and (_is_flat(tree, chain[-1]) or _is_nameless(tree, chain[-1], known)):
                left_out[folder] = _UNLABELLED
            else:
                bases.append(Base(matching[0] if matching else chain[-1], part))
    return _Roles(tree, bases, parts, left_out)


def _is_flat(tree: Tree, folder: str) -> bool:
    """Whether a folder holds images and no class folders; a folder in it that only says so ("Images") is none."""
    kids = tree.kids(folder)
    if len(kids) != 1:
        return not kids and bool(tree.own[folder])
    only = name_of(kids[0])
    stray = 2 * tree.own[folder] > tree.total[folder]
    return stray or is_passage(only) or bool(part_of(only)) or only == name_of(folder)


def _is_nameless(tree: Tree, folder: str, known: Collection[str]) -> bool:
    """Whether the folders in a set are not classes, as in "test/unknown" and "test/batch1"; `known` are the classes."""
    kids = tree.kids(folder)
    inside = {name_of(one) for one in tree.inside(folder)}
    return bool(kids) and all(is_nameless(name_of(kid)) for kid in kids) and inside.isdisjoint(known)


def _as_asked(root: Path, tree: Tree, roles: _Roles, level: Level, least: int) -> Reading | Refusal:
    """Read the folders at the level that the user chose, if that gives enough classes."""
    if not roles.bases or (level != "leaf" and level <= depth(roles.bases[0].folder)):
        roles = _Roles(tree, [Base("", None)])
    classes = classes_at(roles.tree, roles.bases, level)
    if len(classes.names) < least:
        deepest = max((depth(folder) for folder in tree.own), default=0)
        where = "in the deepest folders" if level == "leaf" else f"at level {level}"
        return Refusal(
            f"{root} has {count(len(classes.names), 'class', 'classes')} {where}, and a classifier needs at least two. "
            f"Its folders go down to level {deepest}: choose another --class-level"
        )
    return _read(root, roles, classes)


def _read(root: Path, roles: _Roles, classes: Classes) -> Reading | Refusal:
    """The reading, unless a part has a class that train lacks."""
    of_part: dict[Part | None, set[str]] = {part: set() for part in (None, *PARTS)}
    for place in classes.places.values():
        of_part[place.part].add(place.label)
    for base in roles.bases:
        if classes.level == depth(roles.bases[0].folder) + 1:
            of_part[base.part] |= {name_of(folder) for folder in roles.tree.empty if parent(folder) == base.folder}
    for part in ("val", "test"):
        if of_part[part] - of_part["train"]:
            return _strangers(root, part, of_part[part] - of_part["train"], of_part["train"])
    names = sorted(set().union(*of_part.values()), key=natural_key)
    unlabelled = {folder: part for folder, part in roles.parts.items() if roles.left_out.get(folder) == _UNLABELLED}
    return Reading(classes.places, tuple(names), roles.left_out, _sentence(roles, classes, len(names)), unlabelled)


def _sentence(roles: _Roles, classes: Classes, n: int) -> str:
    where = "in the deepest folders" if classes.level == "leaf" else f"at level {classes.level}"
    said = [f"{count(n, 'class', 'classes')} {where}"]
    if classes.inner_parts:
        parts = {place.part for place in classes.places.values()}
        said.append(f"{listed([part for part in PARTS if part in parts])} from the folders inside them")
    elif roles.parts:
        said.append(_parts_in_words(roles.parts))
    said += [f"the labels of {roles.parts[folder]} from {printable(table)}" for folder, table in roles.tables.items()]
    said += _left_out_in_words(roles)
    inner = 0 if classes.level == "leaf" or classes.inner_parts else _storage(roles, classes.level)
    if inner:
        said.append(f"the {count(inner, 'folder')} inside the class folders {'is' if inner == 1 else 'are'} storage")
    return "" if len(said) == 1 and classes.level == 1 else "; ".join(said)


def _parts_in_words(parts: Mapping[str, Part]) -> str:
    inside, folders = list(dict.fromkeys(parts.values())), [name_of(folder) for folder in parts]
    if [name.lower() for name in folders] == inside:
        return f"{listed(inside)} as the folders give them"
    return f"{listed(inside)} from {listed(folders)}"


def _left_out_in_words(roles: _Roles) -> list[str]:
    said = []
    left_out = {folder: why for folder, why in roles.left_out.items() if folder not in roles.tables}
    for reason in dict.fromkeys(left_out.values()):
        folders = [folder for folder, why in left_out.items() if why == reason]
        names = listed(list(dict.fromkeys(roles.parts.get(folder, name_of(folder)) for folder in folders)))
        n = sum(roles.whole.total[folder] for folder in folders)
        verb = reason if len(folders) == 1 else _PLURAL[reason]
        said.append(f"{names} {verb}" + (f" ({count(n, 'image')})" if n else ""))
    return said


def _storage(roles: _Roles, level: int) -> int:
    """How many folders inside the class folders hold images, where a class has more than one."""
    steps = level - depth(roles.bases[0].folder)
    folders = [folder for base in roles.bases for folder in folders_at(roles.tree, base, steps)]
    inside = [roles.tree.below(folder) for folder in folders]
    return sum(len(here) - (folder in here) for folder, here in zip(folders, inside, strict=True) if len(here) > 1)


def _one_class(root: Path, tree: Tree, bases: Sequence[Base]) -> Refusal | None:
    folders = [*(kid for base in bases for kid in tree.kids(base.folder))]
    folders += [folder for folder in sorted(tree.empty) for base in bases if parent(folder) == base.folder]
    names = {name_of(folder) for folder in folders}
    if len(names) != 1:
        return None
    return Refusal(
        f"{root} contains one class, '{printable(name_of(folders[0]))}': a classifier needs at least two, each in its own "
        "folder"
    )


def _strangers(root: Path, part: Part, strangers: set[str], known: set[str]) -> Refusal:
    first = min(strangers, key=natural_key)
    more = f" and {count(len(strangers) - 1, 'more class', 'more classes')}" if len(strangers) > 1 else ""
    return Refusal(
        f"{root}: the {part} set has class '{printable(first)}'{more}, missing in the train set: "
        f"{unknown('class', first, known)}; rename or remove it, because classes are matched by name"
    )
