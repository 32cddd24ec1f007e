"""Errors for ambiguous data folders: the reason, and the possible readings with the command for each.

The module also detects that the user named a folder one level too low.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foveola.data.dataset import common_reasons, natural_key
from foveola.data.folder_names import (
    STRAYS,
    Base,
    Classes,
    Tree,
    is_ambiguous,
    is_no_class,
    is_storage,
    name_of,
    part_of,
    plausible,
)
from foveola.data.scan import FolderScan, looks_like_image
from foveola.text import count, joined, printable


@dataclass(frozen=True)
class Refusal:
    """Why a tree is not read. flat: there are images, and no folders that could be classes."""

    sentence: str
    flat: bool = False


def doubtful_classes(root: Path, tree: Tree, bases: Sequence[Base], ids: Sequence[str]) -> Refusal | None:
    """Refuse class folders that are called like parts, folds or stages of work, or that hold pairs of images."""
    folders = [kid for base in bases for kid in tree.kids(base.folder)]
    names = sorted({name_of(folder) for folder in folders}, key=natural_key)
    if len(names) < 2:
        return None
    wrong = [name for name in names if is_no_class(name)]
    doubtful = [name for name in names if is_ambiguous(name)]
    parts = [name for name in names if part_of(name)]
    if not wrong and (len(parts) > 1 or (len(doubtful) > 1 and 2 * len(doubtful) >= len(names))):
        wrong = doubtful
    if not wrong and len(folders) == len(names):
        wrong = [name for name in parts if _is_tree_among_flat(tree, name, folders)]
    if len(wrong) == 1:
        inner = [folder for folder in folders if name_of(folder) == wrong[0] and len(tree.kids(folder)) > 1]
        why = f"{printable(wrong[0])} does not look like a class"
        return _choose(root, tree, bases, ids, why, inner)
    if wrong:
        verb = "look like train and test sets, folds or stages of a data set, not like classes"
        return _choose(root, tree, bases, ids, f"{listed(wrong)} {verb}")
    if names == ["A", "B"] and len(folders) == 2 and _are_pairs(folders, ids):
        return _choose(root, tree, bases, ids, "A and B contain images of the same names, as pairs of images do")
    return None


def deeper_classes(root: Path, tree: Tree, bases: Sequence[Base], ids: Sequence[str]) -> Refusal | None:
    """Refuse where the folders inside the class folders could be the classes as well."""
    folders = [kid for base in bases for kid in tree.kids(base.folder)]
    inner = [tree.kids(tree.chain(folder)[-1]) for folder in folders]
    split = [kids for kids in inner if len(kids) > 1]
    names = [name_of(kid) for kids in split for kid in kids]
    if 2 * len(split) < len(folders) or all(is_storage(name) for name in names):
        return None
    inside = (folder for base in bases for folder in tree.inside(base.folder))
    if any(tree.kids(folder) and tree.own[folder] * STRAYS > tree.total[folder] for folder in inside):
        return None  # images next to folders: the folders are storage
    shared = sorted((name for name, n in Counter(names).items() if n > 1), key=natural_key)
    if len(bases) == 1 and len(shared) > 1:
        return _choose(
            root, tree, bases, ids, f"several class folders contain folders of the same names ({listed(shared)})"
        )
    return _choose(root, tree, bases, ids, "the class folders contain folders that may be classes, too")


def data_sets_side_by_side(root: Path, tree: Tree, classes: Classes, base: Base) -> Refusal | None:
    """Refuse a folder of whole data sets, each with its own train and test folders that hold class folders."""
    folders = tree.kids(base.folder)
    if not classes.inner_parts or not any(tree.kids(kid) for folder in folders for kid in tree.kids(folder)):
        return None
    commands = [f"foveola train {quoted(root / folder)}" for folder in folders[:2]]
    return Refusal(
        f"{root} contains {count(len(folders), 'data set')} ({listed([name_of(f) for f in folders])}), each with its own "
        f"training and test set. Name one of them, for example: {' or '.join(commands)}"
    )


def no_class_folders(root: Path, tree: Tree, ids: Sequence[str], where: Sequence[str]) -> Refusal:
    """Refuse images without class folders; `where` are the parts that hold them, if there are any."""
    n, pattern = count(len(ids), "image"), _pattern_of_folders(where) or suggested_pattern(ids)
    train = f"foveola train {quoted(root)}"
    way = f"{train} --labels TABLE.csv, or {train} --label-pattern {pattern or 'REGEX'}"
    if where:
        named, contain = ("is", "contains") if len(where) == 1 else ("are", "contain")
        is_part = (
            f"{listed(where)} {named} named like a training, validation or test set but {contain} no class folders"
        )
        other = f". If they are the classes: {train} --class-level 1" if len(tree.kids("")) > 1 else ""
        return Refusal(
            f"{root} contains {n}: {is_part}. Give the classes with a table or from the file names: {way}{other}",
            flat=True,
        )
    return Refusal(
        f"{root} contains {n} but no class folders. Put the images of each class in their own folder, or give the classes "
        f"with a table or from the file names: {way}",
        flat=True,
    )


def no_images(listing: FolderScan) -> Refusal:
    """The refusal of a folder without images: it is empty, or all of its files are something else."""
    if not listing.found:
        return Refusal(f"the folder {listing.root} is empty: put the images of each class in their own folder in it")
    held = f"{listing.root} contains {count(listing.found, 'file')} and no images"
    what = listing.sides_in_words() or common_reasons(listing.problems)
    return Refusal(f"{held}{': ' if what else ''}{what}")


def suggested_pattern(ids: Sequence[str]) -> str:
    """A label pattern for file names that begin with the class ("cat.0.png"), ready for a shell; "" where they don't.

    >>> suggested_pattern(["train/cat.0.png", "train/dog.1.png", "train/dog.2.png", "train/cat.3.png"])
    "'(cat|dog)[^/]*$'"
    """
    matches = [re.match(r"([^\W\d_]+)[ ._-]*\d+[^/]*$", name.rpartition("/")[2]) for name in ids]
    starts = Counter(match[1] for match in matches if match)
    usual = sorted(start for start, n in starts.items() if n > 1)
    known = sum(starts[start] for start in usual)
    if not 2 <= len(usual) <= 12 or 2 * known < len(ids):
        return ""
    return f"'({'|'.join(usual)})[^/]*$'"


def _pattern_of_folders(parts: Sequence[str]) -> str:
    """A label pattern for folders whose names hold part and class, ready for a shell; "" where they don't.

    >>> _pattern_of_folders(["train_cats", "train_dogs", "test_cats", "test_dogs"]), _pattern_of_folders(["train", "test"])
    ("'(cats|dogs)[^/]*/'", '')
    """
    rests = [_PART_WORD.sub("", name, count=1).strip(" _.-") for name in parts]
    classes = sorted(set(rests))
    if (
        not all(rests)
        or len(classes) < 2
        or any(re.fullmatch(r"\d+|[Ss]et|[Ii]mages?|[Dd]ata(set)?", one) for one in rests)
    ):
        return ""
    return f"'({'|'.join(map(re.escape, classes))})[^/]*/'"


_PART_WORD = re.compile(r"train(ing)?|trn|test(ing)?|tst|valid(ation)?|val|dev|eval(uation|uate)?", re.IGNORECASE)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in a sentence, the first ones where there are many.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
    ('a', 'a and b', 'a, b, c and 2 more')
    """
    shown = [printable(name) for name in names]
    if len(shown) > most + 1:
        shown = [*shown[:most], f"{len(names) - most:,} more"]
    return joined(shown)


def quoted(path: Path) -> str:
    """A path as it is typed in a shell."""
    return shlex.quote(str(path))


def _choose(
    root: Path, tree: Tree, bases: Sequence[Base], ids: Sequence[str], why: str, inner: Sequence[str] = ()
) -> Refusal:
    """All readings, each with its command. inner: folders that may be meant alone, without those next to them."""
    train = f"foveola train {quoted(root)}"
    readings = [
        f"{_named(classes)}: {train} --class-level {classes.level}"
        for classes in _few(plausible(tree, bases))
        if not (inner and classes.level == "leaf")
    ]
    for folder in inner:
        names = [name_of(kid) for kid in tree.kids(folder)]
        readings.append(
            f"{count(len(names), 'class', 'classes')} in {printable(folder)} alone ({listed(names)}): "
            f"foveola train {quoted(root / folder)}"
        )
    pattern = suggested_pattern(ids)
    if pattern:
        readings.append(f"classes from the file names: {train} --label-pattern {pattern}")
    if len(readings) < 2:
        readings.append(f"classes from a table: {train} --labels TABLE.csv")
    return Refusal(f"{root}: {why}. Choose how to read it. {'. '.join(f'{r[0].upper()}{r[1:]}' for r in readings)}")


def _few(readings: list[Classes]) -> list[Classes]:
    return readings if len(readings) < 4 else [*readings[:2], readings[-1]]


def _named(classes: Classes) -> str:
    where = "in the deepest folders" if classes.level == "leaf" else f"at level {classes.level}"
    return f"{count(len(classes.names), 'class', 'classes')} {where} ({listed(classes.names)})"


def _is_tree_among_flat(tree: Tree, name: str, folders: Sequence[str]) -> bool:
    """Whether one folder holds folders, as a part does, and the others hold images."""
    tall = [name_of(folder) for folder in folders if tree.is_branch(folder)]
    return tall == [name] and len(tree.kids(next(f for f in folders if name_of(f) == name))) > 1


def _are_pairs(folders: Sequence[str], ids: Sequence[str]) -> bool:
    inside = [{name[len(folder) + 1 :] for name in ids if name.startswith(f"{folder}/")} for folder in folders]
    return inside[0] == inside[1]


def other_classes(root: Path) -> str:
    """For a folder of images without class folders: that the folder above holds the classes; "" if it does not seem so.

    "Or name the folder above, if cats and dogs are the classes: foveola train photos"
    """
    beside = [path for path in _folders_beside(root) if _holds_images(path)]
    if len(beside) < 2 or any(is_ambiguous(path.name) for path in beside):
        return ""
    names = listed([path.name for path in beside])
    return f"Or name the folder above, if {names} are the classes: foveola train {quoted(root.resolve().parent)}"


def other_parts(root: Path) -> str:
    """A note for a folder called "train": the other sets are next to it and not used; "" if there are none."""
    if part_of(root.resolve().name) != "train":
        return ""
    parts = [path.name for path in _folders_beside(root) if part_of(path.name) in ("val", "test")]
    if not parts:
        return ""
    are = "is" if len(parts) == 1 else "are"
    command = f"foveola train {quoted(root.resolve().parent)}"
    return f"{listed(parts)} {are} next to this folder and {are} not used ({command} uses all)"


def _folders_beside(root: Path, most: int = 50) -> list[Path]:
    """The folders in the folder above, the named one with them; none where that can't be read."""
    above = root.resolve().parent
    try:
        return [path for path in sorted(above.iterdir())[:most] if path.is_dir()] if above != above.parent else []
    except OSError:
        return []


def _holds_images(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(looks_like_image(entry.name) for entry in itertools.islice(entries, 20))
    except OSError:
        return False
