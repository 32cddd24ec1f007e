"""Label files with class, part and group, from their folders or a pattern on their paths. No file is opened here.

How folders are read is decided in `layout`; this module applies it to the files.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from foveola.data.dataset import Part, Problem, natural_key, normalise_name
from foveola.data.folder_names import Tree, parent
from foveola.data.layout import Reading, companions, part_folders
from foveola.data.scan import FolderScan
from foveola.errors import DataError, UsageError
from foveola.text import count, joined, printable


@dataclass
class Labelling:
    """For each file that has a class: its position in the listing, class name, part (or None) and group (or None)."""

    rows: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    parts: list[Part | None] = field(default_factory=list)
    groups: list[str | None] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: int = 0
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def add(self, row: int, name: str, part: Part | None = None, group: str | None = None) -> None:
        self.rows.append(row)
        self.names.append(normalise_name(name))
        self.parts.append(part)
        self.groups.append(group)


def by_folder(listing: FolderScan, reading: Reading) -> Labelling:
    """Label each file by its folder; files outside the class folders are problems, or left out with a part."""
    out = Labelling(class_names=reading.class_names, notes=(reading.sentence,) if reading.sentence else ())
    for row, file in enumerate(listing.ids):
        folder = parent(file)
        place = reading.places.get(folder)
        if place is not None:
            out.add(row, place.label, place.part)
        elif reading.is_left_out(folder):
            out.ignored += 1
        else:
            out.problems.append(Problem(file, "not in a class folder"))
    out.notes += _spellings(reading)
    return out


def _spellings(reading: Reading) -> tuple[str, ...]:
    """A note for each class whose folders show the same letters and are written with different code points."""
    found: dict[str, set[str]] = defaultdict(set)
    for folder, place in reading.places.items():
        if not place.label.isascii():
            found[place.label].update(piece for piece in folder.split("/") if normalise_name(piece) == place.label)
    return tuple(
        f"the folders {joined(map(ascii, sorted(names)))} differ only in Unicode code points and count as one class: "
        f"{printable(label)}"
        for label, names in found.items()
        if len(names) > 1
    )


def parts_by_folder(listing: FolderScan) -> list[Part | None]:
    """The part of each file by the folders of parts ("train", "test1") that the data has: for labels from elsewhere."""
    folders = part_folders(_of_images(listing))
    if not folders:
        return [None] * len(listing.ids)
    level = next(iter(folders)).count("/") + 1
    return [folders.get("/".join(file.split("/", level)[:level])) for file in listing.ids]


def _of_images(listing: FolderScan) -> Tree:
    """The tree without folders of masks and the like."""
    tree = Tree(listing.ids)
    aside = companions(tree)
    return tree.without(aside) if aside else tree


def by_pattern(listing: FolderScan, pattern: str) -> Labelling:
    """Label by a regular expression on the relative path; its group `label`, or its first, is the class.

    Files that the pattern does not match are problems. Raises UsageError for an invalid pattern or one without a group.
    """
    compiled = _compiled("--label-pattern", pattern)
    if not compiled.groups:
        raise UsageError(f"--label-pattern '{pattern}' has no group: put the part that is the class in ( )")
    group: str | int = "label" if "label" in compiled.groupindex else 1
    out = Labelling(notes=(f"the class comes from the file name by the pattern {pattern}",))
    images = _of_images(listing).own
    out.ignored = sum(parent(file) not in images for file in listing.ids)
    if out.ignored:
        out.notes += (f"{count(out.ignored, 'file')} in folders of masks or annotations are left out",)
    for row, file in enumerate(listing.ids):
        if parent(file) not in images:
            continue
        match = compiled.search(normalise_name(file))
        if match and match[group]:
            out.add(row, match[group])
        else:
            out.problems.append(Problem(file, "the label pattern does not match its name"))
    if not out.rows:
        raise DataError(
            f"--label-pattern '{pattern}' matches none of the {count(len(listing.ids), 'file')} in {listing.root}; "
            f"the first is '{printable(listing.ids[0]) if listing.ids else '-'}': change the pattern"
        )
    out.class_names = tuple(sorted(set(out.names), key=natural_key))
    return out


def group_by_pattern(ids: Sequence[str], pattern: str) -> list[str]:
    """The group of each file: the pattern's first group, or all that it matches. Raises UsageError if a file has none."""
    compiled = _compiled("--group-by", pattern)
    matches = [compiled.search(normalise_name(file)) for file in ids]
    groups = [match and (match[1] if compiled.groups else match[0]) for match in matches]
    missing = [file for file, group in zip(ids, groups, strict=True) if not group]
    if missing:
        raise UsageError(
            f"--group-by '{pattern}' matches {len(ids) - len(missing):,} of {count(len(ids), 'file')}; the first without "
            f"a match is '{printable(missing[0])}': change the pattern so that every file has a group"
        )
    return [group for group in groups if group]


def clashing_case(class_names: Sequence[str]) -> tuple[str, ...]:
    """A note for classes that differ in case only ("Cat", "cat"): they stay two classes."""
    twice = [name for name, n in Counter(name.casefold() for name in class_names).items() if n > 1]
    return tuple(
        f"class names that differ only in case are different classes: {printable(name)}" for name in sorted(twice)
    )


def _compiled(option: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(normalise_name(pattern))
    except re.error as error:
        raise UsageError(f"{option} '{pattern}' is not a regular expression: {error}") from None
