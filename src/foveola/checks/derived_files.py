"""Find derived files by their names: masks, crops, rotations and other versions made from an original image.

Their pixels differ from the original's, so comparing images does not find them. Still, a network trained on one of them
has an advantage on the other.
"""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from foveola.checks.finding import Finding
from foveola.data.dataset import Dataset
from foveola.data.folder_names import part_of
from foveola.data.grouping import factorize, members_of
from foveola.text import count, printable
from foveola.types import Indices

_WORDS = (
    r"masks?|masked|segmentations?|segmented|seg|depth|edges?|contours?|outlines?|heatmaps?|overlays?|annotated|"
    r"rot(?:ated?|ation)?[ _-]?\d*|(?:h|v)?flip(?:ped)?|mirror(?:ed)?|aug(?:mented|mentation)?[ _-]?\d*|"
    r"crop(?:ped)?[ _-]?\d*|resized?|scaled|zoom(?:ed)?|shear(?:ed)?|blur(?:red|ry)?|nois[ey]|sharpened|"
    r"gr[ae]y(?:scale)?|bw|inverted|negative|thumb(?:nail)?s?|bright(?:er|ened)?|dark(?:er|ened)?"
)
_PLAIN = r"orig(?:inals?)?|source|raw|images?|img|images?|pics?|photos?|full"

_MADE = re.compile(rf"(?:^|[ _.-])(?:{_WORDS})(?=$|[ _.-])", re.IGNORECASE)
_ASIDE = re.compile(rf"(?:^|[ _.-])(?:{_PLAIN})(?=$|[ _.-])", re.IGNORECASE)

_ANY = re.compile(rf"(?:^|[/ _.-])(?:{_WORDS})(?=$|[/ _.-])", re.IGNORECASE | re.MULTILINE)

MOST_SHARE, MOST_FEW = 0.1, 8
"""A family larger than a tenth of its class (and than eight) is an accident of names, such as dog_aug.jpg of all dogs."""


def derived_groups(dataset: Dataset) -> Indices:
    """Group originals and the files derived from them, by their names: int64 (n,); every other file is alone in its group.

    A file is made of another if its name is the other's with a word for it (mask, rotated, flip, aug_3, gray...), as a
    whole word in the file's or a folder's name, and the other has none. Where originals of one name are in several parts
    of the data (train/cat/1.png, test/cat/1.png), their numbering starts again, and only files of one part belong together.
    """
    keys: list[object] = list(range(len(dataset)))
    if not _ANY.search("\n".join(dataset.ids)):  # nearly always: 60,000 names in 30 ms instead of a second
        return np.arange(len(dataset))
    families: dict[str, list[tuple[int, str, bool]]] = defaultdict(list)
    for row, name in enumerate(dataset.ids):
        key, part, made = _read(name)
        families[key].append((row, part, made))
    sizes = dataset.counts()
    for family in families.values():
        for rows in _believed(family):
            allowed = max(MOST_FEW, MOST_SHARE * int(sizes[dataset.labels[rows[0]]]))
            if len(rows) <= allowed:
                for row in rows:
                    keys[row] = rows[0]
    return factorize(keys)


def _believed(family: list[tuple[int, str, bool]]) -> list[list[int]]:
    """The families of a key that have both an original and a derived file."""
    homes = [part for _, part, made in family if not made]
    if len(set(homes)) > 1:
        groups = [[member for member in family if member[1] == part] for part in dict.fromkeys(homes)]
    else:
        groups = [family]
    return [
        [row for row, *_ in group]
        for group in groups
        if any(made for *_, made in group) and sum(not made for *_, made in group) == 1
    ]


def _read(name: str) -> tuple[str, str, bool]:
    """(path without part, suffix and derivation words such as "mask"; the part; whether the file is derived).

    >>> _read("train/cats/007_mask.png"), _read("cats/rotated/7.jpg"), _read("cats/orig/7.jpg")
    (('cats//007', 'train', True), ('cats//7', '', True), ('cats//7', '', False))
    """
    *folders, file = name.split("/")
    part = part_of(folders[0]) if folders else None
    folders = folders[1:] if part else folders
    stem = file.rpartition(".")[0] or file
    bare = [_MADE.sub("", piece) for piece in (*folders, stem)]
    made = bare != [*folders, stem]
    plain = [_ASIDE.sub("", piece).strip(" _.-") for piece in bare]
    top, inner = plain[:1], [piece for piece in plain[1:-1] if piece]
    return "/".join([*top, "/".join(inner), plain[-1]]).casefold(), part or "", made


def is_derived(name: str) -> bool:
    """Whether a file's name says that it was made from another file (7_mask.png, rotated/7.jpg)."""
    return _read(name)[2]


def derived_file_findings(dataset: Dataset, group_ids: Indices) -> list[Finding]:
    """The finding `twin` (derived files), if there are any."""
    groups = members_of(group_ids)
    if not groups:
        return []
    made = [is_derived(name) for name in dataset.ids]
    groups = [rows[np.argsort([made[i] for i in rows], kind="stable")] for rows in groups]
    named = tuple(tuple(dataset.ids[i] for i in rows) for rows in groups)
    ids = tuple(name for group in named for name in group)
    derived = tuple(dataset.ids[i] for rows in groups for i in rows if made[i])
    # What test or val has of a train image stays: there it is the train image that goes, as a leak.
    parts = np.full(len(dataset), -1) if dataset.parts is None else dataset.parts
    spare = tuple(
        dataset.ids[i]
        for rows in groups
        for i in rows
        if made[i] and parts[i] <= max((parts[k] for k in rows if not made[k]), default=2)
    )
    return [
        Finding(
            "twin",
            "warning",
            f"judging by the names, {count(len(derived), 'file was', 'files were')} made from another file, such as "
            f"'{printable(derived[0])}' from '{printable(named[0][0])}'",
            "train on the originals only; if foveola splits the data, it puts each file in the same set as its original",
            ids,
            named,
            leave_out=spare,
        )
    ]
