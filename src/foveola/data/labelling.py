"""Which class, part and group a file belongs to, told from its place, its name or a table. No file is opened here.

The rules for folders:

- the folders directly below DATA are the classes; deeper folders are only storage;
- if DATA holds `train` and `test` or `val` (any case; also training, trn, testing, valid, validation, dev, and with
  `_set`, `-data`, ` images` behind), the classes are the folders below those, matched by name across them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from foveola.data.dataset import Part, Problem, natural_key, printable
from foveola.data.listing import Listing
from foveola.errors import DataError, UsageError, count, unknown


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
        self.names.append(name)
        self.parts.append(part)
        self.groups.append(group)


_PART_WORDS: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}


def part_of(name: str) -> Part | None:
    """The part a folder's name stands for, or None.

    >>> part_of("Train"), part_of("validation_set"), part_of("test images"), part_of("cats")
    ('train', 'val', 'test', None)
    """
    match = re.fullmatch(r"([a-z]+?)(?:[ _-]?(?:set|data|images|imgs|split))?", name.lower())
    return _PART_WORDS.get(match[1]) if match else None


def by_folder(listing: Listing) -> Labelling:
    """Label by folder. Raises DataError when there are no class folders, or parts disagree about the classes."""
    tops = [folder for folder in listing.folders if "/" not in folder]
    parts = {top: part for top in tops if (part := part_of(top))}
    if "train" in parts.values() and len(set(parts.values())) > 1:
        return _by_part(listing, parts)
    if not tops:
        raise DataError(_no_class_folders(listing))
    out = Labelling(class_names=tuple(sorted(tops, key=natural_key)))
    for row, file in enumerate(listing.ids):
        top, slash, _ = file.partition("/")
        if slash:
            out.add(row, top)
        else:
            out.problems.append(Problem(file, "lies outside the class folders"))
    if len(tops) == 1:
        _refuse_one(listing, tops[0])
    return out


def _by_part(listing: Listing, parts: dict[str, Part]) -> Labelling:
    out = Labelling()
    folders: dict[Part, set[str]] = {"train": set(), "val": set(), "test": set()}
    for folder in listing.folders:
        top, _, rest = folder.partition("/")
        if top in parts and rest and "/" not in rest:
            folders[parts[top]].add(rest)
    for part in ("val", "test"):
        _refuse_strangers(listing, part, folders[part] - folders["train"], folders["train"])
    for row, file in enumerate(listing.ids):
        pieces = file.split("/", 2)
        if len(pieces) == 3 and pieces[0] in parts:
            out.add(row, pieces[1], parts[pieces[0]])
        else:
            out.problems.append(Problem(file, "lies outside the class folders of the parts"))
    out.class_names = tuple(sorted(folders["train"], key=natural_key))
    *others, last = [part for part, classes in folders.items() if classes] or ["train"]
    named = f"parts {', '.join(others)} and {last} are" if others else f"part {last} is"
    out.notes = (f"the {named} used as the folders give them",)
    return out


def _refuse_strangers(listing: Listing, part: Part, strangers: set[str], known: set[str]) -> None:
    if strangers:
        first = min(strangers, key=natural_key)
        more = f" and {count(len(strangers) - 1, 'more class', 'more classes')}" if len(strangers) > 1 else ""
        raise DataError(
            f"{listing.root}: the {part} part has class '{printable(first)}'{more} that the train part lacks: "
            f"{unknown('class', first, known)}; rename or remove it, for classes are matched by name"
        )


def _no_class_folders(listing: Listing) -> str:
    if not listing.found:
        return f"the folder {listing.root} is empty: put the pictures of each class in a folder of its own below it"
    return (
        f"{listing.root} holds {count(listing.found, 'file')} but no class folders: put the pictures of each class in a "
        "folder of its own; where a network is trained, a table or the files' names may tell the class (data.labels, "
        "data.label_pattern)"
    )


def _refuse_one(listing: Listing, only: str) -> None:
    inner = [f for f in listing.folders if f.startswith(f"{only}/") and f.count("/") == 1]
    hint = f"; if the classes are the folders inside it, point at {listing.root / only}" if len(inner) > 1 else ""
    raise DataError(
        f"{listing.root} holds one class, '{printable(only)}': a classifier needs at least two, "
        f"each in a folder of its own{hint}"
    )


def by_pattern(listing: Listing, pattern: str) -> Labelling:
    """Label by a regular expression on the relative path; its group `label`, or its first, is the class.

    Files that the pattern does not match are problems. Raises UsageError for a pattern that is none or has no group.
    """
    compiled = _compiled("--label-pattern", pattern)
    if not compiled.groups:
        raise UsageError(f"--label-pattern '{pattern}' has no group: put the part that is the class in ( )")
    group: str | int = "label" if "label" in compiled.groupindex else 1
    out = Labelling(notes=(f"the class is told from the file's name by the pattern {pattern}",))
    for row, file in enumerate(listing.ids):
        match = compiled.search(file)
        if match and match[group]:
            out.add(row, match[group])
        else:
            out.problems.append(Problem(file, "the label pattern does not match its name"))
    if not out.rows:
        raise DataError(
            f"--label-pattern '{pattern}' matches none of the {count(len(listing.ids), 'file')} in {listing.root}; "
            f"the first is '{printable(listing.ids[0]) if listing.ids else '-'}': mend the pattern"
        )
    out.class_names = tuple(sorted(set(out.names), key=natural_key))
    return out


def group_by_pattern(ids: Sequence[str], pattern: str) -> list[str]:
    """The group of each file: the pattern's first group, or all that it matches. Raises UsageError if a file has none."""
    compiled = _compiled("--group-by", pattern)
    matches = [compiled.search(file) for file in ids]
    groups = [match and (match[1] if compiled.groups else match[0]) for match in matches]
    missing = [file for file, group in zip(ids, groups, strict=True) if not group]
    if missing:
        raise UsageError(
            f"--group-by '{pattern}' matches {len(ids) - len(missing):,} of {count(len(ids), 'file')}; the first without "
            f"a match is '{printable(missing[0])}': mend the pattern so that every file has a group"
        )
    return [group for group in groups if group]


def clashing_case(class_names: Sequence[str]) -> tuple[str, ...]:
    """A note for classes that differ in case only ("Cat", "cat"): they stay two classes."""
    twice = [name for name, n in Counter(name.casefold() for name in class_names).items() if n > 1]
    return tuple(f"class names that differ in case only stay apart: {printable(name)}" for name in sorted(twice))


def _compiled(option: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{option} '{pattern}' is not a regular expression: {error}") from None
