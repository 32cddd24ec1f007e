"""Findings about duplicates: equal pixels, near-duplicates, conflicting labels, leaks between given train, val and test sets.

A test image with a copy in train was in effect learned, so the accuracy on it is too high.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from foveola.checks.derived_files import is_derived
from foveola.checks.finding import Finding
from foveola.checks.near_duplicates import ALL_WITH_ALL, comparable_images
from foveola.checks.similarity import EXTRA
from foveola.data.dataset import Dataset
from foveola.data.grouping import groups_of_pairs, leaking, members_of, merge_groups
from foveola.text import count, percent, printable
from foveola.types import Indices


@dataclass(frozen=True)
class DuplicateGroups:
    """Exact duplicates, near-duplicates and derived files of a data set of n images.

    content: int64 (n,), equal for images with equal pixels; near: int64 (m, 3), pairs (i, j, variant) of near-duplicates;
    derived: int64 (n,), equal for files that were made from one another, by their names; sizes: int32 (n, 2), pixels;
    near_searched: False where there are too many images to look for near-duplicates without faiss.
    """

    content: Indices
    near: Indices
    derived: Indices
    sizes: NDArray[np.int32]
    near_searched: bool = True

    @cached_property
    def copies(self) -> Indices:
        """Groups of copies, exact and near: int64 (n,)."""
        return merge_groups(self.content, groups_of_pairs(len(self.content), self.near[:, :2]))

    @cached_property
    def groups(self) -> Indices:
        """Groups that a split must keep in one part, copies and derived files: int64 (n,)."""
        return merge_groups(self.copies, self.derived)


def merged_groups(dataset: Dataset, duplicates: DuplicateGroups) -> Indices:
    """Groups of images that count as one: copies of each other, or members of one group (`--group-by`); int64 (n,)."""
    return duplicates.copies if dataset.groups is None else merge_groups(duplicates.copies, dataset.groups)


def mentioned_names(dataset: Dataset, groups: list[Indices]) -> tuple[tuple[str, ...], ...]:
    """The names of each group's images."""
    return tuple(tuple(dataset.ids[i] for i in rows) for rows in groups)


def flatten(groups: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """All names of some groups, one after the other."""
    return tuple(name for group in groups for name in group)


LEAK_ERROR = 0.01
"""Share of the test set from which a leak is an error: the leak then changes a digit of the reported accuracy."""

JUDGES = {1: "val image", 2: "test image"}
"""Names of the parts that measure a network, by their numbers in `Dataset.parts`."""


def leaks(dataset: Dataset, duplicates: DuplicateGroups) -> Finding | None:
    """Images of the official test set with a copy or derived file in the official train or val set."""
    return _between(
        dataset,
        duplicates,
        2,
        (0, 1),
        "train or val",
        "the accuracy will be too high",
        "remove the copies from train and val, not from test; or also report the accuracy without these test images, as the "
        "report of a run does",
    )


def leak_to_val(dataset: Dataset, duplicates: DuplicateGroups) -> Finding | None:
    """The same for the official val set, on which the epoch is chosen and the confidence is calibrated."""
    return _between(
        dataset,
        duplicates,
        1,
        (0,),
        "train",
        "the best epoch is chosen on images that the network was trained on, and its confidence will be too high",
        "remove the copies from train, not from val",
    )


def _between(
    dataset: Dataset, duplicates: DuplicateGroups, judge: int, before: tuple[int, ...], where: str, so: str, advice: str
) -> Finding | None:
    """Images of the part `judge` with a relative in the parts `before`, which the data itself gives."""
    if dataset.parts is None:
        return None
    judged, seen = np.flatnonzero(dataset.parts == judge), np.flatnonzero(np.isin(dataset.parts, before))
    group_ids = duplicates.groups
    leaked = leaking(group_ids, seen, judged)
    if not len(leaked):
        return None
    groups = [rows for rows in members_of(group_ids) if np.isin(rows, leaked).any()]
    exact = len(leaking(duplicates.content, seen, judged))
    share = len(leaked) / len(judged)
    named = mentioned_names(dataset, [rows[np.argsort(-dataset.parts[rows], kind="stable")] for rows in groups])
    to_leave = np.concatenate([rows[np.isin(dataset.parts[rows], before)] for rows in groups])
    return Finding(
        "split_leak",
        "error" if judge == 2 and share >= LEAK_ERROR else "warning",
        f"{len(leaked):,} of {count(len(judged), JUDGES[judge])} ({percent(share)}) have a copy or a derived file in "
        f"{where}, {exact:,} of them with identical pixels: {so}",
        advice,
        flatten(named),
        named,
        leave_out=tuple(dataset.ids[i] for i in to_leave.tolist()),
        topic="" if judge == 2 else "val",
    )


def duplicate_findings(dataset: Dataset, duplicates: DuplicateGroups) -> list[Finding]:
    """The findings `exact_duplicate`, `near_duplicate`, `label_conflict` and `split_leak`."""
    found = [_exact(dataset, duplicates), _near(dataset, duplicates), _too_many(duplicates)]
    found += [_conflict(dataset, duplicates), leaks(dataset, duplicates), leak_to_val(dataset, duplicates)]
    return [finding for finding in found if finding is not None]


def _exact(dataset: Dataset, duplicates: DuplicateGroups) -> Finding | None:
    groups = members_of(duplicates.content)
    if not groups:
        return None
    named, extra = mentioned_names(dataset, groups), sum(len(rows) - 1 for rows in groups)
    return Finding(
        "exact_duplicate",
        "warning",
        f"{count(sum(map(len, groups)), 'file')} show only {count(len(groups), 'different image')} (identical pixels): "
        f"{count(extra, 'of them is a copy', 'of them are copies')}",
        "keep one of each; if foveola splits the data, it puts all copies of an image in the same set",
        flatten(named),
        named,
        leave_out=tuple(dataset.ids[i] for rows in groups for i in _spare(dataset, duplicates, rows)),
    )


def _near(dataset: Dataset, duplicates: DuplicateGroups) -> Finding | None:
    if not len(duplicates.near):
        return None
    rows = np.unique(duplicates.near[:, :2])
    groups = [g for g in members_of(duplicates.copies) if np.isin(g, rows).any()]
    firsts = [_distinct(duplicates, group) for group in groups]
    named = mentioned_names(dataset, firsts)
    turned = int((duplicates.near[:, 2] > 0).sum())
    return Finding(
        "near_duplicate",
        "warning",
        f"{count(sum(map(len, firsts)), 'image')} are near-duplicates of only {count(len(groups), 'original')}: saved again, "
        "resized, slightly cropped, or with other brightness or colours"
        + (f"; {count(turned, 'pair')} mirrored or rotated" if turned else ""),
        "compare them and keep one of each; if foveola splits the data, it puts near-duplicates in the same set",
        flatten(named),
        named,
        leave_out=tuple(dataset.ids[i] for group in firsts for i in _spare(dataset, duplicates, group)),
    )


def _too_many(duplicates: DuplicateGroups) -> Finding | None:
    """How near-duplicates of many images are searched, or why they are not; what is missed: docs/why/speed.md."""
    n = len(comparable_images(duplicates.content, duplicates.sizes))
    if not duplicates.near_searched:
        return Finding(
            "near_duplicate",
            "warning",
            f"foveola did not search for near-duplicates: for more than {ALL_WITH_ALL:,} images (here {n:,}) it needs the "
            "package faiss-cpu",
            f"install it with {EXTRA} and run the command again; foveola finds copies with identical pixels without it",
            about=n,
            topic="not searched",
        )
    if n <= ALL_WITH_ALL:
        return None
    return Finding(
        "near_duplicate",
        "note",
        f"{n:,} images are too many to compare all pairs: foveola compared only likely pairs and may have missed one "
        "near-duplicate in a hundred",
        "no action needed: foveola found all copies with identical pixels",
        about=n,
        topic="a faster search",
    )


def _distinct(duplicates: DuplicateGroups, rows: Indices) -> Indices:
    """The first row of each different content."""
    return rows[np.sort(np.unique(duplicates.content[rows], return_index=True)[1])]


def _spare(dataset: Dataset, duplicates: DuplicateGroups, rows: Indices) -> list[int]:
    """All of some copies except the one to keep.

    Kept is a test image before a val and a train image, then an original before a derived file, then the largest image.
    """
    parts = np.full(len(dataset), -1) if dataset.parts is None else dataset.parts
    pixels = duplicates.sizes[rows].astype(np.int64).prod(axis=1)
    made = np.array([is_derived(dataset.ids[i]) for i in rows])
    kept = rows[np.lexsort((rows, -pixels, made, -parts[rows]))[0]]
    return [int(i) for i in rows if i != kept]


def _conflict(dataset: Dataset, duplicates: DuplicateGroups) -> Finding | None:
    """Copies under two labels. Turned ones do not count: a turned 6 is a 9."""
    upright = duplicates.near[duplicates.near[:, 2] == 0, :2]
    group_ids = merge_groups(duplicates.content, groups_of_pairs(len(dataset), upright))
    groups = [rows for rows in members_of(group_ids) if len(set(dataset.labels[rows].tolist())) > 1]
    if not groups:
        return None
    named = mentioned_names(dataset, groups)
    ids = flatten(named)
    label = dict(zip(dataset.ids, dataset.labels.tolist(), strict=True))
    return Finding(
        "label_conflict",
        "error",
        f"{count(len(groups), 'image has', 'images have')} two or more labels in {count(len(ids), 'file')}: no classifier "
        "can be right about all of them",
        "decide which label is right and delete the other files, or leave all of them out",
        ids,
        named,
        tuple(printable(dataset.class_names[label[name]]) for name in ids),
        ids,
    )
