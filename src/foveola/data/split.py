"""Split a data set into train, val and test, stratified by class, with groups and duplicates kept together.

A network is trained on train, choices (the best epoch, when to stop) are made on val, and the reported accuracy comes from
test, which is used once. Images with the same decoded content, and images of one group, are always in one part. So are
near-duplicates and derived files (see `checks`), unless a part would then lack a class.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, Lt
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from foveola.config import Meaning
from foveola.data.dataset import Dataset
from foveola.data.grouping import StratifiedGroupSplit, conflicting_labels, leaking, merge_groups
from foveola.errors import DataError
from foveola.text import count, printable
from foveola.types import Indices


def _not_one(folds: int) -> int:
    if folds == 1:
        raise PydanticCustomError("one_fold", "it must be 2 or more, or 0 for one test set")
    return folds


@dataclass(frozen=True)
class SplitSpec:
    """How much of the data is for testing and for validation. `foveola list options` prints what each option does."""

    test_fraction: Annotated[
        float,
        Ge(0.02),
        Lt(0.9),
        Meaning("Share of all images for testing, if the data has no test set."),
    ] = 0.2
    val_fraction: Annotated[
        float,
        Ge(0.02),
        Lt(0.9),
        Meaning("Share of the remaining images for validation, if the data has no validation set."),
    ] = 0.1
    near_duplicates_together: Annotated[
        bool,
        Meaning(
            "Keep near-duplicates, and files made from one another by their names, in the same set. Exact copies always "
            "stay together."
        ),
    ] = True
    folds: Annotated[
        int,
        Ge(0),
        AfterValidator(_not_one),
        Meaning(
            "Cross-validation: divide all images into this many folds, and test each fold with a network that was trained on "
            "the others. 0: one test set.",
            values="0, or a whole number from 2",
        ),
    ] = 0
    repeats: Annotated[
        int, Ge(1), Le(1_000), Meaning("Number of cross-validations, each with other folds (see split.folds).")
    ] = 1


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of rows, int64, each sorted; together they are all rows. `rule` and `notes` are for readers.

    leaked: the rows of test that have a copy or derived file in train or val; naive_share: the share of test images, 0..1,
    that would have one after a split image by image (0 if no images were kept together); together: int64 (n,), equal for
    copies and derived files that were kept in one part, or None; parts_made: how many of test and val were split off here,
    0 if the data brings both.
    """

    train: Indices
    val: Indices
    test: Indices
    seed: int
    rule: str
    notes: tuple[str, ...] = ()
    leaked: Indices = field(default_factory=lambda: np.zeros(0, np.int64))
    naive_share: float = 0.0
    together: Indices | None = None
    parts_made: int = 0


def split(dataset: Dataset, content: Indices, spec: SplitSpec, seed: int, *, related: Indices | None = None) -> Split:
    """Split a data set by seed, stratified by class; official parts are used as they are.

    content: int64 (n,), equal for images with equal pixels; related: int64 (n,), equal for copies of any kind and derived
    files, which then stay together too. If a class could then not be in every part, because too many images are linked,
    they are split anyway, and a note says so. Raises DataError when a class has too few images (or groups) to be in every
    part.

    Algorithm: groups are visited in a random order; a group joins the part if this brings the part's class counts closer to
    their targets. Images with two labels stay in train with their group, because no prediction for them can be right. If
    the data has a val part but no test part, images with a copy in val stay in train too.
    """
    own = content if dataset.groups is None else merge_groups(content, dataset.groups)
    if related is None:
        return _split(dataset, content, own, spec, seed)
    failed = False
    try:
        held = merge_groups(own, related) if spec.near_duplicates_together and (related != own).any() else own
        found = _split(dataset, content, held, spec, seed)
    except DataError:
        if held is own:
            raise
        found, failed = _split(dataset, content, own, spec, seed), True
    before = np.concatenate([found.train, found.val])
    leaked = leaking(related, before, found.test)
    notes = duplicate_notes(dataset, content, related, before, found.test, failed)
    share = 0.0
    if held is not own and not failed and not has_given_test(dataset):
        share, said = _naively(dataset, related, spec, seed)
        notes += said
    kept = found.parts_made and spec.near_duplicates_together and not failed
    rule = found.rule + (", near-duplicates too" if kept else "")
    together = related if spec.near_duplicates_together and not failed else None
    return replace(found, rule=rule, notes=(*found.notes, *notes), leaked=leaked, naive_share=share, together=together)


def _split(dataset: Dataset, content: Indices, group_ids: Indices, spec: SplitSpec, seed: int) -> Split:
    parts = np.full(len(dataset), -1) if dataset.parts is None else dataset.parts
    rng = np.random.default_rng([seed, 0x5917])
    test, val = np.flatnonzero(parts == 2), np.flatnonzero(parts == 1)
    pool = np.flatnonzero((parts == 0) | (parts == -1))
    fixed = np.isin(group_ids, group_ids[conflicting_labels(dataset.labels, content)])
    if not len(test):  # an image with a copy in the official val part must not be a test image
        fixed |= np.isin(group_ids, group_ids[val])
    carve = StratifiedGroupSplit(dataset, group_ids, fixed, rng)
    carves = int(not len(test)) + int(not len(val))
    carve.require(pool, carves)
    said = []
    if len(test):
        said.append("test as given")
    else:
        test = carve(pool, spec.test_fraction, "test", still_to_come=carves - 1)
        pool = np.setdiff1d(pool, test)
        said.append(f"{100 * spec.test_fraction:.0f} % test")
    if len(val):
        said.append("val as given")
    else:
        val = carve(pool, spec.val_fraction, "val", still_to_come=0)
        pool = np.setdiff1d(pool, val)
        said.append(f"{100 * spec.val_fraction:.0f} % of the rest val")
    _require_train(dataset, pool)
    rule = ", ".join(said)
    if carves:
        rule += f"; stratified by class, seed {seed}, copies in the same set"
    notes = (
        *group_notes(dataset),
        *divided_group_notes(dataset, np.concatenate([pool, val]), test),
        *part_notes(dataset, content, pool, val, test),
    )
    return Split(pool, val, test, seed, rule, notes, parts_made=carves)


def _require_train(dataset: Dataset, train: Indices) -> None:
    """Refuse a class without training images; only official parts can lack one. Raises DataError."""
    for k in np.flatnonzero(np.bincount(dataset.labels[train], minlength=len(dataset.class_names)) == 0):
        raise DataError(
            f"class '{printable(dataset.class_names[k])}' has no image in the train set: add images to this "
            "class, or remove it"
        )


def _naively(dataset: Dataset, related: Indices, spec: SplitSpec, seed: int) -> tuple[float, tuple[str, ...]]:
    """The share of test images with a copy or derived file in train or val after a split image by image, and a note on it.

    Such a split is made with the same seed and fractions, and counted.
    """
    single = np.arange(len(dataset))
    naive = _split(replace(dataset, groups=None), single, single, spec, seed)
    leaked = len(leaking(related, np.concatenate([naive.train, naive.val]), naive.test))
    if not leaked:
        return 0.0, ()
    share = leaked / len(naive.test)
    return share, (
        f"with a random split, {leaked:,} of {count(len(naive.test), 'test image')} ({100 * share:.1f} %) would have a copy, "
        "near-duplicate or derived image in train or val",
    )


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
