"""Who trains, who chooses, who judges: the split into train, val and test.

Training sees train, choices (which epoch, when to stop) see val, and the number that is reported comes from test, once.
Pictures with the same decoded content, and pictures of one group, are always on one side; so are near-duplicates and
twins (see `findings`), unless that would leave a part without a class.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from foveola.config import Meaning
from foveola.data import split_notes
from foveola.data.dataset import Dataset, printable
from foveola.data.grouping import StratifiedGroupSplit, conflicting_labels, leaking, merge_groups
from foveola.errors import DataError, count
from foveola.types import Indices


@dataclass(frozen=True)
class SplitSpec:
    """How much of the data is for testing and for validation. `foveola list options` prints what each option does."""

    test_fraction: Annotated[
        float,
        Ge(0.02),
        Lt(0.9),
        Meaning("Share of all images for testing, where the data has no test part of its own."),
    ] = 0.2
    val_fraction: Annotated[
        float,
        Ge(0.02),
        Lt(0.9),
        Meaning("Share of the rest for validation, where the data has no val part of its own."),
    ] = 0.1
    near_copies_together: Annotated[
        bool,
        Meaning(
            "Keep near-duplicates, and files made from one another by their names, in the same part. Exact copies always "
            "stay together."
        ),
    ] = True


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of rows, int64, each sorted; together they are all rows. `rule` and `notes` are for readers.

    leaked: the rows of test that have a copy or twin in train or val; naive_share: the share of the test part, 0..1, that
    would have had one if each picture had been dealt out for itself (0 where nothing was kept together for it); together:
    int64 (n,), equal where pictures are copies or twins that were kept on one side, or None.
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


def split(dataset: Dataset, content: Indices, spec: SplitSpec, seed: int, *, related: Indices | None = None) -> Split:
    """Split a data set, stratified by class, seeded; its official parts are used as they are.

    content: int64 (n,), equal where the decoded pictures are equal; related: int64 (n,), equal where they are copies of any
    kind or twins, which then stay together too. Where these hang together so much that a class could not be in every part,
    they are split all the same, and a note says so. Raises DataError when a class has too few pictures (or groups) to be
    in every part.

    How: the groups are gone through in a random order, each goes to the part if that brings the part's class counts
    closer to their targets. Pictures that lie under two labels stay in train, and their group with them, for no judge can
    be right about them. So do pictures with a copy in a val part of the data's own, where test is split off.
    """
    own = content if dataset.groups is None else merge_groups(content, dataset.groups)
    if related is None:
        return _split(dataset, content, own, spec, seed)
    failed = False
    try:
        held = merge_groups(own, related) if spec.near_copies_together and (related != own).any() else own
        found = _split(dataset, content, held, spec, seed)
    except DataError:
        if held is own:
            raise
        found, failed = _split(dataset, content, own, spec, seed), True
    before = np.concatenate([found.train, found.val])
    leaked = leaking(related, before, found.test)
    notes = split_notes.duplicate_notes(dataset, content, related, before, found.test, failed)
    share = 0.0
    if held is not own and not failed and not split_notes.has_given_test(dataset):
        share, said = _naively(dataset, related, spec, seed)
        notes += said
    rule = found.rule + (
        ", near-duplicates too" if ";" in found.rule and spec.near_copies_together and not failed else ""
    )
    together = related if spec.near_copies_together and not failed else None
    return replace(found, rule=rule, notes=(*found.notes, *notes), leaked=leaked, naive_share=share, together=together)


def _split(dataset: Dataset, content: Indices, units: Indices, spec: SplitSpec, seed: int) -> Split:
    parts = np.full(len(dataset), -1) if dataset.parts is None else dataset.parts
    rng = np.random.default_rng([seed, 0x5917])
    test, val = np.flatnonzero(parts == 2), np.flatnonzero(parts == 1)
    pool = np.flatnonzero((parts == 0) | (parts == -1))
    fixed = np.isin(units, units[conflicting_labels(dataset.labels, content)])
    if not len(test):  # what val, a part of the data's own, has a copy of must not judge
        fixed |= np.isin(units, units[val])
    carve = StratifiedGroupSplit(dataset, units, fixed, rng)
    carves = int(not len(test)) + int(not len(val))
    carve.require(pool, carves)
    said = []
    if len(test):
        said.append("test as given")
    else:
        test = carve(pool, spec.test_fraction, "test", still_to_come=carves - 1)
        pool = np.setdiff1d(pool, test)
        said.append(f"{spec.test_fraction:.0%} test")
    if len(val):
        said.append("val as given")
    else:
        val = carve(pool, spec.val_fraction, "val", still_to_come=0)
        pool = np.setdiff1d(pool, val)
        said.append(f"{spec.val_fraction:.0%} of the rest val")
    _require_train(dataset, pool)
    rule = ", ".join(said)
    if carves:
        rule += f"; stratified by class, seed {seed}, copies in the same part"
    notes = (
        *split_notes.group_notes(dataset),
        *split_notes.divided_group_notes(dataset, np.concatenate([pool, val]), test),
        *split_notes.part_notes(dataset, content, pool, val, test),
    )
    return Split(pool, val, test, seed, rule, notes)


def _require_train(dataset: Dataset, train: Indices) -> None:
    """Refuse a class that nothing can be learned about; only official parts can lack one. Raises DataError."""
    for k in np.flatnonzero(np.bincount(dataset.labels[train], minlength=len(dataset.class_names)) == 0):
        raise DataError(
            f"class '{printable(dataset.class_names[k])}' has no picture in the train part: add pictures to it, "
            "or remove the class"
        )


def _naively(dataset: Dataset, related: Indices, spec: SplitSpec, seed: int) -> tuple[float, tuple[str, ...]]:
    """What a split of the same seed and fractions would have done with each picture for itself; counted, not guessed.

    The share of its test part that has a copy or twin in train or val, and that in words.
    """
    single = np.arange(len(dataset))
    naive = _split(replace(dataset, groups=None), single, single, spec, seed)
    leaked = len(leaking(related, np.concatenate([naive.train, naive.val]), naive.test))
    if not leaked:
        return 0.0, ()
    share = leaked / len(naive.test)
    return share, (
        f"in a split image by image, {leaked:,} of {count(len(naive.test), 'test image')} ({100 * share:.1f} %) would have "
        "had a copy, near-duplicate or derived image in train or val",
    )
