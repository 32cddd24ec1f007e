"""Divide a data set into folds for cross-validation: stratified by class, with groups and duplicates in one fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from foveola.data.dataset import Dataset
from foveola.data.grouping import StratifiedGroupSplit, conflicting_labels, leaking, members_of, merge_groups
from foveola.data.split import Split, SplitSpec, group_notes
from foveola.errors import DataError
from foveola.text import count, printable
from foveola.types import Indices, Labels


@dataclass(frozen=True)
class Folds:
    """K folds of a data set, made R times.

    splits: for each repeat and fold train, val and test, where test is the fold and val a share of the other images; whole:
    all images as the training set of the final network; units: int64 (n,), equal for images that belong together: copies of
    any kind, derived files, groups.
    """

    splits: tuple[tuple[Split, ...], ...]
    whole: Split
    units: Indices


def fold_splits(
    dataset: Dataset, content: Indices, spec: SplitSpec, seed: int, *, related: Indices | None = None
) -> Folds:
    """Divide a data set into spec.folds folds, spec.repeats times, by seed; see `split` for the arguments.

    Each image is in one fold of a repeat, together with its copies and its group. Images with two labels are tested like all
    others, but never used for validation. If copies and derived files can't stay in one fold, because too many images are
    linked, they are divided, and a note says so.

    Raises DataError if the data brings its own test or validation set, or a class has too few images or groups.
    """
    require_divisible(dataset, spec)
    own = content if dataset.groups is None else merge_groups(content, dataset.groups)
    units = own if related is None else merge_groups(own, related)
    together = bool((units != own).any()) and spec.near_duplicates_together
    try:
        splits = _divide(dataset, content, units if together else own, spec, seed)
        failed = False
    except DataError:
        if not together:
            raise
        splits, failed = _divide(dataset, content, own, spec, seed), True
    related = content if related is None else related
    splits = tuple(
        tuple(replace(one, leaked=leaking(related, np.r_[one.train, one.val], one.test)) for one in several)
        for several in splits
    )
    leaked = np.unique(np.concatenate([one.leaked for several in splits for one in several]))
    share = 0.0 if failed else _naive_share(related, spec.folds, seed)
    whole = Split(
        np.arange(len(dataset)),
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        seed,
        _rule(spec, seed, kept=spec.near_duplicates_together and not failed),
        (*group_notes(dataset), *_copies(dataset, content, units, failed), *_leaks(dataset, leaked, share)),
        leaked,
        share,
    )
    return Folds(splits, whole, units)


def require_divisible(dataset: Dataset, spec: SplitSpec) -> None:
    """Refuse data that brings its own test or validation set, or has fewer images than folds; needs no pixels.

    Raises DataError.
    """
    name = printable(dataset.name)
    for part in (2, 1):
        given = 0 if dataset.parts is None else int((dataset.parts == part).sum())
        if given:
            what = {2: "test", 1: "validation"}[part]
            raise DataError(
                f"{name} has its own {what} set ({count(given, 'image')}), and --folds divides all images: give only the "
                f"training images, as in foveola train {name}/train --folds {spec.folds}, or leave out --folds"
            )
    if spec.folds > len(dataset):
        raise DataError(
            f"--folds {spec.folds} needs at least {count(spec.folds, 'image')}, and {name} has {len(dataset):,}: give a "
            "smaller number of folds, or add images"
        )


def _divide(
    dataset: Dataset, content: Indices, group_ids: Indices, spec: SplitSpec, seed: int
) -> tuple[tuple[Split, ...], ...]:
    _require_groups(dataset, group_ids, spec.folds)
    conflicting = conflicting_labels(dataset.labels, content)
    fixed = np.isin(group_ids, group_ids[conflicting])
    splits = []
    for repeat in range(spec.repeats):
        fold_of = assign_folds(dataset.labels, group_ids, spec.folds, np.random.default_rng([seed, 0xF01D, repeat]))
        made = []
        for fold in range(spec.folds):
            rng = np.random.default_rng([seed, 0x5917, repeat, fold])
            carve = StratifiedGroupSplit(dataset, group_ids, fixed, rng)
            pool = np.flatnonzero(fold_of != fold)
            carve.require(pool, 1)
            val = carve(pool, spec.val_fraction, "val", still_to_come=0)
            made.append(Split(np.setdiff1d(pool, val), val, np.flatnonzero(fold_of == fold), seed, ""))
        splits.append(tuple(made))
    return tuple(splits)


def assign_folds(labels: Labels, group_ids: Indices, k: int, rng: Generator) -> Indices:
    """The fold of each row, int64 (n,), 0 to k - 1: whole groups, each class spread evenly.

    The groups are visited in a random order, the largest first. Each goes to the fold that has the smallest share of its
    classes so far, among equals to the smallest fold. So a class with k groups or more is in every fold, if its groups have
    no other class.
    """
    pairs = members_of(group_ids)
    alone = np.flatnonzero(np.bincount(group_ids)[group_ids] == 1)
    groups: list[Sequence[int]] = [rows.tolist() for rows in pairs] + [[row] for row in alone.tolist()]
    order = sorted(rng.permutation(len(groups)).tolist(), key=lambda g: -len(groups[g]))
    of, totals = labels.tolist(), np.bincount(labels).tolist()
    counts, sizes = [[0] * len(totals) for _ in range(k)], [0] * k
    out = np.empty(len(labels), np.int64)
    for g in order:
        rows = groups[g]
        classes = [of[row] for row in rows]
        fold = min(range(k), key=lambda f: (sum(counts[f][c] / totals[c] for c in classes), sizes[f]))
        out[rows] = fold
        sizes[fold] += len(rows)
        for c in classes:
            counts[fold][c] += 1
    return out


def _require_groups(dataset: Dataset, group_ids: Indices, k: int) -> None:
    """Refuse a class with too few groups for k folds. Raises DataError.

    Two folds need four: the images outside a fold are divided into train and val.
    """
    needed = max(k, 4) if k == 2 else k
    pairs = np.unique(np.stack([group_ids, dataset.labels]), axis=1)
    found = np.bincount(pairs[1], minlength=len(dataset.class_names))
    label = int(found.argmin())
    n, images, grouped = int(found[label]), int((dataset.labels == label).sum()), dataset.groups is not None
    if n >= needed:
        return
    smaller = f"give --folds {n}" if n >= 3 else "use finer groups" if grouped else "add images"
    apart = "" if n == images else f" in {count(n, 'group')}" if grouped else f", {n:,} of them different"
    raise DataError(
        f"class '{printable(dataset.class_names[label])}' has {count(images, 'image')}{apart}, and {k} folds need at least "
        f"{needed} {'groups' if grouped else 'different images'} of each class, {'two' if needed > k else 'one'} for each "
        f"fold: {smaller}, or remove the class"
    )


def _naive_share(related: Indices, k: int, seed: int) -> float:
    """The share of images that would have a copy or derived file outside their fold if each image had a random fold."""
    n = len(related)
    fold_of = np.random.default_rng([seed, 0xF01D]).permutation(n) % k
    members = members_of(related)
    apart = sum(len(rows) for rows in members if len(np.unique(fold_of[rows])) > 1)
    return apart / n


def _rule(spec: SplitSpec, seed: int, *, kept: bool) -> str:
    times = f", {count(spec.repeats, 'time')}" if spec.repeats > 1 else ""
    near = ", near-duplicates too" if kept else ""
    return (
        f"{spec.folds} folds{times}, {100 * spec.val_fraction:.0f} % of the other folds val; stratified by class, seed "
        f"{seed}, copies in the same fold{near}"
    )


def _copies(dataset: Dataset, content: Indices, units: Indices, failed: bool) -> tuple[str, ...]:
    """Notes on copies and on images with two labels."""
    notes = []
    copies, clash = len(content) - len(np.unique(content)), int(conflicting_labels(dataset.labels, content).sum())
    if copies:
        notes.append(
            f"{count(copies, 'image')} with the same content as another one; copies were kept in the same fold"
        )
    if clash:
        notes.append(
            f"{count(clash, 'image')} with the same content have different labels: a network can't be right for all of them"
        )
    if failed:
        notes.append(
            "near-duplicates and derived images could not be kept in the same fold as the original: too many images are "
            "linked"
        )
    return tuple(notes)


def _leaks(dataset: Dataset, leaked: Indices, share: float) -> tuple[str, ...]:
    """Notes on copies outside an image's fold: those there are, and those that random folds would have."""
    n = len(dataset)
    if len(leaked):
        return (
            f"{len(leaked):,} of {count(n, 'image')} {'has' if len(leaked) == 1 else 'have'} a copy, near-duplicate or "
            "derived image outside the fold: the accuracy will be too high",
        )
    if not share:
        return ()
    return (
        f"with random folds, {round(share * n):,} of {count(n, 'image')} ({100 * share:.1f} %) would have a copy, "
        "near-duplicate or derived image in another fold",
    )
