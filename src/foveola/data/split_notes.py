"""Notes on a split: groups, duplicates across parts, conflicting labels, classes without test images."""

from __future__ import annotations

import numpy as np

from foveola.data.dataset import Dataset, printable
from foveola.data.grouping import conflicting_labels, leaking
from foveola.errors import count
from foveola.types import Indices


def has_given_test(dataset: Dataset) -> bool:
    """Whether the data names its own test images."""
    return dataset.parts is not None and bool((dataset.parts == 2).any())


def group_notes(dataset: Dataset) -> tuple[str, ...]:
    """The number of groups in the data: an unexpected number shows that the pattern for groups is wrong."""
    if dataset.groups is None:
        return ()
    groups = len(np.unique(dataset.groups))
    kept = "; the images of a group stay in one set" if dataset.parts is None else ""
    return (f"{count(len(dataset), 'image')} in {count(groups, 'group')}{kept}",)


def duplicate_notes(
    dataset: Dataset, content: Indices, related: Indices, before: Indices, test: Indices, failed: bool
) -> tuple[str, ...]:
    """Notes on near-duplicates and derived files: whether they were kept together, and test images with one in `before`."""
    extra = len(np.unique(content)) - len(np.unique(related))
    notes = []
    if extra > 0 and dataset.parts is None:
        what = count(extra, "near-duplicate or derived image", "near-duplicates or derived images")
        kept = (
            "was kept in the same set as its original" if extra == 1 else "were kept in the same set as their originals"
        )
        notes.append(
            f"{what} could not be kept in the same set as the original: too many images are linked"
            if failed
            else f"{what} {kept}"
        )
    leaked, exact = leaking(related, before, test), leaking(content, before, test)
    if len(leaked) > len(exact):
        notes.append(
            f"{len(leaked):,} of {count(len(test), 'test image')} {'has' if len(leaked) == 1 else 'have'} a copy, "
            "near-duplicate or derived image in train or val"
            + (", because the data comes with its own split" if has_given_test(dataset) else "")
            + ": the accuracy will be too high"
        )
    return tuple(notes)


def divided_group_notes(dataset: Dataset, before: Indices, test: Indices) -> tuple[str, ...]:
    """Groups that the data's own parts split."""
    if dataset.groups is None or not has_given_test(dataset):
        return ()
    shared = len(np.intersect1d(dataset.groups[test], dataset.groups[before]))
    if not shared:
        return ()
    have = "has" if shared == 1 else "have"
    return (
        f"{count(shared, 'group')} {have} images in test and in train or val, because the data comes with its own split: "
        "the accuracy will be too high",
    )


def part_notes(dataset: Dataset, content: Indices, train: Indices, val: Indices, test: Indices) -> tuple[str, ...]:
    """Notes on equal images, conflicting labels, test images also in train or val, and classes without a test image."""
    notes = []
    copies = len(content) - len(np.unique(content))
    if copies:
        kept = "; copies were kept in the same set" if dataset.parts is None else ""
        notes.append(f"{count(copies, 'image')} with the same content as another one{kept}")
    clash = int(conflicting_labels(dataset.labels, content).sum())
    if clash:
        notes.append(f"{count(clash, 'image')} with the same content have different labels; they are kept in train")
    leaked = int(np.isin(content[test], content[np.concatenate([train, val])]).sum())
    if leaked:
        notes.append(
            f"{leaked:,} of {count(len(test), 'test image')} {'is' if leaked == 1 else 'are'} also in train or val"
            + (", because the data comes with its own split" if has_given_test(dataset) else "")
            + ": the accuracy will be too high"
        )
    absent = np.setdiff1d(dataset.labels[train], dataset.labels[test])
    if len(absent):
        names = ", ".join(printable(dataset.class_names[k]) for k in absent[:5])
        notes.append(f"the test set has no image of {names}: the accuracy says nothing about it")
    return tuple(notes)
